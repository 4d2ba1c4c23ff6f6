"""What a file holds, by its ending or its first bytes: a picture, an archive that is not looked into, or neither."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from stages.files import archives
from stages.files.archives import Entry
from stages.files.endings import NOT_READ, READ
from stages.runtime.errors import UserError

FORMAT_NOT_READ = "format not read"
# Of JPEG, PNG, GIF, WebP, TIFF, JPEG 2000, HEIF and AVIF: the bytes that such a file begins with, and from which byte.
PICTURE_STARTS = (
    *((0, start) for start in (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")),
    *((8, b"WEBP"), (4, b"ftyphei"), (4, b"ftypmif1"), (4, b"ftypavif")),
)
# Of zip, gzip, bzip2, xz, 7-Zip, RAR and tar.
ARCHIVE_STARTS = (
    *((0, start) for start in (b"PK\3\4", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")),
    (257, b"ustar"),
)
UNFINISHED = re.compile(r"\.(part|partial|crdownload|download|opdownload|aria2|irx\d*|filepart|!ut)", re.IGNORECASE)
PACKED = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz|zst|7z|rar|alz|egg|lzh|cab|iso)", re.IGNORECASE)
# X.zip.part0 and X.zip.part1073741824 of AI-Hub (the number is the place of the first byte), X.zip.001, X.z01.
PIECE = re.compile(r"(?P<whole>.+)\.(part(?P<part>\d+)|(?P<number>\d{3})|(?P<zip>z\d\d))", re.IGNORECASE)
NAMED = 3  # of many files with one fault


def is_picture(root: Path, entry: Entry) -> bool:
    """Whether a file is a picture, by its ending or, where the ending is of no kind known here, by its content."""
    suffix = PurePosixPath(entry.path).suffix.lower()
    if suffix in READ or suffix in NOT_READ:
        return True
    known = suffix in (".json", ".csv", ".txt", ".xml", ".md", ".html")
    return not known and not entry.problem and _starts(root, entry, PICTURE_STARTS)


def is_read(entry: Entry) -> bool:
    """Whether pictures with this ending are of a format that OpenCV reads; an unknown ending may be."""
    return PurePosixPath(entry.path).suffix.lower() not in NOT_READ


def refuse_closed(root: Path, entries: Iterable[Entry]) -> None:
    """Stop if an archive or an unfinished download cannot be looked into: thousands of photos, or all labels.

    Raises:
        UserError: which files, and what to do about each.
    """
    entries = list(entries)
    pieces = [(entry, match) for entry in entries if (match := PIECE.fullmatch(entry.place))]
    wholes = {match["whole"] for _, match in pieces}
    advice = list(_join(pieces))
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        if not PIECE.fullmatch(entry.place) and (reason := _closed(root, entry, wholes)):
            reasons.setdefault(reason, []).append(entry.place)
    for reason, places in reasons.items():
        advice.append(f"{first_of(places)} {reason}")
    if advice:
        raise UserError(f"{'. '.join(advice)}. To go on without what is in there, move it out of {root}.")


def first_of(places: Sequence[str]) -> str:
    """The first of many places, for a sentence."""
    more = f" and {len(places) - NAMED:,} more" if len(places) > NAMED else ""
    return "; ".join(places[:NAMED]) + more


def _closed(root: Path, entry: Entry, wholes: set[str]) -> str:
    """Why a file cannot be looked into, and what to do; "" if it can, or need not be."""
    suffix = PurePosixPath(entry.path).suffix
    if UNFINISHED.fullmatch(suffix):
        return "cannot be looked into: an unfinished download, let it finish or fetch it again"
    if PACKED.fullmatch(suffix):
        if entry.number >= 0:
            return f"cannot be looked into: unpack {entry.archive or root.name} first"
        if suffix.lower() != ".zip":
            return "cannot be looked into: unpack it first"
        # The last piece of a split archive has the name of the whole.
        return "" if entry.place.rpartition(".")[0] in wholes else entry.problem
    if not suffix and not entry.problem and _starts(root, entry, ARCHIVE_STARTS):
        return "cannot be looked into: an archive without an ending, name it .zip if it is one, or else unpack it first"
    return ""


def _join(pieces: list[tuple[Entry, re.Match[str]]]) -> Iterator[str]:
    """For each archive that lies there in pieces: how to make one of them, in the order of their numbers."""
    for whole in sorted({match["whole"] for _, match in pieces}):
        own = [match for _, match in pieces if match["whole"] == whole]
        if any(match["zip"] for match in own):
            yield f"{whole}.zip is split into pieces: join them with `zip -s 0 '{whole}.zip' --out '{whole}_whole.zip'`"
            continue
        own.sort(key=lambda match: int(match["part"] or match["number"]))
        names = [f"'{match[0]}'" for match in own]
        if len(names) == 1:
            yield (
                f"{own[0][0]} is a piece of {whole}: if it is the only one, rename it to that, or else fetch the others"
            )
        else:
            listed = " ".join(names if len(names) <= NAMED else [names[0], names[1], "...", names[-1]])
            yield f"{whole} lies in {len(names)} pieces: join them by number, `cat {listed} > '{whole}'`"


def _starts(root: Path, entry: Entry, starts: tuple[tuple[int, bytes], ...]) -> bool:
    try:
        head = archives.head(root, entry)
    except (OSError, zipfile.BadZipFile):
        return False
    return any(head[place:].startswith(start) for place, start in starts)
