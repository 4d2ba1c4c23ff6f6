"""Bad and odd inputs, each with the row or the sentence that it becomes, through the stages that meet it."""

import codecs
import io
import json
import os
import struct
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import (
    BACKGROUND,
    exif,
    face_photo,
    jpeg,
    label_record,
    noise,
    photo_name,
    write_cp949_zip,
    write_labels,
    write_raw_zip,
)
from sentences import says

from stages.files import archives
from stages.files.tables import read_table

Run = Callable[..., str]
PICTURE, BOX = face_photo(2)
HEIGHT, WIDTH = PICTURE.shape[:2]
UPRIGHT, TURNED = (WIDTH, HEIGHT), (HEIGHT, WIDTH)
GOOD = jpeg(PICTURE)
NAME = photo_name()


def pillow(kind: str, mode: str = "RGB", frames: int = 1, **options: Any) -> bytes:
    pictures = [Image.fromarray(PICTURE[..., ::-1]).convert(mode)] * frames
    if frames > 1:
        pictures[1:] = [Image.fromarray(noise(n, HEIGHT, WIDTH, 3)).convert(mode) for n in range(1, frames)]
        options |= {"save_all": True, "append_images": pictures[1:]}
    file = io.BytesIO()
    pictures[0].save(file, kind, **options)
    return file.getvalue()


def deep_png() -> bytes:
    """Sixteen bits for each pixel."""
    file = io.BytesIO()
    Image.fromarray(PICTURE[..., 1].astype(np.uint16) * 257).save(file, "PNG")
    return file.getvalue()


def huge(kind: str, side: int = 60_000) -> bytes:
    """A picture whose header claims `side` x `side` pixels."""
    if kind == "JPEG":
        place = GOOD.index(b"\xff\xc0") + 5
        return GOOD[:place] + struct.pack(">HH", side, side) + GOOD[place + 4 :]
    if kind == "BMP":
        data = pillow("BMP")
        return data[:18] + struct.pack("<ii", side, side) + data[26:]
    if kind == "GIF":
        data = pillow("GIF")
        return data[:6] + struct.pack("<HH", side, side) + data[10:]
    body = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\4IDAT"


