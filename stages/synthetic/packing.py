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


class Cp949Info(zipfile.ZipInfo):
    """A zip entry whose name is in CP949 and says nothing of UTF-8, as Korean Windows writes it.

    zipfile offers no way to choose the encoding but this method, which it calls for each header.
    """

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode("cp949"), self.flag_bits & ~UTF8_FLAG


def stable(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """The same entry on every system; uncompressed, as JPEG does not shrink and zlib's output varies."""
    info.create_system = 0
    info.compress_type = zipfile.ZIP_STORED
    info.external_attr = 0o600 << 16
    return info


@contextmanager
def open_store(path: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Create the zip (its name ends in .zip) or folder `path`; yields a function that opens a new file in it."""
    folder = path.parent if path.suffix == ".zip" else path
    folder.mkdir(parents=True, exist_ok=True)

    def open_file(name: str) -> IO[bytes]:
        return open(path / name, "wb")

    if path.suffix != ".zip":
        yield open_file
        return
    with zipfile.ZipFile(path, "w") as archive:
        yield lambda name: archive.open(stable(Cp949Info(name, DATE)), "w")


def jpeg(upright: np.ndarray, orientation: int | None, quality: int) -> bytes:
    """An upright picture as JPEG that is stored turned and says so in EXIF; None writes no EXIF, 0 an invalid value."""
    pixels = np.ascontiguousarray(_stored(upright, orientation))
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return data if orientation is None else data[:2] + _exif(orientation) + data[2:]


def _stored(upright: np.ndarray, orientation: int | None) -> np.ndarray:
    """The pixels of a file with this EXIF orientation (tag 0x0112): readers turn them back."""
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.transpose(1, 0, 2)
        case 6:
            return np.rot90(upright)
        case 7:
            return upright[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(upright, -1)
    return upright


def _exif(orientation: int) -> bytes:
    """The APP1 segment, big-endian, that holds nothing but the orientation."""
    directory = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + directory
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
