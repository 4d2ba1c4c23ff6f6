"""The photos of a download of AI-Hub 82, each joined with its label record."""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from stages.datasets.aihub import Name, emotion_of, parse_key, parse_name, split_of
from stages.datasets.annotators import ANNOTATORS, SIDES
from stages.datasets.columns import OFFICIAL
from stages.datasets.labels import Record, collect_records
from stages.datasets.manifest import NOT_USED, TWICE, Photos, Rejected, manifest_row
from stages.files import archives
from stages.files.archives import Entry
from stages.files.formats import FORMAT_NOT_READ, is_read
from stages.runtime.errors import UserError


def read_photos(
    root: Path,
    pictures: Iterable[Entry],
    label_files: Iterable[Entry],
    emotions: dict[str, str],
    max_bytes: float,
    differing: str,
) -> Photos:
    """Find each photo's name, record, split and emotion.

    `pictures` and `label_files` are entries of `root`; `emotions` are English to Korean. Photos of more than
    `max_bytes` are rejected, and with `differing` as `reject`, not `stop`, those with two different label records.

    Raises:
        UserError: a label file is damaged, or two records differ and `differing` is `stop`.
    """
    english = {korean: name for name, korean in emotions.items()}
    labels = collect_records(root, tqdm(list(label_files), "reading labels", unit="file", mininterval=1), set(english))
    if labels.differing and differing == "stop":
        key, place = next(iter(labels.differing.items()))
        raise UserError(
            f"Photos with two label records that differ: {len(labels.differing):,}, such as {key}, whose second is in "
            f"{place}. Move the label files that are not to count out of {root}, or set rename.differing_records in "
            "params.yaml to `reject`."
        )
    photos = Photos.none_of(emotions)
    seen: dict[str, str] = {}
    splits = dict(labels.splits)  # of the records; where a label file does not say it, that of the photo's place
    for entry in tqdm(list(pictures), desc="joining photos", unit="photo", mininterval=1):
        file = PurePosixPath(entry.path).name
        name = parse_name(file)
        key = (name.key if name else parse_key(file)) or ""
        record = labels.records.get(key)
        name = name or record
        split = labels.splits.get(key) or split_of(f"{root.name}/{entry.place}") or ""
        if record is not None:
            splits[key] = split
        reason, detail = _refusal(entry, name, english, max_bytes, seen)
        if not reason and key in labels.differing:
            reason, detail = "label records differ", labels.differing[key]
        if name is None or reason:
            shown = english.get(name.emotion if name else emotion_of(f"{root.name}/{entry.place}") or "", "")
            photos.rejected.append(Rejected(entry.archive, entry.path, reason, detail, shown, split or OFFICIAL[0]))
            continue
        seen[name.key] = entry.place
        row = _row(entry, archives.checksum(root, entry), split, name, record, english)
        photos.rows[split or OFFICIAL[0], english[name.emotion]].append(row)
    labelled = sum(sum(photos.column("labelled", *group)) for group in photos.rows)
    missing = {"without_photo": len(labels.records) - labelled, "photos_without_record": photos.kept - labelled}
    photos.labels = labels.counts | missing
    photos.expected = Counter(
        (splits.get(key) or OFFICIAL[0], english[record.emotion]) for key, record in labels.records.items()
    )
    return photos


def _refusal(
    entry: Entry, name: Name | None, english: dict[str, str], max_bytes: float, seen: dict[str, str]
) -> tuple[str, str]:
    """Why a picture has no row, with a detail; "" if it has one."""
    if entry.problem:
        return "file cannot be read", entry.problem
    if name is None:
        return "not a file name of AI-Hub 82", ""
    if name.emotion not in english:
        return NOT_USED, name.emotion
    if not is_read(entry):
        return FORMAT_NOT_READ, PurePosixPath(entry.path).suffix
    if entry.size > max_bytes:
        return "too many bytes", f"{entry.size:,}"
    if name.key in seen:
        return TWICE, seen[name.key]
    return "", ""


def _row(
    entry: Entry, crc: int, split: str, name: Name, record: Record | None, english: dict[str, str]
) -> tuple[Any, ...]:
    """One photo with all that is known of it; labels in English where `english` has them."""
    row = {column: getattr(name, column) for column in ("id", "session", "gender", "age", "background")}
    row |= {"person": sys.intern(name.person), "uploader": english[name.emotion], "labelled": record is not None}
    if record is not None:
        row["uploader"] = english.get(record.uploader, record.uploader) or row["uploader"]
        row["professional"] = record.professional
        for annotator, label, box in zip(ANNOTATORS, record.annotators, record.boxes, strict=True):
            row[f"label_{annotator}"] = english.get(label, label)
            row |= {f"{side}_{annotator}": value for side, value in zip(SIDES, box or (), strict=False)}
    return manifest_row(entry, crc, split, **row)
