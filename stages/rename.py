"""Find every Korean photo, give it a short stable ASCII id, and join it with its label record.

In: the download of AI-Hub 82, folders or zip archives (`data.korean` in params.yaml); only read.
Out: data/manifest/<training|validation>_<emotion>.csv, a row for each photo; rejected.csv beside them; and labels.csv,
what became of how many label records. No pixel is copied: a row says where the photo lies and holds its CRC-32.
Run: python -m stages.rename
"""

import operator
import re
import sys
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from tqdm import tqdm

from stages.datasets.aihub import Name, parse_name, split_of
from stages.datasets.labels import ANNOTATORS, SIDES, Record, read_records
from stages.files import archives
from stages.files.archives import Entry
from stages.files.metrics import account
from stages.files.tables import write_table
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.runtime.limits import check_share

MANIFEST = Path("data/manifest")
SPLITS = ("training", "validation")
NOT_DAMAGE = ("emotion not used", "photo found twice")
PHOTOS = (".jpg", ".jpeg")
# What may hold photos or labels, but is not looked into; AI-Hub's own program leaves the parts of a download behind.
PACKED = re.compile(r"\.(zip|z\d\d|7z|alz|egg|rar|tar|tgz|gz|part\d*|\d{3})", re.IGNORECASE)
COLUMNS = [
    *("id", "archive", "number", "path", "size", "crc"),
    *("person", "session", "gender", "age", "professional", "background", "labelled", "uploader"),
    *(f"label_{annotator}" for annotator in ANNOTATORS),
    *(f"{side}_{annotator}" for annotator in ANNOTATORS for side in SIDES),
]


def main() -> None:
    """Write the manifests."""
    settings = params.load()
    root, emotions, max_bytes = Path(settings.data["korean"]), settings.emotions, settings.rename.max_megabytes * 1e6
    entries = find_files(root)
    records, labels = collect_records(root, entries, emotions)
    manifests, rejected = collect_photos(root, entries, records, emotions, max_bytes)
    kept = sum(len(rows) for rows in manifests.values())
    if not kept:
        reasons = Counter(reason for _, _, reason, _ in rejected).most_common()
        raise UserError(
            f"No photo of AI-Hub 82 in {root.resolve()}: looked in all folders and zip archives for names such as "
            "<64 hex digits>_여_20_기쁨_<background>_20201207001407-002-004.jpg and found "
            + (", ".join(f"{count:,} x {reason}" for reason, count in reasons) or "none")
            + ". Ask for data set 82 on https://aihub.or.kr and set data.korean in params.yaml to its folder."
        )
    counts = account("photos", kept + len(rejected), kept, [reason for _, _, reason, _ in rejected])
    labelled = sum(row[COLUMNS.index("labelled")] for rows in manifests.values() for row in rows)
    labels = {"joined with a photo": labelled, "without a photo": len(records) - labelled} | labels
    print("label records: " + ", ".join(f"{count:,} {what}" for what, count in labels.items()))
    print(f"photos without a label record: {kept - labelled:,}")
    for (split, emotion), rows in manifests.items():
        # In the order of the archives, so that crop reads a disk from front to back.
        rows.sort(key=operator.itemgetter(*map(COLUMNS.index, ("archive", "number", "path"))))
        write_table(pd.DataFrame(rows, columns=COLUMNS), MANIFEST / f"{split}_{emotion}.csv")
    write_table(pd.DataFrame(rejected, columns=["archive", "path", "reason", "detail"]), MANIFEST / "rejected.csv")
    write_table(pd.DataFrame(labels.items(), columns=["outcome", "records"]), MANIFEST / "labels.csv")
    check_share("photos", counts, settings.limits.max_rejected, MANIFEST / "rejected.csv", NOT_DAMAGE)


def find_files(root: Path) -> list[Entry]:
    """All files below `root`.

    Raises:
        UserError: nothing is there, or an archive cannot be opened or is of another kind: thousands of photos, or all
            labels of an emotion.
    """
    try:
        entries = list(tqdm(archives.walk(root), desc="looking for files", unit="file", mininterval=1))
    except UserError as error:
        raise UserError(f"{error} Set data.korean in params.yaml to the folder of the AI-Hub 82 download.") from None
    closed = [entry for entry in entries if entry.problem and entry.number < 0 and entry.path.lower().endswith(".zip")]
    if closed:
        names = "; ".join(f"{entry.path} {entry.problem}" for entry in closed)
        raise UserError(f"{names}. To go on without what is in there, move it out of {root}.")
    packed = [entry.place for entry in entries if PACKED.fullmatch(PurePosixPath(entry.path).suffix)]
    if packed:
        names = "; ".join(packed[:3]) + (f" and {len(packed) - 3} more" if len(packed) > 3 else "")
        raise UserError(f"{names} cannot be looked into: unpack or join it first, or move it out of {root}.")
    return entries


