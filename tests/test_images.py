import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from samples import exif, jpeg, noise, segment

from stages.files.images import BadPictureError, decode, encode_jpeg, reduction, resize, shrink, upright_size

# A bright stripe on top and a bright corner tell all eight positions apart.
STORED = np.zeros((48, 80, 3), np.uint8)
STORED[:16] = 120
STORED[:16, :16] = 255


def pillow(picture: np.ndarray, kind: str, orientation: int | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    tags = Image.Exif()
    if orientation is not None:
        tags[0x0112] = orientation
    Image.fromarray(picture).save(file, kind, exif=tags, **options)
    return file.getvalue()


def reason(data: bytes, max_megapixels: float = 20) -> str:
    with pytest.raises(BadPictureError) as caught:
        upright_size(data, max_megapixels)
    return str(caught.value)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [*enumerate(["lt", "lt", "rt", "rb", "lb", "lt", "rt", "rb", "lb", "lt"]), (65535, "lt")],
)
def test_every_exif_orientation(orientation: int, corner: str, order: str) -> None:
    data = jpeg(STORED, exif(orientation, order))
    upright = decode(data, colour=True)
    size = (48, 80) if orientation in (5, 6, 7, 8) else (80, 48)
    assert upright_size(data, 20) == size == upright.shape[1::-1]
    # Which corner is bright after the turn, as Exif 2.32 has it for tag 0x0112.
    x, y = {"l": 4, "r": -5}[corner[0]], {"t": 4, "b": -5}[corner[1]]
    assert upright[y, x].min() > 230
    for colour in (True, False):
        assert decode(data, colour, 2).shape[1::-1] == (size[0] // 2, size[1] // 2)


XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
ODD_HEADERS = {
    "none": b"",
    "xmp": segment(XMP),
    "xmp beside exif": segment(XMP) + exif(8),
    "two exif": exif(6) + exif(1),
    "no exif": segment(b"Exif\0\0"),
    "garbage": segment(b"Exif\0\0garbage that goes on for a while"),
    "ends early": segment(b"Exif\0\0MM\0*"),
    "leads nowhere": segment(b"Exif\0\0MM\0*" + struct.pack(">I", 9999)),
    "too many tags": segment(b"Exif\0\0MM\0*" + struct.pack(">IHHH", 8, 500, 0x0112, 3)),
    "thumbnail": segment(b"Exif\0\0MM\0*" + struct.pack(">IHI", 8, 0, 0) + jpeg(STORED)),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_odd_headers(header: bytes) -> None:
    data = jpeg(STORED, header)
    assert upright_size(data, 20) == decode(data, colour=True).shape[1::-1]


# As Exif 2.32 has it for tag 0x0112.
UPRIGHT = {
    1: STORED,
    2: STORED[:, ::-1],
    3: STORED[::-1, ::-1],
    4: STORED[::-1],
    5: STORED.transpose(1, 0, 2),
    6: np.rot90(STORED, -1),
    7: STORED[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(STORED),
}


def check_turned(data: bytes, orientation: int) -> None:
    upright = UPRIGHT[orientation]
    assert upright_size(data, 20) == upright.shape[1::-1]
    for colour, expected in ((True, upright), (False, upright[..., 0])):
        picture = decode(data, colour)
        assert picture.shape == expected.shape
        assert np.abs(picture.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_turn_in_every_format(kind: str, orientation: int) -> None:
    check_turned(pillow(STORED, kind, orientation), orientation)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PPM", "JPEG2000"])
def test_formats_without_a_turn(kind: str) -> None:
    check_turned(pillow(STORED, kind), 1)


def tag(kind: str, value: int, order: str) -> bytes:
    """A TIFF entry for the orientation whose value is stored in another type."""
    number, value_format = TYPES[kind]
    return struct.pack(f"{order}HHI", 0x0112, number, 1) + struct.pack(f"{order}{value_format}", value).ljust(4, b"\0")


TYPES = {
    "BYTE": (1, "B"),
    "SHORT": (3, "H"),
    "LONG": (4, "I"),
    "SBYTE": (6, "b"),
    "UNDEFINED": (7, "B"),
    "SSHORT": (8, "h"),
    "SLONG": (9, "i"),
    "FLOAT": (11, "f"),
    "IFD": (13, "I"),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_of_any_type(kind: str, order: str, orientation: int) -> None:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    directory = struct.pack(f"{order}IH", 8, 1) + tag(kind, orientation, order) + bytes(4)
    data = jpeg(STORED, segment(b"Exif\0\0" + mark + directory))
    if kind == "FLOAT":
        check_refused(data, "orientation not understood")
    else:
        check_turned(data, orientation)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("orientation", [3, 6])
def test_tiff_of_any_type(kind: str, orientation: int) -> None:
    data = pillow(STORED, "TIFF", orientation).replace(tag("SHORT", orientation, "<"), tag(kind, orientation, "<"))
    if kind in ("BYTE", "UNDEFINED", "FLOAT", "IFD"):
        check_refused(data, "orientation not understood")
    else:
        check_turned(data, orientation)


def check_refused(data: bytes, expected: str) -> None:
    assert reason(data) == expected
    with pytest.raises(BadPictureError, match=expected):
        decode(data, colour=True)


def test_exif_behind_the_pixels_of_a_png() -> None:
    data = pillow(STORED, "PNG", 6)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    check_turned(data[:start] + data[end:-12] + data[start:end] + data[-12:], 6)


def test_an_avif_is_turned_by_its_own_box_not_by_exif() -> None:
    # ISO/IEC 23008-12 lets EXIF's orientation inform alone. Pillow writes none, so that another tag stands in for it.
    file, tags = io.BytesIO(), Image.Exif()
    tags[0x0128] = 6
    Image.fromarray(STORED).save(file, "AVIF", exif=tags)
    written, wanted = (struct.pack(">HHIH", number, 3, 1, 6) for number in (0x0128, 0x0112))
    assert written in file.getvalue()
    check_turned(file.getvalue().replace(written, wanted), 1)


def test_pixels_that_do_not_fit_the_header_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: STORED.transpose(1, 0, 2))
    with pytest.raises(BadPictureError, match="not of the size in its header"):
        decode(jpeg(STORED), colour=True)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_heic_says_what_to_do(brand: bytes) -> None:
    check_refused(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(500), "HEIC is not read: convert it to JPEG")
    assert reason(b"\0\0\0\x18ftypisom\0\0\0\0mp42isom" + bytes(500)) == "not a picture"


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "JPEG"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_turned_picture_keeps_its_shape_when_shrunk(kind: str, orientation: int, factor: int) -> None:
    data = pillow(STORED, kind, orientation)
    small, whole = decode(data, True, factor), decode(data, True)
    assert small.shape == (whole.shape[0] // factor, whole.shape[1] // factor, 3)
    expected = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 3


def test_a_narrow_picture_is_shrunk_to_one_pixel_at_least() -> None:
    assert decode(pillow(STORED[:3], "PNG"), colour=False, factor=8).shape == (1, 10)


def test_damaged_dds() -> None:
    data = bytearray(pillow(STORED, "DDS"))
    data[80] = 0  # the format of a pixel
    assert reason(bytes(data)) == "not a picture"


@pytest.mark.parametrize("box", [b"av01", b"iloc", b"ispe", b"pitm"])
def test_damaged_avif(box: bytes) -> None:
    assert reason(pillow(STORED, "AVIF").replace(box, b"free")) == "not a picture"


def test_a_header_that_one_of_pillows_readers_takes_for_its_own() -> None:
    fields = [0.0] * 27  # of SPIDER, whose reader of a stack fails with an AttributeError
    for place, value in {0: 1, 1: 24, 4: 1, 11: 32, 12: 8, 21: 1024, 22: 128, 26: 1}.items():
        fields[place] = value
    assert reason(struct.pack("<27f", *fields) + bytes(2000)) == "not a picture"


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "I;16"])
def test_other_pixels(mode: str) -> None:
    picture = Image.new(mode, (80, 48))
    file = io.BytesIO()
    picture.save(file, "JPEG" if mode == "CMYK" else "PNG")
    assert decode(file.getvalue(), colour=True).shape == (48, 80, 3)
    grey = decode(file.getvalue(), colour=False)
    assert (grey.shape, grey.dtype) == ((48, 80), np.uint8)


@pytest.mark.parametrize("data", [b"not a picture at all", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"\0" * 1000])
def test_no_picture(data: bytes) -> None:
    assert reason(data) == "not a picture"
    with pytest.raises(BadPictureError, match="not a picture"):
        decode(data, colour=True)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF"])
def test_opencv_says_nothing_of_a_damaged_picture(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = pillow(STORED, kind)
    with pytest.raises(BadPictureError):
        decode(data[: len(data) // 2], colour=True)
    assert capfd.readouterr().err == ""


def test_empty_file() -> None:
    assert reason(b"") == "empty file"
    with pytest.raises(BadPictureError):
        decode(b"", colour=False)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.5, 0.9, -2])
def test_cut_off_jpeg(kept: float, progressive: bool) -> None:
    data = pillow(noise(1, 48, 80, 3), "JPEG", 1, progressive=progressive)
    assert upright_size(data, 20) == (80, 48)
    assert reason(data[: int(kept if kept < 0 else kept * len(data))]) == "cut off"


def test_cut_off_jpeg_with_a_whole_thumbnail() -> None:
    data = jpeg(noise(1, 48, 80, 3), segment(b"Exif\0\0MM\0*" + struct.pack(">IHI", 8, 0, 0) + jpeg(STORED)))
    assert upright_size(data, 20) == (80, 48)
    assert reason(data[:-100]) == "cut off"


def test_what_follows_the_end_does_not_matter() -> None:
    assert upright_size(jpeg(STORED) + b"\xff\xfftrailer of a phone", 20) == (80, 48)
    assert upright_size(jpeg(STORED, b"\xff\xff\xff" + exif(6)), 20) == (48, 80)


def huge_png(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\4IDAT"


def huge_jpeg(width: int, height: int) -> bytes:
    data = jpeg(STORED)
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


@pytest.mark.parametrize("make", [huge_png, huge_jpeg])
def test_huge_header_is_refused_before_memory_is_taken(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert reason(make(60_000, 60_000)) == "too many pixels"  # type: ignore[operator]
    assert upright_size(make(20_000, 10_000), 200) == (20_000, 10_000)  # type: ignore[operator]


def test_limit_is_in_megapixels() -> None:
    data = jpeg(np.zeros((100, 200), np.uint8))
    assert upright_size(data, 0.02) == (200, 100)
    assert reason(data, 0.0199) == "too many pixels"


@pytest.mark.parametrize(
    ("length", "wanted", "factor"),
    [(4032, 480, 8), (4032, 504, 8), (4032, 505, 4), (960, 480, 2), (959, 480, 1), (100, 480, 1), (9600, 480, 8)],
)
def test_reduction(length: float, wanted: float, factor: int) -> None:
    assert reduction(length, wanted) == factor


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_reduced_decode_is_the_same_picture(factor: int) -> None:
    smooth = cv2.GaussianBlur(noise(2, 160, 240, 3), (0, 0), 12)
    data = jpeg(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX), quality=98)
    small = decode(data, colour=True, factor=factor)
    assert small.shape == (160 // factor, 240 // factor, 3)
    expected = cv2.resize(decode(data, colour=True), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(300, 400, (90, 120)), (4000, 3000, (120, 90)), (120, 7, (120, 7)), (9, 4001, (1, 120)), (1, 2000, (1, 120))],
)
def test_shrink_to_a_length(height: int, width: int, expected: tuple[int, int]) -> None:
    assert shrink(np.zeros((height, width, 3), np.uint8), 120).shape == (*expected, 3)


@pytest.mark.parametrize("factor", [1.3, 2, 3.1, 4, 9])
def test_shrink_averages(factor: float) -> None:
    picture = cv2.resize(noise(4, 6, 8), None, fx=40, fy=40, interpolation=cv2.INTER_CUBIC)
    small = shrink(picture, round(320 / factor))
    expected = cv2.resize(picture, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 3


def test_resize_averages_to_shrink() -> None:
    board = np.indices((96, 96)).sum(axis=0).astype(np.uint8) % 2 * 255
    assert set(np.unique(resize(board, 32))) == {113, 142}  # four or five of nine
    assert resize(board, 96) is board
    ramp = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1))
    large = resize(ramp, 48)
    assert large.shape == (48, 48)
    assert len(np.unique(large)) > 24  # between the pixels, not only copies of them


def test_encode_jpeg() -> None:
    picture = noise(3, 32, 32, 3)
    assert encode_jpeg(picture, 95) == encode_jpeg(picture, 95)
    assert len(encode_jpeg(picture, 95)) > len(encode_jpeg(picture, 20))
    assert decode(encode_jpeg(picture, 95), colour=True).shape == picture.shape
