import numpy as np
import pytest

from stages.evaluation.saliency import COVER, cover_places, occlusion

SIZE = 48
SPOT = (slice(16, 24), slice(28, 36))


@pytest.fixture
def picture() -> np.ndarray:
    """A grey picture with a white spot."""
    picture = np.full((SIZE, SIZE), 100, np.uint8)
    picture[SPOT] = 255
    return picture


def spotter(pictures: np.ndarray) -> np.ndarray:
    """The probability of class 1 is the share of white in the spot's place."""
    white = (pictures[:, *SPOT] == 255).mean(axis=(1, 2))
    return np.stack([1 - white, white], axis=1)


def test_it_is_where_the_network_looks(picture: np.ndarray) -> None:
    fall = occlusion(spotter, picture, 1)
    assert fall.shape == (SIZE, SIZE)
    row, column = np.unravel_index(fall.argmax(), fall.shape)
    assert 16 <= row < 24
    assert 28 <= column < 36
    # Covered there, all is lost; far from there, nothing.
    assert fall.max() > 0.5
    assert not fall[40:].any()


def test_the_answer_is_about_the_emotion(picture: np.ndarray) -> None:
    assert (occlusion(spotter, picture, 0) == -occlusion(spotter, picture, 1)).all()


def test_first_as_it_is_then_covered_with_its_mean(picture: np.ndarray) -> None:
    asked = []

    def predict(pictures: np.ndarray) -> np.ndarray:
        asked.append(pictures.copy())
        return spotter(pictures)

    before = picture.copy()
    occlusion(predict, picture, 1)
    assert (picture == before).all()
    (pictures,) = asked
    assert (pictures[0] == picture).all()
    changed = pictures[1:] != picture
    assert changed.sum(axis=(1, 2)).max() == (COVER * SIZE) ** 2
    assert set(pictures[1:][changed].tolist()) == {round(float(picture.mean()))}


@pytest.mark.parametrize("size", [8, 48, 225])
def test_every_pixel_is_covered(size: int) -> None:
    count = np.zeros((size, size))
    for place in cover_places(size):
        count[place] += 1
    assert count.min() > 0
