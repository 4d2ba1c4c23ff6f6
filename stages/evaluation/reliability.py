"""Do probabilities mean what they say: reliability and expected calibration error."""

import numpy as np
import pandas as pd

BINS = 15  # Guo et al. (2017)


def bin_numbers(probability: np.ndarray) -> np.ndarray:
    """The bin of each face's confidence (its highest probability), int (n,): bin b holds b/BINS < c <= (b+1)/BINS."""
    return np.asarray(np.maximum(np.ceil(probability.max(axis=1) * BINS).astype(int) - 1, 0))


def reliability(label: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """For each bin of equal width, from 1: low and high edge, faces, mean confidence and accuracy (NaN if empty)."""
    number = bin_numbers(probability)
    faces = np.bincount(number, minlength=BINS)
    confidence = np.bincount(number, probability.max(axis=1), BINS)
    right = np.bincount(number, probability.argmax(axis=1) == label, BINS)
    some = np.where(faces > 0, faces, np.nan)
    edges = np.arange(BINS + 1) / BINS
    columns = {"bin": np.arange(1, BINS + 1), "low": edges[:-1], "high": edges[1:], "faces": faces}
    return pd.DataFrame(columns | {"confidence": confidence / some, "accuracy": right / some})


def chance_calibration_error(probability: np.ndarray, draws: int, seed: int) -> float:
    """The ECE to expect of so few faces if each probability were true: never 0, as chance moves each bin's accuracy.

    The mean over `draws` in which each answer is right with its own confidence (consistency resampling; Broecker and
    Smith, 2007).
    """
    confidence, number = probability.max(axis=1), bin_numbers(probability)
    random = np.random.default_rng(seed)
    gaps = ((random.random(len(confidence)) < confidence) - confidence for _ in range(draws))
    return float(np.mean([np.abs(np.bincount(number, gap, BINS)).sum() for gap in gaps]) / len(confidence))


def expected_calibration_error(label: np.ndarray, probability: np.ndarray) -> float:
    """The mean distance between confidence and accuracy of a face's bin (ECE; Naeini et al., 2015), 0 to 1."""
    table = reliability(label, probability)
    return float((table["faces"] * (table["accuracy"] - table["confidence"]).abs()).sum() / len(label))
