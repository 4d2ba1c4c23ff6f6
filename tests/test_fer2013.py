import zipfile
from pathlib import Path

import numpy as np
import pytest
from samples import jpeg, noise

from stages.datasets.fer2013 import Picture, find_pictures, parse_pixels
from stages.runtime.errors import UserError

PIXELS = " ".join(str(n % 256) for n in range(48 * 48))


def found(root: Path) -> list[tuple[str, str, str]]:
    return sorted((p.split, p.label, p.id) for p in find_pictures(root))


def write_folder(root: Path) -> None:
    for n, name in enumerate(["train/angry/1.jpg", "train/happy/1.jpg", "test/happy/2.JPEG", "Train/Sad/3.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(noise(n, 48, 48)))


FOUND = [
    ("test", "happy", "test/happy/2"),
    ("train", "angry", "train/angry/1"),
    ("train", "happy", "train/happy/1"),
    ("train", "sad", "train/sad/3"),
]


def test_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep/in")
    for name in ("readme.txt", "train/other/9.jpg", "train/9.jpg", "valid/angry/9.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert found(tmp_path) == FOUND


@pytest.mark.parametrize("inner", ["", "fer2013/"])
def test_archive(tmp_path: Path, inner: str) -> None:
    write_folder(tmp_path / "raw")
    archive = tmp_path / "zips/archive.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted((tmp_path / "raw").rglob("*.*")):
            target.write(path, inner + path.relative_to(tmp_path / "raw").as_posix())
    assert found(archive) == found(archive.parent) == FOUND


CSV = {
    "fer2013.csv": f"emotion,pixels,Usage\n0,{PIXELS},Training\n3,{PIXELS},PublicTest\n6,{PIXELS},PrivateTest\n",
    "icml_face_data.csv": (
        f"emotion, Usage, pixels\n0,Training,{PIXELS}\n3,PublicTest,{PIXELS}\n6,PrivateTest,{PIXELS}\n"
    ),
}


@pytest.mark.parametrize("name", CSV)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_csv(tmp_path: Path, name: str, packed: bool, ends: str) -> None:
    data = CSV[name].replace("\n", ends).encode("utf-8-sig")
    if packed:
        with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
            archive.writestr(f"fer2013/{name}", data)
    else:
        (tmp_path / name).write_bytes(data)
    place = f"archive.zip/fer2013/{name}" if packed else name
    assert list(find_pictures(tmp_path)) == [
        Picture("train", "angry", "train/angry/00002", f"{place}:00002", PIXELS),
        Picture("test", "happy", "test/happy/00003", f"{place}:00003", PIXELS),
        Picture("test", "neutral", "test/neutral/00004", f"{place}:00004", PIXELS),
    ]


def test_csv_named_alone(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(CSV["fer2013.csv"])
    assert len(list(find_pictures(tmp_path / "fer2013.csv"))) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"emotion,pixels\n0,1\n", r"fer2013\.csv has no column Usage"),
        (b"", r"fer2013\.csv has no column Usage, emotion, pixels"),
        (b"emotion,pixels,Usage\n7,1,Training\n", r"fer2013\.csv, line 2: emotion must be 0 to 6"),
        (b"emotion,pixels,Usage\n0,1,Training\n,1,Training\n", r"fer2013\.csv, line 3: emotion must be 0 to 6"),
        (
            b"emotion,pixels,Usage\n0,1 2 3",
            r"fer2013\.csv, line 2: emotion .* and Usage one of Training, PublicTest, PrivateTest;",
        ),
        (b'emotion,pixels,Usage\n0,"' + b"1 " * 100_000, r"fer2013\.csv is damaged"),
        (b"\xff\xfe\xb1\xe2", r"fer2013\.csv is damaged"),
    ],
    ids=["no column", "empty", "emotion", "no emotion", "cut off", "open quote", "no text"],
)
def test_bad_csv_is_one_sentence(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "fer2013.csv").write_bytes(text)
    with pytest.raises(UserError, match=message):
        list(find_pictures(tmp_path))


def test_nothing_of_fer2013(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(
        UserError, match=r"^No FER2013 in .*train/<class>/\*\.jpg.*fer2013\.csv.*https://www\.kaggle\.com"
    ):
        list(find_pictures(tmp_path))


def test_truncated_archive_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("train/angry/1.jpg", b"x" * 100)
    (tmp_path / "archive.zip").write_bytes((tmp_path / "archive.zip").read_bytes()[:60])
    with pytest.raises(UserError, match=r"^archive\.zip in .* cannot be opened: not a complete zip archive"):
        list(find_pictures(tmp_path))
    with pytest.raises(UserError, match=r"archive\.zip in .* cannot be opened"):
        list(find_pictures(tmp_path / "archive.zip"))


def test_damaged_csv_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fer2013.csv", CSV["fer2013.csv"])
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"PublicTest", b"PublicTast"))
    with pytest.raises(UserError, match=r"a\.zip/fer2013\.csv is damaged .*CRC"):
        list(find_pictures(tmp_path))


def test_pixels() -> None:
    picture = parse_pixels(PIXELS)
    assert picture is not None
    assert picture.dtype == np.uint8
    assert picture[1, 2] == 50  # row by row
    assert picture[47, 47] == 255


@pytest.mark.parametrize("last", ["", "255 1", "256", "-1", "x", "1.5", "9" * 30])
def test_bad_pixels(last: str) -> None:
    assert parse_pixels(PIXELS.removesuffix("255") + last) is None
    assert parse_pixels(last) is None
