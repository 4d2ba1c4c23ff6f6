"""What each stage found, kept and rejected, counted from the tables that it wrote; and how many faces a split has."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from stages.datasets.catalog import DATASETS
from stages.datasets.columns import SPLITS, people_known
from stages.files.tables import read_table

CROPS, CSVS = Path("data/crops"), Path("data/csvs")


class Count(NamedTuple):
    """One stage's pictures of one data set."""

    stage: str
    what: str  # the kept ones are
    kept: int
    rejected: list[tuple[str, int]]  # reason and pictures, the most frequent reason first

    @property
    def found(self) -> int:
        """All pictures that the stage looked at."""
        return self.kept + sum(count for _, count in self.rejected)


def counts(dataset: str) -> list[Count]:
    """The stages through which the pictures of a data set go, in their order."""
    result = []
    if manifest := DATASETS[dataset].manifest:
        parts = sorted(manifest.glob("*_*.csv"))
        photos = sum(len(read_table(part)) for part in parts)
        result.append(Count("rename", "photos found", photos, reasons(read_table(manifest / "rejected.csv"))))
        crops = pd.concat([read_table(CROPS / part.name)[["reason"]] for part in parts])
        whole = crops["reason"] == ""
        result.append(Count("crop", "faces cut out", int(whole.sum()), reasons(crops[~whole])))
    used, rejected = (read_table(CSVS / dataset / f"{name}.csv") for name in ("merged", "rejected"))
    # A picture that became no grey square lies in no array.
    unreadable = rejected["array"] == ""
    squares = len(used) + int((~unreadable).sum())
    result.append(Count("resize", "grey squares", squares, reasons(rejected[unreadable])))
    return [*result, Count("index", "used", len(used), reasons(rejected[~unreadable]))]


def reasons(rejected: pd.DataFrame) -> list[tuple[str, int]]:
    """How often each reason occurs, the most frequent first."""
    return sorted(Counter(rejected["reason"]).items(), key=lambda pair: (-pair[1], pair[0]))


def splits(dataset: str, emotions: list[str]) -> dict[str, dict[str, int]]:
    """`split_sizes` of each split of a data set."""
    used = read_table(CSVS / dataset / "merged.csv")
    return {split: split_sizes(used[used["split"] == split], emotions) for split in SPLITS}


def split_sizes(faces: pd.DataFrame, emotions: list[str]) -> dict[str, int]:
    """Faces, people (where nobody is named: groups of near-duplicates) and faces of each emotion, of a split."""
    units = "people" if people_known(faces["person"]) else "groups"
    people = {units: faces["person"].nunique()} if faces["person"].any() else {}
    return {"faces": len(faces)} | people | {emotion: int((faces["label"] == emotion).sum()) for emotion in emotions}
