"""Test faces to look at: the mistakes that a model is surest of, and typical faces with where each model looks."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from stages.evaluation.saliency import occlusion
from stages.files.arrays import ArrayWriter
from stages.files.tables import write_table
from stages.network.backend import keras
from stages.network.inputs import Faces
from stages.runtime.replacing import replacing

MISTAKES = 4  # of each emotion


def mistakes(label: np.ndarray, probability: np.ndarray) -> list[int]:
    """The faces of each emotion with the most probable wrong answers, the surest first.

    `label` holds class numbers, int (n,), and `probability` is float (n, classes).
    """
    answer = probability.argmax(axis=1)
    found: list[int] = []
    for emotion in range(probability.shape[1]):
        wrong = np.flatnonzero((label == emotion) & (answer != emotion))
        found += wrong[(-probability[wrong].max(axis=1)).argsort(kind="stable")][:MISTAKES].tolist()
    return found


def typical(label: np.ndarray, probability: np.ndarray) -> list[int]:
    """The face of each emotion that is recognised and as sure as half of those that are; none where none is."""
    answer = probability.argmax(axis=1)
    found: list[int] = []
    for emotion in range(probability.shape[1]):
        right = np.flatnonzero((label == emotion) & (answer == emotion))
        found += right[probability[right, emotion].argsort(kind="stable")][len(right) // 2 :][:1].tolist()
    return found


def write_examples(
    path: Path, faces: Faces, ids: pd.Series, probability: np.ndarray, networks: Mapping[str, keras.Model]
) -> None:
    """Write the examples of one test set, chosen by the `probability` that one model gives to `faces`.

    Beside `path`, without a suffix: .csv (kind, id), .npy (the pictures in the same order) and _saliency.npy, for each
    typical face and network what `occlusion` returns, float32 (faces, networks, size, size).
    """
    wrong, right = mistakes(faces.label, probability), typical(faces.label, probability)
    chosen = np.array([*wrong, *right], int)
    kinds = ["mistake"] * len(wrong) + ["typical"] * len(right)
    write_table(pd.DataFrame({"kind": kinds, "id": ids[chosen]}), path.with_suffix(".csv"))
    pictures = faces.pictures(chosen)
    with ArrayWriter(path.with_suffix(".npy"), faces.size) as array:
        for picture in pictures:
            array.append(picture)
    falls = np.zeros((len(right), len(networks), faces.size, faces.size), np.float32)
    for place, (number, picture) in enumerate(zip(right, pictures[len(wrong) :], strict=True)):
        for row, network in enumerate(networks.values()):
            falls[place, row] = occlusion(partial(answers, network), picture, faces.label[number])
    with replacing(path.with_name(f"{path.name}_saliency.npy")) as file:
        np.save(file, falls)


def answers(network: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Probabilities of pictures uint8 (n, size, size), float (n, classes)."""
    return np.asarray(network.predict_on_batch(pictures[..., np.newaxis]))
