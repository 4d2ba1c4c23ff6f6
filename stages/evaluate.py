"""Score both models, before and after transfer, on the test faces of both data sets: the only stage that reads them.

In: data/models/{pretrain,transfer}.weights.h5; data/csvs/<dataset>/merged.csv and its arrays (test rows; validation
rows for the temperature alone); data/manifest/ for people and annotators.
Out: metrics/evaluate.json (data set -> model -> figure, or emotion -> figure), metrics/intervals.json (the same tree
with the 95 % interval of each figure), metrics/analysis.json (the other tables of data/evaluation/ but reliability);
data/predictions/<dataset>.csv with a row for each test face; data/examples/<dataset>*, a few of them to look at (see
evaluation/examples.py); and data/evaluation/, where an empty cell is a figure that does not exist, `emotion` is one
of `emotions:` or `all`, `model` is before or after, shares are 0 to 1, and low and high end a 95 % interval. Of both:
  scores.csv       dataset, model, emotion, faces, figure, value, low, high. Figures of `all`: accuracy,
                   balanced_accuracy, macro_f1, log_loss, ece, temperature, log_loss_calibrated, ece_calibrated,
                   ece_chance (to be expected if the scaled probabilities were true); of an emotion: precision,
                   recall, f1
  differences.csv  dataset, emotion, faces, before, after, difference (after - before), low, high, gained (faces right
                   after transfer alone), lost (right before it alone), p_value (exact McNemar). Accuracy; of an
                   emotion its recall
  robustness.csv   dataset, model, distortion (none, blur, light, noise, jpeg, rotation, size), strength (0 for none,
                   else from 1), amount (as in params.yaml; empty for none), faces, accuracy, low, high
  reliability.csv  dataset, model, calibrated (True after temperature scaling), bin (1 to 15), low, high (edges of the
                   bin), faces, confidence (mean), accuracy
Korean alone:
  ceilings.csv     emotion (the uploader's label), faces (with annotators), decided (with a majority of them), agreement
                   (share of the faces whose majority is the uploader's label), low, high
  labels.csv       model, label (uploader, majority), emotion (by that label), faces, accuracy (of an emotion its
                   recall), low, high. The same faces for both labels: those for which both are among `emotions:`
  people.csv       model, subset (all; seen: people who are in the training split, too; validation: who are in the
                   validation split, too; unseen: the others), people, faces, accuracy, low, high, difference (this
                   accuracy - that on unseen people; empty if all are), difference_low, difference_high
  groups.csv       attribute (gender, age, professional), group, people, faces, enough (True, or False: too few people
                   for a statement, and no accuracy), model, accuracy, low, high
  gaps.csv         attribute, model, best, worst (groups, among those with enough people), gap (difference of their
                   accuracy), low, high, smallest (group, of all), smallest_people
Run: python -m stages.evaluate
"""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.datasets.catalog import DATASETS
from stages.datasets.labels import ANNOTATORS, majority
from stages.datasets.people import INFLATED, people_known
from stages.evaluation.bootstrap import Bootstrap, interval
from stages.evaluation.calibration import apply_temperature, fit_temperature
from stages.evaluation.examples import write_examples
from stages.evaluation.groups import FAMILIAR, UNKNOWN, by_familiarity, by_group, by_label, ceilings
from stages.evaluation.paired import differences
from stages.evaluation.reliability import chance_calibration_error, reliability
from stages.evaluation.robustness import DistortedFaces, distortions, some_faces
from stages.evaluation.scores import ALL, resampled_scores, scores
from stages.files.metrics import write_metrics
from stages.files.tables import read_table, write_table
from stages.network import model
from stages.network.backend import keras, use_threads
from stages.network.inputs import Faces, read_faces
from stages.runtime import params
from stages.runtime.errors import run

METRICS, INTERVALS, ANALYSIS = (Path("metrics") / f"{name}.json" for name in ("evaluate", "intervals", "analysis"))
WEIGHTS = {
    "before": Path("data/models/pretrain.weights.h5"),
    "after": Path("data/models/transfer.weights.h5"),
}
MANIFEST = Path("data/manifest")
TABLES = Path("data/evaluation")
EXAMPLES = Path("data/examples")
ATTRIBUTES = ("gender", "age", "professional")
# For each table in ANALYSIS the columns that say what a row is about; the others are figures.
KEYS = {
    "differences": ["dataset", "emotion"],
    "robustness": ["dataset", "model", "distortion", "strength"],
    "ceilings": ["emotion"],
    "labels": ["model", "label", "emotion"],
    "people": ["model", "subset"],
    "groups": ["attribute", "group", "model"],
    "gaps": ["attribute", "model"],
}
DIGITS = 6


