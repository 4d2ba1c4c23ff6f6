"""Decide which face of a photo counts, and cut it out as a square, the same way for training, evaluation and use."""

from collections.abc import Sequence

import cv2
import numpy as np

from stages.faces.box import Box, overlap
from stages.files.images import encode_jpeg, resize

LEAST_INSIDE = 0.25  # share of an annotators' box


def reference_box(boxes: Sequence[Box | None], width: int, height: int, smallest: float) -> Box | None:
    """What several annotators' boxes have in common: the median of each side, over the boxes that can be a face.

    Such a box, cut to the picture, is at least `smallest` times the picture's shorter side wide and high. One of which
    less than LEAST_INSIDE is in it is of another picture, such as the photo that this one was cut from.
    """
    least = smallest * min(width, height)
    usable = []
    for box in boxes:
        if box is not None:
            left, top, right, bottom = np.clip(box, 0, (width, height, width, height))
            share = (right - left) * (bottom - top) / max((box[2] - box[0]) * (box[3] - box[1]), 1e-9)
            if right - left >= least and bottom - top >= least and share >= LEAST_INSIDE:
                usable.append((left, top, right, bottom))
    if not usable:
        return None
    return Box(*np.median(usable, axis=0).tolist())


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
        return max(found, key=lambda box: (box.area, -box[0], -box[1])), "unverified"
    return None, ""


def square_around(box: Box, widths: float) -> tuple[int, int, int]:
    """Left, top and side of the square around a box's centre that is so many times as wide as the box."""
    side = max(1, round((box[2] - box[0]) * widths))
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
