"""Charts of the results, each as a PNG file and as SVG for the report; the same bytes on every run.

Every chart is narrow enough for a phone; the page puts them side by side where there is room.
"""

import html
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.figures.colours import BLUE, GREEN, ORANGE, PURPLE
from stages.runtime.replacing import replacing

# Each series has a shape of its own, too.
BEFORE, AFTER, THIRD, FOURTH = ORANGE, BLUE, GREEN, PURPLE
MARKERS = {BEFORE: "s", AFTER: "o", THIRD: "^", FOURTH: "D"}
MODEL_COLOURS = {"before": BEFORE, "after": AFTER}
INK, LINE = "#1a1a1b", "#c9c9ca"
# What each colour is called in the page's style sheet, which has others for a dark screen.
THEME = {
    BEFORE: "var(--before)",
    AFTER: "var(--after)",
    THIRD: "var(--third)",
    FOURTH: "var(--fourth)",
    INK: "currentColor",
    LINE: "var(--line)",
}
WIDTH = 4.4  # inches
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and set in the reader's font
    "svg.hashsalt": "report",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}

style.use(STYLE)

Values = Sequence[float] | np.ndarray
Spread = tuple[Values, Values, str]  # values, their standard deviations, and the colour of the series


def save(figure: Figure, path: Path) -> None:
    """Write a chart as PNG."""
    # Without the software's version in it the file stays the same when matplotlib is updated.
    with replacing(path) as file:
        figure.savefig(file, dpi=120, metadata={"Software": None})


def svg(figure: Figure, description: str) -> str:
    """A chart as SVG to stand in a page, in the colours of its style sheet; `description` is for who cannot see it."""
    text = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser has the Hangul that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    body = text.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    for colour, name in THEME.items():
        body = body.replace(colour, name)
    # Names that nothing refers to would be there twice in a page of several charts.
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", body)
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(description)}"', 1).strip()


