from pathlib import Path

import numpy as np
import pytest

from stages.common.arrays import ArrayWriter
from stages.common.dataset import Faces
from stages.common.saliency import COVER, CoveredFaces, cover_places, occlusion

SIZE = 48


@pytest.fixture
def faces(tmp_path: Path) -> Faces:
    """Two faces: a grey one, and one with a white spot."""
    spot = np.full((SIZE, SIZE), 100, np.uint8)
    spot[16:24, 28:36] = 255
    with ArrayWriter(tmp_path / "test.npy", SIZE) as array:
        array.append(np.full((SIZE, SIZE), 100, np.uint8))
        array.append(spot)
    return Faces([tmp_path / "test.npy"], np.zeros(2, int), np.arange(2), np.array([0, 1]))


def spotter(faces: Faces) -> np.ndarray:
    """The probability of class 1 is the share of white in the spot's place."""
    pictures = faces.pictures(np.arange(len(faces)))
    white = (pictures[:, 16:24, 28:36] == 255).mean(axis=(1, 2))
    return np.stack([1 - white, white], axis=1)


def test_it_is_where_the_network_looks(faces: Faces) -> None:
    fall = occlusion(spotter, faces, 1)
    assert fall.shape == (SIZE, SIZE)
    row, column = np.unravel_index(fall.argmax(), fall.shape)
    assert 16 <= row < 24
    assert 28 <= column < 36
    # Covered there, all is lost; far from there, nothing.
    assert fall.max() > 0.5
    assert not fall[40:].any()


def test_the_answer_is_about_the_label(faces: Faces) -> None:
    """The first face is of class 0, which the spotter is sure of wherever it is covered."""
    assert not occlusion(spotter, faces, 0).any()


def test_first_as_it_is_then_covered(faces: Faces) -> None:
    covered = CoveredFaces(faces, 1, cover_places(SIZE))
    pictures = covered.pictures(np.arange(len(covered)))
    original = faces.pictures(np.array([1]))[0]
    assert (pictures[0] == original).all()
    changed = (pictures[1:] != original).sum(axis=(1, 2))
    assert changed.max() == (COVER * SIZE) ** 2
    assert (covered.pictures(np.array([5])) == pictures[5]).all()
    assert list(covered.label) == [1] * len(covered)


@pytest.mark.parametrize("size", [8, 48, 225])
def test_every_pixel_is_covered(size: int) -> None:
    count = np.zeros((size, size))
    for place in cover_places(size):
        count[place] += 1
    assert count.min() > 0
