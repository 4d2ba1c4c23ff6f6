import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import PARAMS
from networks import card
from samples import (
    changed,
    exif,
    face_photo,
    jpeg,
    label_record,
    noise,
    photo_name,
    snapshot,
    write_cp949_zip,
    write_labels,
)
from sentences import says

from demo.reading import read_photo
from stages import crop
from stages.faces.box import Box, overlap
from stages.faces.cutting import reference_box
from stages.faces.framing import FER2013_SIDE
from stages.files.images import decode
from stages.files.tables import read_table
from stages.runtime.params import Crop

Run = Callable[..., str]
SETTINGS = Crop(**PARAMS["crop"])
STORED = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}
PLAIN = np.full((300, 400, 3), 90, np.uint8)


def box_of(row: dict[str, Any]) -> Box:
    return Box(row["left"], row["top"], row["left"] + row["side"], row["top"] + row["side"])


def outputs() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path("data/crops").rglob("*.*")}


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def photos(place: Path, run_stage: Run) -> list[str]:
    """Ten photos of faces in an archive and a folder, with labels, and their manifest."""
    names = [photo_name(n) for n in range(10)]
    data = [jpeg(face_photo(n)[0]) for n in range(10)]
    write_cp949_zip(place / "korean/TRAIN.zip", dict(zip(names[:7], data[:7], strict=True)))
    (place / "korean/Training").mkdir()
    for name, photo in zip(names[7:], data[7:], strict=True):
        (place / "korean/Training" / name).write_bytes(photo)
    records = [label_record(names[n], boxes=face_photo(n)[1]) for n in range(8)]
    write_labels(place / "korean/img_emotion_training_data(기쁨).json", records)
    assert run_stage("rename") == ""
    return names


def test_boxes_are_in_the_turned_frame() -> None:
    upright, box = face_photo(2)
    _, row = crop.crop_photo(jpeg(upright), [box] * 3, SETTINGS)
    assert row["method"] == "verified"
    assert overlap(box_of(row), box) > 0.4
    for orientation, turn in STORED.items():
        photo = jpeg(np.ascontiguousarray(turn(upright)), exif(orientation))
        face, turned = crop.crop_photo(photo, [box] * 3, SETTINGS)
        assert (turned["width"], turned["height"], turned["method"]) == (upright.shape[1], upright.shape[0], "verified")
        assert overlap(box_of(turned), box_of(row)) > 0.9
        left, top, right, bottom = box_of(turned)
        expected = cv2.resize(upright[top:bottom, left:right], (96, 96), interpolation=cv2.INTER_AREA)
        assert np.abs(decode(face, colour=True).astype(int) - expected).mean() < 6


