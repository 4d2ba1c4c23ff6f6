"""Photos of any people, in folders named after emotions, with or without a table of what is known of each.

`angry/1.jpg`, `분노/…`, `0_angry/…`, deeper or not, in zip archives or not. The table is a CSV file with a column
`file`, and of `emotion`, `person`, `gender`, `age` those that are known; it counts before the folders.
"""

import csv
import hashlib
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from stages.datasets import emotion_words
from stages.datasets.aihub import split_of
from stages.datasets.columns import OFFICIAL
from stages.datasets.emotion_words import as_typed
from stages.datasets.manifest import COLUMNS, DAMAGED, NOT_USED, TWICE, Photos, Rejected, manifest_row
from stages.files import archives
from stages.files.archives import Entry
from stages.files.formats import FORMAT_NOT_READ, is_read
from stages.runtime.errors import UserError

FILE, EMOTION, PERSON = "file", "emotion", "person"
NO_EMOTION, NOT_LISTED = "emotion not known", "not in the table"
NO_PERSON, CONTRADICTION = "person not known", "photo found with another emotion"
GENDERS = {"m": "male", "male": "male", "남": "male", "f": "female", "female": "female", "여": "female"}
Row = dict[str, str]


def read_photos(
    root: Path, pictures: Iterable[Entry], tables: Iterable[Entry], emotions: dict[str, str], max_bytes: float
) -> Photos:
    """Find each photo's emotion, and its person if one of the CSV files `tables` names people.

    `pictures` and `tables` are entries of `root`; `emotions` are English to Korean; photos of more than `max_bytes` are
    rejected.

    Raises:
        UserError: an emotion is misspelt; there are two tables; or the table is damaged or does not tell files apart.
    """
    pictures = list(pictures)
    table = read_table(root, tables)
    rows, without_photo = match_rows(table, pictures) if table else ({}, 0)
    people = any(row.get(PERSON) for row in rows.values())
    photos = Photos.none_of(emotions)
    seen: dict[str, tuple[str, str]] = {}  # id -> emotion, place
    kept: dict[str, tuple[str, str, tuple[Any, ...]]] = {}  # id -> split, emotion, row
    for entry in tqdm(pictures, desc="reading folders", unit="photo", mininterval=1):
        row = rows.get(entry.place)
        emotion, reason = _emotion(entry, row, emotions)
        split = split_of(f"{root.name}/{entry.place}") or ""
        if not reason:
            reason = _refusal(entry, row, bool(table), people, max_bytes)
        crc = 0 if reason else archives.checksum(root, entry)
        # The same wherever it lies: packed, unpacked or moved.
        id_ = hashlib.sha256(f"{crc:08x} {entry.size}".encode()).hexdigest()[:16]
        detail = entry.problem
        if not reason and id_ in seen:
            detail = seen[id_][1]
            reason = TWICE if seen[id_][0] == emotion else CONTRADICTION
            if reason == CONTRADICTION and id_ in kept:
                other, first, values = kept.pop(id_)
                archive, path = (values[COLUMNS.index(column)] for column in ("archive", "path"))
                photos.rejected.append(Rejected(archive, path, CONTRADICTION, entry.place, first, other))
        if reason:
            photos.rejected.append(Rejected(entry.archive, entry.path, reason, detail, emotion, split or OFFICIAL[0]))
            continue
        seen[id_] = emotion, entry.place
        kept[id_] = split or OFFICIAL[0], emotion, _manifest_row(entry, id_, crc, split, emotion, row or {})
    for split, emotion, values in kept.values():
        photos.rows[split, emotion].append(values)
    if table:
        photos.labels = {"found": len(table), "without_photo": without_photo}
    return photos


def read_table(root: Path, files: Iterable[Entry]) -> list[Row]:
    """The rows of the one CSV file that has a column `file`; none if there is no such file."""
    found = []
    for entry in files:
        text = _text(root, entry)
        head = text.partition("\n")[0]
        # Spreadsheets part columns by what their country does not write numbers with.
        reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=head.count), skipinitialspace=True)
        reader.fieldnames = [as_typed(name) for name in reader.fieldnames or ()]
        if FILE in reader.fieldnames:
            found.append((entry.place, [{name: value or "" for name, value in row.items() if name} for row in reader]))
    if len(found) > 1:
        raise UserError(
            f"{found[0][0]} and {found[1][0]} both are tables with a column `{FILE}`; move one out of {root}."
        )
    return found[0][1] if found else []


