"""One picture of a data set, as its reader finds it."""

import math
from dataclasses import dataclass

import numpy as np

from stages.files.archives import Entry


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a face, and where its pixels are: an entry below the data set's root, or the values themselves."""

    split: str  # one of the data set's own: the array that it goes into
    label: str  # as the data set has it; "" if it does not say
    id: str  # the same on every machine; <split>/<label>/<name> where the picture's folders are all that is known
    path: str  # where a person would look for it
    source: Entry | bytes


def as_square(values: bytes) -> np.ndarray:
    """Grey values row by row as a picture, uint8 (side, side)."""
    side = math.isqrt(len(values))
    return np.frombuffer(values, np.uint8).reshape(side, side)
