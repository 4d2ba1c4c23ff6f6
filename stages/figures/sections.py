"""What the report shows of one data set's test faces: figures, charts, mistakes, and where the models look."""

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.datasets.catalog import MODELS, Dataset
from stages.datasets.columns import people_known
from stages.datasets.origin import drawn
from stages.figures import charts, page
from stages.figures.colours import BLUE, ORANGE, bgr
from stages.files.arrays import open_array
from stages.files.images import shrink
from stages.files.tables import read_table
from stages.runtime.errors import reading

FIGURES = Path("data/report/figures")
EXAMPLES, PREDICTIONS = Path("data/examples"), Path("data/predictions")
FACE_SIDE, SALIENCY_SIDE = 96, 144  # pixels of a picture in the page
# What the numbers under each panel of the robustness chart are.
DISTORTIONS = {
    "blur": "blur: sigma, % of the width",
    "light": "low light: % of it left",
    "noise": "noise: sigma, grey levels",
    "jpeg": "JPEG: quality",
    "rotation": "rotation: degrees",
    "size": "small face: % of the width",
}


def draw(figure: Figure, name: str, description: str) -> str:
    """Write a chart as PNG and return it for the page."""
    charts.save(figure, FIGURES / f"{name}.png")
    return charts.svg(figure, description)


