"""A stage stops when it rejects too much, says why and where to look, and goes on once the limit is raised."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from samples import jpeg, label_record, noise, photo_name, snapshot, write_cp949_zip, write_labels
from sentences import says

from stages.files.archives import write_zip
from stages.files.arrays import ArrayWriter
from stages.files.tables import read_table, write_table

Run = Callable[..., str]
BOX = (10, 10, 90, 90)


def photos() -> dict[str, bytes]:
    """Four photos with a face by their boxes, two that are cut off, one that is empty."""
    good = [jpeg(noise(n, 100, 100, 3)) for n in range(6)]
    data = good[:4] + [photo[:-2000] for photo in good[4:]] + [b""]
    return {photo_name(n): photo for n, photo in enumerate(data)}


def write_photos(others: dict[str, bytes]) -> None:
    write_cp949_zip(Path("korean/TRAIN.zip"), photos() | others)
    write_labels(
        Path("korean/img_emotion_training_data(기쁨).json"), [label_record(name, boxes=BOX) for name in photos()]
    )


def write_fer() -> None:
    for n in range(7):
        path = Path(f"fer/train/{'happy' if n % 2 else 'sad'}/{n}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text" if n > 4 else b"" if n > 3 else jpeg(noise(n, 48, 48)))


def write_arrays() -> None:
    folder = Path("data/arrays/fer2013")
    folder.mkdir(parents=True)
    for split, labels in {"train": ["sad"] * 4 + ["disgust"] * 9, "test": ["sad"]}.items():
        with ArrayWriter(folder / f"{split}.npy", 8) as array:
            pictures = [np.zeros((8, 8), np.uint8) if n < 2 else noise(n, 8, 8) for n in range(len(labels))]
            rows = [(array.append(p), f"{split}/{n}", f"{n}.jpg", labels[n]) for n, p in enumerate(pictures)]
        write_table(pd.DataFrame(rows, columns=["row", "id", "path", "label"]), folder / f"{split}.csv")
    write_table(pd.DataFrame(columns=["path", "label", "reason"]), folder / "rejected.csv")
    Path("data/exclude").mkdir()
    Path("data/exclude/fer2013.txt").write_text("train/3 # by hand")


def test_rename(run_stage: Run, set_params: Any) -> None:
    not_damage = {photo_name(n, "불안"): b"" for n in range(20, 40)}
    write_photos(not_damage | {f"IMG_{n}.jpg": b"" for n in range(3)})
    set_params({"limits.max_rejected": 0.29})
    message = run_stage("rename")
    says(message, "photos: 3 of 10", "'not a file name of AI-Hub 82'", "29%", "data/manifest/rejected.csv")
    says(message, "limits.max_rejected", "params.yaml")
    assert (read_table(Path("data/manifest/rejected.csv"))["archive"] == "TRAIN.zip").sum() == 23
    set_params({"limits.max_rejected": 0.3})
    assert run_stage("rename").startswith("error: data.korean has no photo of angry (분노)")
    set_params({"limits.max_rejected": 1})
    assert run_stage("rename") == ""


def test_crop_keeps_its_parts(run_stage: Run, set_params: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos({})
    assert run_stage("rename") == ""
    set_params({"limits.max_rejected": 0.42})
    message = run_stage("crop", "training", "happy")
    says(message, "training_happy: 3 of 7", "2 of them", "'cut off'", "data/crops/training_happy.csv")
    assert (read_table(Path("data/crops/training_happy.csv"))["reason"] != "").sum() == 3
    parts = snapshot(Path(".work"))
    set_params({"limits.max_rejected": 0.43})
    before_removal: list[object] = []
    monkeypatch.setattr("stages.crop.check_share", lambda *_: before_removal.append(snapshot(Path(".work"))))
    assert run_stage("crop", "training", "happy") == ""
    assert parts and before_removal == [parts]


@pytest.mark.parametrize("dataset", ["fer2013", "korean"])
def test_resize(run_stage: Run, set_params: Any, dataset: str) -> None:
    write_fer()
    for name in (f"{split}_{emotion}" for split in ("training", "validation") for emotion in ("angry", "happy", "sad")):
        crops = sorted(Path("fer").rglob("*.jpg")) if name == "training_happy" else []
        rows = [(path.stem, path.name, path.name, "") for path in crops]
        write_table(pd.DataFrame(rows, columns=["id", "path", "crop", "reason"]), Path(f"data/crops/{name}.csv"))
        write_zip(Path(f"data/crops/{name}.zip"), ((path.name, path.read_bytes()) for path in crops))
    set_params({"limits.max_rejected": 0.42})
    message = run_stage("resize", dataset)
    says(message, f"{dataset} faces: 3 of 7", "2 of them", "'not a picture'", f"data/arrays/{dataset}/rejected.csv")
    assert len(read_table(Path(f"data/arrays/{dataset}/rejected.csv"))) == 3
    if dataset == "fer2013":
        # Of all faces this many may go, but of no class.
        set_params({"limits.max_rejected": 0.43})
        assert run_stage("resize", dataset).startswith("error: fer2013 train sad: 2 of 4 rejected, ")
    set_params({"limits.max_rejected": 0.5})
    assert run_stage("resize", dataset) == ""


def test_index(run_stage: Run, set_params: Any) -> None:
    write_arrays()
    set_params({"limits.max_rejected": 0.7})
    message = run_stage("index", "fer2013")
    # Two constant pictures in train and one in test, one removed by hand, nine of an emotion that is not used.
    says(message, "fer2013: 3 of 4", "3 of them", "'constant picture'", "data/csvs/fer2013/rejected.csv")
    assert len(read_table(Path("data/csvs/fer2013/rejected.csv"))) == 13
    set_params({"limits.max_rejected": 0.75})
    assert "no face left" in run_stage("index", "fer2013")


@pytest.mark.parametrize(
    "arguments", [("rename",), ("crop", "training", "happy"), ("resize", "fer2013"), ("index", "fer2013")]
)
def test_limit_is_checked_before_the_work(run_stage: Run, set_params: Any, arguments: tuple[str, ...]) -> None:
    write_photos({})
    assert run_stage("rename") == ""
    set_params({"limits.max_rejected": "many"})
    says(run_stage(*arguments), "params.yaml", "limits.max_rejected", "many", "number")
