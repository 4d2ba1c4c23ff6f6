"""Score both models, before and after transfer, on the test faces of both data sets.

In: data/models/{pretrain,transfer}.weights.h5; the test rows of data/csvs/<dataset>/merged.csv and their arrays.
Out: metrics/evaluate.json (data set -> model -> emotion), data/predictions/<dataset>.csv with a row for each test face,
and the pictures and plot tables in data/figures/.
Run: python -m stages.evaluate
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.common import model, params
from stages.common.comparison import FIGURES, METRICS, TITLES
from stages.common.counts import write_metrics
from stages.common.dataset import Faces, read_faces
from stages.common.errors import run
from stages.common.figures import save_before_after, save_confusions
from stages.common.scores import confusion, scores
from stages.common.tables import read_table, write_table

WEIGHTS = {
    "before": Path("data/models/pretrain.weights.h5"),
    "after": Path("data/models/transfer.weights.h5"),
}


def main() -> None:
    """Score both models on both test sets and write what came out."""
    emotions = list(params.emotions())
    metrics: dict[str, dict[str, Any]] = {}
    for dataset, title in TITLES.items():
        csv = Path("data/csvs") / dataset / "merged.csv"
        faces = read_faces(csv, Path("data/arrays") / dataset, "test", emotions)
        probabilities = {name: predict(weights, faces, emotions) for name, weights in WEIGHTS.items()}
        metrics[dataset] = {name: scores(faces.label, p, emotions) for name, p in probabilities.items()}
        write_predictions(csv, probabilities, emotions, Path("data/predictions") / f"{dataset}.csv")
        write_figures(dataset, title, faces.label, probabilities, metrics[dataset], emotions)
    write_metrics(metrics, METRICS)
    for dataset, title in TITLES.items():
        before, after = (metrics[dataset][name]["accuracy"] for name in WEIGHTS)
        print(f"{title}: accuracy {before:.1%} before transfer, {after:.1%} after")


def predict(weights: Path, faces: Faces, emotions: list[str]) -> np.ndarray:
    """The probabilities, float (faces, emotions), that the network gives with these weights."""
    return model.predict(model.for_prediction(faces.size, len(emotions), weights), faces)


def write_predictions(csv: Path, probabilities: dict[str, np.ndarray], emotions: list[str], path: Path) -> None:
    """Write a row for each test face: id, path, label, person, and each model's answer and probabilities."""
    table = read_table(csv)
    table = table.loc[table["split"] == "test", ["id", "path", "label", "person"]].reset_index(drop=True)
    for name, probability in probabilities.items():
        table[name] = np.array(emotions)[probability.argmax(axis=1)]
        columns = [f"{name}_{emotion}" for emotion in emotions]
        table = pd.concat([table, pd.DataFrame(probability.round(6), columns=columns)], axis=1)
    write_table(table, path)


def write_figures(
    dataset: str,
    title: str,
    label: np.ndarray,
    probabilities: dict[str, np.ndarray],
    metrics: dict[str, Any],
    emotions: list[str],
) -> None:
    """Write the PNG pictures of one data set, and the table behind its bar chart for `dvc plots`."""
    before, after = ([metrics[name][emotion]["accuracy"] for emotion in emotions] for name in WEIGHTS)
    save_before_after(FIGURES / f"{dataset}_emotions.png", title, emotions, before, after)
    shares = [confusion(label, probability) for probability in probabilities.values()]
    save_confusions(FIGURES / f"{dataset}_confusion.png", title, emotions, *shares)
    bars = [(f"{emotion}, {name}", metrics[name][emotion]["accuracy"]) for emotion in emotions for name in WEIGHTS]
    write_table(pd.DataFrame(bars, columns=["emotion", "accuracy"]), FIGURES / f"{dataset}_emotions.csv")


if __name__ == "__main__":
    run(main)
