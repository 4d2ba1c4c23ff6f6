"""Drawn data sets are known as such."""

import zipfile
from pathlib import Path

import pandas as pd

from stages.datasets.origin import drawn


def write_index(names: list[str]) -> None:
    Path("data/csvs/korean").mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"path": names}).to_csv("data/csvs/korean/merged.csv", index=False)


def test_faces_are_drawn_if_each_name_is_in_the_sample(place: Path) -> None:
    Path("data/sample/korean/Training").mkdir(parents=True)
    with zipfile.ZipFile("data/sample/korean/Training/faces.zip", "w") as archive:
        archive.writestr("a.jpg", b"")
        archive.writestr("b.jpg", b"")
    write_index(["Training/faces.zip/a.jpg", "elsewhere.zip/folder/b.jpg"])
    assert drawn("korean")
    write_index(["Training/faces.zip/a.jpg", "Training/faces.zip/c.jpg"])
    assert not drawn("korean")