def with_warnings() -> dict[str, bytes]:
    """Whole JPEGs at which libjpeg shakes its head: it decodes them all the same, and so they are kept."""
    scan = GOOD.index(b"\xff\xda")
    spectral = scan + 4 + 1 + 2 * 3  # start of spectral selection, behind length, count and three components
    return {
        "invalid SOS parameters": GOOD[:spectral] + b"\x01" + GOOD[spectral + 1 :],
        "extraneous bytes": GOOD[:-9000] + bytes(200) + GOOD[-8800:],
        "premature end of data segment": GOOD[: len(GOOD) * 4 // 5] + b"\xff\xd9",
        "bytes behind the end": GOOD + b"trailer of a phone",
    }


PICTURES: dict[str, tuple[bytes, str | tuple[int, int]]] = {
    "empty": (b"", "empty file"),
    "text": (b"404 Not Found", "not a picture"),
    "zeros": (bytes(5000), "not a picture"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), "HEIC is not read: convert it to JPEG"),
    **{f"JPEG cut off at {part} %": (GOOD[: len(GOOD) * part // 100], "cut off") for part in (10, 50, 99)},
    "progressive JPEG cut off": (pillow("JPEG", progressive=True)[:-200], "cut off"),
    "JPEG with its header only": (GOOD[:20], "not a picture"),
    **{f"{kind} cut off": (pillow(kind)[:-2000], "not a picture") for kind in ("PNG", "WEBP", "BMP", "GIF")},
    **{kind: (pillow(kind), UPRIGHT) for kind in ("PNG", "WEBP", "BMP", "GIF", "TIFF")},
    "progressive JPEG": (pillow("JPEG", progressive=True), UPRIGHT),
    "grey JPEG": (pillow("JPEG", "L"), UPRIGHT),
    "CMYK JPEG": (pillow("JPEG", "CMYK"), UPRIGHT),
    "16 bits": (deep_png(), UPRIGHT),
    **{f"{mode} PNG": (pillow("PNG", mode), UPRIGHT) for mode in ("RGBA", "LA", "P", "1")},
    "animated GIF": (pillow("GIF", frames=3), UPRIGHT),
    "animated PNG": (pillow("PNG", frames=3), UPRIGHT),
    "animated WebP": (pillow("WEBP", frames=3, lossless=True), UPRIGHT),
    "two pictures in one JPEG": (pillow("MPO", frames=2), UPRIGHT),
    **{f"60,000 x 60,000 {kind}": (huge(kind), "too many pixels") for kind in ("JPEG", "PNG", "BMP", "GIF")},
    **{name: (data, UPRIGHT) for name, data in with_warnings().items()},
    **{
        f"orientation {value}": (jpeg(PICTURE, exif(value)), TURNED if value in (5, 6, 7, 8) else UPRIGHT)
        for value in (*range(10), 65535)
    },
    "1 x 1, its box another picture's": (jpeg(PICTURE[:1, :1]), "no face found"),
}


def write_photo(data: bytes, name: str = NAME, **record: Any) -> None:
    write_cp949_zip(Path("korean/TRAIN.zip"), {name: data})
    write_labels(Path("korean/img_emotion_training_data(기쁨).json"), [label_record(name, **record)])


def rows(name: str) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = read_table(Path(f"data/{name}.csv")).to_dict("records")
    return table


def crop_row(run_stage: Run) -> dict[str, Any]:
    """The row of the one photo there is."""
    assert run_stage("rename") == ""
    assert run_stage("crop", "training", "happy") == ""
    (row,) = rows("crops/training_happy")
    with zipfile.ZipFile("data/crops/training_happy.zip") as archive:
        assert archive.namelist() == ([] if row["reason"] else [row["crop"]])
    return row


@pytest.mark.parametrize(("data", "expected"), PICTURES.values(), ids=PICTURES)
def test_pictures(place: Path, run_stage: Run, data: bytes, expected: str | tuple[int, int]) -> None:
    # A box that is in every picture, however it is turned.
    write_photo(data, boxes=(0, 0, min(WIDTH, HEIGHT), min(WIDTH, HEIGHT)))
    row = crop_row(run_stage)
    if isinstance(expected, str):
        assert (row["reason"], row["crop"]) == (expected, "")
    else:
        assert (row["reason"], int(row["width"]), int(row["height"])) == ("", *expected)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_huge_picture_takes_no_memory(place: Path, run_stage: Run, kind: str) -> None:
    import resource

    write_photo(huge(kind))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert crop_row(run_stage)["reason"] == "too many pixels"
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert megabytes < 50  # decoded, it would take 10,800


BOXES: dict[str, tuple[Any, str]] = {
    "as it should be": (BOX, "verified"),
    "none": (None, "unverified"),
    "not a number": ((float("nan"), *BOX[1:]), "unverified"),
    "infinite": ((*BOX[:3], float("inf")), "unverified"),
    "text": (tuple(str(side) for side in BOX), "unverified"),
    "null": ((*BOX[:3], None), "unverified"),
    "sides swapped": ((BOX[2], BOX[3], BOX[0], BOX[1]), "unverified"),
    "no area": ((BOX[0], BOX[1], BOX[0], BOX[1]), "unverified"),
    "tiny": ((100, 100, 113, 119), "unverified"),
    "outside on the right": (tuple(side + 5000 for side in BOX), "unverified"),
    "outside on the left": (tuple(side - 5000 for side in BOX), "unverified"),
    "a little outside": ((-52, BOX[1], BOX[2], BOX[3]), "verified"),
    "off the face": ((0, 0, 60, 60), "annotators"),
}


@pytest.mark.parametrize(("box", "method"), BOXES.values(), ids=BOXES)
def test_boxes(place: Path, run_stage: Run, box: Any, method: str) -> None:
    write_photo(GOOD, boxes=box)
    row = crop_row(run_stage)
    assert (row["reason"], row["method"]) == ("", method)


def packed(*members: tuple[str, bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_raw_zip(path, [(name.encode("cp949"), data) for name, data in members])

    return write


def changed(*changes: tuple[bytes, int, bytes], data: bytes = GOOD) -> Callable[[Path], None]:
    """An archive of one photo with some bytes changed, each given by its header, the place in it, and the new bytes."""

    def write(path: Path) -> None:
        write_cp949_zip(path, {NAME: data})
        content = bytearray(path.read_bytes())
        for header, offset, new in changes:
            place = content.rindex(header) + offset
            content[place : place + len(new)] = new
        path.write_bytes(content)

    return write


def cut(path: Path) -> None:
    write_cp949_zip(path, {NAME: GOOD})
    path.write_bytes(path.read_bytes()[:-30])


def bomb(path: Path) -> None:
    """300 MB in 300 KB."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, bytes(300_000_000))


def lying_bomb(path: Path) -> None:
    """300 MB that claim to be 100,000 bytes."""
    bomb(path)
    content = bytearray(path.read_bytes())
    for header, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(header) + offset
        content[place : place + 4] = struct.pack("<I", 100_000)
    path.write_bytes(content)


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
NOT_ZIP = "cannot be opened: not a complete zip archive, fetch it again"
# What becomes of each archive: rows that rename rejects, (path, reason, detail), and rows of crop, (path, reason).
ARCHIVES: dict[str, tuple[Callable[[Path], None], list[tuple[str, str, str]], list[tuple[str, str]]]] = {
    "leads out of its folder": (packed((f"../../{NAME}", GOOD)), [], [(f"TRAIN.zip/../../{NAME}", "")]),
    "absolute": (packed((f"/tmp/{NAME}", GOOD)), [], [(f"TRAIN.zip//tmp/{NAME}", "")]),
    "drive": (packed((f"C:\\{NAME}", GOOD)), [], [(f"TRAIN.zip/C:/{NAME}", "")]),
    "the same name twice": (
        packed((NAME, GOOD), (NAME, b"other")),
        [(NAME, "photo found twice", f"TRAIN.zip/{NAME}")],
        [(f"TRAIN.zip/{NAME}", "")],
    ),
    "names that differ in case": (
        packed((NAME, GOOD), (NAME.upper().replace(".JPG", ".Jpg"), GOOD)),
        [(NAME.upper().replace(".JPG", ".Jpg"), "photo found twice", f"TRAIN.zip/{NAME}")],
        [(f"TRAIN.zip/{NAME}", "")],
    ),
    "encrypted": (
        changed((LOCAL, 6, b"\1"), (CENTRAL, 8, b"\1")),
        [(NAME, "file cannot be read", "encrypted in its archive")],
        [],
    ),
    "packed in an unknown way": (
        changed((LOCAL, 8, b"\x09"), (CENTRAL, 10, b"\x09")),
        [],
        [(f"TRAIN.zip/{NAME}", "damaged in its archive")],
    ),
    "damaged": (
        changed((b"damaged", 0, b"DAMAGED"), data=GOOD + b"damaged"),
        [],
        [(f"TRAIN.zip/{NAME}", "damaged in its archive")],
    ),
    "bomb": (bomb, [(NAME, "too many bytes", "300,000,000")], []),
    "bomb that lies about its size": (lying_bomb, [], [(f"TRAIN.zip/{NAME}", "damaged in its archive")]),
}


@pytest.mark.parametrize(("write", "rejected", "cropped"), ARCHIVES.values(), ids=ARCHIVES)
def test_archives(
    place: Path,
    run_stage: Run,
    write: Callable[[Path], None],
    rejected: list[tuple[str, str, str]],
    cropped: list[tuple[str, str]],
) -> None:
    (place / "korean").mkdir()
    write_cp949_zip(place / "korean/more/TRAIN.zip", {photo_name(1): GOOD})  # one good photo, or there is nothing to do
    write(place / "korean/TRAIN.zip")
    around = sorted(place.parent.iterdir())
    assert run_stage("rename") == ""
    assert run_stage("crop", "training", "happy") == ""
    assert [(row["path"], row["reason"], row["detail"]) for row in rows("manifest/rejected")] == rejected
    found = [(row["path"], row["reason"]) for row in rows("crops/training_happy")]
    assert found == [*cropped, (f"more/TRAIN.zip/{photo_name(1)}", "")]
    assert sorted(place.parent.iterdir()) == around
    assert {path.name for path in place.iterdir()} == {"korean", "params.yaml", "data", ".work"}


@pytest.mark.parametrize("write", [cut, lambda path: path.write_bytes(b"")], ids=["cut off", "empty"])
def test_an_archive_that_cannot_be_opened_stops_rename(
    place: Path, run_stage: Run, write: Callable[[Path], None]
) -> None:
    write_cp949_zip(place / "korean/more/TRAIN.zip", {photo_name(1): GOOD})
    write(place / "korean/TRAIN.zip")
    reason = NOT_ZIP if write is cut else "cannot be opened: empty, fetch it again"
    says(run_stage("rename"), f"TRAIN.zip {reason}", "move it out of korean")


def test_lying_bomb_takes_no_memory(place: Path) -> None:
    import resource

    lying_bomb(place / "a/TRAIN.zip")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(zipfile.BadZipFile):
        archives.read(place / "a", *archives.walk(place / "a"))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 50


def test_member_of_more_than_a_gibibyte_is_not_read(place: Path) -> None:
    path = write_cp949_zip(place / "a.zip", {"a.json": b"[]"})
    content = bytearray(path.read_bytes())
    at = content.index(CENTRAL) + 24
    content[at : at + 4] = struct.pack("<I", archives.LARGEST + 1)
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="1,073,741,825 bytes unpacked"):
        archives.read(path, *archives.walk(path))


def record(**changes: Any) -> bytes:
    return json.dumps([label_record(NAME, "슬픔", BOX) | changes]).encode()


def without(*keys: str) -> bytes:
    (item,) = json.loads(record())
    return json.dumps([{key: value for key, value in item.items() if key not in keys}]).encode()


DAMAGED = "error: 라벨_TRAIN.zip/labels.json is "
# A sentence, or columns of the manifest row.
LABELS: dict[str, tuple[bytes, str | dict[str, str]]] = {
    "cut off": (record()[:100], f"{DAMAGED}damaged at character "),
    "empty": (b"", f"{DAMAGED}damaged at character 0 of 0 "),
    "a table": (b"{}", f"{DAMAGED}not a list of label records; fetch this label file again, or "),
    "UTF-16": (record().decode().encode("utf-16"), f"{DAMAGED}neither UTF-8 nor CP949 text"),
    "byte order mark": (codecs.BOM_UTF8 + record(), {"label_A": "sad", "labelled": "True"}),
    "CP949": (
        json.dumps(json.loads(record()), ensure_ascii=False).encode("cp949"),
        {"label_A": "sad", "labelled": "True"},
    ),
    "nothing in it": (b"[]", {"labelled": "False", "uploader": "happy"}),
    "records that are none": (b'[1, null, "text", [], {}]', {"labelled": "False"}),
    "no name": (without("filename"), {"labelled": "False"}),
    "name of another photo": (record(filename=photo_name(9)), {"labelled": "False"}),
    "name with folders": (record(filename=f"a/b\\{NAME}"), {"labelled": "True"}),
    "name that leads out of its folder": (record(filename=f"../{NAME}"), {"labelled": "True"}),
    "labels in NFD, with blanks": (
        record(
            faceExp_uploader=unicodedata.normalize("NFD", " 슬픔"), annot_A={"faceExp": "기쁨\u00a0 "}, isProf="전문인 "
        ),
        {"uploader": "sad", "label_A": "happy", "professional": "True"},
    ),
    "name with / for &": (record(filename=NAME.replace("&", "/")), {"labelled": "True", "label_A": "sad"}),
    "no annotators": (
        without("annot_A", "annot_B", "annot_C"),
        {"labelled": "True", "label_A": "", "minX_A": "", "uploader": "happy"},
    ),
    "no uploader": (without("faceExp_uploader", "isProf"), {"uploader": "happy", "professional": ""}),
    "unknown emotions": (
        record(faceExp_uploader="졸림", annot_B={"faceExp": "알수없음"}),
        {"uploader": "졸림", "label_A": "sad", "label_B": "알수없음", "minX_B": ""},
    ),
    "emotion as a number": (record(annot_A={"faceExp": 3}), {"label_A": "3", "minX_A": ""}),
}


@pytest.mark.parametrize(("data", "expected"), LABELS.values(), ids=LABELS)
def test_labels(place: Path, run_stage: Run, data: bytes, expected: str | dict[str, str]) -> None:
    write_cp949_zip(place / "korean/TRAIN.zip", {NAME: GOOD})
    write_cp949_zip(place / "korean/라벨_TRAIN.zip", {"labels.json": data})
    stopped = run_stage("rename")
    if isinstance(expected, str):
        assert stopped.startswith(expected)
    else:
        assert stopped == ""
        (row,) = rows("manifest/training_happy")
        assert {column: row[column] for column in expected} == expected
        assert run_stage("crop", "training", "happy") == ""


START, END = NAME.split(BACKGROUND)
NAMES = {
    "emoji": START + "집😀" + END,
    "spaces": START + "  집  안  " + END,
    "255 bytes": START + "x" * (255 - len((START + END).encode())) + END,
    "NFD": unicodedata.normalize("NFD", NAME),
    "_ for &": NAME.replace("&", "_"),
    "upper case": NAME.upper(),
    "quotes and commas": START + 'a"b,c;d' + END,
    "line break": START + "a\nb" + END,
    "carriage return": START + "a\rb" + END,
    "tab": START + "a\tb" + END,
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names(place: Path, run_stage: Run, name: str) -> None:
    folder = place / "korean/Training"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(GOOD)
    write_labels(place / "korean/labels.json", [label_record(NAME, boxes=BOX)])
    row = crop_row(run_stage)
    assert (row["path"], row["reason"], row["method"]) == (f"Training/{name}", "", "verified")
    assert os.fsencode(row["path"]) == os.fsencode(f"Training/{name}")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_that_lead_in_circles(place: Path, run_stage: Run) -> None:
    folder = place / "korean/Training"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(GOOD)
    (folder / "up").symlink_to(place / "korean")
    (folder / "here").symlink_to(".")
    itself = photo_name(1)
    (folder / itself).symlink_to(itself)
    assert crop_row(run_stage)["path"] == f"Training/{NAME}"
    reason = ("file cannot be read", "cannot be opened: Too many levels of symbolic links")
    assert {(row["path"], row["reason"], row["detail"]) for row in rows("manifest/rejected")} == {
        (f"Training/{itself}", *reason)
    }


def test_picture_of_fer2013_with_too_many_bytes(place: Path, run_stage: Run, set_params: Any) -> None:
    for number, size in enumerate((2000, 30_000)):
        path = place / f"fer/train/sad/{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(noise(number, 48, 48)).ljust(size, b"\0"))
    set_params({"image.max_megabytes": 0.02})
    assert run_stage("resize", "fer2013") == ""
    assert [(row["path"], row["reason"]) for row in rows("arrays/fer2013/rejected")] == [
        ("train/sad/1.jpg", "too many bytes")
    ]
