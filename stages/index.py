"""Decide for one data set which faces are used, under which label and in which split.

In: data/arrays/<dataset>/ (and data/manifest/ for the Korean labels and people); data/exclude/<dataset>.txt; people's
votes on FER2013 (`data.ferplus` in params.yaml).
Out: data/csvs/<dataset>/<label>.csv for each label and merged.csv, with the columns array (file in data/arrays),
row (in that array), id, path, label, person and split; with votes also people, the emotion that more than half of them
saw, and target_<class>, what pretrain is to say of a training face; rejected.csv beside them;
metrics/index/<dataset>.json: raw pictures found, used and rejected, by whichever stage.
Run: python -m stages.index korean
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages.datasets import cleaning, votes
from stages.datasets.annotators import understood
from stages.datasets.catalog import DATASETS, check_listed
from stages.datasets.columns import EXTRA, PEOPLE, SPLITS, TARGET
from stages.datasets.counts import split_sizes
from stages.datasets.labelling import ARRAYS, check_splits, label_people, label_pictures, left_out, pictures_of
from stages.files.arrays import open_array
from stages.files.metrics import write_metrics
from stages.files.tables import read_table, write_table
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.runtime.limits import account, check_share

CSVS = Path("data/csvs")
NOT_USED = "emotion not used"
NOT_DAMAGE = (
    *(NOT_USED, "no majority of annotators", "removed by hand", "person not used", "face found twice"),
    *(votes.NOT_A_FACE, *cleaning.DUPLICATE_REASONS),
)
NOT_UNDERSTOOD = "not an emotion of AI-Hub 82"
NO_SPLIT = "official split not known"
COLUMNS = ["array", "row", "id", "path", "label", "person", "split"]
# Faces, what each of their labels becomes (None: not used), and for each face the reason why it is not used, or "".
Judged = tuple[pd.DataFrame, dict[str, str | None], pd.Series]


def main() -> None:
    """Write the index of one data set."""
    parser = argparse.ArgumentParser(description="Decide which faces of one data set are used, and for what.")
    parser.add_argument("dataset", choices=list(DATASETS))
    dataset = parser.parse_args().dataset
    settings = params.load()
    check_listed(dataset, settings.data)
    emotions, how, people = list(settings.emotions), settings.index.of(dataset), 1.0
    if isinstance(how, params.People):
        people = how.people
        table, classes, reasons = judge_people(dataset, how, emotions)
    elif isinstance(how, params.Fer2013):
        table, classes, reasons = judge_fer2013(dataset, how, emotions, Path(settings.data["ferplus"]))
    else:
        table, classes, reasons = judge_pictures(dataset, how)
    table["label"] = [classes.get(label) or label for label in table["label"]]
    unreadable = read_table(ARRAYS / dataset / "rejected.csv")
    rejected = pd.concat([table.assign(reason=reasons)[reasons != ""], unreadable])
    rejected = rejected.reindex(columns=[*COLUMNS, "reason"])
    # A face that was never decoded has no row.
    rejected["row"] = rejected["row"].astype("Int64")
    further = [name for name in table if name == PEOPLE or str(name).startswith(TARGET)]
    merged = table.loc[reasons == "", [*COLUMNS, *further]]
    account(dataset, len(table) + len(unreadable), len(merged), rejected["reason"])
    write_table(rejected, CSVS / dataset / "rejected.csv")
    lost = [(dataset, reason) for reason in rejected["reason"]]
    lost += [
        (f"{dataset} {classes.get(label) or label}", reason)
        for label, reason in zip(rejected["label"], rejected["reason"], strict=True)
        if (classes.get(label) or label) in emotions
    ]
    kept = Counter(f"{dataset} {label}" for label in merged["label"]) + Counter({dataset: len(merged)})
    check_share(kept, lost, settings.limits.max_rejected, CSVS / dataset / "rejected.csv", NOT_DAMAGE)
    check_splits(merged, emotions, dataset, people)
    for label, faces in merged.groupby("label"):
        write_table(faces, CSVS / dataset / f"{label}.csv")
    write_table(merged, CSVS / dataset / "merged.csv")
    extra = sorted(set(merged["label"]) - set(emotions))
    for split in (*SPLITS, EXTRA) if extra else SPLITS:
        sizes = split_sizes(merged[merged["split"] == split], extra if split == EXTRA else emotions)
        print(f"  {split}: " + ", ".join(f"{name} {count:,}" for name, count in sizes.items()))
    write_metrics({dataset: whole_way(dataset, table, reasons, unreadable)}, Path("metrics/index") / f"{dataset}.json")


def judge_pictures(dataset: str, how: params.Pictures) -> Judged:
    """The pictures of a data set in class folders, and why one is not used."""
    table, classes = label_pictures(dataset, how)
    reasons = clean(table, classes, dataset, how.duplicates == "remove")
    return table, classes, without_near_duplicates(dataset, table, reasons, how.near_duplicate, [""])


def judge_fer2013(dataset: str, how: params.Fer2013, emotions: list[str], ferplus: Path) -> Judged:
    """The pictures of FER2013, and why one is not used, with what people saw on them if `ferplus` has votes.

    Of the extra classes only training pictures are used; their split is EXTRA.

    Raises:
        UserError: votes are asked for and there are none, or the table does not go with the pictures.
    """
    table, classes = label_pictures(dataset, how)
    classes = classes | {name: name for name in how.extra_classes}
    seen = votes.read_votes(ferplus, table["id"], list(read_table(ARRAYS / dataset / "rejected.csv")["path"]))
    if how.votes and seen is None:
        raise UserError(f"index.{dataset}.votes is {how.votes:g}, but {ferplus} has no votes; {votes.ADVICE}.")
    reasons = clean(table, classes, dataset, how.duplicates == "remove")
    # What people saw on a picture, or its extra class, may give away a near twin that has another label.
    compared = ["", NOT_USED] if how.votes or how.extra_classes else [""]
    reasons = without_near_duplicates(dataset, table, reasons, how.near_duplicate, compared)
    if seen is not None:
        reasons[(reasons == "") & votes.no_face(seen)] = votes.NOT_A_FACE
    extra, train = table["label"].isin(how.extra_classes), table["split"] == "train"
    reasons[(reasons == "") & extra & ~train] = NOT_USED
    if seen is not None:
        table[PEOPLE] = votes.majority(votes.by_class(seen, classes, emotions), seen.sum(axis=1), emotions)
        names = [*emotions, *how.extra_classes]
        used = table.index[(reasons == "") & train]
        label = np.array([names.index(str(classes[label])) for label in table.loc[used, "label"]], int)
        target = votes.targets(votes.by_class(seen.loc[used], classes, names), label, how.votes)
        # Nobody can be taught by the votes on other pictures: they are not there.
        table.loc[used, [f"{TARGET}{name}" for name in names]] = target.round(4)
    table.loc[extra & train, "split"] = EXTRA
    return table, classes, reasons


def judge_people(dataset: str, how: params.People, emotions: list[str]) -> Judged:
    """The faces of a data set of people, and why one is not used."""
    table, classes = label_people(dataset, how, emotions)
    reasons = clean(table, classes, dataset, remove_duplicates=True)
    if how.split == "official":
        reasons[(reasons == "") & (table["official"] == "")] = NO_SPLIT
    reasons[left_out(table[reasons == ""], how.people, how.seed)] = "person not used"
    return table, classes, reasons


def clean(table: pd.DataFrame, classes: dict[str, str | None], dataset: str, remove_duplicates: bool) -> pd.Series:
    """For each face the reason why it is not used, or "" (near twins are not looked for)."""
    reasons = pd.Series("", index=table.index, dtype=object)
    listed = Path("data/exclude") / f"{dataset}.txt"
    lines, gone = cleaning.read_exclusions(listed), []
    if lines:
        gone = [*read_table(ARRAYS / dataset / "rejected.csv")["path"], *DATASETS[dataset].photos("id")["id"]]
    try:
        removed = cleaning.excluded(lines, table["id"], table["path"], gone)
    except UserError as error:
        raise UserError(f"{listed}: {error}") from None
    reasons[removed] = "removed by hand"
    digest = pd.Series(list(cleaning.digests(pictures_of(dataset, table))), index=table.index, dtype=object)
    reasons[(reasons == "") & (digest == "")] = "constant picture"
    if remove_duplicates:
        rest = reasons == ""
        reasons[rest] = cleaning.duplicate_reasons(table[rest], digest[rest])
    of_label = {label: "" if emotion else NOT_USED for label, emotion in classes.items()}
    if DATASETS[dataset].manifest:
        of_label |= {label: NOT_UNDERSTOOD for label in classes if not classes[label] and not understood(label)}
    of_label[""] = "no majority of annotators"
    return reasons.where(reasons != "", table["label"].map(of_label))


def without_near_duplicates(
    dataset: str, table: pd.DataFrame, reasons: pd.Series, correlation: float, compared: Sequence[str]
) -> pd.Series:
    """The reasons of `clean`, with those faces added that have a near twin in a later split.

    A twin is looked for among the faces whose reason is one of `compared`.
    """
    if correlation == 1:
        return reasons
    used = table[reasons.isin(compared)]
    arrays = {name: open_array(ARRAYS / dataset / f"{name}.npy") for name in used["array"].unique()}
    small = cleaning.thumbnails(arrays[name][row] for name, row in zip(used["array"], used["row"], strict=True))
    added = cleaning.near_duplicate_reasons(used["split"], small, correlation)
    return reasons.where(reasons != "", added.reindex(table.index, fill_value=""))


def whole_way(dataset: str, table: pd.DataFrame, reasons: pd.Series, unreadable: pd.DataFrame) -> dict[str, int]:
    """How many raw pictures there were, how many are used, and how many were rejected, by whichever stage.

    `table` holds the faces and `reasons` why one is not used; `unreadable` are the pictures that became no grey square.
    """
    rejected = {"resize": len(unreadable), "index": int((reasons != "").sum())}
    found = len(table) + len(unreadable)
    if manifest := DATASETS[dataset].manifest:
        photos = DATASETS[dataset].photos("id", "archive", "path")
        places = (photos["archive"] + "/" + photos["path"]).str.strip("/")
        cropped = photos["id"].isin(table["id"]) | places.isin(unreadable["path"])
        rejected |= {"rename": len(read_table(manifest / "rejected.csv")), "crop": int((~cropped).sum())}
        found = len(photos) + rejected["rename"]
    stages = {f"by {stage}": count for stage, count in rejected.items() if count}
    kept = int((reasons == "").sum())
    account(f"{dataset} from the raw pictures on", found, kept, stages)
    return {"found": found, "kept": kept, "rejected": sum(stages.values())}


if __name__ == "__main__":
    run(main)
