import numpy as np
import pytest

from stages.common.calibration import apply_temperature, fit_temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_of_labels_drawn_from_the_probabilities(temperature: float) -> None:
    random = np.random.default_rng(1)
    true = random.dirichlet(np.ones(4), 20_000)
    label = (random.random((len(true), 1)) > true.cumsum(axis=1)).sum(axis=1)
    said = apply_temperature(true, 1 / temperature)
    fitted = fit_temperature(label, said)
    assert fitted == pytest.approx(temperature, rel=0.05)
    assert np.allclose(apply_temperature(said, temperature), true)


def test_order_stays_and_sums_are_one() -> None:
    probability = np.array([[[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]]])
    for temperature in (0.5, 5):
        result = apply_temperature(probability, temperature)
        assert np.allclose(result.sum(axis=-1), 1)
        assert (result.argsort(axis=-1)[..., -1] == 0).all()
