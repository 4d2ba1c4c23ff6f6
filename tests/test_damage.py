"""A damaged file of the pipeline's own ends a stage with one sentence, and no pickle in its place is ever loaded."""

import contextlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from networks import random_network
from samples import jpeg, label_record, noise, photo_name, write_cp949_zip, write_labels
from sentences import says

from demo.models import Model
from stages import crop, sheets
from stages.faces import detection
from stages.figures.results import read_figures
from stages.figures.sections import read_saliency
from stages.files.arrays import open_array, stream_array
from stages.files.metrics import read_metrics, write_metrics
from stages.files.tables import read_table, write_table
from stages.network.model import load_weights, save_weights
from stages.report import read_curve
from stages.runtime import params
from stages.runtime.errors import UserError
from stages.training import checkpoint

Run = Callable[..., str]
TABLE = pd.DataFrame({"row": [0, 1], "id": ["a", "b"]})


def network() -> Any:
    return random_network(48, 3, 1)


def write_array(path: Path) -> None:
    np.save(path, np.zeros((3, 4, 4), np.uint8))


def write_network(path: Path) -> None:
    save_weights(network(), path)


def write_state(path: Path) -> None:
    (one := network()).compile("sgd")
    checkpoint.save(path, one, [{"loss": 1.0}], one.get_weights())


def read_state(path: Path) -> None:
    (one := network()).compile("sgd")
    checkpoint.restore(path, one)


# How each kind of file is read and written.
FILES: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "pictures.npy": (open_array, write_array),
    "streamed.npy": (lambda path: list(stream_array(path)), write_array),
    "saliency.npy": (read_saliency, write_array),
    "metrics.json": (read_metrics, lambda path: write_metrics({"all": 1}, path)),
    "rows.csv": (lambda path: read_table(path, "row"), lambda path: write_table(TABLE, path)),
    "figures.csv": (read_figures, lambda path: write_table(TABLE, path)),
    "accuracy.tsv": (read_curve, lambda path: path.write_text("step\taccuracy\n0\t0.5\n")),
    "pretrain.weights.h5": (lambda path: load_weights(network(), path), write_network),
    "checkpoint.npz": (read_state, write_state),
}
NO_CHECK = ("rows.csv", "figures.csv", "accuracy.tsv")  # fewer lines are a table, too


class Executed:
    """Its pickle makes a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def pickles(folder: Path) -> list[bytes]:
    """Pickles, bare and as numpy packs them."""
    objects = np.array([Executed()], object)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    np.savez(folder / "objects.npz", history=objects, now0=objects, best0=objects)
    return [pickle.dumps(Executed()), *((folder / f"objects.{kind}").read_bytes() for kind in ("npy", "npz"))]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file(place: Path, name: str) -> None:
    path, (read, write) = Path(name), FILES[name]
    write(path)
    read(path)
    whole = path.read_bytes()
    for damaged in [b""] if name in NO_CHECK else [b"", whole[:12], whole[: len(whole) // 2], bytes(len(whole))]:
        path.write_bytes(damaged)
        with pytest.raises(UserError) as error:
            read(path)
        says(error, f"{name} is damaged", "remove it")


@pytest.mark.parametrize("name", [*FILES, "after.onnx", "params.yaml"])
def test_no_pickle_is_loaded(place: Path, name: str) -> None:
    others = {"after.onnx": Model, "params.yaml": lambda path: params.read(path, params.Params)}
    path, read = Path(name), others.get(name) or FILES[name][0]
    tags = [b"!!python/object/apply:os.mkdir [executed]", b"!!python/object/apply:pathlib.Path.touch [executed]"]
    for content in [*pickles(place), *tags]:
        path.write_bytes(content)
        # A table may have any text in it.
        with contextlib.suppress(UserError) if name in NO_CHECK else pytest.raises(UserError):
            read(path)
        assert not Path("executed").exists()
    pickle.loads(pickles(place)[0])  # noqa: S301  what was offered is one
    assert Path("executed").exists()


def crop_photos(run_stage: Run) -> str:
    return run_stage("crop", "training", "happy")


@pytest.fixture
def cropped(place: Path, run_stage: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first part of a crop stage that was stopped before it put its parts together, each of two photos."""
    photos = {photo_name(n): jpeg(noise(n, 90, 90, 3)) for n in range(4)}
    write_cp949_zip(Path("korean/TRAIN.zip"), photos)
    write_labels(Path("korean/labels.json"), [label_record(name, boxes=(10, 10, 60, 60)) for name in photos])
    assert run_stage("rename") == ""
    monkeypatch.setattr(crop, "PART", 2)

    def stop(_: object) -> None:
        raise UserError("stopped")

    with monkeypatch.context() as stopped:
        stopped.setattr(crop, "joined_members", stop)
        assert crop_photos(run_stage) == "error: stopped"
    return min(Path(".work").rglob("*.zip"))


@pytest.mark.parametrize("damage", [lambda whole: whole[:-50], lambda whole: whole[:99] + b"x" + whole[100:], None])
def test_a_part_of_crop(cropped: Path, run_stage: Run, damage: Callable[[bytes], bytes] | None) -> None:
    if damage:
        cropped.write_bytes(damage(cropped.read_bytes()))
    else:
        cropped.unlink()
    says(crop_photos(run_stage), cropped.name, "is damaged", "run the same command again")
    assert crop_photos(run_stage) == ""
    assert len(zipfile.ZipFile("data/crops/training_happy.zip").namelist()) == 4


def test_crops_that_are_shown(cropped: Path, run_stage: Run) -> None:
    assert crop_photos(run_stage) == ""
    archive = Path("data/crops/training_happy.zip")
    rows = read_table(archive.with_suffix(".csv"))
    sheets.crops_section(rows, archive)
    whole = archive.read_bytes()
    for damaged in (b"", whole[:-50], whole[:99] + b"x" + whole[100:]):
        archive.write_bytes(damaged)
        with pytest.raises(UserError) as error:
            sheets.crops_section(rows, archive)
        says(error, "training_happy.zip is damaged", "remove it")


def test_the_face_detector(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = Path("damaged.onnx")
    damaged.write_bytes(detection.YUNET.read_bytes()[:5000])
    monkeypatch.setattr(detection, "YUNET", damaged)
    detection._network.cache_clear()
    with pytest.raises(UserError) as error:
        detection._network(0.5)
    says(error, "damaged.onnx is damaged", "git checkout")
