"""What a row of data/manifest stands for: the bytes of a photo, and the annotators' boxes."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from stages.datasets.annotators import ANNOTATORS, SIDES
from stages.datasets.columns import OFFICIAL
from stages.faces.box import Box
from stages.files import archives
from stages.files.archives import Entry
from stages.files.images import BadPictureError

DAMAGED = "damaged in its archive"
NOT_USED, TWICE = "emotion not used", "photo found twice"  # why a picture has no row though nothing is wrong with it
COLUMNS = [
    *("id", "archive", "number", "path", "size", "crc", "official"),
    *("person", "session", "gender", "age", "professional", "background", "labelled", "uploader"),
    *(f"label_{annotator}" for annotator in ANNOTATORS),
    *(f"{side}_{annotator}" for annotator in ANNOTATORS for side in SIDES),
]


def manifest_row(entry: Entry, crc: int, split: str, **known: Any) -> tuple[Any, ...]:
    """The row of a photo, by COLUMNS; what is not `known` stays empty."""
    place = {"archive": entry.archive, "number": entry.number, "path": entry.path, "size": entry.size}
    row = place | {"crc": f"{crc:08x}", "official": split} | known
    return tuple(row.get(column, "") for column in COLUMNS)


class Rejected(NamedTuple):
    """A picture that is in no manifest."""

    archive: str
    path: str
    reason: str
    detail: str
    emotion: str = ""  # in English, as far as its name or place tells
    split: str = ""  # one of OFFICIAL


@dataclass(slots=True)
class Photos:
    """What a download holds: rows by COLUMNS for each split and emotion, and what was rejected.

    A photo whose official split is not known is among the first of OFFICIAL.
    """

    rows: dict[tuple[str, str], list[tuple[Any, ...]]]
    rejected: list[Rejected] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)  # counts of label records
    expected: dict[tuple[str, str], int] = field(default_factory=dict)  # photos that the label records name

    @classmethod
    def none_of(cls, emotions: Iterable[str]) -> "Photos":
        """No photo yet."""
        return cls({(split, emotion): [] for split in OFFICIAL for emotion in emotions})

    def column(self, name: str, split: str, emotion: str) -> list[Any]:
        """One column of the rows of a split and emotion."""
        place = COLUMNS.index(name)
        return [row[place] for row in self.rows[split, emotion]]

    @property
    def kept(self) -> int:
        """How many photos have a row."""
        return sum(map(len, self.rows.values()))


def read_photo(root: Path, photo: Mapping[Any, Any]) -> bytes:
    """A photo's bytes, if they still are those that its manifest row was written for."""
    try:
        entry = Entry(photo["archive"], photo["number"], photo["path"], int(photo["size"]), int(photo["crc"], 16))
        data = archives.read(root, entry)
    except zipfile.BadZipFile:
        raise BadPictureError(DAMAGED) from None
    except ValueError:  # a spreadsheet has written the manifest anew
        raise BadPictureError("changed since rename ran") from None
    if zlib.crc32(data) != entry.crc:
        raise BadPictureError("changed since rename ran")
    return data


def boxes_of(photo: Mapping[Any, Any]) -> list[Box | None]:
    """The box of each annotator, in pixels of the upright photo."""
    boxes: list[Box | None] = []
    for annotator in ANNOTATORS:
        sides = [photo[f"{side}_{annotator}"] for side in SIDES]
        boxes.append(Box(*map(float, sides)) if all(sides) else None)
    return boxes
