"""The demo on its command line: photos, folders, archives, videos, a camera, and what is wrong with them."""

import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from conftest import PARAMS
from networks import CROP, card
from PIL import Image
from samples import changed, exif, face_photo, jpeg, noise, snapshot, write_cp949_zip, write_raw_zip
from sentences import says

from benchmarks.demo import with_detector
from demo import __main__ as command
from demo.annotation import annotate
from demo.models import find_models
from demo.reading import Face, label, read_frame, read_photo
from demo.tracking import Tracker
from demo.video import VideoFile, VideoWriter
from stages.crop import crop_photo
from stages.deployment.model_card import ModelCard, to_texts
from stages.faces.box import Box, overlap
from stages.files.archives import Entry
from stages.files.images import BadPictureError, decode, network_picture
from stages.resize import grey_square
from stages.runtime import errors, params
from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent
EMOTIONS = list(PARAMS["emotions"])
TURNS = {3: lambda p: p[::-1, ::-1], 6: np.rot90, 8: lambda p: np.rot90(p, -1)}
Demo = Callable[..., tuple[Any, str, str]]


@pytest.fixture
def demo(place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Demo:
    """Run the command line in an empty folder; returns exit status, standard output and standard error."""

    def run(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["demo", "--model", str(model_folder), *arguments])
        with pytest.raises(SystemExit) as stop:
            errors.run(command.main)
        out, error = capsys.readouterr()
        return (
            stop.value.code,
            out,
            error.removeprefix(f"model: {model_folder}/after.onnx, tested on fer2013 and korean\n"),
        )

    return run


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def card_with(**values: float) -> ModelCard:
    return changed(card("after"), export=changed(card("after").export, **values))


def two_faces() -> np.ndarray:
    return np.hstack([face_photo(0)[0][:500], face_photo(3)[0][:500]])


@pytest.mark.parametrize("scale", [1, 3, 7])
@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_a_photo_goes_the_way_of_the_training_pictures(
    scale: int, orientation: int, tmp_path: Path, model_folder: Path
) -> None:
    picture = cv2.resize(face_photo(2)[0], None, fx=scale, fy=scale)
    data = jpeg(np.ascontiguousarray(TURNS.get(orientation, np.array)(picture)), exif(orientation))
    crop, row = crop_photo(data, [], CROP)
    (tmp_path / "crop.jpg").write_bytes(crop)
    expected = grey_square(Entry("", -1, "crop.jpg", len(crop), 0), tmp_path, params.Image(**PARAMS["image"]))
    read = read_photo(data, find_models(model_folder))
    assert (read.width, read.height) == (row["width"], row["height"]) == picture.shape[1::-1]
    assert (read.faces[0].picture == expected).all()


def test_each_detectors_face_is_cut_out_as_the_crop_stage_does(model_folder: Path) -> None:
    data, models = jpeg(face_photo(2)[0]), find_models(model_folder)
    for detector in ("haar", "yunet"):
        face = read_photo(data, [with_detector(models[-1], detector)]).faces[0]
        crop, _ = crop_photo(data, [], changed(CROP, detector=detector))
        assert (face.picture == network_picture(crop, 48)).all()


def test_every_face_has_its_own_answer(demo: Demo, model_folder: Path) -> None:
    Path("한글 사진.jpg").write_bytes(jpeg(two_faces()))
    status, out, _ = demo("한글 사진.jpg")
    table = rows(out)
    assert status == 0
    assert [row["face"] for row in table] == ["1", "2"]
    assert {row["file"] for row in table} == {"한글 사진.jpg"}
    shift = face_photo(0)[0].shape[1]
    boxes = [[float(row[side]) for side in ("left", "top", "right", "bottom")] for row in table]
    expected = [face_photo(0)[1], Box(*(v + shift * (i % 2 == 0) for i, v in enumerate(face_photo(3)[1])))]
    assert all(max(overlap(Box(*box), face) for box in boxes) > 0.4 for face in expected)
    for row in table:
        shares = {emotion: float(row[emotion]) for emotion in EMOTIONS}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
        best = max(shares, key=lambda emotion: shares[emotion])
        assert row["label"] == (best if shares[best] >= 0.4 else "unsure")
    assert table[0]["happy"] != table[1]["happy"]


def test_the_model_after_transfer_answers(demo: Demo, model_folder: Path) -> None:
    data = jpeg(face_photo(1)[0])
    Path("a.jpg").write_bytes(data)
    before, after = read_photo(data, find_models(model_folder)).faces[0].probability
    row = rows(demo("a.jpg")[1])[0]
    assert [float(row[emotion]) for emotion in EMOTIONS] == pytest.approx(after, abs=1e-4)
    assert not np.allclose(before, after, atol=1e-3)


def test_it_says_which_model_answers(
    place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.jpg").write_bytes(jpeg(face_photo(0)[0]))
    copy = onnx.load(model_folder / "before.onnx")
    onnx.helper.set_model_props(copy, to_texts(changed(card("before"), drawn=True)))
    onnx.save(copy, "drawn.onnx")
    for model, sentence in (
        (model_folder, f"model: {model_folder}/after.onnx, tested on fer2013 and korean\n"),
        (Path("drawn.onnx"), "model: drawn.onnx, trained on drawn faces, tested on fer2013 and korean\n"),
    ):
        monkeypatch.setattr(sys, "argv", ["demo", "--model", str(model), "a.jpg"])
        with pytest.raises(SystemExit):
            command.main()
        assert capsys.readouterr().err == sentence


def test_unsure_below_the_threshold() -> None:
    assert label(np.array([0.41, 0.3, 0.29]), card("after")) == "angry"
    assert label(np.array([0.39, 0.31, 0.3]), card("after")) == "unsure"


def test_json(demo: Demo) -> None:
    Path("a.jpg").write_bytes(jpeg(two_faces()))
    faces = json.loads(demo("a.jpg", "--format", "json")[1])
    assert len(faces) == 2
    for face in faces:
        assert face.keys() == {"file", "frame", "time", "face", "box", "label", "label_korean", "probability"}
        assert list(face["probability"]) == EMOTIONS
        assert face["label_korean"] == (PARAMS["emotions"] | {"unsure": "불확실"})[face["label"]]
    cv2.imwrite("none.png", np.full((90, 90, 3), 80, np.uint8))
    assert json.loads(demo("none.png", "--format", "json")[1]) == []


def test_json_is_whole_whatever_ends_it(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = jpeg(face_photo(0)[0])
    Path("a.jpg").write_bytes(picture)
    Path("b.jpg").write_bytes(picture)
    answers = iter([read_photo])
    monkeypatch.setattr(command, "read_photo", lambda *arguments: next(answers, stop)(*arguments))
    assert demo("a.jpg", "b.jpg", "--format", "json", "--out", "result")[0] == "error: stop"
    assert [face["file"] for face in json.loads(Path("result/faces.json").read_text(encoding="utf-8"))] == ["a.jpg"]


def stop(*arguments: Any) -> Any:
    raise UserError("stop")


def test_heic_says_what_to_do(demo: Demo) -> None:
    folder = Path("photos")
    folder.mkdir()
    for name in ("a.HEIC", "b.heif", "c.jpg"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    lines = [f"photos/{name}: HEIC is not read: convert it to JPEG" for name in ("a.HEIC", "b.heif", "c.jpg")]
    status, _, error = demo("photos")
    assert (status, error.splitlines()) == (1, lines)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO"])
def test_of_several_pictures_the_first_is_read_and_it_says_so(demo: Demo, kind: str) -> None:
    picture, face = face_photo(0)
    frames = [Image.fromarray(np.roll(picture[..., ::-1], 90 * n, axis=1)) for n in range(3)]
    frames[0].save("a.gif", kind, save_all=True, append_images=frames[1:])
    status, out, error = demo("a.gif")
    assert (status, error) == (0, "" if kind == "MPO" else "a.gif: only the first of its 3 pictures was read\n")
    box = [float(rows(out)[0][side]) for side in ("left", "top", "right", "bottom")]
    assert overlap(Box(*box), Box(*face)) > 0.4


def test_what_is_damaged_behind_the_first_picture_does_not_matter(demo: Demo) -> None:
    frames = [Image.fromarray(face_photo(0)[0][..., ::-1])] * 2
    file = io.BytesIO()
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    data = bytearray(file.getvalue())
    width = struct.pack("<HHI", 256, 4, 1)
    place = data.rindex(width)
    data[place : place + 2] = b"\0\0"  # the second page's
    Path("a.tif").write_bytes(data)
    status, out, error = demo("a.tif")
    assert (status, error, len(rows(out))) == (0, "", 1)


def test_no_face_says_so(demo: Demo) -> None:
    cv2.imwrite("none.png", np.full((90, 90, 3), 80, np.uint8))
    status, out, error = demo("none.png")
    assert status == 3
    assert error.splitlines() == ["none.png: no face found"]
    assert len(out.splitlines()) == 1
    Path("a.jpg").write_bytes(jpeg(face_photo(0)[0]))
    status, _, error = demo("none.png", "a.jpg")
    assert status == 0
    assert "none.png: no face found" in error


def test_bad_files_are_one_sentence_each_and_the_others_go_on(demo: Demo) -> None:
    folder = Path("사진")
    folder.mkdir()
    good = jpeg(face_photo(0)[0])
    huge = bytearray(cv2.imencode(".png", noise(1, 8, 8))[1].tobytes())
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    bad = {"a.jpg": b"", "b.jpg": b"text", "c.jpg": good[:-3000], "d.png": bytes(huge), "v.mp4": b"no video"}
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    (folder / "notes.txt").write_text("x")
    (folder / "z.zip").write_bytes(b"PK\3\4 damaged")
    (folder / "z.jpg").write_bytes(good)
    status, out, error = demo("사진", "nowhere.jpg")
    assert status == 1
    assert [row["file"] for row in rows(out)] == ["사진/z.jpg"]
    lines = dict(line.split(": ", 1) for line in error.splitlines() if ": " in line)
    assert lines["사진/a.jpg"] == "empty file"
    assert lines["사진/b.jpg"] == "not a picture"
    assert lines["사진/c.jpg"] == "cut off"
    assert lines["사진/d.png"] == "too many pixels"
    assert lines["사진/v.mp4"] == "not a video that can be read"
    assert "not a complete zip archive" in lines["사진/z.zip"]
    assert lines["nowhere.jpg"] == "No such file or directory"
    assert "1 other file left out" in error
    assert "Traceback" not in error


def test_archives_and_copies(demo: Demo) -> None:
    good = jpeg(face_photo(0)[0])
    write_cp949_zip(Path("묶음.zip"), {"사람/기쁨.jpg": good, "b.txt": b"x"})
    write_raw_zip(Path("evil.zip"), [(b"../../evil.jpg", good), (b"/root/evil.jpg", good), (b"film.mp4", b"x")])
    Path("evil.jpg").write_bytes(good)
    status, out, error = demo("묶음.zip", "evil.zip", "evil.jpg", "evil.jpg", "--out", "result")
    assert (status, out) == (1, "")
    assert "evil.zip/film.mp4: a video in a zip archive, unpack it first" in error
    written = {path.relative_to("result").as_posix() for path in Path("result").rglob("*") if path.is_file()}
    pictures = ["묶음/사람/기쁨.jpg", "evil/evil.jpg", "evil/root/evil.jpg", "evil.jpg", "evil_2.jpg"]
    assert written == {"faces.csv", "rejected.csv", *pictures}
    rejected = rows(Path("result/rejected.csv").read_text(encoding="utf-8"))
    assert [tuple(row.values()) for row in rejected] == [
        ("묶음.zip/b.txt", "not a picture or video"),
        ("evil.zip/film.mp4", "a video in a zip archive, unpack it first"),
    ]
    assert {path.name for path in Path().iterdir()} == {"묶음.zip", "evil.zip", "evil.jpg", "result"}
    files = [row["file"] for row in rows(Path("result/faces.csv").read_text(encoding="utf-8"))]
    assert files[0] == "묶음.zip/사람/기쁨.jpg"
    assert len(files) == 5
    for picture in pictures:
        copy = decode((Path("result") / picture).read_bytes(), colour=True)
        assert copy.shape == face_photo(0)[0].shape
        assert np.abs(copy.astype(int) - face_photo(0)[0]).max() > 100


def test_copies_do_not_get_into_each_others_way(demo: Demo) -> None:
    good = jpeg(face_photo(0)[0])
    names = ["a.jpg", "a.jpg/b.png", "faces.csv/c.jpg", "한" * 80 + ".jpg", "한" * 80 + ".png"]
    write_raw_zip(Path("faces.csv.zip"), [(name.encode(), good) for name in names], flag=0x800)
    assert demo("faces.csv.zip", "--out", "result")[0] == 0
    assert len(rows(Path("result/faces.csv").read_text(encoding="utf-8"))) == len(names)
    written = {path.relative_to("result").as_posix() for path in Path("result").rglob("*.jpg")}
    long = "한" * 60
    assert written == {f"faces_csv/{name}.jpg" for name in ("a", "a_jpg/b", "faces_csv/c", long, f"{long}_2")}


def test_what_cannot_be_read_and_is_no_picture_is_left_out(demo: Demo) -> None:
    path = write_cp949_zip(Path("a.zip"), {"b.txt": b"x", "c.jpg": b"x"})
    path.write_bytes(re.sub(b"(PK\x01\x02....)\0", b"\\1\1", path.read_bytes(), flags=re.DOTALL))  # encrypted
    status, _, error = demo("a.zip")
    assert status == 1
    assert error.splitlines() == ["a.zip/c.jpg: encrypted in its archive", "1 other file left out"]


def test_nothing_is_overwritten(demo: Demo) -> None:
    Path("a.jpg").write_bytes(jpeg(face_photo(0)[0]))
    Path("empty").mkdir()
    Path("link").symlink_to("nowhere")
    for name in (".", "a.jpg", "empty", "link"):
        sentence, *printed = demo("a.jpg", "--out", name)
        says(sentence, name, "--out", "new folder")
        assert printed == ["", ""]
    assert demo("a.jpg", "--out", "result")[0] == 0
    before = snapshot(Path("result"))
    sentence, *printed = demo("a.jpg", "--out", "result")
    says(sentence, "result", "--out", "new folder")
    assert printed == ["", ""]
    assert snapshot(Path("result")) == before


def test_a_link_that_someone_plants_is_not_followed(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.jpg").write_bytes(jpeg(face_photo(0)[0]))
    Path("mine.txt").write_text("mine")

    def plant(*arguments: Any) -> Any:
        Path("result/a.jpg").symlink_to(Path("mine.txt").absolute())
        return read_photo(*arguments)

    monkeypatch.setattr(command, "read_photo", plant)
    assert str(demo("a.jpg", "--out", "result")[0]).startswith("error: result/a.jpg: File exists")
    assert Path("mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["=cmd|'C calc'!A0.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "＝1.jpg"])
def test_a_name_is_not_a_formula(demo: Demo, name: str) -> None:
    Path("photos").mkdir()
    Path(f"photos/{name}").write_bytes(jpeg(face_photo(0)[0]))
    Path("photos").rename(name)
    assert [row["file"] for row in rows(demo(f"./{name}")[1])] == [f"'{name}/{name}"]
    assert json.loads(demo(f"./{name}", "--format", "json")[1])[0]["file"] == f"{name}/{name}"


def test_a_name_does_not_steer_the_terminal(demo: Demo) -> None:
    """Colours, a title, a line of its own, C1 codes, text from right to left, what is not Unicode."""
    name = "\x1b[31m\x1b]0;title\x07\n\r\x9b2J\u202egpj.\udcff"
    shown = r"\u001b[31m\u001b]0;title\u0007\n\r\u009b2J\u202egpj.\udcff"
    data = {"a.jpg": jpeg(face_photo(0)[0]), "b.jpg": b"text", "c.jpg": jpeg(np.full((90, 90, 3), 80, np.uint8))}
    Path(name).mkdir()
    for file, content in data.items():
        Path(name, file).write_bytes(content)
    status, out, error = demo(name)
    assert (status, [row["file"] for row in rows(out)]) == (1, [f"{shown}/a.jpg"])
    assert error.splitlines() == [f"{shown}/b.jpg: not a picture", f"{shown}/c.jpg: no face found"]
    out = demo(name, "--format", "json")[1]
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert json.loads(out)[0]["file"] == f"{name}/a.jpg"
    assert demo(name, "--out", "result")[0] == 1
    assert Path("result/faces.csv").read_text(encoding="utf-8").isascii()


@pytest.mark.parametrize(
    ("trained_on", "word", "korean"),
    [
        ({"fer2013": {"embarrassed": ["surprise"]}}, "surprised", "놀람"),
        ({"fer2013": {"embarrassed": ["surprise"]}, "korean": {"embarrassed": ["당황"]}}, "embarrassed", "당황"),
        ({"fer2013": {"embarrassed": ["fear", "surprise"]}}, "embarrassed", "당황"),
    ],
)
def test_what_was_learned_from_surprise_alone_is_called_surprised(
    demo: Demo, model_folder: Path, trained_on: dict[str, dict[str, list[str]]], word: str, korean: str
) -> None:
    copy = onnx.load(model_folder / "after.onnx")
    emotions = {"angry": "분노", "embarrassed": "당황", "sad": "슬픔"}
    shares = {"korean": {"angry": 0.1, "embarrassed": 0.2, "sad": 0.3}}
    own = card_with(unsure=0.0)
    own = changed(own, emotions=emotions, recognised=shares, trained_on=trained_on)
    onnx.helper.set_model_props(copy, to_texts(own))
    onnx.save(copy, "model.onnx")
    model = find_models(Path("model.onnx"))[-1]
    assert model.card.emotions == emotions
    assert model.shown.emotions == {"angry": "분노", word: korean, "sad": "슬픔"}
    assert model.shown.recognised["korean"] == {"angry": 0.1, word: 0.2, "sad": 0.3}
    for number in range(4):
        Path(f"{number}.jpg").write_bytes(jpeg(face_photo(number)[0]))
    names = [f"{number}.jpg" for number in range(4)]
    table = rows(demo(*names, "--model", "model.onnx")[1])
    faces = json.loads(demo(*names, "--model", "model.onnx", "--format", "json")[1])
    assert all(word in row for row in table)
    assert {word} <= {row["label"] for row in table} <= {"angry", word, "sad"}
    assert all(list(face["probability"]) == ["angry", word, "sad"] for face in faces)
    assert (word, korean) in {(face["label"], face["label_korean"]) for face in faces}


@pytest.mark.parametrize("arguments", [["--camera", "9"], ["empty"]])
def test_what_cannot_begin_leaves_no_folder(demo: Demo, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: capture("nothing.mp4"))
    Path("empty").mkdir()
    assert str(demo(*arguments, "--out", "result")[0]).startswith("error: ")
    assert not Path("result").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "name photos"),
        ("a.jpg --web", "name photos"),
        ("--camera 0", "--camera needs --out"),
        *((f"--camera={number} --out o", f"{number} must be a whole number") for number in ("x", "-1", "2147483648")),
        *((f"--camera 0 --out o --seconds={seconds}", f"{seconds} must be a number") for seconds in ("-1", "nan", "x")),
        ("a.jpg --seconds 3", "--seconds goes with --camera"),
        ("a.jpg --port 80", "--port goes with --web"),
        ("--web --out o", "leave out --out and --format"),
        ("--web --format json", "leave out --out and --format"),
    ],
)
def test_wrong_command_lines(demo: Demo, arguments: str, words: str) -> None:
    status, out, error = demo(*arguments.split())
    assert (status, out) == (2, "")
    assert words in error
    assert not Path("o").exists()


def test_a_folder_without_pictures(demo: Demo) -> None:
    Path("empty").mkdir()
    says(demo("empty")[0], "no picture or video")


def test_models_that_are_not_there_or_not_ours(place: Path, model_folder: Path) -> None:
    with pytest.raises(UserError, match=r"No model .* in data/export or weights/fer2013\.onnx; make one with"):
        find_models()
    Path("weights").mkdir()
    Path("weights/fer2013.onnx").write_bytes(b"text")
    with pytest.raises(UserError, match=r"fer2013\.onnx is no ONNX model"):
        find_models()
    for name in ("fer2013", "other"):
        Path(f"weights/{name}.onnx").write_bytes((model_folder / "after.onnx").read_bytes())
    assert [model.card.name for model in find_models()] == ["after"]
    assert [model.card.name for model in find_models(Path("weights/other.onnx"))] == ["after"]
    Path("data/export").mkdir(parents=True)
    for name in ("after", "before"):
        Path(f"data/export/{name}.onnx").write_bytes((model_folder / f"{name}.onnx").read_bytes())
    assert [model.card.name for model in find_models()] == ["before", "after"]


def test_a_model_of_drawn_faces_only_if_there_is_no_other(place: Path, model_folder: Path) -> None:
    for name, drawn in (("data/export/after.onnx", True), ("weights/fer2013.onnx", False)):
        Path(name).parent.mkdir(parents=True)
        copy = onnx.load(model_folder / "after.onnx")
        onnx.helper.set_model_props(copy, to_texts(changed(card(name), drawn=drawn)))
        onnx.save(copy, name)
    assert [model.card.name for model in find_models()] == ["weights/fer2013.onnx"]
    assert [model.card.name for model in find_models(Path("data/export"))] == ["data/export/after.onnx"]
    Path("weights/fer2013.onnx").unlink()
    assert [model.card.name for model in find_models()] == ["data/export/after.onnx"]


def film(path: Path, frames: int, rate: float = 10, step: int = 4) -> np.ndarray:
    """A face that moves to the right; returns the first frame."""
    picture = cv2.resize(face_photo(2)[0], (360, 480))
    writer = VideoWriter(path, rate)
    for number in range(frames):
        writer.write(np.roll(picture, step * number, axis=1), number / rate)
    writer.close()
    return picture


def test_a_video(demo: Demo) -> None:
    film(Path("영상.mp4"), 12)
    status, _, error = demo("영상.mp4", "--out", "결과")
    assert (status, error) == (0, "")
    table = rows(Path("결과/faces.csv").read_text(encoding="utf-8"))
    assert [int(row["frame"]) for row in table if row["face"] == "1"] == list(range(12))
    assert [float(row["time"]) for row in table if row["face"] == "1"] == pytest.approx(np.arange(12) / 10)
    lefts = [float(row["left"]) for row in table if row["face"] == "1"]
    assert lefts[-1] - lefts[0] == pytest.approx(44, abs=12)
    copy = VideoFile(Path("결과/영상.mp4"))
    frames = list(copy)
    assert (copy.rate, len(frames)) == (10, 12)
    assert frames[0][1].shape == (480, 360, 3)


# How a frame is to be seen: the matrix a, b, c, d of ISO/IEC 14496-12 takes a point (x, y) to (ax + cy, bx + dy).
MATRICES = {
    (1, 0, 0, 1): lambda p: p,
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (0, -1, 1, 0): np.rot90,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (0, 1, 1, 0): lambda p: p.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda p: p[::-1, ::-1].transpose(1, 0, 2),
}


def set_matrix(path: Path, header: bytes, matrix: tuple[float, ...]) -> None:
    """Write a matrix into the header of the film (mvhd) or of its track (tkhd)."""
    data = bytearray(path.read_bytes())
    place = data.index(header, data.index(b"moov")) + {b"mvhd": 40, b"tkhd": 44}[header]
    a, b, c, d = (int(65536 * value) for value in matrix)
    data[place : place + 20] = struct.pack(">5i", a, b, 0, c, d)
    path.write_bytes(data)


def first_frame(path: Path) -> np.ndarray:
    return next(iter(VideoFile(path)))[1]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("header", [b"tkhd", b"mvhd"])
@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_a_video_is_turned_and_mirrored_by_its_matrix(
    tmp_path: Path, name: str, header: bytes, matrix: tuple[float, ...]
) -> None:
    film(tmp_path / name, 1)
    stored = first_frame(tmp_path / name)
    set_matrix(tmp_path / name, header, matrix)
    assert (first_frame(tmp_path / name) == MATRICES[matrix](stored)).all()


def test_what_is_mirrored_twice_is_not_mirrored(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 1)
    stored = first_frame(tmp_path / "a.mp4")
    set_matrix(tmp_path / "a.mp4", b"mvhd", (1, 0, 0, -1))
    set_matrix(tmp_path / "a.mp4", b"tkhd", (-1, 0, 0, 1))
    assert (first_frame(tmp_path / "a.mp4") == stored[::-1, ::-1]).all()


def set_pixel(path: Path, width: int, height: int) -> None:
    """Give an MP4 a box `pasp`: how wide and high a pixel is."""
    box = struct.pack(">I4sII", 16, b"pasp", width, height)
    data = bytearray(path.read_bytes())
    place = data.index(b"moov")
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v"):
        place = data.index(name, place)
        (size,) = struct.unpack_from(">I", data, place - 4)
        data[place - 4 : place] = struct.pack(">I", size + len(box))
    end = place - 4 + size
    path.write_bytes(data[:end] + box + data[end:])


@pytest.mark.parametrize(("width", "height", "expected"), [(2, 1, 720), (3, 4, 270), (1, 1, 360), (0, 1, 360)])
def test_pixels_of_a_video_are_made_square(tmp_path: Path, width: int, height: int, expected: int) -> None:
    path = tmp_path / "a.mp4"
    picture = film(path, 1)
    set_pixel(path, width, height)
    frame = first_frame(path)
    assert np.abs(frame.astype(int) - cv2.resize(picture, (expected, 480))).mean() < 6
    set_matrix(path, b"tkhd", (0, 1, -1, 0))
    assert (first_frame(path) == np.rot90(frame, -1)).all()


def test_pixels_that_cannot_be_right(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 1)
    set_pixel(tmp_path / "a.mp4", 60_000, 1)
    with pytest.raises(BadPictureError, match="pixels of 60000 x 1, which cannot be right"):
        VideoFile(tmp_path / "a.mp4")


def test_a_damaged_time_does_not_stretch_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    writer = VideoWriter(path, 4)
    for number in range(300):
        writer.write(np.full((48, 64, 3), number % 256, np.uint8), number / 4)
    writer.close()
    data = bytearray(path.read_bytes())
    cluster = data.rindex(b"\x1f\x43\xb6\x75")
    time = data.index(b"\xe7\x83", cluster) + 2  # of Matroska: the cluster's time, milliseconds in three bytes
    data[time : time + 3] = b"\x7f" * 3
    path.write_bytes(data)
    times = [seconds for seconds, _ in VideoFile(path)]
    assert len(times) == 300
    assert 0 < np.diff(times).min() <= np.diff(times).max() < 1


def test_a_squeezed_video_of_a_face(demo: Demo) -> None:
    picture = film(Path("square.mp4"), 1)
    writer = VideoWriter(Path("squeezed.mp4"), 10)
    writer.write(cv2.resize(picture, (180, 480)), 0)
    writer.close()
    set_pixel(Path("squeezed.mp4"), 2, 1)
    expected, found = (
        [float(rows(demo(name)[1])[0][side]) for side in ("left", "top", "right", "bottom")]
        for name in ("square.mp4", "squeezed.mp4")
    )
    assert overlap(Box(*found), Box(*expected)) > 0.8


@pytest.mark.parametrize("ending", [".ts", ".MTS", ".m2ts"])
def test_videos_of_camcorders(demo: Demo, ending: str) -> None:
    Path("films").mkdir()
    film(Path(f"films/a{ending.lower()}"), 2)
    Path(f"films/a{ending.lower()}").rename(f"films/b{ending}")
    status, out, error = demo("films")
    assert (status, error) == (0, "")
    assert [row["frame"] for row in rows(out)] == ["0", "1"]


def test_a_video_without_a_face(demo: Demo) -> None:
    writer = VideoWriter(Path("empty.mp4"), 10)
    for number in range(3):
        writer.write(np.full((120, 160, 3), 90, np.uint8), number / 10)
    writer.close()
    assert demo("empty.mp4")[::2] == (3, "empty.mp4: no face found\n")


@pytest.mark.parametrize("ending", ["avi", "mkv"])
def test_a_video_that_is_cut_off(demo: Demo, ending: str) -> None:
    path = Path(f"a.{ending}")
    film(path, 20)
    assert demo(str(path))[::2] == (0, "")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    status, out, error = demo(str(path), "--out", "result")
    assert (status, out) == (1, "")
    (reason,) = rows(Path("result/rejected.csv").read_text(encoding="utf-8"))
    seen = [float(row["time"]) for row in rows(Path("result/faces.csv").read_text(encoding="utf-8"))]
    assert reason["reason"] == f"only {max(seen) + 0.1:.1f} of its 2.0 seconds could be read"
    assert error == f"a.{ending}: {reason['reason']}\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits of that kind")
