"""The Korean faces as the stage `crop` has cut them out: data/crops/<split>_<emotion>.zip, and a table beside each."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from stages.datasets.columns import OFFICIAL
from stages.datasets.picture import Picture
from stages.files import archives
from stages.files.tables import read_table
from stages.runtime.errors import UserError


def read_crops(root: Path, split: str, emotion: str) -> pd.DataFrame:
    """The table that `crop` has written of a split and emotion.

    Raises:
        UserError: it is missing or damaged.
    """
    path = root / f"{split}_{emotion}.csv"
    if not path.exists():
        raise UserError(f"{path} is missing; run `dvc repro`, with {emotion} in the matrix of `crop` in dvc.yaml.")
    return read_table(path)


def find_pictures(root: Path, emotions: Sequence[str]) -> Iterator[Picture]:
    """Yield the faces that were cut out, archive by archive, in the folder `root`.

    Raises:
        UserError: a table is missing, or names a face that its archive lacks.
    """
    for split, emotion in itertools.product(OFFICIAL, emotions):
        name = f"{split}_{emotion}"
        table = read_crops(root, split, emotion)
        members = {entry.path: entry for entry in archives.walk(root / f"{name}.zip")}
        for row in table[table["crop"] != ""].itertuples():
            if (entry := members.get(str(row.crop))) is None:
                raise UserError(f"{root / name}.zip lacks {row.crop}, listed in its table; run the crop stage again.")
            yield Picture(split, emotion, str(row.id), str(row.path), replace(entry, archive=f"{name}.zip"))
