import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from samples import exif, face_photo, jpeg, label_record, photo_name, write_labels

from stages import sheets
from stages.datasets.annotators import SIDES
from stages.datasets.manifest import read_photo
from stages.figures import contact_sheet
from stages.figures.contact_sheet import Section, Tile, write_sheet
from stages.files.images import BadPictureError
from stages.files.tables import read_table, write_table

Run = Callable[..., str]
PLAIN = np.full((300, 400, 3), 90, np.uint8)


def covered(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is drawn in a colour."""
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.fixture
def cropped(place: Path, run_stage: Run) -> None:
    """Four photos: one confirmed, one cut by its annotators' box, one unconfirmed, one without a face."""
    photos = {0: face_photo(0)[0], 1: PLAIN, 2: face_photo(2)[0], 3: PLAIN}
    boxes: dict[int, Any] = {0: face_photo(0)[1], 1: (100, 50, 200, 190)}
    (place / "korean/Training").mkdir(parents=True)
    for number, photo in photos.items():
        (place / "korean/Training" / photo_name(number)).write_bytes(jpeg(photo))
    records = [label_record(photo_name(number), boxes=boxes.get(number)) for number in photos]
    write_labels(place / "korean/img_emotion_training_data(기쁨).json", records)
    assert run_stage("rename") == ""
    for split in ("training", "validation"):
        for emotion in ("angry", "happy", "sad"):
            assert run_stage("crop", split, emotion) == ""
    assert run_stage("sheets") == ""


def test_a_sheet_for_each_split_and_emotion(cropped: None) -> None:
    names = [f"{split}_{emotion}.png" for split in ("training", "validation") for emotion in ("angry", "happy", "sad")]
    assert sorted(path.name for path in Path("data/sheets").iterdir()) == names
    heights = {path.stem: cv2.imread(str(path)).shape[0] for path in Path("data/sheets").iterdir()}
    # One row of crops and three of photos; the others have nothing to show.
    assert heights.pop("training_happy") > 4 * 190
    assert set(heights.values()) == {2 * contact_sheet.TITLE + contact_sheet.GAP}


def test_sections_say_how_many_of_how_many(cropped: None, run_stage: Run, monkeypatch: Any) -> None:
    drawn: dict[str, list[Section]] = {}
    monkeypatch.setattr(sheets, "write_sheet", lambda path, title, sections: drawn.update({title: sections}))
    assert run_stage("sheets") == ""
    sections = drawn["training happy: 4 photos, 3 crops"]
    assert [section.heading.split(" ")[:2] for section in sections] == [
        ["1", "found"],
        ["1", "cut"],
        ["1", "found"],
        ["1", "rejected"],
    ]
    assert [len(section.tiles) for section in sections] == [1, 1, 1, 1]
    assert sections[0].tiles[0].caption.split("\n")[1].startswith("overlap 0.")
    assert sections[3].tiles[0].caption.endswith("\nno face found")
    rows = pd.DataFrame({"x": range(5)})
    assert sheets.counted(rows, sections[0].tiles * 2, "rejected") == "5 rejected, the first 2"


def test_same_bytes_again(cropped: None, run_stage: Run) -> None:
    before = {path: path.read_bytes() for path in Path("data/sheets").iterdir()}
    assert run_stage("sheets") == ""
    assert {path: path.read_bytes() for path in Path("data/sheets").iterdir()} == before


@pytest.mark.parametrize("orientation", [1, 6])
def test_boxes_lie_where_they_are_in_the_upright_photo(place: Path, orientation: int) -> None:
    photo = np.zeros((900, 1200, 3), np.uint8)
    data = jpeg(photo if orientation == 1 else np.ascontiguousarray(np.rot90(photo)), exif(orientation))
    Path("photo.jpg").write_bytes(data)
    row: dict[Any, Any] = {"archive": "", "number": -1, "path": "photo.jpg", "size": str(len(data))}
    row |= {"crc": f"{zlib.crc32(data):08x}", "left": "300", "top": "150", "side": "600"}
    row |= {f"{side}_{annotator}": "" for side in SIDES for annotator in "ABC"}
    row |= {"minX_A": "-1e9", "minY_A": "450", "maxX_A": "450", "maxY_A": "2e6"}
    picture = sheets.photo_with_boxes(row, place, 20)
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    assert np.allclose(covered(picture, sheets.CUT_OUT), (160, 80, 480, 400), atol=4)
    left, top, right, bottom = covered(picture, sheets.ANNOTATED)
    assert np.allclose((top, right), (240, 240), atol=4)
    assert (left, bottom) == (0, 479)


def test_photo_that_cannot_be_shown(place: Path) -> None:
    Path("photo.jpg").write_bytes(b"no photo")
    row = {"archive": "", "number": -1, "path": "photo.jpg", "size": "8", "crc": "00000000"}
    assert sheets.photo_with_boxes(row, place, 20) is None


@pytest.mark.parametrize("crc", ["", "1.23E+11", "ffffffff"])
def test_a_checksum_that_is_not_the_photos(place: Path, crc: str) -> None:
    Path("photo.jpg").write_bytes(b"photo")
    with pytest.raises(BadPictureError, match="changed since rename ran"):
        read_photo(place, {"archive": "", "number": -1, "path": "photo.jpg", "size": "5", "crc": crc})


def test_the_first_of_each_reason_comes_first() -> None:
    rejected = pd.DataFrame({"id": list("abcdef"), "reason": ["cut off"] * 3 + ["empty file"] * 2 + ["not a picture"]})
    assert "".join(sheets.each_reason_first(rejected)["id"]) == "adfbec"


def test_pictures_keep_their_shape_and_their_place(tmp_path: Path) -> None:
    red, wide = np.full((50, 50, 3), (0, 0, 255), np.uint8), np.full((300, 1200, 3), (255, 0, 0), np.uint8)
    section = Section("heading", 3, [Tile(None, "none"), Tile(red, "red"), Tile(wide, "wide"), Tile(red, "second row")])
    write_sheet(tmp_path / "new/sheet.png", "title", [section, section._replace(tiles=[Tile(wide, "")])])
    page = cv2.imread(str(tmp_path / "new/sheet.png"))
    assert page.shape == (2 * 22 + 10 + section.height + section._replace(tiles=[Tile(red, "")]).height, 1200, 3)
    left, top, right, bottom = covered(page[: section.height // 2], (255, 0, 0))
    assert (right - left + 1, bottom - top + 1) == (section.side, round(section.side / 4))
    left, top, right, bottom = covered(page, (0, 0, 255))
    assert (right - left + 1, bottom - top + 1 - section.row_height) == (section.side + 10 + 50, 50)


def test_crops_without_their_manifest_row_are_a_fault(cropped: None, run_stage: Run) -> None:
    path = Path("data/crops/training_happy.csv")
    table = read_table(path)
    write_table(pd.concat([table, table]), path)
    with pytest.raises(pd.errors.MergeError):
        run_stage("sheets")
