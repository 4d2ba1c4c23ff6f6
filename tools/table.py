"""The table that the project is about: both models, before and after transfer, emotion by emotion.

Run: python -m tools.table, after the pipeline has run.
"""

from pathlib import Path
from typing import Any

from stages.datasets.people import INFLATED
from stages.evaluation.groups import FAMILIAR
from stages.files.metrics import read_metrics
from stages.runtime import params
from stages.runtime.errors import run

METRICS = Path("metrics/evaluate.json")
INTERVALS = Path("metrics/intervals.json")
ANALYSIS = Path("metrics/analysis.json")
REPORT = Path("data/report/index.html")
MODELS = ("before", "after")
INDEX = Path("metrics/index/korean.json")
DATASETS = ("fer2013", "korean")
SHARES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "ECE",
    "ece_calibrated": "scaled ECE",
    "ece_chance": "  by chance alone",
}


def main() -> None:
    """Print the tables of all test sets and where the report is."""
    metrics, intervals, analysis = (read_metrics(path) for path in (METRICS, INTERVALS, ANALYSIS))
    population = params.load().report.population
    if "groups" in read_metrics(INDEX)["test"]:
        print(f"{population} faces, {INFLATED}.\n")
        population += "*"
    for dataset, title in {"fer2013": "FER2013", "korean": population}.items():
        lines = table(f"{title} test faces", metrics[dataset], intervals[dataset], analysis["differences"][dataset])
        print(f"{lines}\n")
    print(f"{parts(analysis, population)}\n\n{agreement(analysis['ceilings'], population)}\n")
    print(f"{distortions(analysis['robustness'])}\n")
    print(f"With pictures, in a browser: {REPORT.as_posix()}")


def table(title: str, metrics: dict[str, Any], intervals: dict[str, Any], differences: dict[str, Any]) -> str:
    """Both models' figures on one test set in percent with 95 % intervals, and the difference in percentage points.

    Of an emotion it is the recall. The differences are those of differences.csv; p is that of McNemar's test.
    """
    lines = [f"{title:20}{'faces':>6}{'before':>21}{'after':>21}{'change':>24}{'p':>8}"]
    for name, difference in differences.items():
        figure = "accuracy" if name == "all" else "recall"
        before, after = (_interval(_of(metrics[m], name)[figure], **_of(intervals[m], name)[figure]) for m in MODELS)
        change = _interval(difference["difference"], difference["low"], difference["high"], "+")
        label = figure if name == "all" else name
        lines.append(
            f"  {label:18}{difference['faces']:>6,}{before:>21}{after:>21}{change:>24}{_p(difference['p_value']):>8}"
        )
    for figure, label in SHARES.items():
        shares = [metrics[m][figure] for m in MODELS]
        cells, change = [f"{100 * share:.1f}" for share in shares], ""
        # What is expected of chance has no interval, and its change says nothing.
        if figure in intervals["before"]:
            cells = [_interval(share, **intervals[m][figure]) for m, share in zip(MODELS, shares, strict=True)]
            change = f"{100 * (shares[1] - shares[0]):+.1f}"
        row = f"  {label:18}{metrics['before']['faces']:>6,}{cells[0]:>21}{cells[1]:>21}{change:>11}"
        lines.append(row.rstrip())
    return "\n".join(lines)


def _of(figures: dict[str, Any], name: str) -> Any:
    """A model's figures of an emotion, or of all faces."""
    return figures if name == "all" else figures[name]


def agreement(ceilings: dict[str, Any], population: str) -> str:
    """On how many faces the annotators' majority is the uploader's label, in a sentence."""
    if "agreement" not in ceilings["all"]:
        return f"No annotator has looked at the {population} test faces."
    shares = {name: f"{value['agreement']:.1%}" if "agreement" in value else "-" for name, value in ceilings.items()}
    emotions = ", ".join(f"{name} {share}" for name, share in shares.items() if name != "all")
    faces, decided = ceilings["all"]["faces"], ceilings["all"]["decided"]
    return (
        f"At least two of the three annotators see what the uploader meant in {shares['all']} of {faces:,}\n"
        f"{population} test faces ({emotions});\n"
        f"in {1 - decided / faces:.1%} no two of them agree on anything."
    )


def parts(analysis: dict[str, Any], population: str) -> str:
    """Both models' accuracy on parts of the second test set and against both labels, in percent with intervals."""
    rows = [
        (f"{name}'s label", {m: analysis["labels"][m][name]["all"] for m in MODELS})
        for name in ("uploader", "majority")
    ]
    rows += [(f"{name} people", {m: analysis["people"][m][name] for m in MODELS}) for name in FAMILIAR]
    for attribute, groups in analysis["groups"].items():
        rows += [(f"{attribute} {group}", by_model) for group, by_model in groups.items()]
    heading = f"Accuracy on {population} faces"
    lines = [f"{heading:26}{'people':>8}{'faces':>8}{'before':>21}{'after':>21}"]
    for name, by_model in rows:
        before, after = (by_model[m] for m in MODELS)
        known = "accuracy" in before
        unknown = "too few people" if before["faces"] else "-"
        figures = [_interval(v["accuracy"], v["low"], v["high"]) if known else unknown for v in (before, after)]
        people = f"{before['people']:,}" if "people" in before else ""
        lines.append(f"  {name:24}{people:>8}{before['faces']:>8,}{figures[0]:>21}{figures[1]:>21}")
    for attribute, gaps in analysis["gaps"].items():
        if all("gap" in gaps[m] for m in MODELS):
            figures = [_interval(gaps[m]["gap"], gaps[m]["low"], gaps[m]["high"]) for m in MODELS]
            lines.append(f"  {f'largest gap by {attribute}':40}{figures[0]:>21}{figures[1]:>21}")
    return "\n".join(lines)


def distortions(robustness: dict[str, Any]) -> str:
    """Both models' accuracy on distorted test faces, in percent, weakest distortion first."""
    columns = [(dataset, model) for dataset in DATASETS for model in MODELS]
    heads = [f"{dataset} {model}" for dataset, model in columns]
    lines = [f"{'Accuracy when distorted':32}" + "".join(f"{head:>17}" for head in heads)]
    for name, strengths in robustness["fer2013"]["before"].items():
        amounts = ", ".join(f"{value['amount']:g}" for value in strengths.values() if "amount" in value)
        cells = [
            " / ".join(f"{100 * value['accuracy']:.0f}" for value in robustness[dataset][model][name].values())
            for dataset, model in columns
        ]
        lines.append(f"  {name:10}{amounts:20}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def _interval(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


if __name__ == "__main__":
    run(main)
