"""Find the face in a photo and cut it out as a square, the same way for training, evaluation and use.

Boxes are (left, top, right, bottom) in pixels.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stages.common.errors import UserError

Box = tuple[float, float, float, float]


@functools.lru_cache(maxsize=1)
def load_cascade(name: str) -> cv2.CascadeClassifier:
    """One of the Haar cascades that OpenCV ships (Viola and Jones, CVPR 2001), by its file name."""
    path = Path(cv2.__file__).parent / "data" / name
    if not path.is_file():
        names = ", ".join(sorted(p.name for p in path.parent.glob("*face*.xml")))
        raise UserError(f"params.yaml: crop.cascade is {name!r}, but OpenCV ships {names}.")
    return cv2.CascadeClassifier(str(path))


def find_faces(grey: np.ndarray, cascade: str, scale_step: float, neighbors: int, smallest: float) -> list[Box]:
    """The faces that a Haar cascade finds in a grey picture, uint8 (height, width), in an order of their own.

    `smallest` is the smallest face's side, relative to the picture's shorter side.
    """
    side = max(1, round(smallest * min(grey.shape)))
    found = load_cascade(cascade).detectMultiScale(
        cv2.equalizeHist(grey), scaleFactor=scale_step, minNeighbors=neighbors, minSize=(side, side)
    )
    # With several threads the candidates come in varying order.
    return sorted((float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in found)


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

    With a reference (the annotators' box): the found face that overlaps it most ("cascade"), or the reference itself
    if none does by at least `min_overlap` ("annotators"). Without: the largest face, of equal ones the leftmost and
    then the topmost ("unverified"), or none ("").
    """
    if reference is not None:
        best = max(found, key=lambda box: (overlap(box, reference), -box[0], -box[1]), default=None)
        if best is not None and overlap(best, reference) >= min_overlap:
            return best, "cascade"
        return reference, "annotators"
    if found:
        return max(found, key=lambda box: (_area(box), -box[0], -box[1])), "unverified"
    return None, ""


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
