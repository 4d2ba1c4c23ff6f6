"""Decode, resize and encode pictures; a picture that cannot be used fails with a short reason."""

import io
import struct

import cv2
import numpy as np
from PIL import Image

EXIF_ORIENTATION = 0x0112
Image.MAX_IMAGE_PIXELS = None  # ours, max_megapixels, may be higher than Pillow's limit
REDUCED_COLOUR = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
REDUCED_GREY = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


class BadPictureError(Exception):
    """A picture cannot be used; the message is the short reason."""


def upright_size(data: bytes, max_megapixels: float) -> tuple[int, int]:
    """Width and height after the EXIF turn, read from the header alone: no pixel is decoded.

    A JPEG that is cut off is rejected, even if its face is still there: it can be fetched again, and whoever trains on
    it would learn the grey that stands for what is missing.

    Raises:
        BadPictureError: not a picture, cut off, or larger than `max_megapixels`.
    """
    if not data:
        raise BadPictureError("empty file")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            (width, height), orientation = picture.size, _orientation(picture)
            is_jpeg = picture.format in ("JPEG", "MPO")
    except (OSError, SyntaxError, ValueError, NotImplementedError):  # the last for a damaged DDS
        raise BadPictureError("not a picture") from None
    if width * height > max_megapixels * 1e6:
        raise BadPictureError("too many pixels")
    if is_jpeg and not _is_whole_jpeg(data):
        raise BadPictureError("cut off")
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def _orientation(picture: Image.Image) -> int | None:
    """The orientation in EXIF; `Image.getexif` would take one from XMP as well, which OpenCV does not turn by."""
    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif", b""))
    except (SyntaxError, ValueError, OSError, KeyError, struct.error):  # damaged, and of no use to OpenCV either
        return None
    return exif.get(EXIF_ORIENTATION)


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
        BadPictureError: the bytes cannot be decoded.
    """
    # OpenCV would take a turned TIFF's width for its height.
    while_decoding = factor if data.startswith(b"\xff\xd8\xff") else 1
    flags = (REDUCED_COLOUR if colour else REDUCED_GREY)[while_decoding]
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadPictureError("not a picture")
    if while_decoding == factor:
        return picture
    size = [max(1, round(length / factor)) for length in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


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


def network_picture(data: bytes, side: int, size: int) -> np.ndarray:
    """The bytes of a square picture of `side` pixels as the network sees it: grey, uint8 (size, size).

    Raises:
        BadPictureError: the bytes cannot be decoded.
    """
    return resize(decode(data, colour=False, factor=reduction(side, size)), size)
