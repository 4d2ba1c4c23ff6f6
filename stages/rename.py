"""Find every Korean photo, give it a short stable ASCII id, and join it with its label record.

In: the download of AI-Hub 82, folders or zip archives (`data.korean` in params.yaml); only read.
Out: data/manifest/<training|validation>_<emotion>.csv, a row for each photo; rejected.csv beside them; and labels.csv,
what became of how many label records. No pixel is copied: a row says where the photo lies and holds its CRC-32.
Run: python -m stages.rename
"""

import operator
from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm import tqdm

from stages.datasets import aihub_photos, class_folders, completeness
from stages.datasets.aihub import parse_key
from stages.datasets.manifest import COLUMNS, NOT_USED, TWICE, Photos
from stages.files import archives
from stages.files.archives import Entry
from stages.files.formats import is_picture, refuse_closed
from stages.files.tables import write_table
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.runtime.limits import account, check_share

MANIFEST = Path("data/manifest")
NOT_DAMAGE = (NOT_USED, TWICE, class_folders.CONTRADICTION)


def main() -> None:
    """Write the manifests."""
    settings = params.load()
    root, emotions, max_bytes = Path(settings.data["korean"]), settings.emotions, settings.rename.max_megabytes * 1e6
    entries = find_files(root)
    pictures = [entry for entry in entries if is_picture(root, entry)]
    completeness.check_archives(
        root, [entry for entry in pictures if entry.size <= max_bytes], settings.limits.max_rejected
    )
    # One name of AI-Hub 82, however damaged, is enough.
    if not pictures or any(parse_key(PurePosixPath(entry.path).name) for entry in pictures):
        listed = "label records"
        label_files = [entry for entry in entries if entry.path.lower().endswith(".json")]
        photos = aihub_photos.read_photos(
            root, pictures, label_files, emotions, max_bytes, settings.rename.differing_records
        )
    else:
        listed = "rows of the table"
        tables = [entry for entry in entries if entry.path.lower().endswith(".csv")]
        photos = class_folders.read_photos(root, pictures, tables, emotions, max_bytes)
    completeness.check_table(photos, settings.limits.max_without_photo)
    if not photos.kept:
        raise UserError(nothing_found(root, photos))
    account("photos", len(pictures), photos.kept, [rejected.reason for rejected in photos.rejected])
    if photos.labels:
        print(f"{listed}: " + ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in photos.labels.items()))
    for (split, emotion), rows in photos.rows.items():
        # In the order of the archives, so that crop reads a disk from front to back.
        rows.sort(key=operator.itemgetter(*map(COLUMNS.index, ("archive", "number", "path"))))
        write_table(pd.DataFrame(rows, columns=COLUMNS), MANIFEST / f"{split}_{emotion}.csv")
    rejected = [(lost.archive, lost.path, lost.reason, lost.detail) for lost in photos.rejected]
    write_table(pd.DataFrame(rejected, columns=["archive", "path", "reason", "detail"]), MANIFEST / "rejected.csv")
    write_table(pd.DataFrame(photos.labels.items(), columns=["outcome", "records"]), MANIFEST / "labels.csv")
    check(photos, emotions, settings.limits)


def find_files(root: Path) -> list[Entry]:
    """All files below `root`; stops if nothing is there, or if photos may lie where nobody can look."""
    try:
        entries = list(tqdm(archives.walk(root), desc="looking for files", unit="file", mininterval=1))
    except UserError as error:
        raise UserError(f"{error} Set data.korean in params.yaml to the folder of the AI-Hub 82 download.") from None
    refuse_closed(root, entries)
    return entries


def nothing_found(root: Path, photos: Photos) -> str:
    """What to say if no photo has a row."""
    if records := sum(photos.expected.values()):
        return (
            f"{root.resolve()}: there are label records ({records:,}), but none of their photos: fetch the "
            "photo archives ([원천]...)."
        )
    reasons = Counter(rejected.reason for rejected in photos.rejected).most_common()
    found = ", ".join(f"{count:,} x {reason}" for reason, count in reasons) or "none"
    return (
        f"No photo in {root.resolve()}: looked in all folders and zip archives for names of AI-Hub 82, such as "
        "<64 hex digits>_여_20_기쁨_<background>_20201207001407-002-004.jpg, and for folders named after `emotions`; "
        f"found {found}. Ask for data set 82 on https://aihub.or.kr, or sort your own photos into folders "
        "(docs/data.md), and set data.korean in params.yaml."
    )


def check(photos: Photos, emotions: dict[str, str], limits: params.Limits) -> None:
    """Stop before hours of cropping if too much is missing, of all photos or of one split and emotion."""
    limit = limits.max_rejected
    kept = {f"{split} {emotion}": len(rows) for (split, emotion), rows in photos.rows.items()}
    lost = [("photos", rejected.reason) for rejected in photos.rejected]
    lost += [(f"{gone.split} {gone.emotion}" if gone.emotion else "", gone.reason) for gone in photos.rejected]
    check_share(kept | {"photos": photos.kept}, lost, limit, MANIFEST / "rejected.csv", NOT_DAMAGE)
    completeness.check_labels(photos, emotions, limit)
    completeness.check_photos(photos, limits.max_without_photo)
    # With a limit of 1 the user goes on whatever is missing.
    if limit < 1:
        completeness.check_emotions(photos, emotions)


if __name__ == "__main__":
    run(main)
