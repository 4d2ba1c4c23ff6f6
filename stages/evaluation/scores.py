"""How well probabilities match labels: figures for each emotion and over all (definitions: scikit-learn's)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from stages.evaluation.bootstrap import Bootstrap, ratio
from stages.evaluation.calibration import apply_temperature, log_losses
from stages.evaluation.reliability import BINS, bin_numbers, expected_calibration_error

ALL = "all"  # in the place of an emotion: a figure over all faces


def scores(
    label: np.ndarray, probability: np.ndarray, temperature: float, emotions: Sequence[str]
) -> dict[tuple[str, str], float]:
    """The figures by (emotion or `all`, name), in the order in which they are shown.

    Accuracy, balanced accuracy and macro-F1, log-loss (nats) and ECE, both also after temperature scaling; precision,
    recall and F1 of each emotion, 0 where its faces were never recognised.

    Args:
        label: class numbers, int (n,); each class occurs.
        probability: float (n, classes), none of them 0.
        temperature: fitted on other faces.
        emotions: the classes' names, by number.
    """
    predicted = probability.argmax(axis=1)
    classes = np.arange(len(emotions))
    precision, recall, f1, _ = precision_recall_fscore_support(label, predicted, labels=classes, zero_division=0)
    calibrated = apply_temperature(probability, temperature)
    overall = {
        "accuracy": accuracy_score(label, predicted),
        "balanced_accuracy": recall.mean(),
        "macro_f1": f1.mean(),
        "log_loss": log_loss(label, probability, labels=classes),
        "ece": expected_calibration_error(label, probability),
        "temperature": temperature,
        "log_loss_calibrated": log_loss(label, calibrated, labels=classes),
        "ece_calibrated": expected_calibration_error(label, calibrated),
    }
    return {(ALL, name): float(value) for name, value in overall.items()} | {
        (emotion, name): float(values[number])
        for number, emotion in enumerate(emotions)
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1))
    }


def resampled_scores(
    bootstrap: Bootstrap, label: np.ndarray, probability: np.ndarray, temperature: float, emotions: Sequence[str]
) -> dict[tuple[str, str], np.ndarray]:
    """The figures of `scores` in each resample, float (resamples,), from sums alone; the temperature stays as it is.

    An emotion that a resample lacks has no recall and F1 there (NaN) and no part in its means.
    """
    classes = len(emotions)
    pairs = np.eye(classes**2)[label * classes + probability.argmax(axis=1)]
    table = bootstrap.sums(pairs).reshape(-1, classes, classes)
    right, labelled, taken = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)
    recall, precision = ratio(right, labelled), right / np.maximum(taken, 1)
    f1 = ratio(2 * right, np.where(labelled > 0, labelled + taken, 0))
    calibrated = apply_temperature(probability, temperature)
    everybody = np.ones(len(label), bool)
    overall = {
        "accuracy": right.sum(axis=1) / table.sum(axis=(1, 2)),
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "log_loss": bootstrap.means(log_losses(label, probability), everybody),
        "ece": _resampled_ece(bootstrap, label, probability),
        "log_loss_calibrated": bootstrap.means(log_losses(label, calibrated), everybody),
        "ece_calibrated": _resampled_ece(bootstrap, label, calibrated),
    }
    return {(ALL, name): values for name, values in overall.items()} | {
        (emotion, name): values[:, number]
        for number, emotion in enumerate(emotions)
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1))
    }


def _resampled_ece(bootstrap: Bootstrap, label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    gap = probability.max(axis=1) - (probability.argmax(axis=1) == label)
    bins = np.eye(BINS)[bin_numbers(probability)]
    errors = np.abs(bootstrap.sums(bins * gap[:, np.newaxis])).sum(axis=1) / bootstrap.sums(np.ones(len(label)))
    # Drawing anew adds noise to each bin, and noise of either sign raises the ECE: that shift is taken off again. What
    # the faces' own noise has added to the figure stays in it and in its interval; `ece_chance` says how much that is.
    shift = errors.mean() - expected_calibration_error(label, probability)
    return np.asarray(np.maximum(errors - shift, 0))


def confusion(label: np.ndarray, probability: np.ndarray, emotions: Sequence[str]) -> pd.DataFrame:
    """A row for each label and answer: the faces of that label with that answer, and their share of the label's."""
    faces = confusion_matrix(label, probability.argmax(axis=1), labels=np.arange(len(emotions)))
    pairs = pd.MultiIndex.from_product([emotions, emotions], names=["label", "answer"])
    shares = faces / faces.sum(axis=1, keepdims=True)
    return pd.DataFrame({"faces": faces.ravel(), "share": shares.ravel()}, pairs).reset_index()
