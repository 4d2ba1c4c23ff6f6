"""Do probabilities mean what they say: reliability, expected calibration error, temperature scaling."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax

BINS = 15  # Guo et al. (2017)
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


def bin_numbers(probability: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each face's confidence (its highest probability), int (n,): bin b holds b/bins < c <= (b+1)/bins."""
    return np.asarray(np.maximum(np.ceil(probability.max(axis=1) * bins).astype(int) - 1, 0))


def reliability(label: np.ndarray, probability: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """For each bin of equal width, from 1: low and high edge, faces, mean confidence and accuracy (NaN if empty)."""
    number = bin_numbers(probability, bins)
    faces = np.bincount(number, minlength=bins)
    confidence = np.bincount(number, probability.max(axis=1), bins)
    right = np.bincount(number, probability.argmax(axis=1) == label, bins)
    some = np.where(faces > 0, faces, np.nan)
    edges = np.arange(bins + 1) / bins
    return pd.DataFrame(
        {
            "bin": np.arange(1, bins + 1),
            "low": edges[:-1],
            "high": edges[1:],
            "faces": faces,
            "confidence": confidence / some,
            "accuracy": right / some,
        }
    )


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, bins: int = BINS) -> float:
    """The mean distance between confidence and accuracy of a face's bin (ECE; Naeini et al., 2015), 0 to 1."""
    table = reliability(label, probability, bins)
    return float((table["faces"] * (table["accuracy"] - table["confidence"]).abs()).sum() / len(label))