def _axes(height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    return figure, axes


def bars(title: str, names: Sequence[str], models: Mapping[str, tuple[Values, Values, Values]]) -> Figure:
    """Two bars for each name: percent with the ends of its interval (value, low, high), before and after transfer."""
    figure, axes = _axes(1.1 + 0.42 * len(names), title)
    places = np.arange(len(names))
    for (name, (value, low, high)), shift in zip(models.items(), (-0.2, 0.2), strict=True):
        whiskers = np.maximum(0, [np.subtract(value, low), np.subtract(high, value)])
        axes.barh(
            places + shift, value, 0.38, color=MODEL_COLOURS[name], label=f"{name} transfer", xerr=whiskers,
            error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
        )  # fmt: skip
        for place, number, end in zip(places, value, high, strict=True):
            axes.text(end + 1.5, place + shift, f"{number:.0f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlim=(0, 112), xticks=range(0, 101, 20), xlabel="recognised (%), with 95 % interval")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def confusion(title: str, names: Sequence[str], shares: np.ndarray) -> Figure:
    """A confusion matrix, shares float (classes, classes), in percent of each row."""
    figure, axes = _axes(0.9 + 0.46 * len(names), title)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for row, column in np.ndindex(shares.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column + 0.5, row + 0.5, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=colour)
    middles = np.arange(len(names)) + 0.5
    axes.set_xticks(middles, names, fontsize=8)
    axes.set_yticks(middles, names)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="taken for", ylabel="label")
    return figure


def reliability(title: str, models: Mapping[str, tuple[Values, Values, Values]]) -> Figure:
    """A reliability diagram: mean confidence and accuracy of each bin, 0 to 1, and how many faces it holds."""
    figure, axes = _axes(3.4, title)
    axes.plot((0, 100), (0, 100), color=INK, linewidth=1, linestyle=":", label="confidence = accuracy")
    for name, (confidence, accuracy, faces) in models.items():
        colour = MODEL_COLOURS[name]
        x, y = 100 * np.asarray(confidence), 100 * np.asarray(accuracy)
        axes.plot(x, y, color=colour, linewidth=1, alpha=0.5)
        # The area of a marker is the share of the faces.
        area = 8 + 500 * np.asarray(faces) / max(np.sum(faces), 1)
        label, marker = f"{name} transfer", MARKERS[colour]
        axes.scatter(x, y, area, color=colour, marker=marker, alpha=0.85, linewidths=0, label=label)
    axes.grid()
    least = min([15, *(100 * np.min(confidence) - 3 for confidence, _, _ in models.values() if len(confidence))])
    axes.set(xlim=(least, 102), ylim=(-2, 102), xlabel="confidence (%)", ylabel="right (%)")
    legend = figure.legend(loc="outside lower center", ncols=3, fontsize=8, columnspacing=1)
    for handle in legend.legend_handles[1:]:
        handle.set_sizes([40])  # type: ignore[union-attr]
    return figure


def curves(title: str, unit: str, curves_of: Mapping[str, Values], best: int) -> Figure:
    """Learning curves over the epochs, from 1: training and validation; `best` is the epoch whose weights were kept."""
    figure, axes = _axes(2.5, title)
    for (name, values), colour, line in zip(curves_of.items(), (BEFORE, AFTER), ("--", "-"), strict=True):
        epochs = np.arange(1, len(values) + 1)
        marker = MARKERS[colour] if len(values) <= 40 else ""
        axes.plot(epochs, values, color=colour, linestyle=line, marker=marker, markersize=3.5, label=name)
    axes.axvline(best, color=INK, linewidth=1, linestyle=":", label="epoch kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()
    axes.set(xlabel="epoch", ylabel=unit)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def panels(
    title: str, unit: str, names: Sequence[str], models: Mapping[str, Sequence[tuple[Values, Values, Values, Values]]]
) -> Figure:
    """A small panel for each name, two in a row; in each and for each model x, and percent (value, low, high).

    An x that is NaN is "none", and stands first; the others follow at equal steps in their order.
    """
    rows = max(1, -(-len(names) // 2))
    figure = Figure(figsize=(WIDTH, 0.7 + 1.1 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, sharey=True, squeeze=False)
    figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(names))
        axes.grid()
    for number, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
        for model, by_name in models.items():
            x, value, low, high = by_name[number]
            colour = MODEL_COLOURS[model]
            label = f"{model} transfer" if number == 0 else None
            axes.fill_between(range(len(x)), low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(range(len(x)), value, color=colour, marker=MARKERS[colour], markersize=3.5, label=label)
        axes.set_title(name, loc="left", fontsize=8)
        axes.set_xticks(range(len(x)), ["none" if np.isnan(amount) else f"{amount:g}" for amount in x], fontsize=8)
        axes.set_ylim(0, 100)
    figure.supylabel(unit, fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def lines_over(title: str, x_label: str, x: Values, series: Mapping[str, Spread]) -> Figure:
    """Lines over a number, percent with spread; x is logarithmic if it spans decades."""
    figure, axes = _axes(3.4, title)
    order = np.argsort(x)
    x = np.asarray(x, float)[order]
    for name, (value, spread, colour) in series.items():
        axes.errorbar(
            x, np.asarray(value)[order], np.asarray(spread)[order], color=colour, marker=MARKERS[colour], markersize=5,
            capsize=2, linewidth=1, label=name,
        )  # fmt: skip
    if x[0] > 0 and x[-1] >= 10 * x[0]:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(x, [f"{number:g}" for number in x])
    axes.grid()
    axes.set(xlabel=x_label, ylabel="accuracy (%)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def rows_with_spread(title: str, meaning: str, names: Sequence[str], series: Mapping[str, Spread]) -> Figure:
    """A row for each name, the first on top, with a marker for each series: percent with spread.

    `meaning` says what the names are.
    """
    figure, axes = _axes(1.2 + 0.28 * len(names), title)
    places = np.arange(len(names))
    for name, (value, spread, colour) in series.items():
        axes.errorbar(
            value, places, xerr=spread, color=colour, marker=MARKERS[colour], markersize=5, capsize=2, linestyle="",
            elinewidth=1, label=name,
        )  # fmt: skip
    axes.set_yticks(places, names, fontsize=8)
    figure.suptitle(meaning, x=0.01, ha="left", fontsize=8)
    axes.grid()
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="accuracy (%)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure
