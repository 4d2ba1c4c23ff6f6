"""The distortions do what their values say, to the same faces in the same way each time."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.evaluation import robustness
from stages.evaluation.robustness import Distort, DistortedFaces, distortions, some_faces
from stages.files.arrays import ArrayWriter
from stages.network.inputs import Faces
from stages.runtime import params

ROOT = Path(__file__).parent.parent
SIZE = 48


def picture(seed: int = 0) -> np.ndarray:
    """Soft blobs between 20 and 235, as a face has them rather than noise."""
    blobs = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(SIZE, SIZE)), (0, 0), 3)
    return np.rint(20 + 215 * (blobs - blobs.min()) / np.ptp(blobs)).astype(np.uint8)


def distort(function: Distort, amount: int, seed: int = 1, of: np.ndarray | None = None) -> np.ndarray:
    return partial(function, amount=amount)(picture() if of is None else of, np.random.default_rng(seed))


def distance(changed: np.ndarray) -> float:
    return float(np.abs(changed.astype(int) - picture()).mean())


@pytest.fixture
def faces(tmp_path: Path) -> Faces:
    with ArrayWriter(tmp_path / "test.npy", SIZE) as array:
        for number in range(6):
            array.append(picture(number))
    return Faces([tmp_path / "test.npy"], np.zeros(5, int), np.array([5, 4, 3, 1, 0]), np.arange(5) % 2)


def test_light_leaves_its_share() -> None:
    assert (distort(robustness.light, 50) == np.rint(picture() / 2)).all()


def test_noise_has_its_standard_deviation() -> None:
    grey = np.full((400, 400), 128, np.uint8)
    assert distort(robustness.noise, 12, of=grey).std() == pytest.approx(12, rel=0.02)
    white = np.full((SIZE, SIZE), 255, np.uint8)
    assert distort(robustness.noise, 30, of=white).min() > 60, "no value may run over"


def test_blur_is_a_gaussian_in_percent_of_the_width() -> None:
    point = np.zeros((100, 100), np.uint8)
    point[50, 50] = 255
    blurred = distort(robustness.blur, 2, of=point)
    expected = 255 / (2 * np.pi * 2**2)
    assert blurred[50, 50] == pytest.approx(expected, abs=1)
    assert blurred[50, 52] == pytest.approx(expected * np.exp(-0.5), abs=1)


def test_rotation_goes_either_way() -> None:
    spot = np.zeros((SIZE, SIZE), np.uint8)
    spot[2:6, 21:27] = 200  # above the middle
    columns = {np.argmax(distort(robustness.rotation, 45, seed, spot).sum(axis=0)) < SIZE / 2 for seed in range(20)}
    assert columns == {True, False}
    assert (distort(robustness.rotation, 180, of=spot)[::-1, ::-1] == spot).all()


def test_size_keeps_the_shape_and_loses_detail() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (SIZE, SIZE // 2))
    assert np.ptp(distort(robustness.size, 50, of=stripes)) <= 1
    assert (distort(robustness.size, 100) == picture()).all()


def test_each_is_harmless_at_first_and_worse_with_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found: dict[str, list[float]] = {}
    for name, strength, amount, function in distortions(params.load().robustness):
        found.setdefault(name, []).append(distance(function(picture(), np.random.default_rng(1))))
        assert strength == (len(found[name]) if name != "none" else 0)
        assert (amount is None) == (name == "none")
    assert found.pop("none") == [0]
    assert set(found) == {"blur", "light", "noise", "jpeg", "rotation", "size"}
    for name, distances in found.items():
        assert len(distances) == 3, name
        assert 0 < distances[0] < distances[1] < distances[2], name


def test_the_same_however_they_are_asked_for(faces: Faces) -> None:
    noise = partial(robustness.noise, amount=20)
    distorted = DistortedFaces(faces, np.array([1, 3, 4]), noise, 7)
    assert len(distorted) == 3
    assert distorted.label.tolist() == [1, 1, 0]
    together = distorted.pictures(np.arange(3))
    apart = np.concatenate([distorted.pictures(np.array([n])) for n in (2, 0, 1)])[[1, 2, 0]]
    assert (together == apart).all()
    assert (together != DistortedFaces(faces, np.array([1, 3, 4]), noise, 8).pictures(np.arange(3))).any()
    errors = together.astype(int) - [picture(4), picture(1), picture(0)]
    assert 15 < errors.std() < 25, "these are not the faces that were asked for"
    assert (errors[0] != errors[1]).any(), "each face has noise of its own"
    assert (faces.pictures(np.array([4]))[0] == picture(0)).all(), "the array itself changed"


def test_some_faces() -> None:
    assert some_faces(5, 10, 1).tolist() == [0, 1, 2, 3, 4]
    drawn = some_faces(1000, 100, 1)
    assert len(set(drawn)) == 100
    assert (np.diff(drawn) > 0).all()
    assert drawn.max() > 900 and drawn.min() < 100
    assert (drawn == some_faces(1000, 100, 1)).all()
    assert set(drawn) != set(some_faces(1000, 100, 2))
