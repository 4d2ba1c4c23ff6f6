"""Find the pictures and videos that a command line names: files, folders, zip archives."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from stages.files import archives
from stages.files.formats import is_picture
from stages.files.images import BadPictureError
from stages.runtime.errors import UserError

VIDEOS = {
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts", ".m2ts")
}
LONGEST = 60  # characters of a name; most systems allow 255 bytes


class Item(NamedTuple):
    """Something to look at."""

    name: str  # as a person would look for it
    output: PurePosixPath  # where below an output folder its annotated copy belongs, without its suffix
    read: Callable[[], bytes]  # a picture's bytes; raises BadPictureError
    video: Path | None = None


def find_items(paths: Iterable[Path]) -> tuple[list[Item], list[str]]:
    """Everything to look at, and the names of the other files in folders and archives, which are left out.

    Raises:
        UserError: there is nothing to look at.
    """
    items, others = [], []
    for path in paths:
        if path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip"):
            for entry in archives.walk(path):
                name = f"{path.as_posix()}/{entry.place}"
                if item := _entry(path, entry, name):
                    items.append(item)
                else:
                    others.append(name)
        else:
            video = path if path.suffix.lower() in VIDEOS and path.is_file() else None
            items.append(Item(str(path), _inside(path.stem), partial(_read, path), video))
    if not items:
        raise UserError("There is no picture or video in what you named.")
    return items, others


def _entry(root: Path, entry: archives.Entry, name: str) -> Item | None:
    suffix = PurePosixPath(entry.path).suffix.lower()
    # An archive that cannot be opened may hold pictures.
    if not (suffix in VIDEOS or is_picture(root, entry) or (entry.problem and suffix == ".zip")):
        return None
    output = _inside(root.stem, str(PurePosixPath(entry.place).with_suffix("")))
    video = suffix in VIDEOS and not entry.problem
    if video and entry.number >= 0:
        entry, video = replace(entry, problem="a video in a zip archive, unpack it first"), False
    read = partial(_read, root, entry)
    return Item(name, output, read, root / entry.path if video else None)


def _inside(*places: str) -> PurePosixPath:
    """A path that cannot lead out of the folder that it is appended to (archives may hold `../`), and can be made."""
    parts = [part for place in places for part in PurePosixPath(place).parts]
    *folders, name = [part.replace(":", "_")[:LONGEST] for part in parts if part.strip("./\\")] or ["picture"]
    # A folder has no suffix and a copy has one: they do not get into each other's way.
    return PurePosixPath(*(folder.replace(".", "_") for folder in folders), name)


def _read(root: Path, entry: archives.Entry | None = None) -> bytes:
    """The bytes of a file, or of an entry of a folder or archive."""
    if entry and entry.problem:
        raise BadPictureError(entry.problem)
    try:
        return archives.read(root, entry) if entry else root.read_bytes()
    except zipfile.BadZipFile:
        raise BadPictureError("damaged in its archive") from None
    except OSError as error:
        raise BadPictureError(error.strerror or str(error)) from None


def free_places(items: Iterable[Item], folder: Path, taken: set[str]) -> Iterator[Path]:
    """A path below `folder` for each item's copy; a second one of the same name gets a number."""
    for item in items:
        place, number = item.output, 1
        # Upper and lower case are one on Windows and macOS.
        while str(place).lower() in taken:
            number += 1
            place = item.output.with_name(f"{item.output.name}_{number}")
        taken.add(str(place).lower())
        yield folder / place