def test_a_video_that_no_longer_fits(tmp_path: Path) -> None:
    code = (
        "import resource, signal, numpy as np; from pathlib import Path; from demo.video import VideoWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "writer = VideoWriter(Path('a.mp4'), 10)\n"
        "noise = np.random.default_rng(1).integers(0, 255, (96, 96, 3), np.uint8)\n"
        "[writer.write(noise, number / 10) for number in range(20)]; writer.close()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    says(done.stderr.splitlines()[-1], "a.mp4 could not be written to its end", "disk is full")


def test_a_camera(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    film(Path("film.mp4"), 5)
    capture = cv2.VideoCapture
    opened = []

    def open_file(number: int | str) -> Any:
        if isinstance(number, str):
            return capture(number)
        opened.append(number)
        return capture("film.mp4" if number == 1 else "nothing.mp4")

    monkeypatch.setattr(cv2, "VideoCapture", open_file)
    status, _, _ = demo("--camera", "1", "--out", "result")
    assert (status, opened) == (0, [1])
    table = rows(Path("result/faces.csv").read_text(encoding="utf-8"))
    assert {row["file"] for row in table} == {"camera 1"}
    assert Path("result/camera.mp4").stat().st_size > 1000
    assert "Camera 0 cannot be opened" in demo("--camera", "0", "--out", "other")[0]


@pytest.mark.parametrize("arguments", [["--camera", "0"], ["--camera", "1", "--seconds", "1e-9"]])
def test_a_camera_that_gives_no_picture(demo: Demo, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    film(Path("film.mp4"), 1)
    cameras = [cv2.VideoCapture("film.mp4") for _ in range(2)]
    assert cameras[0].read()[0]  # its only frame
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: cameras[number])
    says(demo(*arguments, "--out", "result")[0], f"Camera {arguments[1]}", "close the program", "another one")


def test_ctrl_c_keeps_what_the_camera_saw(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    film(Path("film.mp4"), 5)
    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: capture("film.mp4" if source == 0 else source))
    frames = []

    def stop_at_the_third(*arguments: Any) -> Any:
        frames.append(arguments)
        if len(frames) == 3:
            raise KeyboardInterrupt
        return read_frame(*arguments)

    monkeypatch.setattr(command, "read_frame", stop_at_the_third)
    assert demo("--camera", "0", "--out", "result")[0] == 0
    assert len(rows(Path("result/faces.csv").read_text(encoding="utf-8"))) >= 2
    assert list(VideoFile(Path("result/camera.mp4")))


def test_written_frames_keep_their_times(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", 10)
    for seconds, grey in ((0.0, 0), (0.5, 100), (0.51, 200), (1.0, 250)):
        writer.write(np.full((64, 64, 3), grey, np.uint8), seconds)
    writer.close()
    frames = [round(float(frame.mean()), -1) for _, frame in VideoFile(tmp_path / "a.mp4")]
    assert frames == [0, *[100] * 5, *[250] * 5]


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"text")
    with pytest.raises(BadPictureError):
        VideoFile(tmp_path / "a.mp4")


def face(left: float, *probability: float) -> Face:
    return Face(Box(left, 0.0, left + 100, 100.0), np.zeros((48, 48), np.uint8), np.array([probability]))


def test_faces_keep_their_numbers() -> None:
    tracker = Tracker(card("after"))
    assert [number for number, _ in tracker.update([face(0, 1, 0), face(200, 0, 1)], 0)] == [1, 2]
    # The other order, and one step towards each other; a new one far away.
    seen = tracker.update([face(180, 0, 1), face(20, 1, 0), face(400, 1, 0)], 0.1)
    assert [number for number, _ in seen] == [2, 1, 3]
    # The first alone would rather be the second's, but then the other had none.
    tracker = Tracker(card("after"))
    tracker.update([face(0, 1, 0), face(60, 1, 0)], 0)
    assert [number for number, _ in tracker.update([face(40, 1, 0), face(100, 1, 0)], 0.1)] == [1, 2]


def test_probabilities_fade_in() -> None:
    tracker = Tracker(card_with(smoothing=0.5))
    tracker.update([face(0, 1, 0)], 0)
    share = tracker.update([face(0, 0, 1)], 0.5)[0][1].probability[0]
    assert share == pytest.approx([np.exp(-1), 1 - np.exp(-1)])
    tracker = Tracker(card_with(smoothing=0))
    tracker.update([face(0, 1, 0)], 0)
    assert tracker.update([face(0, 0, 1)], 0.5)[0][1].probability[0].tolist() == [0, 1]


def test_faces_that_went_are_forgotten() -> None:
    tracker = Tracker(card_with(forget=0.5))
    tracker.update([face(0, 1, 0)], 0)
    assert tracker.update([], 0.4) == []
    assert tracker.update([face(0, 1, 0)], 0.5)[0][0] == 1
    assert tracker.update([face(0, 1, 0)], 1.1)[0][0] == 2
    for number in range(1000):
        tracker.update([face(1000 * number, 1, 0)], 2 + number / 10)
        assert len(tracker.tracks) <= 7


def test_annotation_at_the_borders() -> None:
    for box in (Box(-20, -20, 60, 60), Box(50, 60, 150, 160), Box(10, 10, 12, 12)):
        picture = np.full((100, 90, 3), 90, np.uint8)
        annotate(picture, [Face(box, picture, np.array([[0.2, 0.7, 0.1]]))], card("after"))
        assert (picture != 90).any()


def test_ctrl_c_says_what_was_not_read(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.jpg"):
        Path(name).write_bytes(jpeg(face_photo(0)[0]))
    answers = iter([read_photo])

    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "read_photo", lambda *arguments: next(answers, interrupt)(*arguments))
    status, _, error = demo("a.jpg", "b.jpg", "--out", "result")
    assert (status, error) == (130, "Stopped at b.jpg: it and what follows was not read.\n")
    assert [row["file"] for row in rows(Path("result/faces.csv").read_text(encoding="utf-8"))] == ["a.jpg"]


def test_a_picture_with_any_ending_is_found_in_a_folder(demo: Demo) -> None:
    Path("photos").mkdir()
    picture = face_photo(0)[0]
    for ending in (".jp2", ".jpg"):
        Path(f"photos/a{ending}").write_bytes(cv2.imencode(ending, picture)[1].tobytes())
    Path("photos/a.jpg").rename("photos/b.jpg_large")
    Path("photos/notes.md").write_text("x")
    status, out, error = demo("photos")
    assert (status, error) == (0, "1 other file left out\n")
    assert {row["file"] for row in rows(out)} == {"photos/a.jp2", "photos/b.jpg_large"}


@pytest.mark.parametrize("values", [{"size": 224}, {"emotions": {"angry": "분노", "happy": "기쁨"}}])
def test_a_card_of_another_network(place: Path, model_folder: Path, values: dict[str, Any]) -> None:
    copy = onnx.load(model_folder / "after.onnx")
    onnx.helper.set_model_props(copy, to_texts(changed(card("after"), **values)))
    onnx.save(copy, "a.onnx")
    with pytest.raises(UserError) as error:
        find_models(Path("a.onnx"))
    says(error, "a.onnx", "metadata", "dvc repro export")


def test_a_shipped_network_that_was_tested_on_nothing(
    place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = onnx.load(model_folder / "after.onnx")
    onnx.helper.set_model_props(copy, to_texts(changed(card("after"), recognised={})))
    onnx.save(copy, "a.onnx")
    Path("a.jpg").write_bytes(jpeg(face_photo(0)[0]))
    monkeypatch.setattr(sys, "argv", ["demo", "--model", "a.onnx", "a.jpg"])
    with pytest.raises(SystemExit):
        command.main()
    assert capsys.readouterr().err == "model: a.onnx\n"


def test_the_face_of_the_largest_area_is_the_first(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [Box(0, 0, 120, 100), Box(200, 0, 310, 150), Box(400, 0, 500, 120)]
    monkeypatch.setattr("demo.reading.find_faces", lambda *arguments: boxes)
    read = read_frame(np.full((200, 600, 3), 90, np.uint8), find_models(model_folder))
    assert [face.box for face in read.faces] == [boxes[1], *boxes[::2]]


def test_without_tensorflow() -> None:
    code = "import sys, demo.__main__, demo.web; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    modules = set(done.stdout.split())
    assert "onnxruntime" in modules
    assert not modules & {"tensorflow", "keras", "pandas", "sklearn", "matplotlib", "dvc"}
