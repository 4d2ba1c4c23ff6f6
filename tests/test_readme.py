"""README.md shows what the committed run printed, and names every file."""

import json
from pathlib import Path

import pytest

from stages.common.comparison import TITLES, table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("dataset", list(TITLES))
def test_table_is_that_of_the_committed_metrics(dataset: str) -> None:
    metrics = json.loads((ROOT / "metrics/evaluate.json").read_text(encoding="utf-8"))
    assert table(TITLES[dataset], metrics[dataset]) in README


def test_tree_has_a_line_for_each_file_of_ours() -> None:
    for folder in ("stages", "demo", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "__init__.py":
                assert f"  {path.name} " in README, path


def test_links_lead_somewhere() -> None:
    for link in (
        "CONTRIBUTING.md",
        "LICENSE",
        "params.yaml",
        "docs/cluster.md",
        "docs/korean_emotions.png",
        "docs/demo.png",
    ):
        assert f"({link})" in README
        assert (ROOT / link).is_file()
