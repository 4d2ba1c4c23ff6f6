"""Temperature scaling: probabilities that say how often the answer is right (Guo et al., ICML 2017)."""

import numpy as np
from scipy.optimize import minimize_scalar

LOWEST, HIGHEST = 0.05, 20.0  # temperatures that are tried
TINY = 1e-30  # stands for a probability of 0, which has no logarithm


def fit_temperature(label: np.ndarray, probability: np.ndarray) -> float:
    """The temperature at which the probabilities, float (n, classes), have the least log-loss; labels int (n,)."""
    rows = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(probability, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(scaled[rows, label], TINY)).mean())

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(best.x))


def apply_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities float (..., classes): flatter above a temperature of 1, sharper below; the order stays."""
    logits = np.log(np.maximum(probability, TINY, dtype=np.float64)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return result
