"""Find and read files in a folder tree and in the zip archives inside it, in place; and write zip archives.

Reading unpacks and changes nothing. An archive is written as the same bytes on every machine.
"""

import errno
import functools
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from stages.runtime.errors import UserError
from stages.runtime.replacing import replacing

LARGEST = 1 << 30  # bytes; no photo, label file or table of pixels is so large
TRIED = 20  # members of an archive in which one is damaged
LONGEST_END = 56 + 20 + 22 + (1 << 16)  # bytes of the records behind a zip's directory, the longest comment included


@dataclass(frozen=True, slots=True)
class Entry:
    """One file below a root: loose, or a member of a zip archive."""

    archive: str  # path of the zip archive below the root, with "/"; empty for a loose file, and if it is the root
    number: int  # place in the archive's directory, from 0; -1 for a loose file
    path: str  # path in the archive or below the root, with "/", as a person reads it
    size: int  # bytes, unpacked
    crc: int  # CRC-32 that the archive holds for the unpacked bytes; 0 for a loose file
    problem: str = ""  # why it cannot be read; empty for a good one

    @property
    def place(self) -> str:
        """Archive and path, as a person would look for it."""
        return f"{self.archive}/{self.path}" if self.archive else self.path


def walk(root: Path) -> Iterator[Entry]:
    """Yield every file below `root`, a folder or one zip archive, in an order that is the same on every machine.

    A zip archive inside stands for its members; one that is damaged is yielded itself, with `problem` set. Links to
    folders are followed once: a loop ends where it closes. The `._*` files that macOS adds hold no content and are left
    out.

    Raises:
        UserError: there is nothing at `root`.
        OSError: a folder cannot be listed.
    """
    for path in files(root):
        place = path.relative_to(root).as_posix() if path != root else ""
        if path.name.lower().endswith(".zip") and path.is_file():
            yield from _members(path, place)
        else:
            yield _loose(path, place or path.name)


def files(root: Path) -> Iterator[Path]:
    """Yield the files below `root`, or `root` itself if it is one, as `walk` finds them, archives among them."""
    if root.is_file():
        yield root
        return
    if not root.is_dir():
        raise UserError(f"{root} does not exist.")
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=_stop, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("._"))


