import zipfile
from pathlib import Path

import pytest
from samples import jpeg, noise

from stages.datasets.fer2013 import CLASSES, find_pictures, parse_pixels
from stages.datasets.picture import Picture
from stages.runtime.errors import UserError

PIXELS = " ".join(str(n % 256) for n in range(48 * 48))


GREY = bytes(n % 256 for n in range(48 * 48))


def found(root: Path) -> list[tuple[str, str, str]]:
    """Split, label and id of the pictures that are placed."""
    return sorted((p.split, p.label, p.id) for p in find_pictures(root) if not problem(p))


def problem(picture: Picture) -> str:
    return "" if isinstance(picture.source, bytes) else picture.source.problem


def problems(root: Path) -> dict[str, str]:
    """Why the others are not, by path."""
    return {picture.path: problem(picture) for picture in find_pictures(root) if problem(picture)}


def write(root: Path, *names: str) -> None:
    """Pictures that all differ."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


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
    assert found(tmp_path) == sorted([*FOUND, ("train", "angry", "validation/angry/9")])
    assert problems(tmp_path) == {"train/other/9.jpg": "class not known", "train/9.jpg": "class not known"}


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
        Picture("train", "angry", "train/angry/00002", f"{place}:00002", GREY),
        Picture("test", "happy", "test/happy/00003", f"{place}:00003", GREY),
        Picture("test", "neutral", "test/neutral/00004", f"{place}:00004", GREY),
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
        UserError,
        match=r"^No FER2013 in .*train/<class>/\*\.jpg.*fer2013\.csv.*; 1 other pictures.*https://www\.kaggle",
    ):
        list(find_pictures(tmp_path))


def test_truncated_archive_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("train/angry/1.jpg", b"x" * 100)
    (tmp_path / "archive.zip").write_bytes((tmp_path / "archive.zip").read_bytes()[:60])
    with pytest.raises(UserError, match=r"^archive\.zip cannot be opened: not a complete zip archive"):
        list(find_pictures(tmp_path))
    with pytest.raises(UserError, match=r"archive\.zip cannot be opened"):
        list(find_pictures(tmp_path / "archive.zip"))


def test_damaged_csv_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fer2013.csv", CSV["fer2013.csv"])
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b" 77 78 ", b" 78 77 "))
    with pytest.raises(UserError, match=r"a\.zip/fer2013\.csv is damaged .*CRC"):
        list(find_pictures(tmp_path))


def test_pixels() -> None:
    values = parse_pixels(PIXELS)
    assert (len(values), values[50], values[-1]) == (48 * 48, 50, 255)


@pytest.mark.parametrize("last", ["", "255 1", "256", "-1", "x", "1.5", "9" * 30])
def test_bad_pixels(last: str) -> None:
    assert parse_pixels(PIXELS.removesuffix("255") + last) == b""
    assert parse_pixels(last) == b""


def test_every_picture_on_the_disk_is_yielded(tmp_path: Path) -> None:
    endings = ("jpg", "JPEG", "jfif", "png", "bmp", "webp", "heic")
    write(tmp_path, *(f"fer/train/angry/{n}.{ending}" for n, ending in enumerate(endings)))
    write(
        tmp_path,
        "train/sad/deeper/1.jpg",
        "train/1.jpg",
        "sad/1.jpg",
        "1.jpg",
        "test/sad/1.png",
        "train/contempt/1.jpg",
    )
    write(tmp_path, "train/sad/notes.txt", "train/sad/Thumbs.db")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("test/happy/1.png", b"x")
        archive.writestr("happy/1.png", b"x")
    assert problems(tmp_path) == {
        "fer/train/angry/6.heic": "format not read",
        "train/sad/deeper/1.jpg": "folder too deep",
        "train/1.jpg": "class not known",
        "train/contempt/1.jpg": "class not known",
        "sad/1.jpg": "split not known",
        "1.jpg": "split not known",
        "more.zip/happy/1.png": "split not known",
    }
    on_disk = sum(path.suffix not in ("", ".txt", ".db", ".zip") for path in tmp_path.rglob("*")) + 2
    assert len(list(find_pictures(tmp_path))) == on_disk == 15


@pytest.mark.parametrize("third", ["val", "valid", "Validation"])
def test_third_folder_is_the_validation_split(tmp_path: Path, third: str) -> None:
    write(tmp_path, "train/sad/1.jpg", f"{third}/sad/2.jpg")
    with pytest.raises(UserError, match=r"has train and validation folders, but none named test.*Rename validation to"):
        list(find_pictures(tmp_path))
    write(tmp_path, "test/sad/3.jpg")
    assert found(tmp_path) == [
        ("test", "sad", "test/sad/3"),
        ("train", "sad", "train/sad/1"),
        ("train", "sad", "validation/sad/2"),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
        ("Angry", "Disgusted", "Fearful", "Happy", "Sad", "Surprised", "Neutral"),
        ("angry ", "DISGUST", "afraid", "joy", "sad", "Suprise", "neutral"),
        tuple("0123456"),
        tuple(f"{n}_{name}" for n, name in enumerate(CLASSES)),
        tuple(f"[{n}] {name}" for n, name in enumerate(CLASSES)),
    ],
)
def test_names_of_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, *(f"train/{name}/1.jpg" for name in names))
    assert found(tmp_path) == sorted(("train", name, f"train/{name}/1") for name in CLASSES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hapy", r"^train/hapy/1\.jpg: hapy is not a class of FER2013\. Is happy meant\? Then rename the folder"),
        ("Nuetral", r"Is neutral meant"),
        ("7", r"^train/7/1\.jpg: the folders are numbers, but not FER2013's, 0 to 6 for angry, "),
    ],
)
def test_misspelt_class_is_asked_about(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path, "train/sad/1.jpg", f"train/{name}/1.jpg")
    with pytest.raises(UserError, match=message):
        list(find_pictures(tmp_path))


def test_copies_share_an_id_and_others_do_not(tmp_path: Path) -> None:
    write(tmp_path, "train/sad/1.jpg", "train/sad/1.png", "images/train/sad/1.jpg")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "train/sad/1.jpg", "train/sad/1.jpg")
        archive.write(tmp_path / "train/sad/1.png", "train/sad/1.png")
    assert sorted((picture.id, picture.path) for picture in find_pictures(tmp_path) if not problem(picture)) == [
        ("train/sad/1", "train/sad/1.jpg"),
        ("train/sad/1", "z.zip/train/sad/1.jpg"),
        ("train/sad/1.jpg", "images/train/sad/1.jpg"),
        ("train/sad/1.png", "train/sad/1.png"),
        ("train/sad/1.png", "z.zip/train/sad/1.png"),
    ]
    write(tmp_path, "zz/train/sad/1.jpg")
    assert problems(tmp_path) == {"zz/train/sad/1.jpg": "another face of the same name"}


@pytest.mark.parametrize("name", ["archive.tar.gz", "train.zip.crdownload", "more.zip.part0"])
def test_what_cannot_be_looked_into(tmp_path: Path, name: str) -> None:
    write(tmp_path, "train/sad/1.jpg", name)
    with pytest.raises(UserError, match=rf"^{name} .* move it out of "):
        list(find_pictures(tmp_path))


def test_rows_of_nothing_but_commas(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(CSV["fer2013.csv"] + ",,\n,,\n")
    assert len(list(find_pictures(tmp_path))) == 3
