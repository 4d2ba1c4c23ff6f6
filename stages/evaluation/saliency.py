"""Where in a face a network looks: how much its answer suffers when a part is covered.

Occlusion: M. D. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2. It
asks for nothing but probabilities, so it fits every network.
"""

from collections.abc import Callable

import numpy as np

COVER = 1 / 4  # side of the cover, as a share of the picture's
STEPS = 12  # positions of the cover along each side


def cover_places(size: int) -> list[tuple[slice, slice]]:
    """Where a picture of `size` pixels is covered: places that overlap, row by row."""
    side = max(1, round(size * COVER))
    starts = np.unique(np.linspace(0, size - side, STEPS).round().astype(int)).tolist()
    return [(slice(top, top + side), slice(left, left + side)) for top in starts for left in starts]


def occlusion(predict: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, emotion: int) -> np.ndarray:
    """By how much the probability of class `emotion` falls where a picture is covered, float (size, size), -1 to 1.

    `picture` is uint8 (size, size), the cover has its mean grey, and a pixel's value is the mean over all covers that
    lie on it. `predict` takes pictures, uint8 (n, size, size), and returns probabilities, float (n, classes).
    """
    places = cover_places(len(picture))
    pictures = np.repeat(picture[np.newaxis], len(places) + 1, axis=0)
    for covered, place in zip(pictures[1:], places, strict=True):
        covered[place] = round(float(picture.mean()))
    probability = predict(pictures)[:, emotion].astype(float)
    fall, count = np.zeros((2, *picture.shape))
    for place, share in zip(places, probability[1:], strict=True):
        fall[place] += probability[0] - share
        count[place] += 1
    return np.asarray(fall / count)
