"""Give each face of a data set its label, its person and its split: train, validation or test.

A table has the columns array, row, id, path, label, person and split. A person's or a picture's split follows from its
name alone, so adding data moves nobody.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from stages.datasets.annotators import ANNOTATORS, majority
from stages.datasets.catalog import DATASETS
from stages.datasets.cleaning import near_duplicate_groups, share_of, thumbnails
from stages.datasets.unnamed import INFLATED
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
    classes = settings.classes
    table = read_arrays(dataset).assign(person="")
    if missing := set(table["label"]) - set(classes):
        raise UserError(f"params.yaml: index.{dataset}.classes has no line for {', '.join(sorted(missing))}.")
    folder = table["id"].str.partition("/")[0]
    # A third folder lies in the array train, and its ids say so; it is the validation split.
    place = folder.where((folder == "validation") & (table["array"] == "train"), table["array"])
    # All of train is then trained on.
    drawn = 0.0 if (place == "validation").any() else settings.validation
    table["split"] = [
        split if split in ("test", "validation") else split_by_share(share, drawn, 0)
        for split, share in zip(place, shares(table["id"], settings.seed), strict=True)
    ]
    return table, classes


def label_people(dataset: str, settings: People, emotions: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The faces of people that `rename` listed with their split, and the emotion that each label becomes (or none).

    Raises:
        UserError: the annotators' labels are asked for, and they saw no photo of an emotion.
    """
    official, validation, test = settings.split == "official", settings.validation, settings.test
    annotators = [f"label_{annotator}" for annotator in ANNOTATORS]
    # Of hundreds of thousands of rows, only what is needed.
    columns = ["id", "official", "person", "uploader", *annotators]
    manifest = DATASETS[dataset].manifest or Path()
    photos = pd.concat([read_table(path)[columns] for path in sorted(manifest.glob("*_*.csv"))])
    if settings.label == "majority":
        seen = set(photos.loc[(photos[annotators] != "").any(axis=1), "uploader"])
        if unseen := [emotion for emotion in emotions if emotion not in seen]:
            raise UserError(
                f"data.{dataset} has no label records for {unseen[0]}, and index.{dataset}.label is majority: fetch "
                f"its label archives ([라벨]...), or set index.{dataset}.label to uploader."
            )
    table = read_arrays(dataset).merge(photos, on="id", validate="one_to_one")
    if (table["person"] == "").all():
        arrays = (stream_array(ARRAYS / dataset / f"{array}.npy") for array in table["array"].unique())
        small = thumbnails(itertools.chain.from_iterable(arrays))
        table["person"] = near_duplicate_groups(table["id"], small, settings.near_duplicate)
        print(f"{dataset}: {INFLATED}; {table['person'].nunique():,} groups of near-duplicates stay together")
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


def read_arrays(dataset: str) -> pd.DataFrame:
    """The tables beside a data set's arrays, as one."""
    splits = DATASETS[dataset].splits
    tables = [read_table(ARRAYS / dataset / f"{split}.csv", "row").assign(array=split) for split in splits]
    return pd.concat(tables, ignore_index=True)


def shares(units: pd.Series, seed: int) -> list[float]:
    """`share_of` for each row."""
    known = {unit: share_of(unit, seed) for unit in units.unique()}
    return [known[unit] for unit in units]


def split_by_share(share: float, validation: float, test: float) -> str:
    """The split of a person or picture: the first part of the shares is test, the next validation."""
    return "test" if share < test else "validation" if share < test + validation else "train"
