"""Decide for one data set which faces are used, under which label and in which split.

In: data/arrays/<dataset>/ (and data/manifest/ for the Korean labels and people); data/exclude/<dataset>.txt.
Out: data/csvs/<dataset>/{angry,embarrassed,happy,neutral,sad,merged}.csv with the columns array (file in data/arrays),
row (in that array), id, path, label, person and split; rejected.csv beside them; metrics/index/<dataset>.json: raw
pictures found, used and rejected, by whichever stage.
Run: python -m stages.index korean
"""

import argparse
import itertools
from pathlib import Path

import pandas as pd

from stages.datasets.catalog import DATASETS, SPLITS
from stages.datasets.cleaning import (
    TWIN_REASONS,
    digests,
    near_twin_reasons,
    read_exclusions,
    share_of,
    thumbnails,
    twin_reasons,
)
from stages.datasets.counts import split_sizes
from stages.datasets.labels import ANNOTATORS, majority
from stages.files.arrays import open_array, stream_array
from stages.files.metrics import account, write_metrics
from stages.files.tables import read_table, write_table
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.runtime.limits import check_share

ARRAYS = Path("data/arrays")
MANIFEST = Path("data/manifest")
CSVS = Path("data/csvs")
NOT_DAMAGE = ("emotion not used", "no majority of annotators", "removed by hand", "person not used", *TWIN_REASONS)
COLUMNS = ["array", "row", "id", "path", "label", "person", "split"]


def main() -> None:
    """Write the index of one data set."""
    parser = argparse.ArgumentParser(description="Decide which faces of one data set are used, and for what.")
    parser.add_argument("dataset", choices=["fer2013", "korean"])
    dataset = parser.parse_args().dataset
    everything = params.load()
    emotions, limit = list(everything.emotions), everything.limits.max_rejected
    index = everything.index
    table, classes = fer2013_table(index.fer2013) if dataset == "fer2013" else korean_table(index.korean, emotions)
    people = 1.0
    if dataset == "fer2013":
        reasons = clean(table, classes, dataset, index.fer2013.duplicates == "remove")
        if index.fer2013.near_duplicate < 1:
            reasons = without_near_twins(table, reasons, index.fer2013.near_duplicate)
    else:
        reasons = clean(table, classes, dataset, remove_twins=True)
        people = index.korean.people
        reasons[left_out(table[reasons == ""], people, index.korean.seed)] = "person not used"
    table["label"] = [classes.get(label) or label for label in table["label"]]
    unreadable = read_table(ARRAYS / dataset / "rejected.csv")
    rejected = pd.concat([table.assign(reason=reasons)[reasons != ""], unreadable]).reindex(
        columns=[*COLUMNS, "reason"]
    )
    # A face that was never decoded has no row.
    rejected["row"] = rejected["row"].astype("Int64")
    merged = table.loc[reasons == "", COLUMNS]
    counts = account(dataset, len(table) + len(unreadable), len(merged), rejected["reason"])
    write_table(rejected, CSVS / dataset / "rejected.csv")
    check_share(dataset, counts, limit, CSVS / dataset / "rejected.csv", NOT_DAMAGE)
    check_splits(merged, emotions, dataset, people)
    for emotion in emotions:
        write_table(merged[merged["label"] == emotion], CSVS / dataset / f"{emotion}.csv")
    write_table(merged, CSVS / dataset / "merged.csv")
    for split in SPLITS:
        sizes = split_sizes(merged[merged["split"] == split], emotions)
        print(f"  {split}: " + ", ".join(f"{name} {count:,}" for name, count in sizes.items()))
    write_metrics({dataset: whole_way(dataset, table, reasons, unreadable)}, Path("metrics/index") / f"{dataset}.json")


def fer2013_table(settings: params.Pictures) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The faces of FER2013 with their split, and the class that each of its labels stands for."""
    classes = settings.classes
    table = read_arrays("fer2013", ("train", "test")).assign(person="")
    if missing := set(table["label"]) - set(classes):
        raise UserError(f"params.yaml: index.fer2013.classes has no line for {', '.join(sorted(missing))}.")
    table["split"] = [
        array if array == "test" else split_by_share(share, settings.validation, 0)
        for array, share in zip(table["array"], shares(table["id"], settings.seed), strict=True)
    ]
    return table, classes


def korean_table(settings: params.People, emotions: list[str]) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The Korean faces with their split, and the class that each label stands for (those not used, for none)."""
    official, validation, test = settings.split == "official", settings.validation, settings.test
    annotators = [f"label_{annotator}" for annotator in ANNOTATORS]
    # Of hundreds of thousands of rows, only what is needed.
    columns = ["id", "person", "uploader", *annotators]
    manifest = pd.concat([read_table(path)[columns] for path in sorted(MANIFEST.glob("*_*.csv"))])
    table = read_arrays("korean", ("training", "validation")).merge(manifest, on="id", validate="one_to_one")
    if settings.label == "majority":
        table["label"] = majority(table[annotators].to_numpy())
    else:
        table["label"] = table["uploader"]
    people = shares(table["person"], settings.seed)
    table["split"] = [
        "test" if official and array == "validation" else split_by_share(share, validation, 0 if official else test)
        for array, share in zip(table["array"], people, strict=True)
    ]
    labels: set[str] = set(table["label"])
    return table, {label: label if label in emotions else None for label in labels}


