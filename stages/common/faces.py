"""Find the face in a photo and cut it out as a square, the same way for training, evaluation and use.

Boxes are (left, top, right, bottom) in pixels.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stages.common import params
from stages.common.errors import UserError
from stages.common.images import encode_jpeg, resize, shrink

Box = tuple[float, float, float, float]
DETECTORS = ("haar", "yunet")
YUNET = Path(__file__).parent / "yunet/face_detection_yunet_2023mar.onnx"
YUNET_SUPPRESSION = 0.3  # of two faces that overlap more, the less certain one is dropped: OpenCV's default


class Search(NamedTuple):
    """How faces are looked for: values of `crop:` in params.yaml."""

    detector: str  # one of DETECTORS
    side: int  # pixels of the longer side of the picture that is searched
    smallest: float  # smallest face, as a share of the picture's shorter side
    cascade: str
    scale_step: float
    neighbors: int
    confidence: float


def search_from_params() -> Search:
    """The search that `crop:` in params.yaml describes."""
    crop = params.section("crop")
    return Search(
        detector=crop.choice("detector", DETECTORS),
        side=crop.integer("detect_side", 64, 4096),
        smallest=crop.number("smallest_face", 0.01, 1),
        cascade=crop.text("cascade"),
        scale_step=crop.number("scale_step", 1.01, 2),
        neighbors=crop.integer("neighbors", 0, 100),
        confidence=crop.number("confidence", 0.01, 1),
    )


def find_faces(picture: np.ndarray, search: Search, near: Box | None = None, min_overlap: float = 0) -> list[Box]:
    """The faces in a picture, uint8 (height, width, 3) BGR or (height, width) grey; boxes in an order of their own.

    Faces that overlap the box `near` by less than `min_overlap` are of no interest: they need not be found. If there is
    none of interest, a second look is taken at twice the size.
    """
    found: list[Box] = []
    for side in (search.side, 2 * search.side):
        small = shrink(picture, side)
        scale = np.tile(np.divide(picture.shape[1::-1], small.shape[1::-1]), 2)
        if search.detector == "haar":
            boxes = _haar(small, search, None if near is None else np.divide(near, scale), min_overlap)
        else:
            boxes = _yunet(small, search)
        # With several threads the candidates come in varying order.
        found = sorted((left, top, right, bottom) for left, top, right, bottom in (boxes * scale).tolist())
        if any(near is None or overlap(face, near) >= min_overlap for face in found) or small is picture:
            break
    return found


def _haar(picture: np.ndarray, search: Search, near: np.ndarray | None, min_overlap: float) -> np.ndarray:
    """What a Haar cascade finds, float (faces, 4); only what may count if there is a `near`."""
    grey = cv2.equalizeHist(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    height, width = grey.shape
    smallest, largest = search.smallest * min(height, width), float(max(height, width))
    left, top, right, bottom = 0, 0, width, height
    if near is not None:
        window, least, most = overlapping_squares(near, max(min_overlap, 1e-6))
        smallest, largest = max(smallest, least), min(largest, most)
        left, top = np.maximum(window[:2], 0).astype(int)
        right, bottom = np.minimum(window[2:] + 1, (width, height)).astype(int)
    found = _cascade(search.cascade).detectMultiScale(
        grey[top:bottom, left:right],
        scaleFactor=search.scale_step,
        minNeighbors=search.neighbors,
        minSize=(round(smallest),) * 2,
        maxSize=(round(largest),) * 2,
    )
    places, sizes = np.split(np.reshape(found, (-1, 4)), 2, axis=1)
    places = places + np.array((left, top))
    return np.hstack([places, places + sizes])


def overlapping_squares(box: np.ndarray, least: float) -> tuple[np.ndarray, float, float]:
    """The window (left, top, right, bottom) in which all squares lie that overlap a box by `least` > 0 or more.

    Also the smallest and the largest side of such a square.
    """
    size = box[2:] - box[:2]
    area = float(np.prod(size))
    smallest, largest = (area * least) ** 0.5, (area / least) ** 0.5
    # A square of side s that sticks out by e to the left or right shares at most (s - e) x height with the box and must
    # share least x (s^2 + area) / (1 + least); up and down alike. So e is below a parabola over s: this is its top.
    across = size[::-1]
    side = np.minimum(largest, (1 + least) / (2 * least) * across)
    out = np.maximum(0, side - least / (1 + least) * (side**2 + area) / across)
    return np.concatenate([box[:2] - out, box[2:] + out]), smallest, largest


@functools.lru_cache(maxsize=1)
def _cascade(name: str) -> cv2.CascadeClassifier:
    """One of the Haar cascades that OpenCV ships (Viola and Jones, CVPR 2001), by its file name."""
    path = Path(cv2.__file__).parent / "data" / name
    classifier = cv2.CascadeClassifier()
    if path.is_file():
        # Given as text: OpenCV opens no path with Hangul on Windows.
        text = path.read_text(encoding="utf-8")
        store = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        classifier.read(store.getFirstTopLevelNode())
    if classifier.empty():
        names = ", ".join(sorted(p.name for p in path.parent.glob("*face*.xml")))
        raise UserError(f"params.yaml: crop.cascade is {name!r}, but OpenCV ships {names}.")
    return classifier


def _yunet(picture: np.ndarray, search: Search) -> np.ndarray:
    """What YuNet finds, float (faces, 4)."""
    network = _network(search.confidence)
    network.setInputSize(picture.shape[1::-1])
    found = network.detect(picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))[1]
    if found is None:
        return np.empty((0, 4))
    places, sizes = found[:, :2].astype(float), found[:, 2:4].astype(float)
    boxes = np.hstack([places, places + sizes])
    kept: np.ndarray = boxes[sizes.min(axis=1) >= search.smallest * min(picture.shape[:2])]
    return kept


@functools.lru_cache(maxsize=1)
def _network(confidence: float) -> cv2.FaceDetectorYN:
    """YuNet (Wu, Peng and Yu, Machine Intelligence Research 20, 2023) as OpenCV's model zoo has it."""
    # Given as bytes: OpenCV opens no path with Hangul on Windows.
    network = np.frombuffer(YUNET.read_bytes(), np.uint8)
    return cv2.FaceDetectorYN.create("onnx", network, np.empty(0, np.uint8), (1, 1), confidence, YUNET_SUPPRESSION)


