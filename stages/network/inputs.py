"""Labelled faces, as a network takes them: which rows of which arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages.datasets.columns import TARGET
from stages.files.arrays import open_array
from stages.files.tables import read_table
from stages.runtime.errors import UserError


class Faces:
    """The faces of one split, in the order of its CSV; the pictures stay on disk until they are asked for."""

    def __init__(self, files: Sequence[Path], file: np.ndarray, row: np.ndarray, label: np.ndarray) -> None:
        """`file[i]` is the index in `files` of the array that holds face i, `row[i]` its row there.

        `label[i]` is its class number; all three are int (n,).
        """
        self.files = list(files)
        self.arrays = [open_array(path) for path in files]
        self.file = file
        self.row = row
        self.label = label
        if len({array.shape[1:] for array in self.arrays}) > 1:
            raise UserError(f"{files[0].parent} holds arrays of different sizes; run `dvc repro resize` again.")
        for number, array in enumerate(self.arrays):
            if row[file == number].max(initial=-1) >= len(array):
                raise UserError(f"{files[number]} has fewer rows than its CSV; run `dvc repro` again.")

    def __len__(self) -> int:
        """How many faces."""
        return len(self.label)

    @property
    def size(self) -> int:
        """Width and height of a picture in pixels."""
        return int(self.arrays[0].shape[1])

    def pictures(self, index: np.ndarray) -> np.ndarray:
        """The pictures of the faces `index`, uint8 (len(index), size, size)."""
        result = np.empty((len(index), self.size, self.size), np.uint8)
        for number, array in enumerate(self.arrays):
            here = self.file[index] == number
            result[here] = array[self.row[index[here]]]
        return result


def read_faces(csv: Path, arrays: Path, split: str, emotions: Sequence[str], *more_splits: str) -> Faces:
    """The faces of `split` in `csv`; opens only the .npy files in the folder `arrays` that this split needs.

    A label's class number is its position in `emotions`. Faces of `more_splits`, if there are any, come with them.
    """
    table = rows_of(csv, split, *more_splits)
    unknown = sorted(set(table["label"]) - set(emotions))
    if unknown:
        names = ", ".join(emotions)
        raise UserError(f"{csv} has the label `{unknown[0]}`, which is not in `emotions:` ({names}); run `dvc repro`.")
    stems = sorted(set(table["array"]))
    return Faces(
        [arrays / f"{stem}.npy" for stem in stems],
        np.array([stems.index(stem) for stem in table["array"]]),
        table["row"].to_numpy(),
        np.array([emotions.index(label) for label in table["label"]]),
    )


def read_targets(csv: Path, split: str, classes: Sequence[str], *more_splits: str) -> np.ndarray:
    """What a network is to say of each face that `read_faces` reads: probabilities, float32 (n, classes).

    They are the columns target_<class> of `csv`, as far as they are of these `classes`, or the label where there is
    nothing of them.
    """
    table = rows_of(csv, split, *more_splits)
    label = np.eye(len(classes))[[classes.index(label) for label in table["label"]]]
    columns = [f"{TARGET}{name}" for name in classes]
    if columns[0] not in table:
        return label.astype(np.float32)
    share = table[columns].to_numpy(float)
    whole = share.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(share, whole, out=label, where=whole > 0), np.float32)


def rows_of(csv: Path, *splits: str) -> pd.DataFrame:
    """The rows of `csv` in these splits, of which the first must have some."""
    table = read_table(csv, "row")
    if splits[0] not in set(table["split"]):
        raise UserError(f"{csv} has no image in the split `{splits[0]}`; check the data and the section `index:`.")
    return table[table["split"].isin(splits)]
