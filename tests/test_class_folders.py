import csv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from samples import jpeg, noise, snapshot, write_cp949_zip
from sentences import says

from stages.datasets.manifest import COLUMNS
from stages.files.tables import read_table

Run = Callable[..., str]
SetParams = Callable[..., None]


def write(root: Path, names: Sequence[str], start: int = 0) -> None:
    """Pictures that all differ."""
    for n, name in enumerate(names, start):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(noise(n, 16, 16)))


def write_csv(path: Path, *rows: Sequence[str], delimiter: str = ",", encoding: str = "utf-8") -> None:
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def manifest() -> pd.DataFrame:
    tables = [
        read_table(path).assign(emotion=path.stem.split("_")[1]) for path in Path("data/manifest").glob("*_*.csv")
    ]
    return pd.concat(tables).set_index("path")


def reasons() -> dict[str, str]:
    table = read_table(Path("data/manifest/rejected.csv"))
    return dict(zip(table["path"], table["reason"], strict=True))


@pytest.mark.parametrize(
    ("angry", "happy", "sad"),
    [
        ("angry", "happy", "sad"),
        ("0_Angry", "1_happiness", "2-SADNESS"),
        ("분노", "[1] 기쁨", "슬픔 "),
        ("photos/anger/one/day", "photos/joy/two", "photos/sad"),
        ("train/angry", "val/happy", "test/sad"),
    ],
)
def test_folders_of_emotions(place: Path, run_stage: Run, angry: str, happy: str, sad: str) -> None:
    expected = {
        f"{folder}/{n}.jpg": name for folder, name in ((angry, "angry"), (happy, "happy"), (sad, "sad")) for n in (1, 2)
    }
    write(place / "korean", list(expected))
    before = snapshot(place / "korean")
    assert run_stage("rename") == ""
    table = manifest()
    assert table["emotion"].to_dict() == table["uploader"].to_dict() == expected
    assert list(read_table(Path("data/manifest/training_happy.csv"))) == COLUMNS
    assert set(table["person"]) == {""}
    assert table["id"].is_unique
    assert snapshot(place / "korean") == before


def test_zipped_is_the_same_as_unpacked(place: Path, run_stage: Run) -> None:
    names = ["angry/1.jpg", "angry/2.png", "happy/1.jpg", "sad/1.jpg"]
    write(place / "korean", names)
    assert run_stage("rename") == ""
    ids = manifest()["id"].to_dict()
    for folder in ("angry", "happy", "sad"):
        with zipfile.ZipFile(place / f"korean/{folder}.zip", "w") as archive:
            for path in sorted((place / "korean" / folder).iterdir()):
                archive.write(path, path.name)
                path.unlink()
    assert run_stage("rename") == ""
    table = manifest()
    assert sorted(table["id"]) == sorted(ids.values())
    assert set(table["archive"] + "/" + table.index) == {name.replace("/", ".zip/") for name in names}
    # Beside each other, as many leave them.
    write(place / "korean", names)
    assert run_stage("rename") == ""
    assert sorted(manifest()["id"]) == sorted(ids.values())
    assert list(reasons().values()) == ["photo found twice"] * 4


def test_every_picture_on_the_disk_has_a_row(place: Path, run_stage: Run) -> None:
    root = place / "korean"
    write(root, ["happy/1.jpg", "happy/2.webp", "happy/3.HEIC", "sad/4.jpg", "fear/5.jpg", "other/6.jpg", "7.jpg"])
    (root / "sad/again.jpg").write_bytes((root / "happy/1.jpg").read_bytes())
    (root / "notes.txt").write_text("x")
    assert run_stage("rename") == ""
    assert set(manifest().index) == {"happy/2.webp", "sad/4.jpg"}
    assert reasons() == {
        "happy/1.jpg": "photo found with another emotion",
        "sad/again.jpg": "photo found with another emotion",
        "happy/3.HEIC": "format not read",
        "fear/5.jpg": "emotion not used",
        "other/6.jpg": "emotion not known",
        "7.jpg": "emotion not known",
    }
    on_disk = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".txt"]
    assert len(on_disk) == len(manifest()) + len(reasons())


