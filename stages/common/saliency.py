"""Where in a face a network looks: how much its answer suffers when a part is covered.

Occlusion: M. D. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2. It
asks for nothing but probabilities, so it fits every network.
"""

from collections.abc import Callable, Sequence

import numpy as np

from stages.common.dataset import Faces

COVER = 1 / 4  # side of the cover, as a share of the picture's
STEPS = 12  # positions of the cover along each side
Place = tuple[slice, slice]


class CoveredFaces(Faces):
    """One face many times: first as it is, then covered at one place after the other with its mean grey."""

    def __init__(self, faces: Faces, number: int, places: Sequence[Place]) -> None:
        """Take the face `number` of `faces`, and cover it at each of `places`, rows and columns."""
        same = np.full(len(places) + 1, number)
        super().__init__(faces.files, faces.file[same], faces.row[same], faces.label[same])
        self.places = places

    def pictures(self, index: np.ndarray) -> np.ndarray:
        """The pictures `index`, 0 for the uncovered one, uint8 (len(index), size, size)."""
        pictures = super().pictures(index)
        for picture, number in zip(pictures, index, strict=True):
            if number:
                picture[self.places[number - 1]] = round(float(picture.mean()))
        return pictures


def cover_places(size: int) -> list[Place]:
    """Where a picture of `size` pixels is covered: places that overlap, row by row."""
    side = max(1, round(size * COVER))
    starts = np.unique(np.linspace(0, size - side, STEPS).round().astype(int)).tolist()
    return [(slice(top, top + side), slice(left, left + side)) for top in starts for left in starts]


def occlusion(predict: Callable[[Faces], np.ndarray], faces: Faces, number: int) -> np.ndarray:
    """By how much the probability of a face's label falls where it is covered, float (size, size), -1 to 1.

    A pixel's value is the mean over all covers that lie on it. `predict` returns probabilities, float (n, classes), and
    `number` is that of the face in `faces`.
    """
    places = cover_places(faces.size)
    probability = predict(CoveredFaces(faces, number, places))[:, faces.label[number]].astype(float)
    fall, count = np.zeros((2, faces.size, faces.size))
    for place, covered in zip(places, probability[1:], strict=True):
        fall[place] += probability[0] - covered
        count[place] += 1
    return fall / count
