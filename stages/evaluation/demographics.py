"""Who is on the test faces, and how both models do on each part of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from stages.datasets.annotators import ANNOTATORS, majority
from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.groups import FAMILIAR, UNKNOWN, by_familiarity, by_group, by_label, ceilings
from stages.files.tables import read_table, with_columns

ATTRIBUTES = ("gender", "age", "professional")


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
