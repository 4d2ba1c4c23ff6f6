"""Stop a change that makes a model worse: fail if an emotion is recognised less often than before by more than a limit.

Recall and precision of each emotion count: of the model after transfer on each test set, of the one before on FER2013
alone, as it has learned no other faces. Little taken from each of the others is much for a rare emotion's precision.
Git keeps the recall, in metrics/evaluate.json; the precision is in data/evaluation/scores.csv, and is compared where
DVC has that file of both, in its cache or a remote.
Run: python -m tools.gate REVISION
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
from dvc.scm import RevError

from stages.runtime import params
from stages.runtime.errors import UserError, require, run

METRICS, SCORES = "metrics/evaluate.json", "data/evaluation/scores.csv"
OVER_ALL = ("accuracy", "people", "people_balanced")
PRETRAINED_ON = "fer2013"
Figures = dict[tuple[str, str, str], float]  # by data set, model and emotion


def main() -> None:
    """Compare the results as they lie here with those of a revision; stop, naming each emotion that fell too far."""
    parser = argparse.ArgumentParser(prog="python -m tools.gate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("revision", metavar="REVISION", help="commit, branch or tag to compare with")
    revision = parser.parse_args().revision
    limit = params.load().limits.max_drop
    require(Path(METRICS))
    try:
        old, new = (read(METRICS, version, recalls) for version in (revision, None))
    except FileNotFoundError as error:
        raise UserError(f"{error}; name another revision.") from None
    found, compared = falls("recall", old, new, limit), "recall"
    try:
        old, new = (read(SCORES, version, precisions) for version in (revision, None))
    except FileNotFoundError as error:
        print(f"Precision was not compared: {error}.")
    else:
        found, compared = [*found, *falls("precision", old, new, limit)], "recall or precision"
    if found:
        print(*found, sep="\n")
        raise UserError(
            f"limits.max_drop in params.yaml allows {100 * limit:g} points, and {len(found)} of the figures compared"
            " fell by more or are gone; find out why, or raise it."
        )
    print(f"No emotion's {compared} fell by more than {100 * limit:g} points.")


def read(path: str, revision: str | None, parse: Callable[[str], Figures]) -> Figures:
    """The figures in a file that git or DVC keeps, of a revision or, with None, as it lies here.

    Raises:
        FileNotFoundError: there is no such revision, or neither git nor DVC, in its cache or a remote, has its file.
        UserError: it is damaged.
    """
    place = f"{path} of {revision or 'this working tree'}"
    try:
        text = str(dvc.api.read(path, rev=revision))
    except Exception as error:  # each kind of remote fails in ways of its own
        reason = error if isinstance(error, RevError) else "neither git nor DVC's cache or remote has it"
        raise FileNotFoundError(f"there is no {place}: {reason}") from None
    try:
        return parse(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{place} is damaged; name another revision, or `dvc repro evaluate` makes it again.") from None


def recalls(text: str) -> Figures:
    """The figures of metrics/evaluate.json that are of an emotion."""
    return {
        (dataset, model, emotion): recall
        for dataset, models in json.loads(text).items()
        for model, figures in models.items()
        for emotion, recall in by_emotion(figures).items()
    }


def by_emotion(figures: dict[str, Any]) -> dict[str, float]:
    """The recall of each emotion; in an older evaluate.json each emotion has other figures, too."""
    several = {name: value["recall"] for name, value in figures.items() if isinstance(value, dict)}
    return several or {name: value for name, value in figures.items() if name not in OVER_ALL}


def precisions(text: str) -> Figures:
    """The precisions in the table scores.csv."""
    scores = pd.read_csv(io.StringIO(text))
    rows = scores[scores["figure"] == "precision"].to_dict("records")
    return {(row["dataset"], row["model"], row["emotion"]): row["value"] for row in rows}


def falls(figure: str, old: Figures, new: Figures, limit: float) -> list[str]:
    """A line for each emotion whose figure fell by more than `limit` or is gone."""
    found = []
    for key, before in sorted(old.items()):
        dataset, model, emotion = key
        if model == "before" and dataset != PRETRAINED_ON:
            continue
        what = f"{figure} of {emotion} ({dataset}, {model} transfer)"
        if key not in new:
            found.append(f"{what} is gone")
        # The figures have six digits; a fall by just the limit is allowed.
        elif round(before - new[key], 6) > limit:
            found.append(f"{what} fell from {before:.1%} to {new[key]:.1%}")
    return found


if __name__ == "__main__":
    run(main)
