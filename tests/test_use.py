"""docs/use.md: its program needs nothing of ours and answers as `python -m demo`; so does `read_faces`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import exif, face_photo, jpeg

from demo import read_faces
from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "weights/fer2013.onnx"
PAGE = (ROOT / "docs/use.md").read_text(encoding="utf-8")
CALL, PROGRAM = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic photos of several sizes, with two faces, turned by EXIF, and with a face at the edge."""
    folder = tmp_path_factory.mktemp("photos")
    one, other = face_photo(0)[0], face_photo(3)[0]
    pictures = {
        "small": one,
        "two": np.hstack([one[:500], other[:500]]),
        "edge": one[:, 95:],
        "large": cv2.resize(other, None, fx=3, fy=3),
        "huge": cv2.resize(one, None, fx=11, fy=11),
    }
    for name, picture in pictures.items():
        (folder / f"{name}.jpg").write_bytes(jpeg(picture))
    (folder / "turned.jpg").write_bytes(jpeg(np.ascontiguousarray(np.rot90(other)), exif(6)))
    return folder


def run(*command: str, folder: Path) -> str:
    return subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_program_of_the_docs_answers_as_the_demo(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/fer2013.onnx").write_bytes(MODEL.read_bytes())
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    paths = [str(path) for path in sorted(photos.iterdir())]
    # -I: the repository is not on the path.
    found = [json.loads(line) for line in run("-I", "program.py", *paths, folder=tmp_path).splitlines()]
    expected = json.loads(run("-m", "demo", "--model", str(MODEL), "--format", "json", *paths, folder=ROOT))
    assert len(expected) == len(paths) + 1
    found.sort(key=lambda face: (face[0], face[1]))
    expected.sort(key=lambda face: (face["file"], face["box"]))
    for (file, box, probability), face in zip(found, expected, strict=True):
        assert file == face["file"]
        assert box == pytest.approx(face["box"], abs=0.06)
        assert probability == pytest.approx(face["probability"], abs=1e-3)


def test_the_call_of_the_docs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(CALL, "docs/use.md", "exec"), {})
    assert capsys.readouterr().out


def test_read_faces_answers_as_the_demo(photos: Path) -> None:
    path = photos / "small.jpg"
    expected = json.loads(run("-m", "demo", "--model", str(MODEL), "--format", "json", str(path), folder=ROOT))
    for found in (read_faces(path, MODEL), read_faces(cv2.imread(str(path)), str(MODEL))):
        for face, answer in zip(found, expected, strict=True):
            assert face.box == pytest.approx(answer["box"], abs=0.06)
            assert face.label == answer["label"]
            assert face.probability == pytest.approx(answer["probability"], abs=1e-4)


def test_what_is_not_a_picture_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"notes\.jpg"):
        read_faces(tmp_path / "notes.jpg", MODEL)
    pixels = (cv2.imread("nowhere.jpg"), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8), b"bytes")
    for photo in pixels:
        with pytest.raises(UserError, match="photo must be a file, or pixels uint8"):
            read_faces(photo, MODEL)  # type: ignore[arg-type]


def test_importing_the_demo_is_light() -> None:
    modules = run("-c", "import sys, demo; print(*sys.modules)", folder=ROOT).split()
    assert not {"cv2", "numpy", "onnxruntime"} & set(modules)


def test_opencv_does_not_load_the_shipped_graph() -> None:
    # If it does one day, docs/use.md is to say so.
    with pytest.raises(cv2.error):
        cv2.dnn.readNetFromONNX(str(MODEL))
