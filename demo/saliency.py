"""Which parts of a face an answer rests on: cover them one after the other (Zeiler and Fergus, ECCV 2014)."""

import numpy as np

from demo.models import Model

PATCH, STEP = 6, 12  # the cover is a 6th of the picture wide and moves on by a 12th


def occlusion(model: Model, picture: np.ndarray, emotion: int) -> np.ndarray:
    """How much less probable the emotion is without each pixel, float (size, size), 0 to 1 for the most important.

    `picture` is uint8 (size, size), as the network sees it; the cover has its mean grey.
    """
    size = len(picture)
    width, step = max(1, size // PATCH), max(1, size // STEP)
    starts = sorted({*range(0, size - width, step), size - width})
    places = [(slice(top, top + width), slice(left, left + width)) for top in starts for left in starts]
    covered = np.repeat(picture[np.newaxis], len(places) + 1, axis=0)
    for number, place in enumerate(places):
        covered[number][place] = round(float(picture.mean()))
    probability = model.predict(covered)[:, emotion]
    drop, count = np.zeros((size, size)), np.zeros((size, size))
    for place, share in zip(places, probability[:-1], strict=True):
        drop[place] += max(0.0, probability[-1] - share)
        count[place] += 1
    mean = drop / count
    result: np.ndarray = mean / max(float(mean.max()), 1e-9)
    return result
