"""Random distortion of training pictures: geometry, a poor camera, light, and a part hidden."""

import cv2
import numpy as np

from stages.runtime.params import Augment


def distort(pictures: np.ndarray, random: np.random.Generator, augment: Augment, view: int) -> np.ndarray:
    """Move each picture by one affine map, blur it, change its light, add noise, and hide a part of it.

    Takes uint8 (n, size, size); what comes out is the middle of the result: uint8 (n, view, view). By `augment`:
    drawn evenly up to +-`rotation` degrees, +-`shear` degrees, +-`zoom` (a share, each axis for itself) and +-`shift`
    (a share of the size, each axis for itself); mirrored with probability `flip`. Border pixels are repeated outwards.
    The standard deviations of Gaussian blur (pixels) and noise (grey levels) are `blur` and `noise` times the square of
    an even draw from 0 to 1, so that half the pictures stay below a quarter of them. Contrast changes by the factor 1
    +-`light` and brightness by +-`light` * 128 grey levels. A rectangle with sides of up to `random_erasing` of the
    size, anywhere, gets the picture's mean (random erasing; Zhong et al., 2020).
    """
    size = pictures.shape[1]
    draw = random.uniform(-1, 1, (len(pictures), 6))
    mirror = np.where(random.random(len(pictures)) < augment.flip, -1.0, 1.0)
    turn, slant = np.radians(draw[:, 0] * augment.rotation), np.radians(draw[:, 1] * augment.shear)
    wide, high = mirror * (1 + draw[:, 2] * augment.zoom), 1 + draw[:, 3] * augment.zoom
    # Turn * shear * scale, written out for all pictures at once.
    matrix = np.empty((len(pictures), 2, 3))
    matrix[:, 0, 0] = np.cos(turn) * wide
    matrix[:, 0, 1] = -np.sin(turn + slant) * high
    matrix[:, 1, 0] = np.sin(turn) * wide
    matrix[:, 1, 1] = np.cos(turn + slant) * high
    # The centre stays where it is but for the shift.
    middle = (size - 1) / 2
    matrix[:, :, 2] = (view - 1) / 2 - matrix[:, :, :2].sum(axis=2) * middle + draw[:, 4:] * augment.shift * size
    result = np.empty((len(pictures), view, view), np.uint8)
    for number, picture in enumerate(pictures):
        cv2.warpAffine(picture, matrix[number], (view, view), dst=result[number], borderMode=cv2.BORDER_REPLICATE)
    if augment.blur:
        _blur(result, random, augment.blur)
    if augment.light:
        result = _change_light(result, random, augment.light)
    if augment.noise:
        _add_noise(result, random, augment.noise)
    if augment.random_erasing:
        _erase(result, random, augment.random_erasing)
    return result


def _blur(pictures: np.ndarray, random: np.random.Generator, blur: float) -> None:
    for picture, sigma in zip(pictures, blur * random.random(len(pictures)) ** 2, strict=True):
        if sigma > 0.2:  # below, no grey level changes
            cv2.GaussianBlur(picture, (0, 0), sigma, dst=picture, borderType=cv2.BORDER_REPLICATE)


def _change_light(pictures: np.ndarray, random: np.random.Generator, light: float) -> np.ndarray:
    draw = random.uniform(-light, light, (2, len(pictures))).astype(np.float32)
    table = np.arange(256, dtype=np.float32)[np.newaxis]
    table = (table - 128) * (1 + draw[0, :, np.newaxis]) + 128 + draw[1, :, np.newaxis] * 128
    # Looking each pixel up is several times faster than arithmetic on it.
    levels = table.clip(0, 255).astype(np.uint8)
    return np.stack([cv2.LUT(picture, level) for picture, level in zip(pictures, levels, strict=True)])


def _add_noise(pictures: np.ndarray, random: np.random.Generator, noise: float) -> None:
    sigma = np.float32(noise) * random.random((len(pictures), 1, 1), np.float32) ** 2
    pictures[:] = (pictures + sigma * random.standard_normal(pictures.shape, np.float32)).round().clip(0, 255)


def _erase(pictures: np.ndarray, random: np.random.Generator, erase: float) -> None:
    size = pictures.shape[1]
    sides = random.uniform(0, erase * size, (len(pictures), 2))
    middle = random.uniform(0, size, (len(pictures), 2))
    low = (middle - sides / 2).round().astype(int).clip(0)
    high = (middle + sides / 2).round().astype(int)
    for picture, (top, left), (bottom, right) in zip(pictures, low, high, strict=True):
        picture[top:bottom, left:right] = picture.mean()
