"""Find the pictures of FER2013: `{train,test}/<class>/*.jpg` as Kaggle has them, or one CSV file of pixels."""

import csv
import dataclasses
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from stages.datasets import emotion_words
from stages.datasets.picture import Picture
from stages.files import archives
from stages.files.archives import Entry
from stages.files.formats import FORMAT_NOT_READ, is_picture, is_read, refuse_closed
from stages.runtime.errors import UserError

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # numbers 0 to 6
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
CSV_SPLITS = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
VALIDATION = "validation"  # the folder, if there is a third one
# Folders are read from the end: `images/train/angry/1.jpg`.
SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing", "publictest", "privatetest"), "test"),
}
SIDE = 48
ADVICE = (
    "Download FER2013 from https://www.kaggle.com/datasets/msambare/fer2013 and set data.fer2013 in params.yaml to the "
    "folder or the archive."
)
NO_PLACE = "split not known"
NO_CLASS = "class not known"
TOO_DEEP = "folder too deep"
SAME_NAME = "another face of the same name"


def find_pictures(root: Path, emotions: Sequence[str] = ()) -> Iterator[Picture]:
    """Yield the pictures below `root`: a folder, a zip archive, or a CSV file alone, in a folder or in an archive.

    All classes are found, whatever the `emotions` of the pipeline. The split of a picture is train or test; those of a
    third folder go into train, and their id says validation. A picture that cannot be placed is an entry whose
    `problem` says why.

    Raises:
        UserError: nothing at `root`, no FER2013 in any of the layouts, an archive that cannot be looked into, a damaged
            CSV file, a misspelt class, or a validation folder without a test folder.
    """
    if not root.exists():
        raise UserError(f"{root} does not exist. {ADVICE}")
    entries = list(archives.walk(root))
    refuse_closed(root, entries)
    pictures = _distinct(root, [_placed(entry) for entry in entries if is_picture(root, entry)])
    placed = {picture.id.partition("/")[0] for picture in pictures if picture.label}
    if VALIDATION in placed and "test" not in placed:
        raise UserError(
            f"FER2013 in {root.resolve()} has train and validation folders, but none named test, on which models are "
            "scored. Rename validation to test; index.fer2013.validation then says how many of train are validation."
        )
    tables = [entry for entry in entries if PurePosixPath(entry.path).name.lower() in CSV_NAMES]
    if not placed and not tables:
        raise UserError(
            f"No FER2013 in {root.resolve()}: looked in all folders and zip archives for train/<class>/*.jpg and "
            f"test/<class>/*.jpg with the classes {', '.join(CLASSES)}, and for {CSV_NAMES[0]} or {CSV_NAMES[1]}; "
            f"{len(pictures):,} other pictures are there. {ADVICE}"
        )
    yield from pictures
    if not placed:
        yield from _csv_pictures(root, tables[0])


def _placed(entry: Entry) -> Picture:
    """A picture with its split and class, by its folders, or the reason why it has none."""
    folders = PurePosixPath(entry.place).parts[:-1]
    places = [number for number, folder in enumerate(folders) if folder.lower() in SPLIT_OF]
    split = label = problem = ""
    if not places:
        problem = NO_PLACE
    else:
        split, classes = SPLIT_OF[folders[places[-1]].lower()], folders[places[-1] + 1 :]
        label = (_class(classes[0], entry.place) if classes else None) or ""
        if not label:
            problem = NO_CLASS
        elif len(classes) > 1:
            problem, label = TOO_DEEP, ""
        elif not is_read(entry):
            problem = FORMAT_NOT_READ
    array = "test" if split == "test" else "train"
    id_ = f"{split}/{label}/{PurePosixPath(entry.path).stem}"
    return Picture(array, label, id_, entry.place, dataclasses.replace(entry, problem=entry.problem or problem))


def _class(folder: str, place: str) -> str | None:
    """The class that a folder stands for; `None` for one that is none. A misspelt one or a number over 6 stops it."""
    if folder.strip().isdecimal():
        if int(folder) < len(CLASSES):
            return CLASSES[int(folder)]
        raise UserError(
            f"{place}: the folders are numbers, but not FER2013's, 0 to 6 for {', '.join(CLASSES)}; "
            "name them after the classes."
        )
    if (known := emotion_words.recognise(folder, CLASSES)) is None and (near := emotion_words.nearest(folder, CLASSES)):
        raise UserError(f"{place}: {folder} is not a class of FER2013. Is {near} meant? Then rename the folder.")
    return known


def _distinct(root: Path, pictures: list[Picture]) -> list[Picture]:
    """The pictures, with the file's ending in the id where two different ones would share it.

    Copies, such as those in an archive beside what was unpacked from it, go on sharing theirs.
    """
    seen: dict[str, Entry] = {}

    def is_free(id_: str, entry: Entry) -> bool:
        """Whether no other picture has this id."""
        other = seen.setdefault(id_, entry)
        return other is entry or archives.checksum(root, other) == archives.checksum(root, entry)

    distinct = []
    for picture in pictures:
        entry = picture.source
        if isinstance(entry, Entry) and not entry.problem and not is_free(picture.id, entry):
            longer = dataclasses.replace(picture, id=f"{picture.id}{PurePosixPath(entry.path).suffix}")
            taken = dataclasses.replace(picture, source=dataclasses.replace(entry, problem=SAME_NAME))
            distinct.append(longer if is_free(longer.id, entry) else taken)
        else:
            distinct.append(picture)
    return distinct


def _csv_pictures(root: Path, entry: Entry) -> Iterator[Picture]:
    try:
        with archives.text_lines(root, entry) as text:
            # icml_face_data.csv has a space before two of its column names.
            yield from _rows(csv.DictReader(text, skipinitialspace=True), entry)
    except (zipfile.BadZipFile, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{entry.place} is damaged ({error}); fetch the file again.") from None


def _rows(rows: "csv.DictReader[str]", entry: Entry) -> Iterator[Picture]:
    if missing := {"emotion", "pixels", "Usage"} - set(rows.fieldnames or ()):
        raise UserError(
            f"{entry.place} has no column {', '.join(sorted(missing))}; it must be a table parted by commas, as it is "
            "delivered: fetch the file again."
        )
    for row in rows:
        if not any(row.values()):  # Excel leaves rows of nothing but commas
            continue
        if row["Usage"] not in CSV_SPLITS or row["emotion"] not in list("0123456"):
            raise UserError(
                f"{entry.place}, line {rows.line_num}: emotion must be 0 to 6 and Usage one of "
                f"{', '.join(CSV_SPLITS)}; fetch the file again."
            )
        split, label = CSV_SPLITS[row["Usage"]], CLASSES[int(row["emotion"])]
        line = f"{rows.line_num:05}"
        # As bytes, a quarter of the text: all rows are in memory until they are sorted.
        yield Picture(
            split, label, f"{split}/{label}/{line}", f"{entry.place}:{line}", parse_pixels(row["pixels"] or "")
        )


def parse_pixels(text: str) -> bytes:
    """The 2,304 grey values of a CSV cell; none if it does not hold as many numbers from 0 to 255."""
    try:
        values = bytes(map(int, text.split()))
    except ValueError:
        return b""
    return values if len(values) == SIDE * SIDE else b""
