"""Decode, resize and encode pictures; a picture that cannot be used fails with a short reason."""

import io
import math
import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

ORIENTATION = 0x0112  # tag
INTEGERS = (3, 4, 6, 8, 9)  # types of a tag's value that both Pillow and OpenCV understand in a TIFF
HEIC = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)  # how it begins: ISO/IEC 23008-12
Image.MAX_IMAGE_PIXELS = None  # ours, max_megapixels, may be higher than Pillow's limit
# OpenCV's own complaints about a damaged picture would stand between our sentences.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# The flags for colour are these with IMREAD_COLOR's bit.
SHRUNK = {1: 0, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8}


class BadPictureError(Exception):
    """A picture cannot be used; the message is the short reason."""


class _Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    is_jpeg: bool
    width: int  # as OpenCV decodes it, before it is turned
    height: int
    orientation: int  # 1 to 8, as in EXIF: how it is to be turned


def upright_size(data: bytes, max_megapixels: float) -> tuple[int, int]:
    """Width and height of the picture as it is to be seen, read from the header alone: no pixel is decoded.

    A JPEG that is cut off is rejected, even if its face is still there: it can be fetched again, and whoever trains on
    it would learn the grey that stands for what is missing.

    Raises:
        BadPictureError: not a picture that can be read and turned, cut off, or larger than `max_megapixels`.
    """
    header = _read_header(data, max_megapixels)
    return (header.height, header.width) if header.orientation >= 5 else (header.width, header.height)


def _read_header(data: bytes, max_megapixels: float) -> _Header:
    if not data:
        raise BadPictureError("empty file")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            header = _Header(picture.format in ("JPEG", "MPO"), *picture.size, _orientation(picture, data))
    except BadPictureError:
        raise
    except Exception:  # of a damaged header; Pillow's errors have no class in common
        if HEIC.match(data):
            raise BadPictureError("HEIC is not read: convert it to JPEG") from None
        raise BadPictureError("not a picture") from None
    if header.width * header.height > max_megapixels * 1e6:
        raise BadPictureError("too many pixels")
    if header.is_jpeg and not _is_whole_jpeg(data):
        raise BadPictureError("cut off")
    return header


def _orientation(picture: Image.Image, data: bytes) -> int:
    """How decoded pixels are to be turned, from 1 (not at all) to 8: the one place that reads it.

    It stands in EXIF, where Pillow puts what an AVIF says in boxes of its own. XMP is not asked, nor do most viewers
    ask it. A value that EXIF does not define means no turn. Pillow and OpenCV both turn a TIFF while they read it.
    """
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        value = 1 if picture.tag_v2.tagtype.get(ORIENTATION, INTEGERS[0]) in INTEGERS else None
    else:
        exif = Image.Exif()
        try:
            exif.load(_png_exif(data) if picture.format == "PNG" else picture.info.get("exif", b""))
            value = exif.get(ORIENTATION, 1)
        except (SyntaxError, ValueError, OSError, KeyError, struct.error):  # damaged, and no viewer turns by it
            return 1
    if isinstance(value, bytes) and len(value) == 1:
        value = value[0]
    if not isinstance(value, int):
        raise BadPictureError("orientation not understood")
    return value if value in range(1, 9) else 1


def _png_exif(data: bytes) -> bytes:
    """The EXIF of a PNG, which may stand behind the pixels, where Pillow does not look before it decodes them."""
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"eXIf":
            return data[place + 8 : place + 8 + length]
        place += 12 + length
    return b""


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether the end marker follows the picture's own data (a thumbnail in the header has one of its own).

    The markers are those of ITU-T T.81, annex B.
    """
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == 0xFF:  # fill byte
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place : place + 2] == b"\xff\xda":  # start of scan
            # From the end, where it mostly is: a photo of 2 MB is full of 0xFF.
            return data.rfind(b"\xff\xd9", place) >= 0
    return False


def reduction(length: float, wanted: float) -> int:
    """The largest of 1, 2, 4, 8 by which `length` pixels can shrink and still be at least `wanted`."""
    return next(factor for factor in (8, 4, 2, 1) if factor == 1 or length / factor >= wanted)


def decode(data: bytes, colour: bool, factor: int = 1) -> np.ndarray:
    """Decode to uint8 (height, width, 3) BGR or (height, width) grey, turned upright, shrunk by 1, 2, 4 or 8.

    A JPEG is shrunk while it is decoded, which takes a fraction of the time.

    Raises:
        BadPictureError: as `upright_size`, or nothing can be decoded, or not as many pixels as the header says. Damage
            inside a JPEG's pixels shows in none of these: in an archive its CRC-32 tells.
    """
    return _decode(data, _read_header(data, math.inf), colour, factor)


def _decode(data: bytes, header: _Header, colour: bool, factor: int) -> np.ndarray:
    # OpenCV would take a turned TIFF's width for its height.
    while_decoding = factor if header.is_jpeg else 1
    flags = SHRUNK[while_decoding] | (cv2.IMREAD_COLOR if colour else 0) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadPictureError("not a picture")
    if picture.shape[:2] != (-(-header.height // while_decoding), -(-header.width // while_decoding)):
        raise BadPictureError("not of the size in its header")
    picture = turn(picture, header.orientation)
    if while_decoding == factor:
        return picture
    size = [max(1, round(length / factor)) for length in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def turn(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels upright that are stored in an orientation of EXIF 2.32 (tag 0x0112, 1 to 8)."""
    if orientation >= 5:
        picture = cv2.transpose(picture)
    if orientation in (2, 3, 6, 7):
        picture = cv2.flip(picture, 1)
    if orientation in (3, 4, 7, 8):
        picture = cv2.flip(picture, 0)
    return picture


def shrink(picture: np.ndarray, length: int) -> np.ndarray:
    """Shrink a picture until its longer side has `length` pixels; a smaller one stays as it is."""
    # Halving is so much faster than any other factor that it pays to do it first.
    while max(picture.shape[:2]) >= 2 * length and min(picture.shape[:2]) > 1:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    scale = length / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """Resize a square picture to (size, size): area averaging to shrink, cubic interpolation to enlarge."""
    side = picture.shape[0]
    if side == size:
        return picture
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def encode_jpeg(picture: np.ndarray, quality: int) -> bytes:
    """Encode as JPEG, quality 0 to 100."""
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def network_picture(data: bytes, size: int, max_megapixels: float = math.inf) -> np.ndarray:
    """The bytes of a square picture as the network sees it: grey, uint8 (size, size).

    Raises:
        BadPictureError: as `decode`, or the picture is larger than `max_megapixels` or not square (a face is never
            stretched).
    """
    header = _read_header(data, max_megapixels)
    if header.width != header.height:
        raise BadPictureError("not square")
    return resize(_decode(data, header, colour=False, factor=reduction(header.width, size)), size)
