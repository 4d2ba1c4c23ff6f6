"""The benchmarks measure what they say: photos, boxes and ways to crop are as described."""

import itertools
import runpy
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import PARAMS, ROOT
from samples import noise, runtime
from sentences import says
from tiny import shrink

from benchmarks import accuracy, crop, detectors, framing, resize, standin, training
from benchmarks.measuring import in_turns, measured, run_stage
from demo.models import Model
from stages.datasets import fer2013
from stages.datasets.picture import Picture
from stages.datasets.votes import VOTED
from stages.evaluation.bootstrap import Bootstrap
from stages.faces.box import Box, overlap
from stages.files.images import decode, upright_size
from stages.files.tables import read_table, write_table
from stages.runtime import errors, params
from stages.runtime.errors import UserError
from stages.sample import draw_fer2013
from stages.synthetic.camera import fer_picture


@pytest.fixture(scope="module")
def photo() -> crop.Photo:
    return crop.draw_photo(1)


def test_photos_are_as_large_as_a_phone_takes_them(photo: crop.Photo) -> None:
    assert sorted(upright_size(photo.data, 20)) == [3024, 4032]
    assert 1.5e6 < len(photo.data) < 2.5e6
    assert 500 < photo.box[2] - photo.box[0] < 1100


def test_each_way_writes_a_crop_of_the_face(photo: crop.Photo, tmp_path: Path) -> None:
    path = tmp_path / "crop.jpg"
    for name, (way, _) in crop.ways().items():
        if name.startswith(("plain", "autocrop")):  # seconds, and not installed
            continue
        path.unlink(missing_ok=True)
        assert way(photo, path) > 0.5, name
        assert decode(path.read_bytes(), colour=True).shape == (224, 224, 3)


def test_a_way_that_finds_no_face_agrees_with_nothing(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", np.full((600, 800, 3), 90, np.uint8))[1].tobytes()
    photo = crop.Photo(data, (300.0, 200.0, 450.0, 400.0))
    for name, (way, _) in crop.ways().items():
        if not name.startswith(("original", "autocrop")):
            assert way(photo, tmp_path / "crop.jpg") == 0, name


def test_shortest_time_and_last_result() -> None:
    results: Any = iter("abc")
    seconds, result = crop.timed(lambda: next(results), 3)
    assert result == "c"
    assert 0 <= seconds < 1


def test_the_first_turn_does_not_count() -> None:
    called: list[str] = []
    clock: Any = itertools.accumulate(itertools.count(1))
    seconds = in_turns({name: partial(called.append, name) for name in "ab"}, 2, lambda: next(clock))
    assert "".join(called) == "ababab"
    assert seconds.to_numpy().tolist() == [[6, 8], [10, 12]]


def test_a_command_that_fails_ends_with_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("import sys; sys.exit(sys.stdout.buffer.write(b'first\\nlast \\xff\\n'))")
    with pytest.raises(UserError, match="failing stopped: last"):
        measured(tmp_path, "failing")


def test_the_stage_runs_on_the_manifest_of_the_benchmark(photo: crop.Photo, tmp_path: Path) -> None:
    crop.write_manifest([photo], 3, tmp_path)
    runtime = {"engine": "serial"}
    cost = run_stage(tmp_path, "crop", "training", "happy", data={"korean": str(tmp_path)}, runtime=runtime)
    assert read_table(tmp_path / "data/crops/training_happy.csv")["method"].tolist() == ["verified"] * 3
    assert 0 < cost.seconds < 60
    assert 50 < cost.largest < 300


def test_a_stage_that_stops_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        run_stage(tmp_path, "rename", data={"korean": "gone"})
    says(error, "stages.rename", "gone", "data.korean")


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_each_benchmark_runs_as_a_command_that_turns_errors_into_a_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Any] = []
    monkeypatch.setattr(errors, "run", commands.append)
    module = runpy.run_module(f"benchmarks.{path.stem}", run_name="__main__")
    assert commands == ([module["main"]] if "main" in module else [])


def test_box_turns_with_the_face() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(picture, (300, 100), 20, (255, 255, 255), -1)
    for degrees in (0, 15, 30, -90):
        turned, box = detectors.turned((picture, Box(280, 80, 320, 120)), degrees)
        left, top, width, height = cv2.boundingRect((turned[..., 0] > 127).astype(np.uint8))
        assert box is not None
        assert overlap(box, Box(left, top, left + width, top + height)) > 0.8