def reference_box(boxes: Sequence[Box | None], width: int, height: int, smallest: float) -> Box | None:
    """What several annotators' boxes have in common: the median of each side, over the boxes that can be a face.

    Such a box, cut to the picture, is at least `smallest` times the picture's shorter side wide and high.
    """
    least = smallest * min(width, height)
    usable = []
    for box in boxes:
        if box is not None:
            left, top, right, bottom = np.clip(box, 0, (width, height, width, height))
            if right - left >= least and bottom - top >= least:
                usable.append((left, top, right, bottom))
    if not usable:
        return None
    left, top, right, bottom = (float(side) for side in np.median(usable, axis=0))
    return left, top, right, bottom


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def choose_face(found: Sequence[Box], reference: Box | None, min_overlap: float) -> tuple[Box | None, str]:
    """The one face that counts, and how it was chosen.

    With a reference (the annotators' box): the found face that overlaps it most ("verified"), or the reference itself
    if none does by at least `min_overlap` ("annotators"). Without: the largest face, of equal ones the leftmost and
    then the topmost ("unverified"), or none ("").
    """
    if reference is not None:
        best = max(found, key=lambda box: (overlap(box, reference), -box[0], -box[1]), default=None)
        if best is not None and overlap(best, reference) >= min_overlap:
            return best, "verified"
        return reference, "annotators"
    if found:
        return max(found, key=lambda box: (_area(box), -box[0], -box[1])), "unverified"
    return None, ""


def scaled(box: Box, factor: float) -> Box:
    """The box in a picture `factor` times as large."""
    left, top, right, bottom = box
    return left * factor, top * factor, right * factor, bottom * factor


def square_around(box: Box, margin: float) -> tuple[int, int, int]:
    """Left, top and side of the square around a box's centre: as wide as the box, and `margin` x width on each side."""
    width = box[2] - box[0]
    side = max(1, round(width * (1 + 2 * margin)))
    return round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2), side


def cut_square(picture: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """Cut a square out; where it reaches over the border, the border's pixels are repeated."""
    height, width = picture.shape[:2]
    inside = picture[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    if inside.size == 0:
        raise ValueError("the square lies outside the picture")
    over = (max(0, -top), max(0, top + side - height), max(0, -left), max(0, left + side - width))
    return cv2.copyMakeBorder(inside, *over, cv2.BORDER_REPLICATE)


def cut_face(picture: np.ndarray, factor: int, square: tuple[int, int, int], size: int, quality: int) -> bytes:
    """Cut a face out of a photo, as a JPEG of at most (size, size) pixels.

    Args:
        picture: the photo, uint8 (height, width, 3) BGR, decoded `factor` times smaller than it is.
        factor: 1, 2, 4 or 8.
        square: left, top and side, in pixels of the photo itself.
        size: largest side of the crop in pixels.
        quality: of the JPEG, 1 to 100.
    """
    left, top, side = square
    cut = cut_square(picture, round(left / factor), round(top / factor), max(1, round(side / factor)))
    return encode_jpeg(resize(cut, size) if cut.shape[0] > size else cut, quality)
