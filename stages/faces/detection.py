"""Find the faces in a photo, the same way for training, evaluation and use."""

import functools
from pathlib import Path

import cv2
import numpy as np

from stages.faces.box import Box, overlap
from stages.files.images import reduction, shrink
from stages.runtime.errors import UserError
from stages.runtime.params import Crop

YUNET = Path(__file__).parent / "yunet/face_detection_yunet_2023mar.onnx"
LOOKS = 1, 2  # times crop.detect_side: the second only if the first finds nothing
YUNET_SUPPRESSION = 0.3  # of two faces that overlap more, the less certain one is dropped: OpenCV's default


def coarsest(width: int, height: int, crop: Crop) -> int:
    """By how much a photo can shrink while it is decoded, 1, 2, 4 or 8, and still have the pixels for both looks."""
    return reduction(max(width, height), LOOKS[-1] * crop.detect_side)


def find_faces(picture: np.ndarray, crop: Crop, near: Box | None = None) -> list[Box]:
    """The faces in a picture, uint8 (height, width, 3) BGR or (height, width) grey; boxes in an order of their own.

    Faces that overlap the box `near` by less than `crop.min_overlap` are of no interest: they need not be found. If
    there is none of interest, a second look is taken at twice the size, if the picture has the pixels.
    """
    found: list[Box] = []
    for look in LOOKS:
        small = shrink(picture, look * crop.detect_side)
        scale = np.tile(np.divide(picture.shape[1::-1], small.shape[1::-1]), 2)
        if crop.detector == "haar":
            boxes = _haar(small, crop, None if near is None else np.divide(near, scale))
        else:
            boxes = _yunet(small, crop)
        # With several threads the candidates come in varying order.
        found = sorted(Box(*sides) for sides in (boxes * scale).tolist())
        if any(near is None or overlap(face, near) >= crop.min_overlap for face in found) or small is picture:
            break
    return found


def _haar(picture: np.ndarray, crop: Crop, near: np.ndarray | None) -> np.ndarray:
    """What a Haar cascade finds, float (faces, 4); only what may count if there is a `near`."""
    grey = cv2.equalizeHist(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    height, width = grey.shape
    smallest, largest = crop.smallest_face * min(height, width), float(max(height, width))
    left, top, right, bottom = 0, 0, width, height
    if near is not None:
        window, least, most = overlapping_squares(near, max(crop.min_overlap, 1e-6))
        smallest, largest = max(smallest, least), min(largest, most)
        left, top = np.maximum(window[:2], 0).astype(int)
        right, bottom = np.minimum(window[2:] + 1, (width, height)).astype(int)
    found = _cascade(crop.cascade).detectMultiScale(
        grey[top:bottom, left:right],
        scaleFactor=crop.scale_factor,
        minNeighbors=crop.min_neighbors,
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


def _yunet(picture: np.ndarray, crop: Crop) -> np.ndarray:
    """What YuNet finds, float (faces, 4)."""
    network = _network(crop.confidence)
    network.setInputSize(picture.shape[1::-1])
    found = network.detect(picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))[1]
    if found is None:
        return np.empty((0, 4))
    places, sizes = found[:, :2].astype(float), found[:, 2:4].astype(float)
    boxes = np.hstack([places, places + sizes])
    kept: np.ndarray = boxes[sizes.min(axis=1) >= crop.smallest_face * min(picture.shape[:2])]
    return kept


@functools.lru_cache(maxsize=1)
def _network(confidence: float) -> cv2.FaceDetectorYN:
    """YuNet (Wu, Peng and Yu, Machine Intelligence Research 20, 2023) as OpenCV's model zoo has it."""
    # Given as bytes: OpenCV opens no path with Hangul on Windows.
    network = np.frombuffer(YUNET.read_bytes(), np.uint8)
    try:
        return cv2.FaceDetectorYN.create("onnx", network, np.empty(0, np.uint8), (1, 1), confidence, YUNET_SUPPRESSION)
    except cv2.error:
        raise UserError(f"{YUNET} is damaged; bring the committed one back: git checkout {YUNET}") from None