def main() -> None:
    """Score both models on both test sets and write what came out."""
    settings = params.load()
    use_threads(settings.model.threads)
    emotions, robustness = list(settings.emotions), settings.robustness
    seed, resamples, least = settings.evaluate.seed, settings.evaluate.resamples, settings.evaluate.group_people
    tables: defaultdict[str, list[pd.DataFrame]] = defaultdict(list)
    for dataset in DATASETS:
        csv, arrays = Path("data/csvs") / dataset / "merged.csv", Path("data/arrays") / dataset
        faces = read_faces(csv, arrays, "test", emotions)
        validation = read_faces(csv, arrays, "validation", emotions)
        table = rows_of_test(csv) if dataset == "fer2013" else with_people(rows_of_test(csv), read_table(csv))
        # FER2013 does not say who is on a picture.
        unit = table["id" if dataset == "fer2013" else "person"].to_numpy()
        bootstrap = Bootstrap(unit, resamples, seed)
        probabilities: dict[str, np.ndarray] = {}
        networks = {
            name: model.for_prediction(settings.model, faces.size, len(emotions), weights)
            for name, weights in WEIGHTS.items()
        }
        for name, network in networks.items():
            probability = probabilities[name] = predict(network, faces)
            temperature = fit_temperature(validation.label, predict(network, validation))
            for kind, part in {
                "scores": score(faces.label, probability, temperature, bootstrap, emotions, seed),
                "reliability": reliabilities(faces.label, probability, temperature),
                "robustness": distorted_accuracies(network, faces, robustness, unit, resamples, seed),
            }.items():
                tables[kind].append(keyed(part, dataset=dataset, model=name))
        changes = differences(faces.label, probabilities["before"], probabilities["after"], bootstrap, emotions)
        tables["differences"].append(keyed(changes, dataset=dataset))
        if dataset == "korean":
            for kind, part in people_tables(table, probabilities, least, bootstrap, emotions).items():
                tables[kind].append(part)
        write_predictions(table, probabilities, emotions, Path("data/predictions") / f"{dataset}.csv")
        write_examples(EXAMPLES / dataset, faces, table["id"], probabilities["after"], networks)
    results = {kind: pd.concat(parts, ignore_index=True).round(DIGITS) for kind, parts in tables.items()}
    for kind, result in results.items():
        write_table(result, TABLES / f"{kind}.csv")
    write_metrics(score_tree(results["scores"], lambda row: {"faces": row.faces, row.figure: row.value}), METRICS)
    write_metrics(score_tree(results["scores"], ends), INTERVALS)
    write_metrics({kind: tree(results[kind], keys) for kind, keys in KEYS.items()}, ANALYSIS)
    overall = results["differences"].query("emotion == @ALL").set_index("dataset")
    for dataset, known in DATASETS.items():
        before, after = (float(overall[name][dataset]) for name in WEIGHTS)
        persons = read_table(Path("data/csvs") / dataset / "merged.csv")["person"]
        doubt = "" if people_known(persons) else f"; {INFLATED}"
        print(f"{known.title}: accuracy {before:.1%} before transfer, {after:.1%} after{doubt}")


def rows_of_test(csv: Path) -> pd.DataFrame:
    """The rows of the test faces, in the order of `read_faces`: id, path, label, person."""
    table = read_table(csv)
    return table.loc[table["split"] == "test", ["id", "path", "label", "person"]].reset_index(drop=True)


