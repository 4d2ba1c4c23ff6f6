"""Pictures of the results, as PNG files that are the same bytes on every run."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by colour-blind readers and in grey print.
BEFORE, AFTER = "#E69F00", "#0072B2"


def save_before_after(
    path: Path, title: str, names: Sequence[str], before: Sequence[float], after: Sequence[float]
) -> None:
    """Write a bar chart of two accuracies (0 to 1) for each name."""
    figure, axes = plt.subplots(figsize=(1.5 + 1.2 * len(names), 4), layout="constrained")
    places = np.arange(len(names))
    for values, shift, colour, name in ((before, -0.2, BEFORE, "before transfer"), (after, 0.2, AFTER, "after")):
        bars = axes.bar(places + shift, np.multiply(values, 100), 0.38, color=colour, label=name)
        axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.set_xticks(places, names)
    axes.set_ylim(0, 110)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("faces recognised (%)")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", bbox_to_anchor=(1, 1.14), ncols=2, frameon=False)
    _save(figure, path)


def save_confusions(path: Path, title: str, names: Sequence[str], before: np.ndarray, after: np.ndarray) -> None:
    """Write two confusion matrices, shares float (classes, classes), side by side."""
    figure, pair = plt.subplots(1, 2, figsize=(2 + 1.6 * len(names), 1.4 + 0.7 * len(names)), layout="constrained")
    for axes, shares, subtitle in zip(pair, (before, after), ("before transfer", "after"), strict=True):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(shares.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("taken for")
        axes.set_ylabel("label")
        axes.set_title(subtitle)
    figure.suptitle(f"{title} (% of each label's faces)")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the software's version in it the file stays the same when matplotlib is updated.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
