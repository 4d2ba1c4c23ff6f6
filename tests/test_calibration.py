"""Calibration error by hand, and temperatures that are found again."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from stages.evaluation.calibration import apply_temperature, fit_temperature, log_losses
from stages.evaluation.reliability import expected_calibration_error, reliability


def two(*confidences: float) -> np.ndarray:
    """Probabilities of two classes, the first the more probable."""
    return np.array([[c, 1 - c] for c in confidences])


def test_calibration_error_by_hand() -> None:
    probability = two(0.55, 0.65, 0.95, 0.95)
    label = np.array([0, 1, 0, 1])
    # In bins of a fifteenth: 0.55 alone (right), 0.65 alone (wrong), both 0.95 (half right).
    assert expected_calibration_error(label, probability) == pytest.approx((0.45 + 0.65 + 2 * 0.45) / 4)


def test_reliability_by_hand() -> None:
    table = reliability(np.array([0, 1, 0]), two(0.6, 0.9, 1.0))
    assert table["bin"].tolist() == list(range(1, 16))
    # A bin's upper edge belongs to it: 0.6 is that of the ninth.
    assert table.loc[table["faces"] > 0, "bin"].tolist() == [9, 14, 15]
    assert table["accuracy"].dropna().tolist() == [1, 0, 1]
    assert table["confidence"].dropna().tolist() == pytest.approx([0.6, 0.9, 1.0])
    assert (table["low"][0], table["high"][14]) == (0, 1)


def test_a_thousand_faces_in_a_loop() -> None:
    random = np.random.default_rng(5)
    label, probability = random.integers(0, 4, 1000), random.dirichlet(np.ones(4), 1000)
    expected = 0.0
    for number in range(15):
        here = [n for n in range(1000) if number / 15 < probability[n].max() <= (number + 1) / 15]
        if here:
            right = np.mean([probability[n].argmax() == label[n] for n in here])
            expected += len(here) / 1000 * abs(right - np.mean([probability[n].max() for n in here]))
    assert expected_calibration_error(label, probability) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    random = np.random.default_rng(1)
    true = random.dirichlet(np.ones(3), 60_000)
    label = (true.cumsum(axis=1) > random.random((60_000, 1))).argmax(axis=1)
    assert fit_temperature(label, apply_temperature(true, 1 / temperature)) == pytest.approx(temperature, rel=0.03)


def test_temperature_has_the_lowest_log_loss() -> None:
    random = np.random.default_rng(3)
    label, probability = random.integers(0, 3, 200), random.dirichlet(np.ones(3) / 2, 200)
    best = fit_temperature(label, probability)
    lowest = log_loss(label, apply_temperature(probability, best))
    for other in np.linspace(0.5, 20, 60):
        assert lowest <= log_loss(label, apply_temperature(probability, other)) + 1e-6


def test_temperature_by_hand() -> None:
    assert apply_temperature(np.array([[0.8, 0.2]]), 2) == pytest.approx(np.array([[2 / 3, 1 / 3]]))
    assert apply_temperature(np.array([0.8, 0.2]), 2) == pytest.approx(np.array([2 / 3, 1 / 3]))
    assert apply_temperature(np.array([[0.8, 0.2]]), 0.5) == pytest.approx(np.array([[16 / 17, 1 / 17]]))


def test_probabilities_of_0_have_a_finite_loss() -> None:
    certain = np.array([[1, 0], [1, 0]], np.float32)
    assert np.isfinite(fit_temperature(np.array([0, 1]), certain))
    assert (apply_temperature(certain, 1) > 0).all()
    assert log_losses(np.array([1]), certain[:1]) == pytest.approx(-np.log(1e-7))
