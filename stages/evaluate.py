"""Score both models, before and after transfer, on the test faces of both data sets: the only stage that reads them.

In: data/models/{pretrain,transfer}.weights.h5; data/csvs/<dataset>/merged.csv and its arrays (test rows; validation rows
for the temperature alone); data/manifest/ for people and annotators.
Out: metrics/evaluate.json (data set -> model -> figure, or emotion -> figure), metrics/intervals.json (the same tree with
the 95 % interval of each figure), metrics/analysis.json (the tables of data/evaluation/ but the first and the last);
data/predictions/<dataset>.csv with a row for each test face; the pictures and plot tables in data/figures/; and
data/evaluation/, where an empty cell is a figure that does not exist, `emotion` is one of `emotions:` or `all`, `model`
is before or after, shares are 0 to 1, and low and high end a 95 % interval:
  scores.csv       dataset, model, emotion, faces, figure, value, low, high. Figures of `all`: accuracy, balanced_accuracy,
                   macro_f1, log_loss, ece, temperature, log_loss_calibrated, ece_calibrated; of an emotion: precision,
                   recall, f1
  differences.csv  dataset, emotion, faces, before, after, difference (after - before), low, high, gained (faces right
                   after transfer alone), lost (right before it alone), p_value (exact McNemar). Accuracy; of an emotion
                   its recall
  robustness.csv   dataset, model, distortion (none, blur, light, noise, jpeg, rotation, size), strength (0 for none, 1 to
                   3), amount (as in params.yaml; empty for none), faces, accuracy, low, high
  ceilings.csv     emotion (the uploader's label), faces, decided (faces with a majority of annotators), agreement (share
                   of the decided whose majority is the uploader's label), low, high. Korean only, as all that follow
  labels.csv       model, label (uploader, majority), emotion (by that label), faces, accuracy (of an emotion its recall),
                   low, high. The same faces for both labels: those for which both are among `emotions:`
  people.csv       model, subset (all, seen, unseen: whether the person is in the training split too), people, faces,
                   accuracy, low, high, difference (this accuracy - that on unseen people), difference_low,
                   difference_high
  groups.csv       attribute (gender, age, professional), group, people, faces, enough (True, or False: too few people for
                   a statement, and no accuracy), model, accuracy, low, high
  gaps.csv         attribute, model, best, worst (groups, among those with enough people), gap (difference of their
                   accuracy), low, high, smallest (group, of all), smallest_people
  reliability.csv  dataset, model, calibrated (True after temperature scaling), bin (1 to 15), low, high (edges of the
                   bin), faces, confidence (mean), accuracy
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
    network = model.from_params(faces.size, len(emotions))
    model.load_weights(network, weights)
    return model.predict(network, faces)


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
