"""Accuracy on parts of the test faces: people also trained on and others, genders, ages, professions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from stages.evaluation.bootstrap import Bootstrap, interval
from stages.evaluation.scores import ALL

FAMILIAR = ("seen", "validation", "unseen")
UNKNOWN = "unknown"  # a group that says nothing of a person, and so makes no gap


def by_familiarity(right: np.ndarray, person: np.ndarray, familiar: np.ndarray, bootstrap: Bootstrap) -> pd.DataFrame:
    """The accuracy on all people and on each of FAMILIAR: whom a model was trained on, chosen on, and has never seen.

    `right` is bool (n,), `person` names (n,), `familiar` one of FAMILIAR each (n,). The columns are those of people.csv
    in docs/evaluation.md but for model; what an empty part would have is NaN.
    """
    unseen = familiar == "unseen"
    rows = []
    for name in ("all", *FAMILIAR):
        some = np.ones(len(right), bool) if name == "all" else familiar == name
        accuracy, low, high = bootstrap.mean(right, some)
        difference = [np.nan] * 3
        # Where everybody is unseen, `all` against them would be a zero that nobody measured.
        if name != "unseen" and not unseen.all():
            resampled = bootstrap.means(right, some) - bootstrap.means(right, unseen)
            difference = [accuracy - bootstrap.mean(right, unseen)[0], *interval(resampled)]
        rows.append([name, len(set(person[some])), some.sum(), accuracy, low, high, *difference])
    columns = ["subset", "people", "faces", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "difference_low", "difference_high"])


def by_group(
    right: np.ndarray, person: np.ndarray, group: np.ndarray, least: int, bootstrap: Bootstrap
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The accuracy on each group, and the largest gap between two; groups of fewer than `least` people have neither.

    `right` is bool (n,); `person` and `group` are names (n,). The columns are those of groups.csv and gaps.csv in
    docs/evaluation.md but for attribute and model; the second table has one row. The gap is that of the groups which
    happen to be best and worst, so chance alone makes one; its interval takes the two as given. UNKNOWN makes none.
    """
    rows = []
    for name in sorted(set(group)):
        some = group == name
        people = len(set(person[some]))
        figures = bootstrap.mean(right, some) if people >= least else (np.nan,) * 3
        rows.append((name, people, some.sum(), people >= least, *figures))
    groups = pd.DataFrame(rows, columns=["group", "people", "faces", "enough", "accuracy", "low", "high"])
    # The first of equals, in the order of names.
    smallest = groups.iloc[int(groups["people"].argmin())]
    known = groups[groups["enough"] & (groups["group"] != UNKNOWN)]
    gap = {"best": "", "worst": "", "gap": np.nan, "low": np.nan, "high": np.nan}
    if len(known) > 1:
        best, worst = known.iloc[int(known["accuracy"].argmax())], known.iloc[int(known["accuracy"].argmin())]
        gap = {"best": best["group"], "worst": worst["group"], "gap": best["accuracy"] - worst["accuracy"]}
        means = [bootstrap.means(right, group == gap[name]) for name in ("best", "worst")]
        gap["low"], gap["high"] = interval(means[0] - means[1])
    return groups, pd.DataFrame([gap | {"smallest": smallest["group"], "smallest_people": smallest["people"]}])


def ceilings(
    uploader: np.ndarray, majority: np.ndarray, annotated: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """On how many faces most annotators see what the uploader meant, for `all` and each label of the uploader.

    A face on which no two of them agree counts as one on which it is not; one that nobody looked at does not count.

    `uploader` and `majority` ("" for none) are texts (n,), `annotated` is bool (n,). The columns are those of
    ceilings.csv in docs/evaluation.md.
    """
    rows = []
    for emotion in (ALL, *emotions):
        some = annotated & (np.isin(uploader, emotions) if emotion == ALL else uploader == emotion)
        decided = (some & (majority != "")).sum()
        rows.append((emotion, some.sum(), decided, *bootstrap.mean(majority == uploader, some)))
    return pd.DataFrame(rows, columns=["emotion", "faces", "decided", "agreement", "low", "high"])


def by_label(
    labels: Mapping[str, np.ndarray], predicted: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """The accuracy of a model's answers `predicted`, texts (n,), held against each of several `labels`, texts (n,).

    On the same faces: those for which all labels are among `emotions`. The columns are those of labels.csv and
    votes.csv in docs/evaluation.md but for model.
    """
    both = np.all([np.isin(label, emotions) for label in labels.values()], axis=0)
    rows = []
    for name, label in labels.items():
        for emotion in (ALL, *emotions):
            some = both if emotion == ALL else both & (label == emotion)
            rows.append((name, emotion, some.sum(), *bootstrap.mean(predicted == label, some)))
    return pd.DataFrame(rows, columns=["label", "emotion", "faces", "accuracy", "low", "high"])
