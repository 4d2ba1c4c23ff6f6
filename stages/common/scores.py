"""How well probabilities match labels: figures for each emotion and over all (definitions: scikit-learn's)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score


def scores(label: np.ndarray, probability: np.ndarray, emotions: Sequence[str]) -> dict[str, Any]:
    """Accuracy, balanced accuracy and macro-F1, and for each emotion the share of its faces that were recognised.

    Args:
        label: class numbers, int (n,); each class occurs.
        probability: float (n, classes).
        emotions: the classes' names, by number.
    """
    predicted = probability.argmax(axis=1)
    classes = np.arange(len(emotions))
    recalls = recall_score(label, predicted, labels=classes, average=None)
    overall = {
        "faces": len(label),
        "accuracy": accuracy_score(label, predicted),
        "balanced_accuracy": recalls.mean(),
        "macro_f1": f1_score(label, predicted, labels=classes, average="macro"),
    }
    by_emotion = {
        emotion: {"accuracy": round(float(recall), 6), "faces": int((label == number).sum())}
        for number, (emotion, recall) in enumerate(zip(emotions, recalls, strict=True))
    }
    return {name: round(float(value), 6) if name != "faces" else value for name, value in overall.items()} | by_emotion


def confusion(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Shares float (classes, classes): of the faces of the row's class, those taken for the column's."""
    classes = np.arange(probability.shape[1])
    shares: np.ndarray = confusion_matrix(label, probability.argmax(axis=1), labels=classes, normalize="true")
    return shares
