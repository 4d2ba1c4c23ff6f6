"""Score both models, before and after transfer, on the test faces of all data sets: the only stage that reads them.

In: data/models/{pretrain,transfer}.weights.h5; data/csvs/<dataset>/merged.csv and its arrays (test rows; validation
rows for the temperature alone); data/manifest/ for people and annotators.
Out: metrics/evaluate.json (data set -> model -> accuracy, and emotion -> recall; where people voted also `people`, the
accuracy by what more than half of them saw, and `people_balanced`, the mean of its recalls); the tables of
data/evaluation/ and of data/predictions/, which docs/evaluation.md explains; data/examples/<dataset>*, a few test faces
to look at (see evaluation/examples.py).
Run: python -m stages.evaluate
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from stages.datasets.catalog import DATASETS, WEIGHTS
from stages.datasets.columns import INFLATED, PEOPLE, people_known
from stages.evaluation.bootstrap import Bootstrap, interval
from stages.evaluation.calibration import apply_temperature, fit_temperature
from stages.evaluation.examples import write_examples
from stages.evaluation.groups import by_label, people_tables, with_people
from stages.evaluation.paired import differences
from stages.evaluation.reliability import chance_calibration_error, reliability
from stages.evaluation.robustness import DistortedFaces, distortions, some_faces
from stages.evaluation.scores import ALL, confusion, resampled_scores, scores
from stages.files.metrics import write_metrics
from stages.files.tables import read_table, with_columns, write_table
from stages.network import model
from stages.network.backend import keras, use_threads
from stages.network.inputs import Faces, read_faces
from stages.runtime import params
from stages.runtime.errors import run

METRICS = Path("metrics/evaluate.json")
DIGITS = 6


def main() -> None:
    """Score both models on all test sets and write what came out."""
    settings = params.load()
    use_threads(settings.model.threads)
    tables: defaultdict[str, list[pd.DataFrame]] = defaultdict(list)
    for dataset in DATASETS:
        for name, part in evaluate(dataset, settings):
            tables[name].append(part)
    results = {name: pd.concat(parts, ignore_index=True).round(DIGITS) for name, parts in tables.items()}
    for name, result in results.items():
        write_table(result, Path("data/evaluation") / f"{name}.csv")
    metrics = recognised(results["scores"])
    for name, figures in by_people(results["votes"]).items() if "votes" in results else ():
        metrics["fer2013"][name] |= figures
    write_metrics(metrics, METRICS)
    for dataset, known in DATASETS.items():
        before, after = (metrics[dataset][name]["accuracy"] for name in WEIGHTS)
        persons = read_table(Path("data/csvs") / dataset / "merged.csv")["person"]
        doubt = "" if people_known(persons) else f"; {INFLATED}"
        print(f"{known.name} test faces: accuracy {before:.1%} before transfer, {after:.1%} after{doubt}")


def evaluate(dataset: str, settings: params.Params) -> Iterator[tuple[str, pd.DataFrame]]:
    """Score both models on the test faces of one data set: parts of the tables of data/evaluation/, with their names.

    Also writes its predictions and examples.
    """
    emotions, seed, resamples = list(settings.emotions), settings.evaluate.seed, settings.evaluate.resamples
    known, csv, arrays = DATASETS[dataset], Path("data/csvs") / dataset / "merged.csv", Path("data/arrays") / dataset
    faces = read_faces(csv, arrays, "test", emotions)
    validation = read_faces(csv, arrays, "validation", emotions)
    table = rows_of_test(csv)
    if known.manifest:
        table = with_people(table, read_table(csv), known.manifest)
    unit = table[known.unit].to_numpy()
    bootstrap = Bootstrap(unit, resamples, seed)
    size, classes = faces.size, len(emotions)
    networks = {name: model.for_prediction(settings.model, size, classes, path) for name, path in WEIGHTS.items()}
    probabilities = {name: predict(network, faces) for name, network in networks.items()}
    for name, network in networks.items():
        probability = probabilities[name]
        temperature = fit_temperature(validation.label, predict(network, validation))
        for kind, part in {
            "scores": score(faces.label, probability, temperature, bootstrap, emotions, seed),
            "confusion": confusion(faces.label, probability, emotions),
            "reliability": reliabilities(faces.label, probability, temperature),
            "robustness": distorted_accuracies(network, faces, settings.robustness, unit, resamples, seed),
        }.items():
            yield kind, with_columns(part, dataset=dataset, model=name)
    changes = differences(faces.label, probabilities["before"], probabilities["after"], bootstrap, emotions)
    yield "differences", with_columns(changes, dataset=dataset)
    answers = {name: np.array(emotions, object)[p.argmax(axis=1)] for name, p in probabilities.items()}
    if known.manifest:
        yield from people_tables(table, answers, settings.evaluate.group_people, bootstrap, emotions)
    if PEOPLE in table:
        labels = {"fer2013": table["label"].to_numpy(), "people": table[PEOPLE].to_numpy()}
        for name, answer in answers.items():
            yield "votes", with_columns(by_label(labels, answer, bootstrap, emotions), model=name)
    write_predictions(table, probabilities, emotions, Path("data/predictions") / f"{dataset}.csv")
    write_examples(Path("data/examples") / dataset, faces, table["id"], probabilities["after"], networks)


def rows_of_test(csv: Path) -> pd.DataFrame:
    """The rows of the test faces, in the order of `read_faces`: id, path, label, person, and people if they voted."""
    table = read_table(csv)
    columns = [name for name in ("id", "path", "label", "person", PEOPLE) if name in table]
    return table.loc[table["split"] == "test", columns].reset_index(drop=True)


def predict(network: keras.Model, faces: Faces) -> np.ndarray:
    """The network's probabilities, float64 (faces, emotions), none of them 0."""
    return apply_temperature(model.predict(network, faces), 1)


