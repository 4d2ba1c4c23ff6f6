"""README.md shows what the committed run printed; its links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

from tools.table import ANALYSIS, INTERVALS, METRICS, agreement, distortions, parts, table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("dataset", "title"), [("fer2013", "FER2013"), ("korean", "Korean")])
def test_table_is_that_of_the_committed_metrics(dataset: str, title: str) -> None:
    metrics, intervals, analysis = (
        json.loads((ROOT / path).read_text(encoding="utf-8")) for path in (METRICS, INTERVALS, ANALYSIS)
    )
    assert (
        table(f"{title} test faces", metrics[dataset], intervals[dataset], analysis["differences"][dataset]) in README
    )
    for text in (
        parts(analysis, "Korean"),
        agreement(analysis["ceilings"], "Korean"),
        distortions(analysis["robustness"]),
    ):
        assert text in README


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).is_file()]