def with_people(table: pd.DataFrame, everybody: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the manifest says of each photo and its person, and `familiar`, one of FAMILIAR."""
    annotators = [f"label_{annotator}" for annotator in ANNOTATORS]
    columns = ["id", *ATTRIBUTES, "uploader", *annotators]
    # Of hundreds of thousands of rows, only what is needed.
    manifests = (read_table(path)[columns] for path in sorted(MANIFEST.glob("*_*.csv")))
    photos = pd.concat(photos[photos["id"].isin(table["id"])] for photos in manifests)
    table = table.merge(photos, on="id", how="left", validate="one_to_one")
    table["professional"] = table["professional"].map({"True": "yes", "False": "no", "": UNKNOWN})
    table["age"] = np.where(table["age"] == "", UNKNOWN, table["age"] + "s")
    table["gender"] = table["gender"].replace("", UNKNOWN)
    table["majority"] = majority(table[annotators].to_numpy())
    table["annotated"] = (table[annotators] != "").any(axis=1)
    trained, chosen = (
        table["person"].isin(everybody.loc[everybody["split"] == split, "person"]) for split in ("train", "validation")
    )
    table["familiar"] = np.select([trained, chosen], FAMILIAR[:2], FAMILIAR[2])
    return table.drop(columns=annotators)


def predict(network: keras.Model, faces: Faces) -> np.ndarray:
    """The network's probabilities, float64 (faces, emotions), none of them 0."""
    return apply_temperature(model.predict(network, faces), 1)


def keyed(table: pd.DataFrame, **keys: str) -> pd.DataFrame:
    """The table behind columns that are the same in each row."""
    for place, (name, value) in enumerate(keys.items()):
        table.insert(place, name, value)
    return table


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
    parts = []
    for calibrated, t in ((False, 1.0), (True, temperature)):
        part = reliability(label, apply_temperature(probability, t))
        part.insert(0, "calibrated", calibrated)
        parts.append(part)
    return pd.concat(parts)


def distorted_accuracies(
    network: keras.Model, faces: Faces, robustness: params.Robustness, unit: np.ndarray, resamples: int, seed: int
) -> pd.DataFrame:
    """The rows of robustness.csv for one model and data set: the same faces as they are and under each distortion."""
    some = some_faces(len(faces), robustness.faces, robustness.seed)
    bootstrap = Bootstrap(unit[some], resamples, seed)
    everybody = np.ones(len(some), bool)
    rows = []
    for name, strength, amount, distort in distortions(robustness):
        distorted = DistortedFaces(faces, some, distort, robustness.seed)
        right = predict(network, distorted).argmax(axis=1) == distorted.label
        rows.append((name, strength, amount, len(some), right.mean(), *interval(bootstrap.means(right, everybody))))
    columns = ["distortion", "strength", "amount", "faces", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"amount": "Int64"})


def people_tables(
    table: pd.DataFrame, probabilities: dict[str, np.ndarray], least: int, bootstrap: Bootstrap, emotions: list[str]
) -> dict[str, pd.DataFrame]:
    """The tables that only the Korean faces have, by name; `table` is as `with_people` returns it."""
    parts: defaultdict[str, list[pd.DataFrame]] = defaultdict(list)
    person, label, uploader, seen_by_most, annotated, familiar = (
        table[name].to_numpy() for name in ("person", "label", "uploader", "majority", "annotated", "familiar")
    )
    for name, probability in probabilities.items():
        answer = np.array(emotions, object)[probability.argmax(axis=1)]
        right = answer == label
        parts["labels"].append(keyed(by_label(uploader, seen_by_most, answer, bootstrap, emotions), model=name))
        parts["people"].append(keyed(by_familiarity(right, person, familiar, bootstrap), model=name))
        for attribute in ATTRIBUTES:
            groups, gap = by_group(right, person, table[attribute].to_numpy(), least, bootstrap)
            groups.insert(4, "model", name)
            parts["groups"].append(keyed(groups, attribute=attribute))
            parts["gaps"].append(keyed(gap, attribute=attribute, model=name))
    return {"ceilings": ceilings(uploader, seen_by_most, annotated, bootstrap, emotions)} | {
        kind: pd.concat(tables) for kind, tables in parts.items()
    }


def ends(row: Any) -> dict[str, dict[str, float]]:
    """The interval of a row of scores.csv, under its figure's name."""
    return {} if np.isnan(row.low) else {row.figure: {"low": row.low, "high": row.high}}


def score_tree(table: pd.DataFrame, leaf: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Data set -> model -> what `leaf` makes of the rows of `all`, and emotion -> what it makes of the emotion's."""
    result: dict[str, Any] = {}
    row: Any
    for row in table.itertuples():
        place = result.setdefault(row.dataset, {}).setdefault(row.model, {})
        (place if row.emotion == ALL else place.setdefault(row.emotion, {})).update(leaf(row))
    return result


def tree(table: pd.DataFrame, keys: list[str]) -> dict[str, Any]:
    """The numbers of a table by the texts in the columns `keys`; what is empty or a text is left out."""
    result: dict[str, Any] = {}
    for row in table.to_dict("records"):
        place = result
        for key in keys:
            place = place.setdefault(str(row[key]), {})
        numbers = {
            str(name): value for name, value in row.items() if name not in keys and isinstance(value, int | float)
        }
        place.update({name: value for name, value in numbers.items() if not np.isnan(value)})
    return result


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


if __name__ == "__main__":
    run(main)
