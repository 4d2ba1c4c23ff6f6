"""Charts: the same bytes twice, what they show, and SVG that a page can hold."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from stages.figures import charts

NAMES = ["angry", "happy"]
PERCENT = ([10.0, 90.0], [5.0, 85.0], [20.0, 100.0])
STRENGTHS = ([0, 1], *PERCENT)
SERIES = {
    name: ([80.0, 60.0], [1.0, 0.0], colour) for name, colour in (("korean", charts.AFTER), ("fer2013", charts.BEFORE))
}
CHARTS: dict[str, Callable[[], Figure]] = {
    "bars": lambda: charts.bars("title", NAMES, {"before": PERCENT, "after": PERCENT}),
    "confusion": lambda: charts.confusion("title", NAMES, np.array([[0.75, 0.25], [0, 1]])),
    "reliability": lambda: charts.reliability("title", {"before": ([0.5], [0.4], [9]), "after": ([0.9], [1], [9])}),
    "curves": lambda: charts.curves("title", "loss", {"train": [2, 1], "validation": [3, 2]}, best=2),
    "panels": lambda: charts.panels("title", "%", ["blur"], {"before": [STRENGTHS], "after": [STRENGTHS]}),
    "lines_over": lambda: charts.lines_over("title", "share", [1, 0.01], SERIES),
    "rows_with_spread": lambda: charts.rows_with_spread("title", "meaning", NAMES, SERIES),
}


@pytest.mark.parametrize("name", list(CHARTS))
def test_the_same_bytes_twice(tmp_path: Path, name: str) -> None:
    svgs = []
    for folder in ("first", "second"):
        charts.save(CHARTS[name](), tmp_path / folder / "chart.png")
        svgs.append(charts.svg(CHARTS[name](), "what it shows"))
    first = (tmp_path / "first/chart.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "second/chart.png").read_bytes()
    assert svgs[0] == svgs[1]


@pytest.mark.parametrize("name", list(CHARTS))
def test_svg_stands_in_a_page(name: str) -> None:
    svg = charts.svg(CHARTS[name](), "before < after")
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "before < after"
    assert root.get("width") is None
    assert "title" in "".join(root.itertext())
    # No date, no address that a browser would fetch, and the page's own colours.
    assert "metadata" not in svg
    assert not re.search(r'(?:href|src)="(?!#)', svg)
    assert not [colour for colour in charts.THEME if colour in svg]
    ids = re.findall(r' id="([^"]+)"', svg)
    assert all(f"#{name}" in svg for name in ids)


def test_hangul_is_left_to_the_browser(recwarn: pytest.WarningsRecorder) -> None:
    svg = charts.svg(charts.bars("title", ["angry\n분노"], {"before": ([1], [0], [2]), "after": ([1], [0], [2])}), "x")
    assert "분노" in svg
    assert not recwarn.list


def test_bars_end_where_the_values_are() -> None:
    axes = charts.bars("title", NAMES, {"before": PERCENT, "after": ([20.0, 80.0], *PERCENT[1:])}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [10, 90, 20, 80]
    assert {text.get_text() for text in axes.texts} == {"10", "90", "20", "80"}


def test_a_confusion_matrix_has_labels_in_rows() -> None:
    axes = charts.confusion("title", NAMES, np.array([[0.75, 0.25], [0, 1]])).axes[0]
    assert [text.get_text() for text in axes.texts] == ["75", "25", "0", "100"]
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "taken for"


def test_a_line_runs_from_small_to_large() -> None:
    axes = charts.lines_over("title", "share", [1, 0.01], SERIES).axes[0]
    assert list(axes.lines[0].get_xdata()) == [0.01, 1]
    assert list(axes.lines[0].get_ydata()) == [60, 80]
    assert axes.get_xscale() == "log"
    assert charts.lines_over("title", "dropout", [0, 0.1], SERIES).axes[0].get_xscale() == "linear"


def test_a_panel_says_how_strong_each_distortion_is() -> None:
    strengths = ([np.nan, 75, 50], [90, 80, 60], [80, 70, 50], [100, 90, 70])
    axes = charts.panels("title", "%", ["light"], {"before": [strengths], "after": [strengths]}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "75", "50"]
