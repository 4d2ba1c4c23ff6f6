"""Who is on the test faces, and how both models do on each part of them: genders, ages, people trained on or not."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages.datasets.annotators import ANNOTATORS, majority
from stages.evaluation.bootstrap import Bootstrap, interval
from stages.evaluation.scores import ALL
from stages.files.tables import read_table, with_columns

ATTRIBUTES = ("gender", "age", "professional")
FAMILIAR = ("seen", "validation", "unseen")
UNKNOWN = "unknown"  # a group that says nothing of a person, and so makes no gap


def with_people(table: pd.DataFrame, everybody: pd.DataFrame, manifest: Path) -> pd.DataFrame:
    """The rows of test faces with what the manifest says of each photo and its person, and `familiar`, one of FAMILIAR.

    `table` has the columns id and person, `everybody` is all of merged.csv, and `manifest` the folder of `rename`.
    """
    annotators = [f"label_{annotator}" for annotator in ANNOTATORS]
    columns = ["id", *ATTRIBUTES, "uploader", *annotators]
    # Of hundreds of thousands of rows, only what is needed.
    manifests = (read_table(path)[columns] for path in sorted(manifest.glob("*_*.csv")))
    photos = pd.concat(photos[photos["id"].isin(table["id"])] for photos in manifests)
    table = table.merge(photos, on="id", how="left", validate="one_to_one")
    table["professional"] = table["professional"].map({"True": "yes", "False": "no", "": UNKNOWN})
    table["age"] = np.where(table["age"] == "", UNKNOWN, table["age"] + "s")
    table["gender"] = table["gender"].replace("", UNKNOWN)
    table["majority"] = majority(table[annotators].to_numpy())
    table["annotated"] = (table[annotators] != "").any(axis=1)
    trained, chosen = (
        table["person"].isin(everybody.loc[everybody["split"] == split, "person"]) for split in ("train", "validation")
    )
    table["familiar"] = np.select([trained, chosen], FAMILIAR[:2], FAMILIAR[2])
    return table.drop(columns=annotators)


def people_tables(
    table: pd.DataFrame, answers: dict[str, np.ndarray], least: int, bootstrap: Bootstrap, emotions: list[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The tables that only faces with a manifest have, each with its name (docs/evaluation.md), in parts.

    `table` is as `with_people` returns it, `answers` are the emotions that each model sees, texts (n,), and a group of
    fewer than `least` people has no figures.
    """
    person, label, uploader, seen_by_most, annotated, familiar = (
        table[name].to_numpy() for name in ("person", "label", "uploader", "majority", "annotated", "familiar")
    )
    yield "ceilings", ceilings(uploader, seen_by_most, annotated, bootstrap, emotions)
    labels = {"uploader": uploader, "majority": seen_by_most}
    for name, answer in answers.items():
        right = answer == label
        yield "labels", with_columns(by_label(labels, answer, bootstrap, emotions), model=name)
        yield "people", with_columns(by_familiarity(right, person, familiar, bootstrap), model=name)
        for attribute in ATTRIBUTES:
            groups, gap = by_group(right, person, table[attribute].to_numpy(), least, bootstrap)
            groups.insert(4, "model", name)
            yield "groups", with_columns(groups, attribute=attribute)
            yield "gaps", with_columns(gap, attribute=attribute, model=name)


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
    uploader: np.ndarray, seen_by_most: np.ndarray, annotated: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """On how many faces most annotators see what the uploader meant, for `all` and each label of the uploader.

    A face on which no two of them agree counts as one on which it is not; one that nobody looked at does not count.

    `uploader` and `seen_by_most` ("" for none) are texts (n,), `annotated` is bool (n,). The columns are those of
    ceilings.csv in docs/evaluation.md.
    """
    rows = []
    for emotion in (ALL, *emotions):
        some = annotated & (np.isin(uploader, emotions) if emotion == ALL else uploader == emotion)
        decided = (some & (seen_by_most != "")).sum()
        rows.append((emotion, some.sum(), decided, *bootstrap.mean(seen_by_most == uploader, some)))
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
