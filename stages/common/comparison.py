"""The table that the project is about: both models, before and after transfer, emotion by emotion.

Run: python -m stages.common.comparison, after the pipeline has run.
"""

import json
from pathlib import Path
from typing import Any

from stages.common.errors import UserError, run

METRICS = Path("metrics/evaluate.json")
FIGURES = Path("data/figures")
MODELS = ("before", "after")
TITLES = {"fer2013": "FER2013 test faces", "korean": "Korean test faces"}


def main() -> None:
    """Print the tables of all test sets and the paths of the pictures."""
    if not METRICS.exists():
        raise UserError(f"{METRICS} is missing; run `dvc repro` to make it.")
    for dataset, metrics in json.loads(METRICS.read_text(encoding="utf-8")).items():
        print(f"{table(TITLES[dataset], metrics)}\n")
    print("Pictures:", *sorted(path.as_posix() for path in FIGURES.glob("*.png")), sep="\n  ")


def table(title: str, metrics: dict[str, Any]) -> str:
    """Both models' figures on one test set in percent, and the difference in percentage points."""
    before, after = (metrics[name] for name in MODELS)
    lines = [f"{title:26}{'faces':>8}{'before':>9}{'after':>9}{'change':>9}"]
    for name, value in before.items():
        if isinstance(value, dict):
            lines.append(_line(name, f"{value['faces']:,}", value["accuracy"], after[name]["accuracy"]))
        elif name != "faces":
            lines.append(_line(name.replace("_", " "), f"{before['faces']:,}", value, after[name]))
    return "\n".join(lines)


def _line(name: str, faces: str, before: float, after: float) -> str:
    return f"  {name:24}{faces:>8}{before:>9.1%}{after:>9.1%}{100 * (after - before):>+9.1f}"


if __name__ == "__main__":
    run(main)
