"""The tables that the project is about: both models, before and after transfer, emotion by emotion; and the data.

Run: python -m tools.table, after the pipeline has run.
"""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from stages.datasets.catalog import DATASETS, MODELS, titled
from stages.datasets.columns import INFLATED, people_known
from stages.datasets.counts import counts, splits
from stages.figures.results import by_model, read_evaluation
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import run

REPORT = Path("data/report/index.html")
SHARES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "ECE",
    "ece_calibrated": "scaled ECE",
    "ece_chance": "  by chance alone",
}


def main() -> None:
    """Print the tables of all data sets and where the report is."""
    settings, evaluation = params.load(), read_evaluation()
    named = people_known(read_table(Path("data/csvs/korean/merged.csv"))["person"])
    sets, population = titled(settings.report.population, named), settings.report.population
    if not named:
        print(f"{population} faces, {INFLATED}.\n")
        population += "*"
    for dataset, known in sets.items():
        tables = (evaluation[name] for name in ("scores", "differences"))
        scores, differences = (rows[rows["dataset"] == dataset] for rows in tables)
        name = population if dataset == "korean" else known.name
        print(f"{table(f'{name} test faces', scores, differences)}\n")
    if "votes" in evaluation:
        print(f"{people(evaluation['votes'])}\n")
    print(f"{parts(evaluation, population)}\n\n{agreement(evaluation['ceilings'], population)}\n")
    print(f"{distortions(evaluation['robustness'])}\n\n{accounts()}\n\n{used(list(settings.emotions))}\n")
    print(f"With pictures, in a browser: {REPORT.as_posix()}")


def table(title: str, scores: pd.DataFrame, differences: pd.DataFrame) -> str:
    """Both models' figures on one test set in percent with 95 % intervals, and the difference in percentage points.

    Of an emotion it is the recall; p is that of McNemar's test. The tables are the rows of one data set.
    """
    figures = {(row["emotion"], row["figure"]): row for row in by_model(scores, ["emotion", "figure"])}
    lines = [f"{title:20}{'faces':>6}{'before':>21}{'after':>21}{'change':>24}{'p':>8}"]
    for row in differences.to_dict("records"):
        name, figure = row["emotion"], "accuracy" if row["emotion"] == "all" else "recall"
        before, after = (_interval(figures[name, figure][m]) for m in MODELS)
        change = _interval(row, "difference", "+")
        label = figure if name == "all" else name
        p = "<0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
        lines.append(f"  {label:18}{row['faces']:>6,}{before:>21}{after:>21}{change:>24}{p:>8}")
    for figure, label in SHARES.items():
        before, after = (figures["all", figure][m] for m in MODELS)
        # What is expected of chance has no interval, and its change says nothing.
        change = f"{100 * (after['value'] - before['value']):+.1f}" if before["low"] == before["low"] else ""
        line = f"  {label:18}{before['faces']:>6,}{_interval(before):>21}{_interval(after):>21}{change:>11}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def agreement(ceilings: pd.DataFrame, population: str) -> str:
    """On how many faces the annotators' majority is the uploader's label, in a sentence."""
    everybody, *by_emotion = ceilings.to_dict("records")
    if not everybody["faces"]:
        return f"No annotator has looked at the {population} test faces."
    shares = [f"{row['agreement']:.1%}" if row["faces"] else "-" for row in by_emotion]
    emotions = ", ".join(f"{row['emotion']} {share}" for row, share in zip(by_emotion, shares, strict=True))
    return (
        f"At least two of the three annotators see what the uploader meant in {everybody['agreement']:.1%} of "
        f"{everybody['faces']:,}\n{population} test faces ({emotions});\n"
        f"in {1 - everybody['decided'] / everybody['faces']:.1%} no two of them agree on anything."
    )


def people(votes: pd.DataFrame) -> str:
    """Both models' accuracy on the FER2013 faces of which most people see one emotion, in percent with intervals."""
    lines = [f"{'FER2013 faces on which people agree':40}{'faces':>6}{'before':>21}{'after':>21}"]
    for row in by_model(votes, ["label", "emotion"]):
        emotion = row["emotion"]
        if row["label"] == "people" or emotion == "all":
            name = {"people": "by what they see", "fer2013": "by FER2013's label"}[row["label"]]
            figures = [_interval(row[m], "accuracy") or "-" for m in MODELS]
            lines.append(f"  {f'{name}, {emotion}':38}{row['faces']:>6,}{figures[0]:>21}{figures[1]:>21}")
    return "\n".join(lines)


