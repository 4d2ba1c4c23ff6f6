import codecs
import json
from typing import Any

import pytest
from samples import label_record, photo_name

from stages.datasets.labels import Record, read_records
from stages.runtime.errors import UserError

NAME = photo_name()
BOX = (615.90533, 255.37753, 1044.5197, 869.6799)


def one(**changes: Any) -> Record:
    (record,) = read_records(json.dumps([label_record(NAME, boxes=BOX) | changes]).encode(), "x.json")
    assert isinstance(record, Record)
    return record


def test_record() -> None:
    record = one()
    assert record.key == f"{NAME.split('_')[0]}_20201207001407-002-001"
    assert (record.emotion, record.uploader, record.professional) == ("기쁨", "기쁨", True)
    assert record.annotators == ("기쁨",) * 3
    assert record.boxes == (BOX,) * 3
    assert one(isProf="일반인").professional is False
    assert one(isProf="?").professional is None


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + json.dumps([label_record(NAME)]).encode(),
        json.dumps([label_record(NAME)], ensure_ascii=False).encode(),
        json.dumps([label_record(NAME)], ensure_ascii=False).encode("cp949"),
    ],
    ids=["mark", "utf-8", "cp949"],
)
def test_encodings(data: bytes) -> None:
    (record,) = read_records(data, "x.json")
    assert isinstance(record, Record)
    assert record.annotators == ("기쁨",) * 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (json.dumps([label_record(NAME)]).encode()[:100], r"a/x.json is damaged at character \d+ of 100"),
        (b"", "a/x.json is damaged at character 0 of 0"),
        (b'{"a": 1}', r"a/x.json is not a list .*, or move it out of data\.korean if it is none\.$"),
        (b"[" * 100_000, "a/x.json is not a list"),
        (b"[" + b"9" * 5000 + b"]", "a/x.json is not a list"),
        (b"\xff\xfe[\0]\0", "a/x.json is neither UTF-8 nor CP949"),
    ],
    ids=["cut off", "empty", "table", "deep", "digits", "utf-16"],
)
def test_damaged_file(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read_records(data, "a/x.json"))


def test_items_that_are_no_records_are_named() -> None:
    items = [
        1,
        None,
        "text",
        [],
        {},
        {"filename": 3},
        {"filename": "a/b.jpg"},
        {"filename": "\ud800"},
        {"filename": NAME},
    ]
    *unnamed, record = read_records(json.dumps(items).encode(), "x.json")
    assert unnamed == ["None"] * 5 + ["3", "a/b.jpg", "\ud800"]
    assert isinstance(record, Record)
    assert (record.uploader, record.annotators, record.boxes) == ("", ("",) * 3, (None,) * 3)


@pytest.mark.parametrize(
    "boxes",
    [
        None,
        [],
        "text",
        {},
        {"minX": 1, "minY": 2, "maxX": 3},
        {"minX": 1, "minY": 2, "maxX": 3, "maxY": "4"},
        {"minX": 1, "minY": 2, "maxX": 3, "maxY": None},
        {"minX": 1, "minY": 2, "maxX": 3, "maxY": float("nan")},
        {"minX": 1, "minY": 2, "maxX": 3, "maxY": float("inf")},
        {"minX": 1, "minY": 2, "maxX": 3, "maxY": float("-inf")},
        {"minX": 1, "minY": 2, "maxX": 3, "maxY": 10**400},
    ],
)
def test_box_that_is_not_four_numbers(boxes: Any) -> None:
    assert one(annot_B={"boxes": boxes, "faceExp": "분노"}).boxes == (BOX, None, BOX)
    assert one(annot_B={"boxes": boxes, "faceExp": "분노"}).annotators == ("기쁨", "분노", "기쁨")


def test_whole_negative_and_zero_boxes_are_kept_as_they_are() -> None:
    boxes = {"minX": -52, "minY": 0, "maxX": -52, "maxY": 19}
    assert one(annot_A={"boxes": boxes}).boxes[0] == (-52.0, 0.0, -52.0, 19.0)


@pytest.mark.parametrize("annotation", [None, 1, "text", []])
def test_missing_annotator(annotation: Any) -> None:
    record = one(annot_C=annotation)
    assert record.annotators == ("기쁨", "기쁨", "")
    assert record.boxes == (BOX, BOX, None)
