"""What is known of each data set. A third one is an entry here and a reader, `stages/datasets/<name>.py`."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from stages.datasets.columns import OFFICIAL
from stages.files.tables import read_table
from stages.runtime.errors import UserError


class Dataset(NamedTuple):
    """What the stages and the report need to know of a data set beside its pictures."""

    name: str
    title: str  # what the report calls it
    splits: tuple[str, ...]  # as the data set itself is divided: an array each
    unit: str  # column of merged.csv that is resampled as a whole: person, or id where nobody is named
    pictures: Path | None = None  # where its reader finds the faces; without, where `data:` in params.yaml says
    manifest: Path | None = None  # folder in which `rename` says more of each photo and person

    def photos(self, *columns: str) -> pd.DataFrame:
        """These columns of the manifest, a row for each photo; no row for a data set that has none.

        Raises:
            UserError: `rename` has not written it.
        """
        tables = sorted(self.manifest.glob("*_*.csv")) if self.manifest else []
        if self.manifest and not tables:
            raise UserError(f"{self.manifest.as_posix()} has no table of photos; run `dvc repro rename`.")
        empty = pd.DataFrame(columns=columns, dtype=str)
        return pd.concat([empty, *(read_table(table)[list(columns)] for table in tables)])


DATASETS = {
    "fer2013": Dataset("FER2013", "FER2013", ("train", "test"), "id"),
    "korean": Dataset(
        "Korean", "Korean faces", OFFICIAL, "person", pictures=Path("data/crops"), manifest=Path("data/manifest")
    ),
}


def check_listed(dataset: str, listed: Collection[str]) -> None:
    """Stop if a data set is not `listed` under `data:` in params.yaml; all that are have a section of `index:`, too."""
    if dataset not in listed:
        raise UserError(f"params.yaml has no data.{dataset} and no index.{dataset}; see CONTRIBUTING.md.")


def titled(population: str, people_known: bool) -> dict[str, Dataset]:
    """The data sets, with the second population called by its name."""
    doubt = "" if people_known else " (people unknown)"
    second = DATASETS["korean"]._replace(name=population, title=f"{population} faces{doubt}")
    return DATASETS | {"korean": second}


WEIGHTS = {"before": Path("data/models/pretrain.weights.h5"), "after": Path("data/models/transfer.weights.h5")}
MODELS = tuple(WEIGHTS)  # before and after transfer