def parts(evaluation: dict[str, pd.DataFrame], population: str) -> str:
    """Both models' accuracy on parts of the second test set and against both labels, in percent with intervals."""
    rows = [
        *((f"{r['label']}'s label", r) for r in by_model(evaluation["labels"], ["label", "emotion"])
          if r["emotion"] == "all"),
        *((f"{r['subset']} people", r) for r in by_model(evaluation["people"], ["subset"]) if r["subset"] != "all"),
        *((f"{r['attribute']} {r['group']}", r) for r in by_model(evaluation["groups"], ["attribute", "group"])),
    ]  # fmt: skip
    lines = [f"{f'Accuracy on {population} faces':26}{'people':>8}{'faces':>8}{'before':>21}{'after':>21}"]
    for name, row in rows:
        unknown = "too few people" if row["faces"] else "-"
        figures = [_interval(row[m], "accuracy") or unknown for m in MODELS]
        people = f"{row['people']:,}" if "people" in row else ""
        lines.append(f"  {name:24}{people:>8}{row['faces']:>8,}{figures[0]:>21}{figures[1]:>21}")
    for gap in by_model(evaluation["gaps"], ["attribute"]):
        figures = [_interval(gap[m], "gap") for m in MODELS]
        if all(figures):
            name = f"largest gap by {gap['attribute']}"
            lines.append(f"  {name:40}{figures[0]:>21}{figures[1]:>21}")
    return "\n".join(lines)


def distortions(robustness: pd.DataFrame) -> str:
    """Both models' accuracy on distorted test faces, in percent, weakest distortion first."""
    columns = [(dataset, model) for dataset in robustness["dataset"].unique() for model in MODELS]
    lines = [f"{'Accuracy when distorted':32}" + "".join(f"{' '.join(column):>17}" for column in columns)]
    for name, rows in robustness.groupby("distortion", sort=False):
        strengths = dict(iter(rows.groupby(["dataset", "model"])))
        amounts = ", ".join(f"{amount:g}" for amount in strengths[columns[0]]["amount"].dropna())
        cells = [" / ".join(f"{100 * share:.0f}" for share in strengths[key]["accuracy"]) for key in columns]
        lines.append(f"  {name:10}{amounts:20}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def accounts() -> str:
    """What each stage found, kept and rejected, and why."""
    lines = [f"{'Pictures':34}{'found':>10}{'kept':>10}{'rejected':>10}"]
    for dataset, known in DATASETS.items():
        for count in counts(dataset):
            name = f"{known.name}, {count.stage}: {count.what}"
            lines.append(f"  {name:32}{count.found:>10,}{count.kept:>10,}{count.found - count.kept:>10,}")
            lines += [f"{number:>64,} {reason}" for reason, number in count.rejected]
    return "\n".join(lines)


def used(emotions: list[str]) -> str:
    """How many people and faces each split has, and how many faces of each emotion."""
    columns = {name: max(8, len(name) + 2) for name in ("people", "faces", *emotions)}
    lines = [f"{'Used':20}" + "".join(f"{name:>{width}}" for name, width in columns.items())]
    for dataset, known in DATASETS.items():
        for split, sizes in splits(dataset, emotions).items():
            cells = [f"{sizes[name]:,}" if name in sizes else "" for name in columns]
            numbers = "".join(f"{cell:>{width}}" for cell, width in zip(cells, columns.values(), strict=True))
            lines.append(f"  {f'{known.name} {split}':18}{numbers}")
    return "\n".join(lines)


def _interval(row: dict[Any, Any], figure: str = "value", sign: str = "") -> str:
    """A figure of a row in percent, with its interval if it has one; nothing if the figure does not exist."""
    value, low, high = (100 * row[name] for name in (figure, "low", "high"))
    if math.isnan(value):
        return ""
    return f"{value:{sign}.1f}" + ("" if math.isnan(low) else f" [{low:{sign}.1f}, {high:{sign}.1f}]")


if __name__ == "__main__":
    run(main)
