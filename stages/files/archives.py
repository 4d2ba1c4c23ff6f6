"""Find and read files in a folder tree and in the zip archives inside it, in place; and write zip archives.

Reading unpacks and changes nothing. An archive is written as the same bytes on every machine.
"""

import errno
import functools
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from stages.runtime.errors import UserError

LARGEST = 1 << 30  # bytes; no photo, label file or table of pixels is so large


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
    if root.is_file():
        yield from _members(root, "") if _is_zip(root.name) else [_loose(root.parent, root)]
        return
    if not root.is_dir():
        raise UserError(f"{root} does not exist.")
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, onerror=_stop, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(name for name in files if not name.startswith("._")):
            path = Path(folder, name)
            archive = _is_zip(name) and path.is_file()
            yield from _members(path, path.relative_to(root).as_posix()) if archive else [_loose(root, path)]


def read(root: Path, archive: str, number: int, path: str) -> bytes:
    """The bytes of one entry of `walk(root)`, named by its `archive`, `number` and `path`.

    Raises:
        OSError: a loose file or the archive cannot be opened, or is not a file.
        zipfile.BadZipFile: the member is damaged (its bytes do not have the CRC-32 that the archive holds), encrypted,
            packed in a way that Python does not know, larger than `LARGEST`, or no longer there.
    """
    if number < 0:
        loose = root / path if root.is_dir() else root
        # A pipe would be waited for, and a device has no end.
        if loose.exists() and not loose.is_file():
            raise OSError(errno.EINVAL, "not a file", str(loose))
        return loose.read_bytes()
    try:
        opened = _open(root / archive if archive else root)
        info = opened.infolist()[number]
        if info.file_size > LARGEST:
            raise zipfile.BadZipFile(f"{info.file_size:,} bytes unpacked")
        with opened.open(info) as member:
            # With the size, Python unpacks no more than that; without, all there is, and only then cuts it off.
            return member.read(info.file_size)
    except (zlib.error, lzma.LZMAError, struct.error, EOFError, IndexError, RuntimeError, ValueError) as error:
        raise zipfile.BadZipFile(str(error)) from None
    except OSError as error:
        # What bzip2 cannot unpack comes without a number, a failing disk with one.
        if error.errno is None:
            raise zipfile.BadZipFile(str(error)) from None
        raise


def checksum(root: Path, entry: Entry) -> int:
    """The CRC-32 of an entry's bytes: from the archive's directory, or by reading a loose file."""
    if entry.number >= 0:
        return entry.crc
    crc = 0
    with open(root / entry.path if root.is_dir() else root, "rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, bytes) members, uncompressed and without a date: pictures are compressed already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            # Python writes down the system that it runs on; without the mode, unzip makes files that nobody may read.
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def _stop(error: OSError) -> NoReturn:
    raise error


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _loose(root: Path, path: Path) -> Entry:
    try:
        status = path.stat()
        size = status.st_size
        problem = "" if stat.S_ISREG(status.st_mode) else "cannot be opened: not a file"
    except OSError as error:
        size, problem = 0, f"cannot be opened: {error.strerror}"
    return Entry("", -1, path.relative_to(root).as_posix(), size, 0, problem)


def _members(path: Path, archive: str) -> Iterator[Entry]:
    try:
        infos = _open(path).infolist()
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a complete zip archive, fetch it again"
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
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    # Old Windows programs write backslashes.
    return name.replace("\\", "/")
