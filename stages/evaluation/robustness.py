"""Test faces as worse cameras and worse light would show them: six distortions, each at several strengths."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from stages.files.images import decode, encode_jpeg, resize
from stages.network.inputs import Faces
from stages.runtime.params import Robustness

Distort = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class DistortedFaces(Faces):
    """Some of the faces of a split, each distorted: the same for the same seed, in whatever parts one asks for them."""

    def __init__(self, faces: Faces, some: np.ndarray, distort: Distort, seed: int) -> None:
        """Take the faces number `some`, int (k,), and let `distort` change each, uint8 (size, size), when asked for."""
        super().__init__(faces.files, faces.file[some], faces.row[some], faces.label[some])
        self.distort = distort
        self.seed = seed

    def pictures(self, index: np.ndarray) -> np.ndarray:
        """The distorted pictures of the faces `index`, uint8 (len(index), size, size)."""
        pictures = super().pictures(index)
        for place, number in enumerate(index):
            pictures[place] = self.distort(pictures[place], np.random.default_rng([self.seed, int(number)]))
        return pictures


def blur(picture: np.ndarray, random: np.random.Generator, amount: int) -> np.ndarray:
    """Blur by a Gaussian whose standard deviation is `amount` percent of the width."""
    return cv2.GaussianBlur(picture, (0, 0), amount / 100 * len(picture))


def light(picture: np.ndarray, random: np.random.Generator, amount: int) -> np.ndarray:
    """Leave `amount` percent of the light."""
    return np.asarray(np.rint(picture * (amount / 100)).astype(np.uint8))


def noise(picture: np.ndarray, random: np.random.Generator, amount: int) -> np.ndarray:
    """Add Gaussian noise with a standard deviation of `amount` grey levels."""
    noisy = picture + random.normal(0, amount, picture.shape)
    return np.asarray(np.rint(noisy).clip(0, 255).astype(np.uint8))


def jpeg(picture: np.ndarray, random: np.random.Generator, amount: int) -> np.ndarray:
    """Encode as JPEG of quality `amount`, and decode."""
    return decode(encode_jpeg(picture, amount), colour=False)


def rotation(picture: np.ndarray, random: np.random.Generator, amount: int) -> np.ndarray:
    """Turn by `amount` degrees, either way at random; border pixels are repeated outwards."""
    size = len(picture)
    middle = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), amount * random.choice((-1, 1)), 1)
    return cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)


def size(picture: np.ndarray, random: np.random.Generator, amount: int) -> np.ndarray:
    """Shrink to `amount` percent of the width, and enlarge again."""
    return resize(resize(picture, max(round(len(picture) * amount / 100), 1)), len(picture))


def distortions(settings: Robustness) -> list[tuple[str, int, int | None, Distort]]:
    """Name, strength, amount and function of each distortion that `robustness:` in params.yaml names.

    Strengths count from 1; `none` comes first, with strength 0 and no amount.
    """
    kinds = (blur, light, noise, jpeg, rotation, size)
    amounts = (settings.blur, settings.light, settings.noise, settings.jpeg, settings.rotation, settings.size)
    found: list[tuple[str, int, int | None, Distort]] = [("none", 0, None, lambda picture, random: picture)]
    for distort, strengths in zip(kinds, amounts, strict=True):
        for strength, amount in enumerate(strengths, 1):
            found.append((distort.__name__, strength, amount, partial(distort, amount=amount)))
    return found


def some_faces(count: int, most: int, seed: int) -> np.ndarray:
    """`most` of `count` faces, drawn at random, or all if there are no more; int, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])
