"""Intervals: against scipy's, by people, and for figures that do not always exist."""

import numpy as np
import pytest
from scipy import stats

from stages.evaluation.bootstrap import Bootstrap, interval


def test_interval_of_single_images_is_that_of_scipy() -> None:
    right = np.random.default_rng(1).random(200) < 0.8
    bootstrap = Bootstrap(np.arange(200).astype(str), 20_000, 1)
    expected = stats.bootstrap((right,), np.mean, n_resamples=20_000, method="percentile", rng=2).confidence_interval
    found = interval(bootstrap.means(right, np.ones(200, bool)))
    assert found == pytest.approx((expected.low, expected.high), abs=0.0051)  # a face is 0.005


def test_interval_by_people_is_that_of_scipy_over_people() -> None:
    """Faces of one person are all alike here, so that people count and not faces; their numbers of faces differ."""
    random = np.random.default_rng(4)
    right, count = random.random(40) < 0.6, random.integers(1, 30, 40)
    person = np.repeat([f"p{n}" for n in range(40)], count)
    faces = np.repeat(right, count)

    def share(people: np.ndarray) -> float:
        return float((right[people] * count[people]).sum() / count[people].sum())

    expected = stats.bootstrap(
        (np.arange(40),), share, n_resamples=9_999, method="percentile", vectorized=False, rng=2
    ).confidence_interval
    by_people = interval(Bootstrap(person, 9_999, 1).means(faces, np.ones(len(faces), bool)))
    assert by_people == pytest.approx((expected.low, expected.high), abs=0.02)
    by_faces = interval(Bootstrap(np.arange(len(faces)).astype(str), 2_000, 1).means(faces, np.ones(len(faces), bool)))
    assert by_people[1] - by_people[0] > 2 * (by_faces[1] - by_faces[0])


def test_order_of_the_faces_does_not_matter() -> None:
    person, right = np.array(["a", "b", "a", "c", "b"]), np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    order = np.array([4, 2, 0, 3, 1])
    some = np.ones(5, bool)
    first = Bootstrap(person, 100, 7).means(right, some)
    assert (first == Bootstrap(person[order], 100, 7).means(right[order], some)).all()
    assert (first != Bootstrap(person, 100, 8).means(right, some)).any()


def test_resamples_without_any_such_face_do_not_count() -> None:
    person = np.array(["a", "a", "b", "c"])
    some = np.array([False, False, False, True])
    means = Bootstrap(person, 300, 1).means(np.array([0.0, 0.0, 0.0, 1.0]), some)
    assert np.isnan(means).any() and not np.isnan(means).all()
    assert interval(means) == (1.0, 1.0)
    assert np.isnan(interval(Bootstrap(person, 10, 1).means(np.ones(4), np.zeros(4, bool)))).all()
