"""Random affine distortion of training pictures."""

from functools import partial

import cv2
import numpy as np

from stages.common import params
from stages.common.dataset import Augment


def distort(
    pictures: np.ndarray,
    random: np.random.Generator,
    rotation: float,
    shear: float,
    shift: float,
    zoom: float,
    flip: float,
) -> np.ndarray:
    """Rotate, shear, zoom, mirror and shift each picture by one affine map; uint8 (n, size, size) in and out.

    Drawn evenly up to +-`rotation` degrees, +-`shear` degrees, +-`zoom` (a share, each axis for itself) and +-`shift`
    (a share of the size, each axis for itself); mirrored with probability `flip`. Border pixels are repeated outwards.
    """
    size = pictures.shape[1]
    draw = random.uniform(-1, 1, (len(pictures), 6))
    mirror = np.where(random.random(len(pictures)) < flip, -1.0, 1.0)
    turn, slant = np.radians(draw[:, 0] * rotation), np.radians(draw[:, 1] * shear)
    wide, high = mirror * (1 + draw[:, 2] * zoom), 1 + draw[:, 3] * zoom
    # Turn * shear * scale, written out for all pictures at once.
    matrix = np.empty((len(pictures), 2, 3))
    matrix[:, 0, 0] = np.cos(turn) * wide
    matrix[:, 0, 1] = -np.sin(turn + slant) * high
    matrix[:, 1, 0] = np.sin(turn) * wide
    matrix[:, 1, 1] = np.cos(turn + slant) * high
    # The centre stays where it is but for the shift.
    middle = (size - 1) / 2
    matrix[:, :, 2] = middle - matrix[:, :, :2].sum(axis=2) * middle + draw[:, 4:] * shift * size
    result = np.empty_like(pictures)
    for number, picture in enumerate(pictures):
        cv2.warpAffine(picture, matrix[number], (size, size), dst=result[number], borderMode=cv2.BORDER_REPLICATE)
    return result


def from_params() -> Augment:
    """The distortion that the section `augment:` of params.yaml describes."""
    section = params.section("augment")
    return partial(
        distort,
        rotation=section.number("rotation", 0, 180),
        shear=section.number("shear", 0, 45),
        shift=section.number("shift", 0, 0.5),
        zoom=section.number("zoom", 0, 0.5),
        flip=section.number("flip", 0, 1),
    )
