"""The label files of AI-Hub 82: one JSON list for each emotion and split, three annotators to a photo."""

import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.datasets.aihub import Name, parse_name, split_of
from stages.datasets.annotators import ANNOTATORS, SIDES, understood
from stages.datasets.emotion_words import as_typed
from stages.faces.box import Box
from stages.files import archives
from stages.files.archives import Entry
from stages.runtime.errors import UserError

BEFORE_NAME = re.compile(r"^.*[/\\](?=[0-9a-f]{64}_)", re.IGNORECASE | re.DOTALL)
LARGEST = 1e9  # no picture is so wide; neither infinity nor NaN is less


@dataclass(frozen=True, slots=True)
class Record(Name):
    """One label record: what its file name says, and the labels, still in Korean."""

    uploader: str
    professional: bool | None
    annotators: tuple[str, ...]  # labels of A, B, C; empty where missing
    boxes: tuple[Box | None, ...]  # face boxes of A, B, C; None where missing or not four numbers


@dataclass(slots=True)
class Labels:
    """All label records of a download, by `Record.key`."""

    records: dict[str, Record] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)  # official; "" where none, or more than one, is said
    differing: dict[str, str] = field(default_factory=dict)  # the file in which a photo's second, other record stands
    counts: dict[str, int] = field(default_factory=dict)


def collect_records(root: Path, files: Iterable[Entry], used: set[str]) -> Labels:
    """Read label files; records of other emotions than those `used`, in Korean, are only counted.

    A photo's record may be repeated; of records that differ the first is kept and the photo noted. Where label files
    disagree on the split of a photo, none is said.

    Raises:
        UserError: a file is damaged or not a list of label records.
    """
    labels = Labels(counts=dict.fromkeys(("found", "unnamed", "emotion_not_used", "repeated", "not_understood"), 0))
    disputed: set[str] = set()
    for entry in files:
        try:
            data = archives.read(root, entry)
        except zipfile.BadZipFile:
            problem = entry.problem or "damaged in its archive"
            raise UserError(f"{entry.place} is {problem}; fetch the archive again.") from None
        split = split_of(entry.place) or ""
        for record in read_records(data, entry.place):
            labels.counts["found"] += 1
            if isinstance(record, str):
                labels.counts["unnamed"] += 1
                continue
            if record.emotion not in used:
                labels.counts["emotion_not_used"] += 1
                continue
            known = labels.records.setdefault(record.key, record)
            if known is not record:
                labels.counts["repeated"] += 1
                if known != record:
                    labels.differing[record.key] = entry.place
            words = (record.uploader, *record.annotators)
            labels.counts["not_understood"] += known is record and not all(map(understood, words))
            if split and labels.splits.setdefault(record.key, split) != split:
                disputed.add(record.key)
    labels.splits |= dict.fromkeys(disputed, "")
    return labels


def read_records(data: bytes, path: str) -> Iterator[Record | str]:
    """Yield the records of one label file; for a record whose file name cannot be understood, that name.

    Raises:
        UserError: the file is no JSON list of records; the message names `path`.
    """
    for item in _parse(data, path):
        filename = item.get("filename") if isinstance(item, dict) else None
        # A folder may stand before it, and "/" for "&" in it.
        name = parse_name(BEFORE_NAME.sub("", filename)) if isinstance(filename, str) else None
        if name is None:
            yield str(filename)
            continue
        said = [item.get(f"annot_{annotator}") for annotator in ANNOTATORS]
        annotations = [annotation if isinstance(annotation, dict) else {} for annotation in said]
        words = (item.get("faceExp_uploader"), *(annotation.get("faceExp") for annotation in annotations))
        # The same few, hundreds of thousands of times.
        uploader, *labels = (sys.intern(as_typed(word)) for word in words)
        yield Record(
            *(name.key, name.gender, name.age, name.emotion, name.background),
            uploader,
            {"전문인": True, "일반인": False}.get(as_typed(item.get("isProf"))),
            tuple(labels),
            tuple(_box(annotation.get("boxes")) for annotation in annotations),
        )


def _parse(data: bytes, path: str) -> list[Any]:
    text = next(archives.decodings(data, "utf-8-sig", "cp949"), None)
    if text is None:
        raise UserError(f"{path} is neither UTF-8 nor CP949 text; fetch this label file again.")
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is damaged at character {error.pos} of {len(data)} ({error.msg}); fetch this label file again."
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists without end
        records = None
    if not isinstance(records, list):
        raise UserError(
            f"{path} is not a list of label records; fetch this label file again, or move it out of data.korean if it "
            "is none."
        )
    return records


def _box(value: Any) -> Box | None:
    if not isinstance(value, dict):
        return None
    sides = [value.get(side) for side in SIDES]
    numbers = [float(side) for side in sides if isinstance(side, int | float) and abs(side) < LARGEST]
    return Box(*numbers) if len(numbers) == len(SIDES) else None