def read_arrays(dataset: str, splits: tuple[str, ...]) -> pd.DataFrame:
    """The tables beside a data set's arrays, as one."""
    tables = [read_table(ARRAYS / dataset / f"{split}.csv", "row").assign(array=split) for split in splits]
    return pd.concat(tables, ignore_index=True)


def shares(units: pd.Series, seed: int) -> list[float]:
    """`share_of` for each row."""
    known = {unit: share_of(unit, seed) for unit in units.unique()}
    return [known[unit] for unit in units]


def split_by_share(share: float, validation: float, test: float) -> str:
    """The split of a person or picture: the first part of the shares is test, the next validation."""
    return "test" if share < test else "validation" if share < test + validation else "train"


def clean(table: pd.DataFrame, classes: dict[str, str | None], dataset: str, remove_twins: bool) -> pd.Series:
    """For each face the reason why it is not used, or "" (near twins are not looked for)."""
    listed = Path("data/exclude") / f"{dataset}.txt"
    exclusions = read_exclusions(listed)
    if unmatched := exclusions - set(table["id"]):
        print(f"{listed}: {len(unmatched):,} lines match no face, such as {min(unmatched)}")
    reasons = pd.Series("", index=table.index, dtype=object)
    reasons[table["id"].isin(exclusions)] = "removed by hand"
    # The tables list the rows of each array in their order.
    arrays = (stream_array(ARRAYS / dataset / f"{array}.npy") for array in table["array"].unique())
    digest = pd.Series(list(digests(itertools.chain.from_iterable(arrays))), index=table.index, dtype=object)
    reasons[(reasons == "") & (digest == "")] = "constant picture"
    if remove_twins:
        rest = reasons == ""
        reasons[rest] = twin_reasons(table[rest], digest[rest])
    unused = table["label"].map(lambda label: classes[label] is None).astype(bool)
    nobody = table["label"] == ""
    reasons[(reasons == "") & nobody] = "no majority of annotators"
    reasons[(reasons == "") & unused] = "emotion not used"
    return reasons


def without_near_twins(table: pd.DataFrame, reasons: pd.Series, correlation: float) -> pd.Series:
    """The reasons of `clean`, with those faces of FER2013 added that have a near twin in a later split."""
    used = table[reasons == ""]
    arrays = {name: open_array(ARRAYS / "fer2013" / f"{name}.npy") for name in used["array"].unique()}
    small = thumbnails(arrays[name][row] for name, row in zip(used["array"], used["row"], strict=True))
    added = near_twin_reasons(used["split"], small, correlation)
    return reasons.where(reasons != "", added.reindex(table.index, fill_value=""))


def left_out(table: pd.DataFrame, people: float, seed: int) -> pd.Index:
    """The rows of those training people who are not in the share `people` of them that is used.

    Somebody always is, and whoever is used stays so when the share grows.
    """
    training = table[table["split"] == "train"]
    order = sorted(training["person"].unique(), key=lambda person: share_of(f"used {person}", seed))
    unused = order[max(round(people * len(order)), 1) :]
    return training.index[training["person"].isin(unused)]


def whole_way(dataset: str, table: pd.DataFrame, reasons: pd.Series, unreadable: pd.DataFrame) -> dict[str, int]:
    """How many raw pictures there were, how many are used, and how many were rejected, by whichever stage.

    `table` holds the faces and `reasons` why one is not used; `unreadable` are the pictures that became no grey square.
    """
    rejected = {"resize": len(unreadable), "index": int((reasons != "").sum())}
    found = len(table) + len(unreadable)
    if manifest := DATASETS[dataset].manifest:
        photos = pd.concat([read_table(path)[["id", "archive", "path"]] for path in sorted(manifest.glob("*_*.csv"))])
        places = (photos["archive"] + "/" + photos["path"]).str.strip("/")
        cropped = photos["id"].isin(table["id"]) | places.isin(unreadable["path"])
        rejected |= {"rename": len(read_table(manifest / "rejected.csv")), "crop": int((~cropped).sum())}
        found = len(photos) + rejected["rename"]
    stages = [f"by {stage}" for stage, count in rejected.items() for _ in range(count)]
    counts = account(f"{dataset} from the raw pictures on", found, int((reasons == "").sum()), stages)
    return counts | {"rejected": len(stages)}


def check_splits(merged: pd.DataFrame, emotions: list[str], dataset: str, people: float) -> None:
    """Stop if a split lacks an emotion: nothing could be trained or scored on it.

    A share of the training `people` may show fewer emotions, which is for the study of how many it takes.
    """
    for split, emotion in itertools.product(SPLITS if people == 1 else SPLITS[1:], emotions):
        if not ((merged["split"] == split) & (merged["label"] == emotion)).any():
            raise UserError(
                f"{dataset} has no face left for {emotion} in {split}; see data/csvs/{dataset}/rejected.csv, "
                f"and raise the shares under index.{dataset} in params.yaml or add data."
            )


if __name__ == "__main__":
    run(main)