def directory(path: Path) -> bytes:
    """The central directory of a zip archive as it stands there: name, size and CRC-32 of each member.

    Empty if the file is no whole zip archive. It is not parsed: for 60,000 members that takes half a second.
    """
    with open(path, "rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - LONGEST_END)
        file.seek(start)
        tail = file.read()
        # PKWARE's APPNOTE, 4.3.16; with many members or bytes, 4.3.14 and 4.3.15 stand before it and have the size.
        end = tail.rfind(b"PK\5\6")
        if end < 0 or len(tail) < end + 22:
            return b""
        (size,) = struct.unpack_from("<L", tail, end + 12)
        if end >= 76 and tail[end - 20 : end - 16] == b"PK\6\7":
            end -= 76
            (size,) = struct.unpack_from("<Q", tail, end + 40)
        if size > start + end:
            return b""
        file.seek(start + end - size)
        return file.read(size)


@contextmanager
def opened(root: Path, entry: Entry) -> Iterator[IO[bytes]]:
    """The bytes of one entry of `walk(root)`, as a file that is read from front to back.

    Raises:
        OSError: a loose file or the archive cannot be opened, or is not a file.
        zipfile.BadZipFile: the member is damaged (its bytes do not have the CRC-32 that the archive holds), encrypted,
            packed in a way that Python does not know, larger than `LARGEST`, or no longer there.
    """
    if entry.number < 0:
        loose = root / entry.path if root.is_dir() else root
        # A pipe would be waited for, and a device has no end.
        if loose.exists() and not loose.is_file():
            raise OSError(errno.EINVAL, "not a file", str(loose))
        with open(loose, "rb") as file:
            yield file
        return
    with failing_alike():
        archive = _open(root / entry.archive if entry.archive else root)
        info = archive.infolist()[entry.number]
        if info.file_size > LARGEST:
            raise zipfile.BadZipFile(f"{info.file_size:,} bytes unpacked")
        try:
            member = archive.open(info)
        except UnicodeDecodeError:  # of the name, which stands before the bytes once more
            raise zipfile.BadZipFile("damaged header") from None
        with member:
            yield member


def read(root: Path, entry: Entry) -> bytes:
    """All bytes of an entry; raises what `opened` does."""
    with opened(root, entry) as file:
        # With the size, Python unpacks no more of a member than that; without, all there is, and only then cuts it off.
        return file.read(entry.size if entry.number >= 0 else -1)


def head(root: Path, entry: Entry) -> bytes:
    """The first 512 bytes of an entry, or all if it has fewer; raises what `opened` does."""
    with opened(root, entry) as file:
        return file.read(512)


@contextmanager
def text_lines(root: Path, entry: Entry) -> Iterator[io.TextIOWrapper]:
    """An entry as UTF-8 text, read line by line: memory does not grow with its size.

    Raises:
        OSError, zipfile.BadZipFile, UnicodeDecodeError: as `opened`, or it is not UTF-8 text.
    """
    with opened(root, entry) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
        yield lines


def checksum(root: Path, entry: Entry) -> int:
    """The CRC-32 of an entry's bytes: from the archive's directory, or by reading a loose file."""
    if entry.number >= 0:
        return entry.crc
    crc = 0
    with opened(root, entry) as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


def decodings(raw: bytes, *encodings: str) -> Iterator[str]:
    """What the bytes say in each of the encodings in which they are text."""
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            yield raw.decode(encoding)


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, bytes) members, uncompressed and without a date: pictures are compressed already."""
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            # Python writes down the system that it runs on; without the mode, unzip makes files that nobody may read.
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def damaged_members(root: Path, members: Sequence[Entry]) -> tuple[list[Entry], int]:
    """Those of an archive's `members` that are damaged, of the first and the last and, if one is, of TRIED at most.

    Returns them and how many were read.
    """
    first_and_last = [*members[:1], *members[1:][-1:]]
    if not (damaged := [member for member in first_and_last if _is_damaged(root, member)]) or len(members) <= 2:
        return damaged, len(first_and_last)
    some = members[:: -(-len(members) // TRIED)]
    return [member for member in some if _is_damaged(root, member)], len(some)


@contextmanager
def failing_alike() -> Iterator[None]:
    """Let everything that a damaged member may raise be a BadZipFile."""
    try:
        yield
    except UnicodeDecodeError:
        raise  # of who reads a text
    except (zlib.error, lzma.LZMAError, struct.error, EOFError, IndexError, RuntimeError, ValueError) as error:
        raise zipfile.BadZipFile(str(error)) from None
    except OSError as error:
        # What bzip2 cannot unpack comes without a number, a place before the file's begin with this one.
        if error.errno in (None, errno.EINVAL):
            raise zipfile.BadZipFile(str(error)) from None
        raise


def _is_damaged(root: Path, entry: Entry) -> bool:
    try:
        read(root, entry)
    except zipfile.BadZipFile:
        return True
    return False


def _stop(error: OSError) -> NoReturn:
    raise error


def _loose(path: Path, place: str) -> Entry:
    try:
        status = path.stat()
        size = status.st_size
        problem = "" if stat.S_ISREG(status.st_mode) else "cannot be opened: not a file"
    except OSError as error:
        size, problem = 0, f"cannot be opened: {error.strerror}"
    return Entry("", -1, place, size, 0, problem)


def _members(path: Path, archive: str) -> Iterator[Entry]:
    try:
        infos = _open(path).infolist()
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError, OSError) as error:
        empty = path.exists() and not path.stat().st_size
        reason = f"{'empty' if empty else 'not a complete zip archive'}, fetch it again"
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        yield Entry("", -1, archive or path.name, 0, 0, f"cannot be opened: {reason}")
        return
    for number, info in enumerate(infos):
        name = _name(info)
        if not name.endswith("/") and not PurePosixPath(name).name.startswith("._"):
            problem = "encrypted in its archive" if info.flag_bits & 0x1 else ""
            yield Entry(archive, number, name, info.file_size, info.CRC, problem)


def _open(path: Path) -> zipfile.ZipFile:
    # A Dask worker outlives a stage, and the archive that it has open may meanwhile have been written anew.
    status = path.stat()
    return _opened(path, status.st_ino, status.st_mtime_ns, status.st_size)


# Opening an archive of 60,000 entries takes half a second, so each process keeps the last ones open.
@functools.lru_cache(maxsize=4)
def _opened(path: Path, *_state: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _name(info: zipfile.ZipInfo) -> str:
    """The entry's name; without the UTF-8 flag Python reads it as cp437, but Korean archives mean CP949."""
    # Python itself changes `filename` differently on each system and version.
    name = info.orig_filename.partition("\0")[0]
    if not info.flag_bits & 0x800:
        raw = name.encode("cp437")
        name = _unicode_path(info.extra, raw) or next(decodings(raw, "utf-8", "cp949"), name)
    # Old Windows programs write backslashes.
    return name.replace("\\", "/")


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """The name in the Unicode Path field (PKWARE's APPNOTE, 4.6.9), if it is that of the name `raw`; or ""."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 0x7075 and len(field) > 5 and struct.unpack("<L", field[1:5])[0] == zlib.crc32(raw):
            return next(decodings(field[5:], "utf-8"), "")
    return ""
