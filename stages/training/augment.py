"""Random distortion of training pictures: geometry, light, and a part hidden."""

from functools import partial

import cv2
import numpy as np

from stages.runtime import params
from stages.training.batches import Augment


def distort(
    pictures: np.ndarray,
    random: np.random.Generator,
    rotation: float,
    shear: float,
    shift: float,
    zoom: float,
    flip: float,
    light: float,
    erase: float,
    view: int,
) -> np.ndarray:
    """Move each picture by one affine map, change its light, and hide a part of it.

    Takes uint8 (n, size, size); what comes out is the middle of the result: uint8 (n, view, view).
    Drawn evenly up to +-`rotation` degrees, +-`shear` degrees, +-`zoom` (a share, each axis for itself) and +-`shift`
    (a share of the size, each axis for itself); mirrored with probability `flip`. Border pixels are repeated outwards.
    Contrast changes by the factor 1 +-`light` and brightness by +-`light` * 128 grey levels. A rectangle with sides of
    up to `erase` of the size, anywhere, gets the picture's mean (random erasing; Zhong et al., 2020).
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
    matrix[:, :, 2] = (view - 1) / 2 - matrix[:, :, :2].sum(axis=2) * middle + draw[:, 4:] * shift * size
    result = np.empty((len(pictures), view, view), np.uint8)
    for number, picture in enumerate(pictures):
        cv2.warpAffine(picture, matrix[number], (view, view), dst=result[number], borderMode=cv2.BORDER_REPLICATE)
    if light:
        result = _change_light(result, random, light)
    if erase:
        _erase(result, random, erase)
    return result


def _change_light(pictures: np.ndarray, random: np.random.Generator, light: float) -> np.ndarray:
    draw = random.uniform(-light, light, (2, len(pictures))).astype(np.float32)
    table = np.arange(256, dtype=np.float32)[np.newaxis]
    table = (table - 128) * (1 + draw[0, :, np.newaxis]) + 128 + draw[1, :, np.newaxis] * 128
    # Looking each pixel up is several times faster than arithmetic on it.
    levels = table.clip(0, 255).astype(np.uint8)
    return np.stack([cv2.LUT(picture, level) for picture, level in zip(pictures, levels, strict=True)])


def _erase(pictures: np.ndarray, random: np.random.Generator, erase: float) -> None:
    size = pictures.shape[1]
    sides = random.uniform(0, erase * size, (len(pictures), 2))
    middle = random.uniform(0, size, (len(pictures), 2))
    low = (middle - sides / 2).round().astype(int).clip(0)
    high = (middle + sides / 2).round().astype(int)
    for picture, (top, left), (bottom, right) in zip(pictures, low, high, strict=True):
        picture[top:bottom, left:right] = picture.mean()


def from_params(view: int) -> Augment:
    """The distortion that the section `augment:` of params.yaml describes, of which `view` pixels come out."""
    section = params.section("augment")
    return partial(
        distort,
        rotation=section.number("rotation", 0, 180),
        shear=section.number("shear", 0, 45),
        shift=section.number("shift", 0, 0.5),
        zoom=section.number("zoom", 0, 0.5),
        flip=section.number("flip", 0, 1),
        light=section.number("light", 0, 1),
        erase=section.number("erase", 0, 1),
        view=view,
    )
