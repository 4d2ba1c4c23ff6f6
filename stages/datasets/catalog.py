"""What is known of each data set. A third one is an entry here and a reader, `stages/datasets/<name>.py`."""

from pathlib import Path
from typing import NamedTuple

from stages.datasets import aihub


class Dataset(NamedTuple):
    """What the stages and the report need to know of a data set beside its pictures."""

    name: str
    title: str  # what the report calls it
    splits: tuple[str, ...]  # as the data set itself is divided: an array each
    unit: str  # column of merged.csv that is resampled as a whole: person, or id where nobody is named
    manifest: Path | None = None  # folder in which `rename` says more of each photo and person


DATASETS = {
    "fer2013": Dataset("FER2013", "FER2013", ("train", "test"), unit="id"),
    "korean": Dataset("Korean", "Korean faces", aihub.SPLITS, unit="person", manifest=Path("data/manifest")),
}
SPLITS = ("train", "validation", "test")  # ours, whatever the data set's own
MODELS = ("before", "after")  # transfer
