"""README.md shows what the committed run printed; its links lead somewhere, and docs/tree.md names every file."""

import json
import re
from pathlib import Path

import pytest

from stages.common.comparison import ANALYSIS, INTERVALS, METRICS, TITLES, agreement, distortions, parts, table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("dataset", list(TITLES))
def test_table_is_that_of_the_committed_metrics(dataset: str) -> None:
    metrics, intervals, analysis = (
        json.loads((ROOT / path).read_text(encoding="utf-8")) for path in (METRICS, INTERVALS, ANALYSIS)
    )
    assert table(TITLES[dataset], metrics[dataset], intervals[dataset], analysis["differences"][dataset]) in README
    for text in (parts(analysis), agreement(analysis["ceilings"]), distortions(analysis["robustness"])):
        assert text in README


def test_tree_has_a_line_for_each_file_of_ours() -> None:
    tree = (ROOT / "docs/tree.md").read_text(encoding="utf-8")
    for folder in ("stages", "demo", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "__init__.py":
                assert f"  {path.name} " in tree, path


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).is_file()]
