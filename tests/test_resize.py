import shutil
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from samples import exif, jpeg, noise, snapshot
from sentences import says

from stages.datasets.catalog import DATASETS
from stages.files.archives import write_zip
from stages.files.arrays import open_array
from stages.files.images import decode
from stages.files.tables import read_table, write_table

Run = Callable[..., str]
PIXELS = " ".join(str(n % 256) for n in range(48 * 48))


def arrays(dataset: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("data/arrays", dataset).iterdir()}


def account(dataset: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many faces each split has, and how often each reason for rejection occurs; tables and arrays agree."""
    kept = {}
    for split in DATASETS[dataset].splits:
        table = read_table(Path(f"data/arrays/{dataset}/{split}.csv"), "row")
        kept[split] = len(table)
        assert table["row"].tolist() == list(range(kept[split]))
        assert len(open_array(Path(f"data/arrays/{dataset}/{split}.npy"))) == kept[split]
    return kept, read_table(Path(f"data/arrays/{dataset}/rejected.csv"))["reason"].value_counts().to_dict()


def write_fer(root: Path) -> dict[str, np.ndarray]:
    """A few good pictures, by id, and each way to be bad."""
    good = {"test/happy/1": 1, "train/angry/1": 2, "train/angry/2": 3, "train/sad/1": 4}
    pictures = {name: noise(n, 48, 48) for name, n in good.items()}
    files = {f"{name}.jpg": jpeg(picture) for name, picture in pictures.items()}
    files["train/happy/text.jpg"] = b"text"
    files["train/happy/empty.jpg"] = b""
    files["train/happy/cut.jpg"] = jpeg(noise(5, 48, 48))[:-400]
    files["train/happy/wide.jpg"] = jpeg(noise(6, 48, 64))
    files["train/sad/1.jpg.jpg"] = jpeg(noise(7, 48, 48))
    files["train/sad/1.png"] = jpeg(noise(8, 48, 48))  # another one than 1.jpg
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return {name: decode(files[f"{name}.jpg"], colour=False) for name in pictures}


def test_fer2013_folder_and_archive_give_the_same(place: Path, run_stage: Run, set_params: Any) -> None:
    expected = write_fer(place / "fer")
    before = snapshot(place / "fer")
    assert run_stage("resize", "fer2013") == ""
    assert snapshot(place / "fer") == before
    seen = {}
    for split in ("train", "test"):
        table = read_table(Path(f"data/arrays/fer2013/{split}.csv"), "row")
        pictures = open_array(Path(f"data/arrays/fer2013/{split}.npy"))
        seen |= {id_: pictures[row] for row, id_ in zip(table["row"], table["id"], strict=True)}
        assert table["id"].is_monotonic_increasing
        assert [f"{split}/{label}" for label in table["label"]] == [id_.rpartition("/")[0] for id_ in table["id"]]
    assert seen.keys() == expected.keys() | {"train/sad/1.jpg", "train/sad/1.png"}
    for id_, picture in expected.items():
        assert np.array_equal(seen[id_], picture)
    kept, reasons = account("fer2013")
    assert kept == {"train": 5, "test": 1}
    assert reasons == dict.fromkeys(("not a picture", "empty file", "cut off", "not square"), 1)
    rejected = read_table(Path("data/arrays/fer2013/rejected.csv"))
    assert dict(zip(rejected["path"], rejected["reason"], strict=True))["train/happy/wide.jpg"] == "not square"

    folder = arrays("fer2013")
    (place / "zipped").mkdir()
    with zipfile.ZipFile(place / "zipped/archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((place / "fer").rglob("*.*")):
            archive.write(path, path.relative_to(place / "fer").as_posix())
    set_params({"data.fer2013": "zipped/archive.zip", "runtime.engine": "processes"})
    assert run_stage("resize", "fer2013") == ""
    assert arrays("fer2013") == folder
    # Many unpack an archive beside itself.
    shutil.copy(place / "zipped/archive.zip", place / "fer/archive.zip")
    set_params({"data.fer2013": "fer", "limits.max_rejected": 1})
    assert run_stage("resize", "fer2013") == ""
    assert account("fer2013")[0] == kept
    assert account("fer2013")[1]["face found twice"] == 6


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_fer2013_csv(place: Path, run_stage: Run, name: str) -> None:
    header, order = ("emotion,pixels,Usage", "012") if name == "fer2013.csv" else ("emotion, Usage, pixels", "021")
    cells = [
        ("0", PIXELS, "Training"),
        ("3", "1 2 3", "Training"),
        ("3", "300 " + PIXELS[2:], "PublicTest"),
        ("4", "", "Training"),
    ]
    (place / "fer").mkdir()
    lines = [header, *(",".join(row[int(i)] for i in order) for row in cells)]
    (place / "fer" / name).write_text("\n".join(lines))
    assert run_stage("resize", "fer2013") == ""
    assert account("fer2013") == ({"train": 1, "test": 0}, {"not 48 x 48 pixel values": 3})
    assert open_array(Path("data/arrays/fer2013/train.npy"))[0].ravel().tolist() == [n % 256 for n in range(48 * 48)]
    assert read_table(Path("data/arrays/fer2013/train.csv"))["path"].tolist() == [f"{name}:00002"]


def test_fer2013_missing_or_empty(place: Path, run_stage: Run) -> None:
    says(run_stage("resize", "fer2013"), "fer does not exist", "https://www.kaggle.com/", "data.fer2013", "params.yaml")
    (place / "fer").mkdir()
    says(run_stage("resize", "fer2013"), "No FER2013 in ", str(place / "fer"), "data.fer2013")


def test_damaged_member_of_an_archive(place: Path, run_stage: Run) -> None:
    with zipfile.ZipFile(place / "fer.zip", "w") as archive:
        for n in range(2):
            archive.writestr(f"train/sad/{n}.jpg", jpeg(noise(n, 48, 48)) + b"the end %d" % n)
    (place / "fer.zip").write_bytes((place / "fer.zip").read_bytes().replace(b"the end 1", b"the END 1"))
    (place / "fer").mkdir()
    (place / "fer.zip").rename(place / "fer/fer.zip")
    assert run_stage("resize", "fer2013") == ""
    assert account("fer2013") == ({"train": 1, "test": 0}, {"damaged in its archive": 1})


def test_size_and_direction(place: Path, run_stage: Run, set_params: Any) -> None:
    large = cv2.GaussianBlur(noise(1, 400, 400), (0, 0), 9)
    small = noise(2, 12, 12)
    for name, picture in {"large": large, "small": small}.items():
        path = place / f"fer/train/sad/{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(picture, exif(6), quality=98))
    set_params({"image.size": 24, "model.input_size": 20})
    assert run_stage("resize", "fer2013") == ""
    shrunk, enlarged = open_array(Path("data/arrays/fer2013/train.npy"))
    area = cv2.resize(np.rot90(large, -1), (24, 24), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - area).max() <= 4
    cubic = cv2.resize(
        decode((place / "fer/train/sad/small.jpg").read_bytes(), False), (24, 24), interpolation=cv2.INTER_CUBIC
    )
    assert np.array_equal(enlarged, cubic)


@pytest.fixture
def crops(place: Path) -> dict[str, int]:
    """Crops of two splits and three emotions, as the crop stage writes them; brightness by id."""
    values = {}
    for n, name in enumerate(f"{s}_{e}" for s in ("training", "validation") for e in ("angry", "happy", "sad")):
        rows, members = [], []
        for k in range(3):
            id_ = f"{(7 * k + n) % 9}{n}{k}"
            kept = (n, k) != (1, 1)
            rows.append((id_, f"a.zip/{id_}.jpg", f"{id_}.jpg" if kept else "", "" if kept else "no face found"))
            if kept:
                values[id_] = 10 * n + 3 * k + 20
                members.append((f"{id_}.jpg", jpeg(np.full((60, 60, 3), values[id_], np.uint8))))
        write_table(pd.DataFrame(rows, columns=["id", "path", "crop", "reason"]), Path(f"data/crops/{name}.csv"))
        write_zip(Path(f"data/crops/{name}.zip"), members)
    return values


def test_korean(run_stage: Run, crops: dict[str, int]) -> None:
    assert run_stage("resize", "korean") == ""
    assert account("korean") == ({"training": 8, "validation": 9}, {})
    for split in ("training", "validation"):
        table = read_table(Path(f"data/arrays/korean/{split}.csv"), "row")
        pictures = open_array(Path(f"data/arrays/korean/{split}.npy"))
        for row in table.itertuples():
            assert np.abs(pictures[row.row].astype(int) - crops[row.id]).max() <= 1
            source = read_table(Path(f"data/crops/{split}_{row.label}.csv"))
            assert row.path in source.set_index("id").loc[row.id, "path"]
        # One archive after the other: opening one of 60,000 entries takes half a second.
        assert table["label"].is_monotonic_increasing


def test_korean_archive_without_a_crop(run_stage: Run, crops: Any) -> None:
    write_zip(Path("data/crops/training_sad.zip"), [])
    says(run_stage("resize", "korean"), "training_sad.zip", "220.jpg", "crop")


def test_korean_before_crop(run_stage: Run) -> None:
    says(run_stage("resize", "korean"), "training_angry.csv", "dvc repro", "angry in the matrix of `crop`")


def test_every_picture_on_the_disk_has_a_row(place: Path, run_stage: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for n, name in enumerate(["train/sad/1.jfif", "train/sad/2.bmp", "val/sad/3.jpg", "test/sad/4.png", "other/5.jpg"]):
        (place / "fer" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "fer" / name).write_bytes(cv2.imencode(f".{name[-3:].replace('fif', 'jpg')}", noise(n, 48, 48))[1])
    assert run_stage("resize", "fer2013") == ""
    kept, reasons = account("fer2013")
    assert kept == {"train": 3, "test": 1}
    assert reasons == {"split not known": 1}
    assert sum(kept.values()) + 1 == sum(path.is_file() for path in (place / "fer").rglob("*"))


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_rows_of_a_csv_take_little_memory(place: Path) -> None:
    from stages.datasets import fer2013

    rows = 1500
    with open(place / "fer2013.csv", "w") as file:
        file.write("emotion,pixels,Usage\n")
        for n in range(rows):
            file.write(f"{n % 7},{' '.join(map(str, noise(n, 48 * 48)))},Training\n")
    tracemalloc.start()
    try:
        pictures = list(fer2013.find_pictures(place))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(pictures) == rows
    assert peak < rows * 48 * 48 + 2e6  # the grey values; their text is 12 MB
