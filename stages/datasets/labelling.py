"""Give each face of a data set its label, its person and its split: train, validation or test.

A table has the columns array, row, id, path, label, person and split. A person's or a picture's split follows from its
name alone, so adding data moves nobody. Where nobody is named, a group of pictures that resemble each other is named
after one of them, and a picture more may give it another name and split.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from stages.datasets.annotators import ANNOTATORS, majority
from stages.datasets.catalog import DATASETS
from stages.datasets.cleaning import near_duplicate_groups, share_of, thumbnails
from stages.datasets.columns import INFLATED, SPLITS
from stages.files.arrays import stream_array
from stages.files.tables import read_table
from stages.runtime.errors import UserError
from stages.runtime.params import People, Pictures

ARRAYS = Path("data/arrays")


def label_pictures(dataset: str, settings: Pictures) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The pictures of a data set in class folders with their split, and the emotion that each of its classes becomes.

    Raises:
        UserError: `index.<dataset>.classes` in params.yaml has no line for a class.
    """
    table = read_arrays(dataset).assign(person="")
    if missing := set(table["label"]) - set(settings.classes):
        raise UserError(f"params.yaml: index.{dataset}.classes has no line for {', '.join(sorted(missing))}.")
    folder = table["id"].str.partition("/")[0]
    # A third folder lies in the array train, and its ids say so; it is the validation split.
    place = folder.where((folder == "validation") & (table["array"] == "train"), table["array"])
    # All of train is then trained on.
    drawn = 0.0 if (place == "validation").any() else settings.validation
    table["split"] = place.where(place.isin(SPLITS[1:]), drawn_split(table["id"], settings.seed, drawn, 0))
    return table, settings.classes


def label_people(dataset: str, settings: People, emotions: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The faces of people that `rename` listed with their split, and the emotion that each label becomes (or none).

    Raises:
        UserError: the annotators' labels are asked for, and they saw no photo of an emotion.
    """
    official = settings.split == "official"
    annotators = [f"label_{annotator}" for annotator in ANNOTATORS]
    photos = DATASETS[dataset].photos("id", "official", "person", "uploader", *annotators)
    if settings.label == "majority":
        seen = set(photos.loc[(photos[annotators] != "").any(axis=1), "uploader"])
        if unseen := [emotion for emotion in emotions if emotion not in seen]:
            raise UserError(
                f"data.{dataset} has no label records for {unseen[0]}, and index.{dataset}.label is majority: fetch "
                f"its label archives ([라벨]...), or set index.{dataset}.label to uploader."
            )
    table = read_arrays(dataset).merge(photos, on="id", validate="one_to_one")
    if (table["person"] == "").all():
        small = thumbnails(pictures_of(dataset, table))
        table["person"] = near_duplicate_groups(table["id"], small, settings.near_duplicate)
        print(f"{dataset}: {INFLATED}; {table['person'].nunique():,} groups of near-duplicates stay together")
    table["label"] = majority(table[annotators].to_numpy()) if settings.label == "majority" else table["uploader"]
    table["split"] = drawn_split(table["person"], settings.seed, settings.validation, 0 if official else settings.test)
    if official:
        table.loc[table["array"] == "validation", "split"] = "test"
    labels: set[str] = set(table["label"])
    return table, {label: label if label in emotions else None for label in labels}


def read_arrays(dataset: str) -> pd.DataFrame:
    """The tables beside a data set's arrays, as one."""
    splits = DATASETS[dataset].splits
    tables = [read_table(ARRAYS / dataset / f"{split}.csv", "row").assign(array=split) for split in splits]
    return pd.concat(tables, ignore_index=True)


def pictures_of(dataset: str, table: pd.DataFrame) -> Iterator[np.ndarray]:
    """The pictures of a table that has the rows of each array in their order, uint8 (size, size) each."""
    for array in table["array"].unique():
        yield from stream_array(ARRAYS / dataset / f"{array}.npy")


def drawn_split(units: pd.Series, seed: int, validation: float, test: float) -> pd.Series:
    """For each person or picture its split: the first part of the shares is test, the next validation."""
    share = units.map({unit: share_of(unit, seed) for unit in units.unique()})
    split = np.select([share < test, share < test + validation], ["test", "validation"], "train")
    return pd.Series(split, units.index, object)


def left_out(table: pd.DataFrame, people: float, seed: int) -> pd.Index:
    """The rows of those training people who are not in the share `people` of them that is used.

    Somebody always is, and whoever is used stays so when the share grows.
    """
    training = table[table["split"] == "train"]
    order = sorted(training["person"].unique(), key=lambda person: share_of(f"used {person}", seed))
    unused = order[max(round(people * len(order)), 1) :]
    return training.index[training["person"].isin(unused)]


def check_splits(merged: pd.DataFrame, emotions: list[str], dataset: str, people: float) -> None:
    """Stop if a split lacks an emotion: nothing could be trained or scored on it.

    A share of the training `people` may show fewer emotions, which is for the study of how many it takes.
    """
    for split, emotion in product(SPLITS if people == 1 else SPLITS[1:], emotions):
        if not ((merged["split"] == split) & (merged["label"] == emotion)).any():
            change = "lower" if split == "train" else "raise"
            raise UserError(
                f"{dataset} has no face left for {emotion} in {split}; see data/csvs/{dataset}/rejected.csv, "
                f"and {change} the shares under index.{dataset} in params.yaml or add data."
            )