def score(
    label: np.ndarray, probability: np.ndarray, temperature: float, bootstrap: Bootstrap, emotions: list[str], seed: int
) -> pd.DataFrame:
    """The rows of scores.csv for one model and data set."""
    resampled = resampled_scores(bootstrap, label, probability, temperature, emotions)
    faces = {emotion: int((label == number).sum()) for number, emotion in enumerate(emotions)} | {ALL: len(label)}
    rows = [
        # The temperature was fitted on other faces, so these give it no interval.
        (emotion, faces[emotion], figure, value, *interval(resampled.get((emotion, figure), np.array([]))))
        for (emotion, figure), value in scores(label, probability, temperature, emotions).items()
    ]
    chance = chance_calibration_error(apply_temperature(probability, temperature), len(bootstrap.weights), seed)
    rows.append((ALL, len(label), "ece_chance", chance, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["emotion", "faces", "figure", "value", "low", "high"])


def reliabilities(label: np.ndarray, probability: np.ndarray, temperature: float) -> pd.DataFrame:
    """The rows of reliability.csv for one model and data set."""
    return pd.concat(
        with_columns(reliability(label, apply_temperature(probability, t)), calibrated=calibrated)
        for calibrated, t in ((False, 1), (True, temperature))
    )


def distorted_accuracies(
    network: keras.Model, faces: Faces, robustness: params.Robustness, unit: np.ndarray, resamples: int, seed: int
) -> pd.DataFrame:
    """The rows of robustness.csv for one model and data set: the same faces as they are and under each distortion."""
    some = some_faces(len(faces), robustness.faces, robustness.seed)
    bootstrap = Bootstrap(unit[some], resamples, seed)
    everybody = np.ones(len(some), bool)
    rows = []
    shown = tqdm(distortions(robustness), "distorting faces", leave=False, unit="distortion", mininterval=1)
    for name, strength, amount, distort in shown:
        distorted = DistortedFaces(faces, some, distort, robustness.seed)
        right = predict(network, distorted).argmax(axis=1) == distorted.label
        rows.append((name, strength, amount, len(some), *bootstrap.mean(right, everybody)))
    columns = ["distortion", "strength", "amount", "faces", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"amount": "Int64"})


def write_predictions(
    table: pd.DataFrame, probabilities: dict[str, np.ndarray], emotions: list[str], path: Path
) -> None:
    """Write the rows of the test faces, each with both models' answers and probabilities."""
    parts = [table]
    for name, probability in probabilities.items():
        columns = [f"{name}_{emotion}" for emotion in emotions]
        parts.append(pd.DataFrame({name: np.array(emotions)[probability.argmax(axis=1)]}))
        parts.append(pd.DataFrame(probability.round(DIGITS), columns=columns))
    write_table(pd.concat(parts, axis=1), path)


def recognised(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """data set -> model -> accuracy, and emotion -> recall, from the rows of scores.csv."""
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for row in scores[scores["figure"].isin(("accuracy", "recall"))].to_dict("records"):
        figures = metrics.setdefault(row["dataset"], {}).setdefault(row["model"], {})
        figures["accuracy" if row["emotion"] == ALL else row["emotion"]] = row["value"]
    return metrics


def by_people(votes: pd.DataFrame) -> dict[str, dict[str, float]]:
    """model -> `people` and `people_balanced`, from the rows of votes.csv."""
    votes = votes[(votes["label"] == "people") & (votes["faces"] > 0)].set_index("emotion")
    return {
        str(name): {PEOPLE: shares[ALL], f"{PEOPLE}_balanced": round(shares.drop(ALL).mean(), DIGITS)}
        for name, shares in votes.groupby("model")["accuracy"]
    }


if __name__ == "__main__":
    run(main)