def collect_records(
    root: Path, entries: list[Entry], emotions: dict[str, str]
) -> tuple[dict[str, tuple[str | None, Record]], dict[str, int]]:
    """Read the label files: the official split and the record for each photo's key; and how many others there are."""
    records: dict[str, tuple[str | None, Record]] = {}
    found = unnamed = unused = 0
    used = set(emotions.values())
    files = [entry for entry in entries if entry.path.lower().endswith(".json")]
    for entry in tqdm(files, desc="reading labels", unit="file", mininterval=1):
        try:
            data = archives.read(root, entry.archive, entry.number, entry.path)
        except zipfile.BadZipFile:
            problem = entry.problem or "damaged in its archive"
            raise UserError(f"{entry.place} is {problem}; fetch the archive again.") from None
        for record in read_records(data, entry.place):
            found += 1
            if isinstance(record, str):
                unnamed += 1
            elif record.emotion not in used:
                unused += 1
            else:
                records[record.key] = split_of(entry.place), record
    repeated = found - unnamed - unused - len(records)
    return records, {"repeated": repeated, "emotion not used": unused, "not a file name of AI-Hub 82": unnamed}


def collect_photos(
    root: Path,
    entries: list[Entry],
    records: dict[str, tuple[str | None, Record]],
    emotions: dict[str, str],
    max_bytes: float,
) -> tuple[dict[tuple[str, str], list[tuple[Any, ...]]], list[tuple[str, str, str, str]]]:
    """Sort the photos into manifest rows for each split and emotion, and rejected (archive, path, reason, detail)."""
    english = {korean: name for name, korean in emotions.items()}
    manifests: dict[tuple[str, str], list[tuple[Any, ...]]] = {(s, e): [] for s in SPLITS for e in emotions}
    rejected: list[tuple[str, str, str, str]] = []
    seen: dict[str, str] = {}
    photos = [entry for entry in entries if PurePosixPath(entry.path).suffix.lower() in PHOTOS]
    for entry in tqdm(photos, desc="joining photos", unit="photo", mininterval=1):
        name = parse_name(PurePosixPath(entry.path).name)
        if entry.problem:
            rejected.append((entry.archive, entry.path, "file cannot be read", entry.problem))
        elif name is None:
            rejected.append((entry.archive, entry.path, "not a file name of AI-Hub 82", ""))
        elif name.emotion not in english:
            rejected.append((entry.archive, entry.path, "emotion not used", name.emotion))
        elif entry.size > max_bytes:
            rejected.append((entry.archive, entry.path, "too many bytes", f"{entry.size:,}"))
        elif name.key in seen:
            rejected.append((entry.archive, entry.path, "photo found twice", seen[name.key]))
        else:
            seen[name.key] = entry.place
            split, record = records.get(name.key, (None, None))
            if split := split or split_of(f"{root.name}/{entry.place}"):
                row = manifest_row(entry, archives.checksum(root, entry), name, record, english)
                manifests[split, english[name.emotion]].append(row)
            else:
                detail = "no label record, and no folder or archive named Training or Validation"
                rejected.append((entry.archive, entry.path, "split unknown", detail))
    return manifests, rejected


def manifest_row(entry: Entry, crc: int, name: Name, record: Record | None, english: dict[str, str]) -> tuple[Any, ...]:
    """One photo with all that is known of it, by COLUMNS; labels in English where `english` has them."""
    row: dict[str, Any] = {
        "id": name.id,
        "archive": entry.archive,
        "number": entry.number,
        "path": entry.path,
        "size": entry.size,
        "crc": f"{crc:08x}",
        "person": sys.intern(name.person),
        "session": name.session,
        "gender": name.gender,
        "age": name.age,
        "background": sys.intern(name.background),
        "uploader": english[name.emotion],
        "labelled": record is not None,
    }
    if record is not None:
        row["uploader"] = english.get(record.uploader, record.uploader) or row["uploader"]
        row["professional"] = record.professional
        for annotator, label, box in zip(ANNOTATORS, record.annotators, record.boxes, strict=True):
            row[f"label_{annotator}"] = english.get(label, label)
            row |= {f"{side}_{annotator}": value for side, value in zip(SIDES, box or (), strict=False)}
    return tuple(row.get(column, "") for column in COLUMNS)


if __name__ == "__main__":
    run(main)