def match_rows(table: Sequence[Row], pictures: Iterable[Entry]) -> tuple[dict[str, Row], int]:
    """For each picture, by its place, its row; and how many rows have no picture.

    `file` is a picture's path or the end of it, as far as it tells it apart; a row may be repeated.

    Raises:
        UserError: a row means several pictures, or two rows that differ mean one.
    """
    ends: dict[str, list[str]] = {_plain(row[FILE]): [] for row in table}
    for picture in pictures:
        parts = _plain(picture.place).split("/")
        for end in ("/".join(parts[start:]) for start in range(len(parts))):
            if end in ends:
                ends[end].append(picture.place)
    rows: dict[str, Row] = {}
    without = 0
    for row in table:
        places = ends[_plain(row[FILE])]
        without += not places
        if len(places) > 1:
            raise UserError(
                f"The table's {row[FILE]} is the name of {len(places)} pictures, such as {places[0]} and {places[1]}; "
                f"write their folders into the column `{FILE}`, too."
            )
        for place in places:
            if rows.setdefault(place, row) != row:
                raise UserError(f"The table has two rows for {place} that differ; take one out.")
    return rows, without


def _text(root: Path, entry: Entry) -> str:
    try:
        data = archives.read(root, entry)
    except zipfile.BadZipFile:
        raise UserError(f"{entry.place} is {entry.problem or DAMAGED}; fetch the archive again.") from None
    for text in archives.decodings(data, "utf-8-sig", "cp949"):
        return text
    raise UserError(f"{entry.place} is neither UTF-8 nor CP949 text; save it as UTF-8.")


def _plain(path: str) -> str:
    return re.sub(r"^(\./|/)+", "", as_typed(path.replace("\\", "/")))


def _emotion(entry: Entry, row: Row | None, emotions: dict[str, str]) -> tuple[str, str]:
    """The emotion, in English, that the table or else the deepest folder names, and why it is none of `emotions`."""
    # Of the folders and the archive around a picture, the deepest counts first.
    folders = [part.removesuffix(".zip").removesuffix(".ZIP") for part in PurePosixPath(entry.place).parts[-2::-1]]
    words = [row[EMOTION]] if row and row.get(EMOTION) else folders
    for word in words:
        for english, korean in emotions.items():
            if emotion_words.plain(word) in (emotion_words.plain(korean), emotion_words.plain(english)):
                return english, ""
        if known := emotion_words.recognise(word, emotions):
            return known, ""
        if emotion_words.recognise(word, emotion_words.SYNONYMS):
            return "", NOT_USED
    for word in words:
        if near := emotion_words.nearest(word, emotions):
            raise UserError(
                f"{entry.place}: {word} is not one of the `emotions` in params.yaml. Is {near} meant? Correct it, "
                "or, if it means no emotion, give it another name."
            )
    return "", NO_EMOTION


def _refusal(entry: Entry, row: Row | None, table: bool, people: bool, max_bytes: float) -> str:
    if entry.problem:
        return "file cannot be read"
    if not is_read(entry):
        return FORMAT_NOT_READ
    if entry.size > max_bytes:
        return "too many bytes"
    if table and row is None:
        return NOT_LISTED
    # Known for some, it must be for all: whose person is not known might be in two splits.
    return NO_PERSON if people and not (row or {}).get(PERSON, "").strip() else ""


def _manifest_row(entry: Entry, id_: str, crc: int, split: str, emotion: str, row: Row) -> tuple[Any, ...]:
    age = re.match(r"\d+", row.get("age", "").strip())
    gender = GENDERS.get(as_typed(row.get("gender", "")), "")
    decade = int(age[0]) // 10 * 10 if age else ""
    person = row.get(PERSON, "").strip()
    return manifest_row(
        entry, crc, split, id=id_, person=person, gender=gender, age=decade, uploader=emotion, labelled=False
    )