def test_misspelt_folder_is_asked_about(place: Path, run_stage: Run) -> None:
    write(place / "korean", ["hapy/1.jpg", "sad/2.jpg"])
    assert run_stage("rename") == (
        "error: hapy/1.jpg: hapy is not one of the `emotions` in params.yaml. Is happy meant? Correct it, or, if it "
        "means no emotion, give it another name."
    )


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "cp949"), ("\t", "utf-8")])
def test_table(place: Path, run_stage: Run, delimiter: str, encoding: str) -> None:
    root = place / "korean"
    write(root, ["angry/1.jpg", "angry/2.jpg", "mixed/3.jpg", "mixed/4.jpg", "mixed/5.jpg"])
    write_csv(
        root / "people.csv",
        ("File", "person", " Emotion", "gender", "age", "remark"),
        ("angry\\1.jpg", "김", "", "여", "23", "x"),
        ("./ANGRY/2.jpg", "김", "sadness", "f", "20s", ""),
        ("3.jpg", "이", "기쁨", "male", "", ""),
        ("mixed/4.jpg", "", "happy", "", "", ""),
        ("gone.jpg", "이", "happy", "", "", ""),
        delimiter=delimiter,
        encoding=encoding,
    )
    assert run_stage("rename") == ""
    table = manifest()
    assert table[["emotion", "person", "gender", "age"]].T.to_dict("list") == {
        "angry/1.jpg": ["angry", "김", "female", "20"],
        "angry/2.jpg": ["sad", "김", "female", "20"],
        "mixed/3.jpg": ["happy", "이", "male", ""],
    }
    assert reasons() == {"mixed/4.jpg": "person not known", "mixed/5.jpg": "emotion not known"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("file", "person"), ("1.jpg", "a")],
            "error: The table's 1.jpg is the name of 2 pictures, such as happy/1.jpg and ",
        ),
        (
            [("file", "person"), ("sad/1.jpg", "a"), ("SAD\\1.jpg", "b")],
            "error: The table has two rows for sad/1.jpg that differ; take one out.",
        ),
        ([("file", "emotion"), ("sad/1.jpg", "hapy")], "error: sad/1.jpg: hapy is not one of the `emotions`"),
    ],
)
def test_tables_that_stop_it(place: Path, run_stage: Run, rows: list[tuple[str, str]], message: str) -> None:
    write(place / "korean", ["sad/1.jpg", "happy/1.jpg", "angry/2.jpg"])
    write_csv(place / "korean/a.csv", *rows)
    assert run_stage("rename").startswith(message)


def test_two_tables_and_rows_without_photos(place: Path, run_stage: Run, set_params: SetParams) -> None:
    root = place / "korean"
    write(root, ["sad/1.jpg", "happy/2.jpg", "angry/3.jpg"])
    write_csv(
        root / "a.csv",
        ("file", "person"),
        ("1.jpg", "a"),
        ("2.jpg", "b"),
        ("3.jpg", "c"),
        ("4.jpg", "d"),
        ("5.jpg", ""),
    )
    set_params({"limits.max_without_photo": 0.3})
    assert run_stage("rename").startswith("error: 2 of 5 rows of the table have no photo; limits.max_without_photo in ")
    write_csv(root / "c.csv", ("file",), *[("0.jpg",)] * 5)
    (root / "a.csv").rename(place / "a.csv")
    # Even if none is left.
    assert run_stage("rename").startswith("error: 5 of 5 rows of the table have no photo; limits.max_without_photo in ")
    (root / "c.csv").unlink()
    (place / "a.csv").rename(root / "a.csv")
    write_csv(root / "b.csv", ("other", "person"))
    set_params({"limits.max_without_photo": 0.4, "limits.max_rejected": 0.1})
    assert run_stage("rename") == ""
    write_csv(root / "b.csv", ("file", "person"))
    assert run_stage("rename").startswith(
        "error: a.csv and b.csv both are tables with a column `file`; move one out of "
    )