def dataset_section(
    dataset: str, known: Dataset, emotions: dict[str, str], evaluation: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    """All that the page shows of one data set's test faces; `evaluation` holds the tables of data/evaluation."""
    title = known.title
    predictions = read_table(PREDICTIONS / f"{dataset}.csv")
    own = {name: table[table["dataset"] == dataset] for name, table in evaluation.items() if "dataset" in table}
    examples = read_examples(dataset, predictions)
    named = predictions if people_known(predictions["person"]) else predictions[:0]
    return {
        "name": dataset,
        "title": title,
        "drawn": drawn(dataset),
        "faces": len(predictions),
        "people": named["person"].nunique() if known.unit == "person" else 0,
        "differences": own["differences"].to_dict("records"),
        "scores": by_emotion(own["scores"]),
        "charts": emotion_charts(dataset, title, emotions, own["scores"], own["confusion"]),
        "reliability": reliability_charts(dataset, title, own["reliability"]),
        "robustness": robustness_chart(dataset, title, own["robustness"]),
        "mistakes": [(emotion, faces) for emotion in emotions if (faces := mistakes(examples, emotion))],
        "saliency": saliency(examples, read_saliency(EXAMPLES / f"{dataset}_saliency.npy")),
    }


def by_emotion(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """emotion (`all` first) -> figure -> model -> its value and interval."""
    tree: dict[str, dict[str, dict[str, Any]]] = {}
    for row in scores.to_dict("records"):
        tree.setdefault(row["emotion"], {}).setdefault(row["figure"], {})[row["model"]] = row
    return tree


def emotion_charts(
    dataset: str, title: str, emotions: dict[str, str], scores: pd.DataFrame, confusion: pd.DataFrame
) -> list[str]:
    """Bars of what is recognised, and both confusion matrices; emotions in English and Korean on the page."""
    # matplotlib's own font has no Hangul, the reader's browser has.
    names, both = list(emotions), [f"{english}\n{korean}" for english, korean in emotions.items()]
    percent = 100 * scores[scores["figure"] == "recall"].set_index(["model", "emotion"])[["value", "low", "high"]]
    recalls = {name: tuple(percent.loc[name].loc[names].to_numpy(float).T) for name in MODELS}
    heading = f"{title}: recognised"
    charts.save(charts.bars(heading, names, recalls), FIGURES / f"{dataset}_emotions.png")
    description = f"{heading}, by emotion; the figures are in the table above"
    drawings = [charts.svg(charts.bars(heading, both, recalls), description)]
    for name in MODELS:
        cells = confusion[confusion["model"] == name].pivot(index="label", columns="answer", values="share")
        shares = cells.loc[names, names].to_numpy()
        heading = f"{title}: {name} transfer (%)"
        charts.save(charts.confusion(heading, names, shares), FIGURES / f"{dataset}_confusion_{name}.png")
        drawings.append(charts.svg(charts.confusion(heading, both, shares), f"{heading}, confusion matrix"))
    return drawings


def reliability_charts(dataset: str, title: str, bins: pd.DataFrame) -> list[str]:
    """Reliability diagrams as the models are, and after temperature scaling."""
    drawings = []
    for calibrated, state in ((False, "as trained"), (True, "after temperature scaling")):
        chosen = bins[(bins["calibrated"] == calibrated) & (bins["faces"] > 0)].set_index("model")
        columns = chosen[["confidence", "accuracy", "faces"]]
        models = {name: tuple(columns.loc[[name]].to_numpy(float).T) for name in MODELS}
        figure = charts.reliability(f"{title}: {state}", models)  # type: ignore[arg-type]
        name = f"{dataset}_reliability{'_calibrated' if calibrated else ''}"
        drawings.append(draw(figure, name, f"{title}, {state}: reliability diagram before and after transfer"))
    return drawings


def robustness_chart(dataset: str, title: str, table: pd.DataFrame) -> str:
    """Accuracy under each distortion, by its amount; "" if the faces were not distorted."""
    names = [str(name) for name in table["distortion"].unique() if name != "none"]
    if not names:
        return ""
    models: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in MODELS}
    for (name, by_distortion), distortion in itertools.product(models.items(), names):
        line = table[(table["model"] == name) & table["distortion"].isin(("none", distortion))].sort_values("strength")
        percent = 100 * line[["accuracy", "low", "high"]].to_numpy(float).T
        by_distortion.append((line["amount"].to_numpy(float), *percent))
    panels = [DISTORTIONS[name] for name in names]
    figure = charts.panels(f"{title}: distorted faces", "right (%)", panels, models)  # type: ignore[arg-type]
    return draw(figure, f"{dataset}_robustness", f"{title}: accuracy under distortions, weak to strong")


def read_examples(dataset: str, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """The examples that `evaluate` chose: kind, id, what `predictions` says of the face, and its picture."""
    table = read_table(EXAMPLES / f"{dataset}.csv").merge(predictions, on="id", how="left", validate="many_to_one")
    pictures = open_array(EXAMPLES / f"{dataset}.npy")
    rows: list[Any] = table.to_dict("records")
    return [row | {"picture": picture} for row, picture in zip(rows, pictures, strict=True)]


def mistakes(examples: list[dict[str, Any]], emotion: str) -> list[dict[str, Any]]:
    """What the page shows of the surest mistakes of one emotion."""
    return [
        {
            "id": row["id"],
            "picture": page.png(shrink(row["picture"], FACE_SIDE)),
            "answer": row["after"],
            "sure": float(row[f"after_{row['after']}"]),
            "label": float(row[f"after_{emotion}"]),
            "before": row["before"],
        }
        for row in examples
        if row["kind"] == "mistake" and row["label"] == emotion
    ]


def read_saliency(path: Path) -> np.ndarray:
    """How far each part of the typical faces matters to each model, float (faces, models, size, size)."""
    with reading(path), open(path, "rb") as file:
        return np.asarray(np.lib.format.read_array(file))


def saliency(examples: list[dict[str, Any]], falls: np.ndarray) -> list[dict[str, Any]]:
    """What the page shows of the typical faces, whose `falls` are float (faces, models, size, size)."""
    shown = []
    for row, fall in zip((row for row in examples if row["kind"] == "typical"), falls, strict=True):
        scale = max(1e-6, np.abs(fall).max())  # one for both models
        shown.append(
            {
                "emotion": row["label"],
                "face": page.png(shrink(row["picture"], SALIENCY_SIDE)),
                "models": {
                    name: (page.png(overlay(row["picture"], part / scale)), float(row[f"{name}_{row['label']}"]))
                    for name, part in zip(MODELS, fall, strict=True)
                },
            }
        )
    return shown


def overlay(picture: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """The grey picture, uint8 (side, side, 3): orange where `fall`, -1 to 1, is above 0 and blue where it is below."""
    size = (SALIENCY_SIDE, SALIENCY_SIDE)
    grey = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC).astype(float)[..., np.newaxis]
    fall = cv2.resize(fall, size, interpolation=cv2.INTER_LINEAR)[..., np.newaxis]
    strength = 0.75 * np.abs(fall)
    mixed = (1 - strength) * grey + strength * np.where(fall > 0, bgr(ORANGE), bgr(BLUE))
    return np.asarray(mixed.round().clip(0, 255), np.uint8)
