import zipfile
from pathlib import Path

import cv2
import pytest
from samples import noise, write_cp949_zip

from stages.files import archives
from stages.files.formats import is_picture, is_read, refuse_closed
from stages.runtime.errors import UserError

OUT = ". To go on without what is in there, move it out of "


def message(root: Path) -> str:
    try:
        refuse_closed(root, archives.walk(root))
    except UserError as error:
        return str(error)
    return ""


def write(root: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


UNFINISHED = "cannot be looked into: an unfinished download, let it finish or fetch it again"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["download.tar"], "download.tar cannot be looked into: unpack it first"),
        (["a.tar.gz"], "a.tar.gz cannot be looked into: unpack it first"),
        (["a.7z", "b.7z", "c.7z", "d.7z"], "a.7z; b.7z; c.7z and 1 more cannot be looked into: unpack it first"),
        (["a.zip.irx603"], f"a.zip.irx603 {UNFINISHED}"),
        (["a.zip.crdownload"], f"a.zip.crdownload {UNFINISHED}"),
        (["기쁨/a.zip.aria2"], f"기쁨/a.zip.aria2 {UNFINISHED}"),
        (["a.zip.part"], f"a.zip.part {UNFINISHED}"),
        (["a.zip"], "a.zip cannot be opened: not a complete zip archive, fetch it again"),
        (
            ["a.zip.part0"],
            "a.zip.part0 is a piece of a.zip: if it is the only one, rename it to that, or else fetch the others",
        ),
        (
            ["a.zip.part1073741824", "a.zip.part0", "a.zip.part10737418240", "a.zip.part2147483648"],
            "a.zip lies in 4 pieces: join them by number, "
            "`cat 'a.zip.part0' 'a.zip.part1073741824' ... 'a.zip.part10737418240' > 'a.zip'`",
        ),
        (
            ["a.zip.002", "a.zip.001"],
            "a.zip lies in 2 pieces: join them by number, `cat 'a.zip.001' 'a.zip.002' > 'a.zip'`",
        ),
        (
            ["a.z01", "a.zip", "a.z02"],
            "a.zip is split into pieces: join them with `zip -s 0 'a.zip' --out 'a_whole.zip'`",
        ),
    ],
)
def test_what_cannot_be_looked_into(tmp_path: Path, names: list[str], expected: str) -> None:
    write(tmp_path, *names)
    assert message(tmp_path) == f"{expected}{OUT}{tmp_path}."


def test_an_empty_archive_one_in_another_and_one_without_an_ending(tmp_path: Path) -> None:
    write(tmp_path, "a.zip", data=b"")
    write_cp949_zip(tmp_path / "b.zip", {"c.zip": b"x", "1.jpg": b"x"})
    (write_cp949_zip(tmp_path / "d.zip", {"1.jpg": b"x"})).rename(tmp_path / "download")
    assert message(tmp_path) == (
        "a.zip cannot be opened: empty, fetch it again. b.zip/c.zip cannot be looked into: unpack b.zip first. "
        "download cannot be looked into: an archive without an ending, name it .zip if it is one, or else unpack it "
        "first"
        f"{OUT}{tmp_path}."
    )


def test_what_is_left_alone(tmp_path: Path) -> None:
    write_cp949_zip(tmp_path / "a.zip", {"1.jpg": b"x"})
    write(tmp_path, "notes.txt", "labels.json", "LICENSE", "Thumbs.db", "film.mp4")
    with zipfile.ZipFile(tmp_path / "table.xlsx", "w") as book:
        book.writestr("sheet.xml", "x")
    assert message(tmp_path) == ""


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("packed", [False, True])
def test_pictures_are_known_by_their_content(tmp_path: Path, ending: str, packed: bool) -> None:
    data = cv2.imencode(ending, noise(1, 8, 8))[1].tobytes()
    if packed:
        write_cp949_zip(tmp_path / "a.zip", {"face": data, "face.dat": data})
    else:
        write(tmp_path, "face", "face.dat", data=data)
    found = [is_picture(tmp_path, entry) for entry in archives.walk(tmp_path)]
    assert found == [ending != ".bmp"] * 2  # two letters are too few to tell


def test_pictures_are_known_by_their_ending(tmp_path: Path) -> None:
    write(tmp_path, "a.JPG", "b.jfif", "c.HEIC", "d.webp", "e.json", "f.txt", "g")
    entries = list(archives.walk(tmp_path))
    assert [entry.path for entry in entries if is_picture(tmp_path, entry)] == ["a.JPG", "b.jfif", "c.HEIC", "d.webp"]
    assert [entry.path for entry in entries if not is_read(entry)] == ["c.HEIC"]