def test_a_picture_is_found_again_where_it_was_put(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = np.stack([fer_picture(1, number, "neutral") for number in range(8)])
    around = framing.put_into_a_larger_one(pictures[0])
    inside = slice(framing.BORDER, framing.BORDER + framing.SIDE)
    assert around.shape == (384, 384, 3)
    again = cv2.resize(around[inside, inside, 0], (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(again.astype(int) - pictures[0]).mean() < 3
    model = framing.with_detector(Model(model_folder / "after.onnx"), "yunet")
    framing.print_found_again("x", pictures, np.zeros(8, int), model)
    framing.print_landmarks("y", pictures)
    found, landmarks = capsys.readouterr().out.splitlines()
    assert 0.9 < float(found.split()[1]) < 1.6
    assert float(landmarks.split()[1]) == pytest.approx(0.357, abs=0.04)


def test_plain_loop(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        cv2.imwrite(str(path), noise(1, 30, 30))
    resize.plain_loop(paths, tmp_path)
    assert len((tmp_path / "images.csv").read_text().splitlines()) == 4
    assert {cv2.imread(str(path), -1).shape for path in (tmp_path / "resized").iterdir()} == {(48, 48)}


def test_each_way_to_feed_the_network_shows_it_as_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("params.yaml", tmp_path)
    shrink(tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    faces = training.noise(tmp_path, 256)
    network = training.compiled()
    ways = (training.as_the_stages_do, training.one_batch, training.image_data_generator)
    for number, way in enumerate(ways):
        epoch = way(network, faces)
        for turn in (1, 2):
            epoch()
            assert int(network.optimizer.iterations) == (2 * number + turn) * 256 // 64
    assert training.peak_memory(tmp_path, 128) > 1e8


@pytest.fixture(scope="module")
def both_sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drawn FER2013, and what `benchmarks.standin` makes of it. Tests only read it."""
    folder = tmp_path_factory.mktemp("standin")
    sample = params.Sample(**PARAMS["sample"] | {"seed": 1, "fer_train": 400, "fer_test": 150})
    draw_fer2013(folder / "archive.zip", sample, runtime("serial"))
    pictures = [picture.id for picture in fer2013.find_pictures(folder / "archive.zip") if picture.label]
    votes = {"path": [f"{id_}.jpg" for id_ in pictures]} | dict.fromkeys(VOTED, 0) | {"anger": range(len(pictures))}
    write_table(pd.DataFrame(votes), folder / "votes.csv")
    files = [str(folder / name) for name in ("archive.zip", "both", "votes.csv")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr("sys.argv", ["standin", *files[:2], "--votes", files[2]])
        standin.main()
    return folder


def test_the_stand_in_divides_the_pictures_between_the_two_sides(both_sides: Path, tmp_path: Path) -> None:
    pictures = list(fer2013.find_pictures(both_sides / "archive.zip"))
    rest = {picture.id for picture in fer2013.find_pictures(both_sides / "both/fer2013/archive.zip")}
    taken = [picture for picture in pictures if picture.id not in rest and picture.split == "test"]
    used = [picture for picture in taken if picture.label not in ("fear", "disgust")]
    assert 30 < len(used) < 70
    run_stage(tmp_path, "rename", data={"korean": str(both_sides / "both/korean")})
    tables = [read_table(path) for path in (tmp_path / "data/manifest").glob("training_*.csv")]
    assert sum(map(len, tables)) == len(used)
    people = {person for table in tables for person in table["person"]}
    assert len(people) == len(used)
    assert sorted(label for table in tables for label in table["uploader"]) == sorted(
        {"surprise": "embarrassed"}.get(picture.label, picture.label) for picture in used
    )


def test_the_stand_in_keeps_the_votes_on_what_is_left_of_fer2013(both_sides: Path) -> None:
    rest = [f"{picture.id}.jpg" for picture in fer2013.find_pictures(both_sides / "both/fer2013/archive.zip")]
    votes, left = (read_table(both_sides / name) for name in ("votes.csv", "both/votes.csv"))
    assert sorted(left["path"]) == sorted(rest)
    assert len(left) < len(votes)
    assert left.merge(votes).shape == left.shape


def test_no_training_picture_resembles_one_of_the_stand_in(both_sides: Path) -> None:
    archive = both_sides / "archive.zip"
    rest = {picture.id for picture in fer2013.find_pictures(both_sides / "both/fer2013/archive.zip")}

    def small(wanted: Callable[[Picture], bool]) -> tuple[list[str], np.ndarray]:
        ids, shrunk = [], []
        for picture in filter(wanted, fer2013.find_pictures(archive)):
            face = cv2.imdecode(np.frombuffer(standin.content(archive, picture), np.uint8), cv2.IMREAD_GRAYSCALE)
            if face is not None and face.std() > 0:
                ids.append(picture.id)
                shrunk.append(cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA).astype(float))
        return ids, np.array(shrunk)

    ids, train = small(lambda picture: picture.split == "train")
    _, chosen = small(lambda p: standin.is_chosen(p) and p.label not in ("fear", "disgust"))
    both = np.concatenate([chosen, chosen[:, :, ::-1]]).reshape(-1, 256)
    likeness = np.corrcoef(train.reshape(-1, 256), both)[: len(train), len(train) :].max(axis=1)
    alike = {id_ for id_, value in zip(ids, likeness, strict=True) if value > 0.93}
    assert alike == set(ids) - rest
    assert alike


def test_the_stand_in_keeps_to_one_distortion() -> None:
    face = noise(1, 48, 48)
    assert standin.distort(face).shape == (24, 24)
    assert (standin.distort(face) == standin.distort(face)).all()
    light = standin.distort(np.full((48, 48), 200, np.uint8))
    assert light[:, 0].max() < 40
    assert light[:, -1].min() > 190


@pytest.fixture(scope="module")
def prepared(both_sides: Path) -> Iterator[Path]:
    """A folder in which the stages have run over the drawn FER2013. Tests only read it."""
    with accuracy.prepared(both_sides / "archive.zip", ROOT / "data/no_votes.csv") as folder:
        yield folder


@pytest.mark.parametrize("kind", ["unused", "gone", "no path"])
def test_kept_pictures_that_cannot_be_scored(both_sides: Path, prepared: Path, tmp_path: Path, kind: str) -> None:
    tests = [picture for picture in fer2013.find_pictures(both_sides / "archive.zip") if picture.split == "test"]
    unused = next(picture.path for picture in tests if picture.label == "fear")
    lines = {"unused": unused.replace("test", "validation", 1), "gone": "validation/happy/gone.jpg", "no path": "a.jpg"}
    (tmp_path / "kept.txt").write_text(lines[kind])
    with pytest.raises(UserError) as error:
        accuracy.read_kept(prepared, tmp_path / "kept.txt")
    says(error, "kept.txt", lines[kind])


def test_both_protocols_and_their_figures(both_sides: Path, prepared: Path, tmp_path: Path, model_folder: Path) -> None:
    tests = [p.id for p in fer2013.find_pictures(both_sides / "archive.zip") if p.split == "test"]
    kept = [next(id for id in tests if id.startswith(f"test/{label}/")) for label in ("angry", "surprise")]
    (tmp_path / "kept.txt").write_text("".join(f"{id.replace('test', 'validation')}.jpg\n" for id in kept))
    untouched, original = accuracy.read_untouched(prepared), accuracy.read_kept(prepared, tmp_path / "kept.txt")
    assert sorted(original.id) == sorted(kept)
    assert sorted(original.label) == [0, 1]  # angry, embarrassed
    assert set(untouched.id) <= set(tests)
    assert not any("fear" in id or "disgust" in id for id in untouched.id)
    right, angry = np.array([True, False, True, True]), np.array([True, True, False, False])
    value, text = accuracy.share(right, angry, Bootstrap(np.arange(4), 100, 1))
    assert value == 50
    assert text.startswith("50.0 [0.0, 100.0]")
    model = Model(model_folder / "after.onnx")
    guessed = model.predict(untouched.pictures).argmax(axis=1)
    wrong = np.arange(len(guessed)) % 4 == 0
    assert (untouched.people == -1).all()
    label = np.where(wrong, (guessed + 1) % 3, guessed)
    test = accuracy.Test(untouched.pictures, label, untouched.id, np.where(wrong, -1, guessed))
    lines = accuracy.measure(model, test, test)
    assert lines[f"people's majority, {(~wrong).sum():,} pictures"][0] == 100
    title = f"{len(guessed):,} pictures"
    assert lines[f"untouched, {title}"][0] == pytest.approx(100 * (1 - wrong.mean()))
    assert lines[f"original's, {title}"] == lines[f"untouched, {title}"]
    assert lines["original's, ECE"] != lines["original's, ECE scaled"]
    assert lines["one picture on one core, ms"][0] > 0
    assert (
        accuracy.markdown({"a": {"x": (1, "1.0")}, "b": {"x": (3, "3.0")}}).splitlines()[2]
        == "| x | 1.0 | 3.0 | 2 ± 1.4 |"
    )
