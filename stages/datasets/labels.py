"""The label files of AI-Hub 82: one JSON list for each emotion and split, three annotators to a photo."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.datasets.aihub import parse_name
from stages.faces.box import Box
from stages.runtime.errors import UserError

ANNOTATORS = ("A", "B", "C")
SIDES = ("minX", "minY", "maxX", "maxY")
LARGEST = 1e9  # no picture is so wide; neither infinity nor NaN is less
NO_RECORDS = (
    "{} is not a list of label records; fetch this label file again, or move it out of data.korean if it is none."
)


@dataclass(frozen=True, slots=True)
class Record:
    """One label record, the labels still in Korean."""

    key: str  # as aihub.Name.key
    emotion: str  # the file name's
    uploader: str
    professional: bool | None
    annotators: tuple[str, ...]  # labels of A, B, C; empty where missing
    boxes: tuple[Box | None, ...]  # face boxes of A, B, C; None where missing or not four numbers


def read_records(data: bytes, path: str) -> Iterator[Record | str]:
    """Yield the records of one label file; for a record whose file name cannot be understood, that name.

    Raises:
        UserError: the file is no JSON list of records; the message names `path`.
    """
    for item in _parse(data, path):
        filename = item.get("filename") if isinstance(item, dict) else None
        name = parse_name(filename) if isinstance(filename, str) else None
        if name is None:
            yield str(filename)
            continue
        annotations = [item.get(f"annot_{annotator}") for annotator in ANNOTATORS]
        yield Record(
            name.key,
            name.emotion,
            str(item.get("faceExp_uploader") or ""),
            {"전문인": True, "일반인": False}.get(str(item.get("isProf"))),
            # A few words, hundreds of thousands of times.
            tuple(sys.intern(str(a.get("faceExp") or "")) if isinstance(a, dict) else "" for a in annotations),
            tuple(_box(a.get("boxes")) if isinstance(a, dict) else None for a in annotations),
        )


def majority(labels: np.ndarray) -> list[str]:
    """For each row of annotators' labels, the one that more than half of them chose, or ""."""
    winners = (Counter(row).most_common(1)[0] for row in labels)
    return [label if 2 * count > labels.shape[1] else "" for label, count in winners]


def _parse(data: bytes, path: str) -> list[Any]:
    for encoding in ("utf-8-sig", "cp949"):
        try:
            records = json.loads(data.decode(encoding))
        except UnicodeDecodeError:
            continue
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path} is damaged at character {error.pos} of {len(data)} ({error.msg}); fetch this label file again."
            ) from None
        except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists without end
            raise UserError(NO_RECORDS.format(path)) from None
        if not isinstance(records, list):
            raise UserError(NO_RECORDS.format(path))
        return records
    raise UserError(f"{path} is neither UTF-8 nor CP949 text; fetch this label file again.")


def _box(value: Any) -> Box | None:
    if not isinstance(value, dict):
        return None
    sides = [value.get(side) for side in SIDES]
    numbers = [float(side) for side in sides if isinstance(side, int | float) and abs(side) < LARGEST]
    return Box(*numbers) if len(numbers) == len(SIDES) else None
