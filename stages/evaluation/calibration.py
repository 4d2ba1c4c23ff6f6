"""Temperature scaling: probabilities that say how often the answer is right."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

LEAST = 1e-7  # a smaller probability counts as this one: float32 rounds it to 0, whose logarithm is infinite
TEMPERATURES = (0.05, 20.0)


def fit_temperature(label: np.ndarray, probability: np.ndarray) -> float:
    """The temperature, 0.05 to 20, with which the log-loss is lowest (temperature scaling; Guo et al., 2017).

    `label` holds class numbers, int (n,); `probability` is float (n, classes).
    """

    def loss(logarithm: float) -> float:
        return float(log_losses(label, apply_temperature(probability, float(np.exp(logarithm)))).mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities float64 (..., classes), none of them 0, whose logits are divided by `temperature`.

    Above 1 they come closer to each other, below 1 they move apart; their order stays.
    """
    return np.asarray(softmax(np.log(np.maximum(probability, LEAST, dtype=np.float64)) / temperature, axis=-1))


def log_losses(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The negative logarithm (nats) of each label's probability, float (n,)."""
    right = np.take_along_axis(probability, label[:, np.newaxis], axis=1)[:, 0]
    return np.asarray(-np.log(np.maximum(right, LEAST)))
