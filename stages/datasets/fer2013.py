"""Find the pictures of FER2013 in Kaggle's layouts: `{train,test}/<class>/*.jpg`, or one CSV file of pixels."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from stages.files import archives
from stages.files.archives import Entry
from stages.runtime.errors import UserError

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # numbers 0 to 6 in the CSV files
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
CSV_SPLITS = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
SIDE = 48
PICTURE = re.compile(r"(?:.*/)?(train|test)/([^/]+)/[^/]+\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of FER2013 and where its pixels are: an entry of the data set, or the text of a CSV cell."""

    split: str  # train, test
    label: str  # one of CLASSES, as the data set has it
    id: str  # <split>/<class>/<name>: a file name alone occurs in two classes
    path: str
    source: Entry | str


def find_pictures(root: Path) -> Iterator[Picture]:
    """Yield the pictures below `root`: a folder, a zip archive, or a CSV file alone, in a folder or in an archive.

    Raises:
        UserError: nothing at `root`, no FER2013 in any of the layouts, or a damaged archive or CSV file.
    """
    entries = list(archives.walk(root))
    for entry in entries:
        if entry.problem and entry.path.lower().endswith(".zip"):
            raise UserError(f"{entry.path} in {root.resolve()} {entry.problem}.")
    found = False
    for entry in entries:
        match = PICTURE.fullmatch(entry.place)
        if match and match[2].lower() in CLASSES:
            found = True
            split, label = match[1].lower(), match[2].lower()
            yield Picture(split, label, f"{split}/{label}/{PurePosixPath(entry.path).stem}", entry.place, entry)
    if found:
        return
    for entry in entries:
        if PurePosixPath(entry.path).name.lower() in CSV_NAMES:
            yield from _csv_pictures(root, entry)
            return
    raise UserError(
        f"No FER2013 in {root.resolve()}: looked in all folders and zip archives for "
        f"train/<class>/*.jpg and test/<class>/*.jpg with the classes {', '.join(CLASSES)}, and for {CSV_NAMES[0]} or "
        f"{CSV_NAMES[1]}. Download it from https://www.kaggle.com/datasets/msambare/fer2013 and set data.fer2013 in "
        "params.yaml to the folder or the archive."
    )


def _csv_pictures(root: Path, entry: Entry) -> Iterator[Picture]:
    try:
        text = archives.read(root, entry.archive, entry.number, entry.path).decode("utf-8-sig")
        # icml_face_data.csv has a space before two of its column names.
        rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
        yield from _rows(rows, entry)
    except (zipfile.BadZipFile, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{entry.place} is damaged ({error}); fetch the file again.") from None


def _rows(rows: "csv.DictReader[str]", entry: Entry) -> Iterator[Picture]:
    if missing := {"emotion", "pixels", "Usage"} - set(rows.fieldnames or ()):
        raise UserError(f"{entry.place} has no column {', '.join(sorted(missing))}; fetch the file again.")
    for row in rows:
        if row["Usage"] not in CSV_SPLITS or row["emotion"] not in list("0123456"):
            raise UserError(
                f"{entry.place}, line {rows.line_num}: emotion must be 0 to 6 and Usage one of "
                f"{', '.join(CSV_SPLITS)}; fetch the file again."
            )
        split, label = CSV_SPLITS[row["Usage"]], CLASSES[int(row["emotion"])]
        line = f"{rows.line_num:05}"
        yield Picture(split, label, f"{split}/{label}/{line}", f"{entry.place}:{line}", row["pixels"] or "")


def parse_pixels(text: str) -> np.ndarray | None:
    """The grey picture, uint8 (48, 48), of a CSV cell; `None` if the cell does not hold 2,304 numbers from 0 to 255."""
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    if numbers.size != SIDE * SIDE or numbers.min() < 0 or numbers.max() > 255:
        return None
    return numbers.astype(np.uint8).reshape(SIDE, SIDE)