def test_a_table_that_is_damaged_in_its_archive(place: Path, run_stage: Run) -> None:
    write(place / "korean", ["sad/1.jpg", "happy/2.jpg", "angry/3.jpg"])
    path = write_cp949_zip(place / "korean/people.zip", {"people.csv": b"file,person\n1.jpg,a\n"})
    path.write_bytes(path.read_bytes().replace(b"1.jpg,a", b"1.jpg,b"))
    says(run_stage("rename"), "people.zip", "people.csv", "damaged", "fetch")


def test_repeated_rows_have_their_photo(place: Path, run_stage: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["sad/1.jpg", "happy/2.jpg", "angry/3.jpg"]
    write(place / "korean", names)
    write_csv(place / "korean/a.csv", ("file", "person"), *[(name, "a") for name in names] * 3)
    assert run_stage("rename") == ""
    assert "\nrows of the table: 9 found, 0 without photo\n" in capsys.readouterr().out


def test_an_emotion_without_a_folder(place: Path, run_stage: Run, set_params: SetParams) -> None:
    write(place / "korean", ["sad/1.jpg", "happy/2.jpg"])
    set_params({"limits.max_rejected": 0.1})
    assert run_stage("rename").startswith("error: data.korean has no photo of angry (분노): ")


def run_to_index(run_stage: Run, set_params: SetParams, **changes: Any) -> pd.DataFrame:
    shares = {"index.korean.validation": 0.25, "index.korean.test": 0.35, "crop.input": "face"}
    set_params(shares | {"index.korean.near_duplicate": 0.93} | changes)
    Path("data/exclude").mkdir(parents=True, exist_ok=True)
    Path("data/exclude/korean.txt").write_text("")
    assert run_stage("rename") == ""
    for split in ("training", "validation"):
        for emotion in ("angry", "happy", "sad"):
            assert run_stage("crop", split, emotion) == ""
    assert run_stage("resize", "korean") == ""
    assert run_stage("index", "korean") == ""
    return read_table(Path("data/csvs/korean/merged.csv"))


def write_series(root: Path) -> list[tuple[str, str]]:
    """Of each emotion 12 faces, each of them three times, a little brighter and darker; (path, face)."""
    files = []
    for place, emotion in enumerate(("angry", "happy", "sad")):
        for face in range(12):
            for shot in range(3):
                path = root / f"{emotion}/{face}_{shot}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(jpeg((noise(100 * place + face, 48, 48) // 2 + 30 * shot), quality=98))
                files.append((path.relative_to(root).as_posix(), f"{emotion}{face}"))
    return files


def test_without_a_table_near_duplicates_stay_together(
    place: Path, run_stage: Run, set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    files = dict(write_series(place / "korean"))
    merged = run_to_index(run_stage, set_params)
    merged["face"] = merged["path"].map(files)
    assert len(merged) == 108
    assert merged["person"].str.startswith("~").all()
    assert (merged.groupby("face")["person"].nunique() == 1).all()
    assert (merged.groupby("person")["face"].nunique() == 1).all()
    assert (merged.groupby("face")["split"].nunique() == 1).all()
    printed = capsys.readouterr().out
    assert "korean: people unknown: some may be in several splits, and the figures too high; 36 groups" in printed
    assert "groups " in printed.rpartition("train: faces")[2]


def test_with_a_table_people_stay_together(place: Path, run_stage: Run, set_params: SetParams) -> None:
    files = write_series(place / "korean")
    people = {path: f"person {number % 24}" for number, (path, _) in enumerate(sorted(files, key=lambda f: f[0][::-1]))}
    write_csv(place / "korean/table.csv", ("file", "person"), *people.items())
    merged = run_to_index(run_stage, set_params)
    assert dict(zip(merged["path"], merged["person"], strict=True)) == people
    assert (merged.groupby("person")["split"].nunique() == 1).all()
    assert merged["person"].nunique() == 24
