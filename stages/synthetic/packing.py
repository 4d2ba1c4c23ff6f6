"""Write files as downloads bring them: JPEG turned by EXIF, zips whose bytes are stable, Korean names in zips.

A store is a zip archive or a folder; either takes one file after the other.
"""

import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np

DATE = (2021, 1, 4, 9, 0, 0)
UTF8_FLAG = 0x800


class DownloadInfo(zipfile.ZipInfo):
    """An entry, alike on every system, whose name is in CP949 and says nothing of UTF-8, as Korean Windows writes it.

    zipfile offers no way to choose the encoding but this method, which it calls for each header.
    """

    def __init__(self, name: str) -> None:
        """Take the name. It stays uncompressed, as JPEG does not shrink and zlib's output varies."""
        super().__init__(name, DATE)
        self.create_system = 0

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode("cp949"), self.flag_bits & ~UTF8_FLAG


@contextmanager
def open_store(path: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Create the zip (its name ends in .zip) or folder `path`; yields a function that opens a new file in it."""
    if path.suffix == ".zip":
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            yield lambda name: archive.open(DownloadInfo(name), "w")
    else:
        path.mkdir(parents=True, exist_ok=True)
        yield lambda name: open(path / name, "wb")  # noqa: SIM115  closed by who writes


def jpeg(upright: np.ndarray, orientation: int | None, quality: int) -> bytes:
    """An upright picture as JPEG that is stored turned and says so in EXIF; None writes no EXIF, 0 an invalid value."""
    data = cv2.imencode(".jpg", _stored(upright, orientation or 1), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    if orientation is None:
        return data
    # The APP1 segment, big-endian, that holds nothing but the tag 0x0112.
    exif = (b"Exif", b"MM\0*", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return data[:2] + struct.pack(">HH6s4sIHHHIHHI", 0xFFE1, 34, *exif) + data[2:]


def _stored(picture: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels of a file with this EXIF orientation (tag 0x0112): readers turn them back."""
    if orientation in (2, 3, 6, 7):
        picture = cv2.flip(picture, 1)
    if orientation in (3, 4, 7, 8):
        picture = cv2.flip(picture, 0)
    return cv2.transpose(picture) if orientation >= 5 else picture