def test_annotators_decide_between_two_faces() -> None:
    picture = np.hstack([face_photo(0)[0][:500], face_photo(3)[0][:500]])
    middle = face_photo(0)[0].shape[1]
    left, right = face_photo(0)[1], Box(*(v + middle * (i % 2 == 0) for i, v in enumerate(face_photo(3)[1])))
    for box in (left, right):
        _, row = crop.crop_photo(jpeg(picture), [box, None, None], SETTINGS)
        assert row["method"] == "verified"
        assert overlap(box_of(row), box) > 0.4
        assert float(row["overlap"]) > 0.3
    _, row = crop.crop_photo(jpeg(picture), [None] * 3, SETTINGS)
    assert (row["method"], row["overlap"]) == ("unverified", "")


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_face_found_on_a_small_decode(factor: int) -> None:
    picture, _ = face_photo(2)
    large = cv2.resize(picture, None, fx=factor, fy=factor)
    expected = np.array(box_of(crop.crop_photo(jpeg(picture), [None] * 3, SETTINGS)[1]))
    face, row = crop.crop_photo(jpeg(large), [None] * 3, SETTINGS)
    assert (row["width"], row["height"], row["method"]) == (large.shape[1], large.shape[0], "unverified")
    assert overlap(box_of(row), Box(*expected * factor)) > 0.9
    left, top, right, bottom = box_of(row)
    cut = cv2.resize(large[top:bottom, left:right], (96, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(decode(face, colour=True).astype(int) - cut).mean() < 8


def test_each_detector_writes_the_same_bytes_with_each_engine(run_stage: Run, set_params: Any, photos: Any) -> None:
    sides = {}
    for detector in ("haar", "yunet"):
        set_params({"crop.detector": detector})
        assert run_stage("crop", "training", "happy") == ""
        expected = outputs()
        set_params({"crop.detector": detector, "runtime.engine": "processes"})
        assert run_stage("crop", "training", "happy") == ""
        assert outputs() == expected
        table = read_table(Path("data/crops/training_happy.csv"))
        assert (table["reason"] == "").all()
        sides[detector] = table["side"].astype(int)
    assert np.allclose(sides["yunet"], sides["haar"], rtol=0.5)
    assert not np.allclose(sides["yunet"], sides["haar"], rtol=0.01)


@pytest.mark.parametrize(("size", "factors"), [(96, [8]), (200, [4]), (400, [2])])
def test_one_decode_as_coarse_as_the_crop_allows(
    size: int, factors: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, box = face_photo(2)
    large = cv2.resize(picture, None, fx=6, fy=6)
    decoded = []

    def spy(data: bytes, colour: bool, factor: int) -> np.ndarray:
        decoded.append(factor)
        return decode(data, colour, factor)

    monkeypatch.setattr(crop, "decode", spy)
    settings = changed(SETTINGS, detect_side=120, size=size)
    face, row = crop.crop_photo(jpeg(large), [box.scaled(6)] * 3, settings)
    assert row["method"] == "verified"
    assert decoded == factors
    assert decode(face, colour=True).shape == (size, size, 3)
    decoded.clear()
    _, unlabelled = crop.crop_photo(jpeg(large), [None] * 3, settings)
    assert decoded == sorted({8, *factors}, reverse=True)
    assert overlap(box_of(unlabelled), box_of(row)) > 0.85


def test_second_look_has_the_pixels_for_it() -> None:
    picture, box = face_photo(3)
    small, box = cv2.resize(picture, None, fx=0.65, fy=0.65, interpolation=cv2.INTER_AREA), box.scaled(0.65)
    right, below = 2520 - small.shape[1], 2520 - small.shape[0]
    photo = jpeg(cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(90, 90, 90)))
    # At an eighth, enough for the first look, the face is narrower than the 24 pixels that the cascade needs.
    settings = changed(SETTINGS, detector="haar", detect_side=310, smallest_face=0.02)
    _, row = crop.crop_photo(photo, [None] * 3, settings)
    assert overlap(box_of(row), box) > 0.4
    reader = SimpleNamespace(
        card=card("x").model_copy(update={"crop": settings}), predict=lambda faces: np.full((len(faces), 5), 0.2)
    )
    (face,) = read_photo(photo, [reader]).faces  # type: ignore[list-item]
    assert overlap(face.box, box) > 0.4


def test_face_that_the_cascade_misses_is_the_annotators() -> None:
    face, row = crop.crop_photo(jpeg(PLAIN), [Box(100, 50, 200, 190)] * 3, SETTINGS)
    assert (row["method"], row["overlap"]) == ("annotators", "1.000")
    assert (row["left"], row["top"], row["side"]) == (85, 55, 130)
    assert decode(face, colour=True).shape == (96, 96, 3)
    with pytest.raises(crop.BadPictureError, match="no face found"):
        crop.crop_photo(jpeg(PLAIN), [None] * 3, SETTINGS)


@pytest.mark.parametrize("scale", [1, 2, 4, 7.3])
def test_never_stretched_and_padded_at_the_border(scale: float) -> None:
    """A disc at the border stays a disc, from whichever decode it is cut."""
    width, height = round(400 * scale), round(300 * scale)
    picture = np.zeros((height, width, 3), np.uint8)
    cv2.circle(picture, (round(30 * scale), height // 2), round(25 * scale), (255, 255, 255), -1)
    box = Box(0, height / 2 - 30 * scale, 60 * scale, height / 2 + 30 * scale)
    margin = (2 / FER2013_SIDE["annotators"] - 1) / 2  # twice as wide as the box
    face, row = crop.crop_photo(jpeg(picture), [box] * 3, changed(SETTINGS, margin=margin, size=48))
    cut = decode(face, colour=False)
    assert row["left"] == pytest.approx(-30 * scale, abs=1)
    assert cut.shape == (48, 48)
    x, y, w, h = cv2.boundingRect((cut > 127).astype(np.uint8))
    assert max(abs(w - 20), abs(h - 20)) <= 1
    assert max(abs(x + w / 2 - 24), abs(y + h / 2 - 24)) <= 1


def test_small_faces_are_not_enlarged() -> None:
    face, row = crop.crop_photo(jpeg(PLAIN), [Box(100, 50, 140, 90)] * 3, SETTINGS)
    assert row["side"] == 52
    assert decode(face, colour=True).shape == (52, 52, 3)


@pytest.mark.parametrize(("height", "width"), [(4001, 9), (9, 4001), (1, 1), (2, 3000)])
def test_odd_shapes(height: int, width: int) -> None:
    box = Box(0, height - min(9, height), min(9, width), height)
    face, row = crop.crop_photo(jpeg(noise(1, height, width, 3)), [box] * 3, changed(SETTINGS, margin=2, size=16))
    assert row["method"] == "annotators"
    assert decode(face, colour=True).shape[0] == decode(face, colour=True).shape[1]


def test_table_archive_and_counts(
    place: Path, run_stage: Run, photos: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(place / "korean")
    assert run_stage("crop", "training", "happy") == ""
    assert snapshot(place / "korean") == before
    table = read_table(Path("data/crops/training_happy.csv"))
    manifest = read_table(Path("data/manifest/training_happy.csv"))
    assert table["id"].tolist() == manifest["id"].tolist()
    assert set(table["path"]) == {f"TRAIN.zip/{n}" for n in photos[:7]} | {f"Training/{n}" for n in photos[7:]}
    kept = table[table["reason"] == ""]
    with zipfile.ZipFile("data/crops/training_happy.zip") as archive:
        assert archive.namelist() == kept["crop"].tolist() == [f"{i}.jpg" for i in kept["id"]]
        assert {decode(archive.read(name), True).shape for name in archive.namelist()} == {(96, 96, 3)}
    printed = capsys.readouterr().out
    assert f"training_happy: 10 found = {len(kept)} kept + {10 - len(kept)} rejected" in printed
    verified = (kept["method"] == "verified").sum()
    assert verified >= 6
    assert f"faces by: verified {verified}, annotators " in printed
    assert not list(Path(".work").iterdir())


def test_engines_and_parts_change_no_byte(run_stage: Run, set_params: Any, photos: Any, monkeypatch: Any) -> None:
    assert run_stage("crop", "training", "happy") == ""
    expected = outputs()
    monkeypatch.setattr(crop, "PART", 3)
    set_params({"runtime.engine": "processes"})
    assert run_stage("crop", "training", "happy") == ""
    assert outputs() == expected


def test_killed_run_goes_on(run_stage: Run, photos: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(crop, "PART", 2)
    assert run_stage("crop", "training", "happy") == ""
    expected = outputs()
    for path in expected:
        Path(path).unlink()
    done: list[str] = []
    crop_photo, write_table = crop.crop_photo, crop.write_table
    table_writes = 0

    def counted(data: bytes, *arguments: Any) -> Any:
        done.append(f"{zipfile.crc32(data):08x}")
        return crop_photo(data, *arguments)

    def killed(table: pd.DataFrame, path: Path) -> None:
        # Ends while the third part's table is half written.
        nonlocal table_writes
        table_writes += 1
        write_table(table.head(1), path) if table_writes == 3 else write_table(table, path)
        if table_writes == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(crop, "crop_photo", counted)
    monkeypatch.setattr(crop, "write_table", killed)
    assert run_stage("crop", "training", "happy") == "130"
    assert len(done) == 6
    assert not Path("data/crops/training_happy.csv").exists()
    finished = snapshot(Path(".work"))
    assert len([path for path in finished if path.endswith(".csv")]) == 2
    monkeypatch.setattr(crop, "write_table", write_table)
    monkeypatch.setattr(crop, "check_share", interrupt)  # once all is written, and before the parts are removed
    assert run_stage("crop", "training", "happy") == "130"
    assert outputs() == expected
    assert len(done) == 6 + 6  # the four photos of the finished parts were not done again
    after = snapshot(Path(".work"))
    for path in finished:
        if path.endswith(".csv"):
            assert after[path] == finished[path]
            assert after[path.replace(".csv", ".zip")] == finished[path.replace(".csv", ".zip")]


def test_changed_settings_do_not_meet_old_parts(run_stage: Run, set_params: Any, photos: Any, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(crop, "check_share", interrupt)
        assert run_stage("crop", "training", "happy") == "130"
    set_params({"crop.size": 32})
    assert run_stage("crop", "training", "happy") == ""
    with zipfile.ZipFile("data/crops/training_happy.zip") as archive:
        assert decode(archive.read(archive.namelist()[0]), True).shape == (32, 32, 3)


def test_another_detector_does_not_meet_old_parts(place: Path, run_stage: Run, photos: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(crop, "check_share", interrupt)
    (place / "other.onnx").write_bytes(b"x")
    for path in (crop.YUNET, place / "other.onnx"):
        monkeypatch.setattr(crop, "YUNET", path)
        assert run_stage("crop", "training", "happy") == "130"
    assert len(list(Path(".work/crop_training_happy").iterdir())) == 2


def test_bad_photos_are_rows_with_a_reason(place: Path, run_stage: Run) -> None:
    good = jpeg(face_photo(2)[0])
    huge = bytearray(jpeg(PLAIN))
    size = huge.index(b"\xff\xc0") + 5
    huge[size : size + 4] = b"\xea\x60" * 2
    cases = {
        "": good,
        "cut off": good[: len(good) // 2],
        "not a picture": b"text",
        "empty file": b"",
        "too many pixels": bytes(huge),
        "no face found": jpeg(PLAIN),
        "damaged in its archive": good + b"damaged",
        "changed since rename ran": good + b"changed",
    }
    names = {reason: photo_name(n) for n, reason in enumerate(cases)}
    folder = place / "korean/Training"
    folder.mkdir(parents=True)
    for reason, data in cases.items():
        if reason != "damaged in its archive":
            (folder / names[reason]).write_bytes(data)
    archive = write_cp949_zip(place / "korean/TRAIN.zip", {names["damaged in its archive"]: good + b"damaged"})
    assert run_stage("rename") == ""
    (folder / names["changed since rename ran"]).write_bytes(good + b"another")
    archive.write_bytes(archive.read_bytes().replace(good + b"damaged", good + b"broken!"))
    assert run_stage("crop", "training", "happy") == ""
    table = read_table(Path("data/crops/training_happy.csv"))
    assert {Path(row.path).name: row.reason for row in table.itertuples()} == {n: r for r, n in names.items()}
    assert (table["crop"] != "").tolist() == (table["reason"] == "").tolist()


def test_whole_numbers_stay_whole_beside_a_rejected_photo(place: Path, run_stage: Run) -> None:
    (place / "korean/Training").mkdir(parents=True)
    for number, photo in enumerate((face_photo(2)[0], PLAIN)):
        (place / "korean/Training" / photo_name(number)).write_bytes(jpeg(photo))
    assert run_stage("rename") == ""
    assert run_stage("crop", "training", "happy") == ""
    table = read_table(Path("data/crops/training_happy.csv"))
    kept = table[table["reason"] == ""]
    assert len(kept) == 1
    for column in ("width", "height", "left", "top", "side"):
        assert int(kept[column].iloc[0])
        assert set(table.loc[table["reason"] != "", column]) == {""}


def test_archive_with_fewer_photos_than_before(place: Path, run_stage: Run) -> None:
    photo = jpeg(face_photo(2)[0])
    names = [photo_name(n) for n in range(3)]
    path = write_cp949_zip(place / "korean/TRAIN.zip", dict.fromkeys(names, photo))
    assert run_stage("rename") == ""
    write_cp949_zip(path, {"other.jpg": b"x"})
    assert run_stage("crop", "training", "happy") == ""
    assert set(read_table(Path("data/crops/training_happy.csv"))["reason"]) == {
        "changed since rename ran",
        "damaged in its archive",
    }


def test_an_archive_that_is_fetched_again_is_read_again(
    place: Path, run_stage: Run, set_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop, "PART", 2)
    photos = {photo_name(n): jpeg(face_photo(n)[0]) for n in range(8)}
    path = write_cp949_zip(place / "korean/TRAIN.zip", photos)
    whole = path.read_bytes()
    damaged = photos[photo_name(4)]
    path.write_bytes(whole.replace(damaged, damaged[:-100] + bytes(98) + damaged[-2:]))
    assert run_stage("rename") == ""
    set_params({"limits.max_rejected": 0.1})
    says(run_stage("crop", "training", "happy"), "1 of 8 rejected", "'damaged in its archive'", "run the same command")
    # The directory of the archive, and so the manifest, is the same.
    path.write_bytes(whole)
    assert run_stage("crop", "training", "happy") == ""
    assert set(read_table(Path("data/crops/training_happy.csv"))["reason"]) == {""}


def test_vanished_photo_stops_in_one_sentence_and_keeps_the_parts(
    place: Path, run_stage: Run, photos: list[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(crop, "PART", 1)
    path = place / "korean/Training" / photos[-1]
    path.rename(place / "away")
    stopped = run_stage("crop", "training", "happy")
    says(stopped, photos[-1], "No such file or directory")
    finished = len(list(Path(".work").rglob("*.csv")))
    assert finished == read_table(Path("data/manifest/training_happy.csv"))["path"].str.endswith(photos[-1]).argmax()
    (place / "away").rename(path)
    assert run_stage("crop", "training", "happy") == ""


def test_emotion_without_photos(run_stage: Run, photos: Any) -> None:
    assert run_stage("crop", "validation", "sad") == ""
    assert len(read_table(Path("data/crops/validation_sad.csv"))) == 0
    assert zipfile.ZipFile("data/crops/validation_sad.zip").namelist() == []


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_wrong_cascade(run_stage: Run, set_params: Any, photos: Any, engine: str) -> None:
    set_params({"crop.cascade": "face.xml", "runtime.engine": engine})
    says(run_stage("crop", "training", "happy"), "params.yaml", "crop.cascade", "face.xml")


def test_nothing_renamed_yet(run_stage: Run) -> None:
    says(run_stage("crop", "training", "happy"), "training_happy.csv", "dvc repro", "dvc pull")


@pytest.mark.parametrize(("width", "height"), [(224, 224), (48, 48), (60, 80), (80, 60)])
def test_a_picture_that_is_the_face_is_taken_whole(width: int, height: int) -> None:
    picture = cv2.GaussianBlur(noise(1, height, width, 3), (0, 0), 4)
    boxes: list[Box | None] = [Box(10, 10, 150, 150)] * 3  # of the photo that it was cut from
    face, row = crop.crop_photo(jpeg(picture), boxes, SETTINGS.model_copy(update={"input": "face"}))
    assert (row["width"], row["height"], row["method"], row["overlap"]) == (width, height, "whole", "")
    cut = decode(face, colour=True)
    assert cut.shape[:2] == (min(width, 96),) * 2
    top = round((height - width) / 2)
    assert (row["left"], row["top"], row["side"]) == (0, top, width)
    if width == height:
        assert np.abs(cut.astype(int) - cv2.resize(picture, cut.shape[1::-1], interpolation=cv2.INTER_AREA)).mean() < 6


def test_the_stage_takes_faces_whole(place: Path, run_stage: Run, set_params: Any) -> None:
    names = [photo_name(n) for n in range(3)]
    write_cp949_zip(Path("korean/TRAIN.zip"), {name: jpeg(noise(n, 64, 64, 3)) for n, name in enumerate(names)})
    labels = [label_record(name, boxes=(20, 20, 60, 60)) for name in names]
    write_labels(Path("korean/img_emotion_training_data(기쁨).json"), labels)
    set_params({"crop.input": "face"})
    assert run_stage("rename") == ""
    assert run_stage("crop", "training", "happy") == ""
    table = read_table(Path("data/crops/training_happy.csv"))
    assert table["method"].tolist() == ["whole"] * 3


def test_boxes_of_another_picture_are_not_believed() -> None:
    # As where crops of 224 x 224 lie beside the label files of the photos.
    own, others = Box(20, 30, 200, 210), [Box(180, 100, 900, 900), Box(100, 90, 620, 700), Box(615, 255, 1044, 869)]
    for box in others:
        assert reference_box([box] * 3, 224, 224, 0.1) is None
    assert reference_box([own, *others[:2]], 224, 224, 0.1) == own
    assert reference_box([Box(-52, 30, 200, 210)], 224, 224, 0.1) == Box(0, 30, 200, 210)
