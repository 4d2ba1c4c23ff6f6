"""Make one page of all results: before against after transfer, mistakes, where the models look, the data, the study.

In: data/evaluation/, data/predictions/ and data/examples/, all by `evaluate`; metrics/; data/live/ (learning curves),
data/sheets/, docs/studies/; data/csvs/ and the names in data/sample/, to say whether the faces are drawn.
Out: data/report/index.html, which needs no other file and no network, and its charts as PNG in data/report/figures/.
Run: python -m stages.report

With real data the page shows photos of people: it stays on this machine.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.datasets.catalog import MODELS
from stages.datasets.origin import drawn
from stages.datasets.people import INFLATED, people_known
from stages.evaluation.scores import confusion
from stages.figures import charts, page, study
from stages.files.arrays import open_array
from stages.files.images import decode, shrink
from stages.files.metrics import read_metrics
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import run

REPORT = Path("data/report/index.html")
FIGURES = REPORT.parent / "figures"
EVALUATION, EXAMPLES, METRICS = Path("data/evaluation"), Path("data/examples"), Path("metrics")
DATASETS = ("korean", "fer2013")
FACE_SIDE, SALIENCY_SIDE = 96, 144  # pixels of a picture in the page
SHEET_SIDE, SHEET_QUALITY = 800, 75
# BGR, of Okabe and Ito (2008).
ORANGE, BLUE = np.array((0, 159, 230.0)), np.array((178, 114, 0.0))


def main() -> None:
    """Gather what the stages wrote, draw the charts and write the page."""
    settings = params.load()
    emotions, population = settings.emotions, settings.report.population
    known = people_known(read_table(Path("data/csvs/korean/merged.csv"))["person"])
    titles = {"korean": f"{population} faces{'' if known else ' (people unknown)'}", "fer2013": "FER2013"}
    evaluation = {path.stem: read_figures(path) for path in sorted(EVALUATION.glob("*.csv"))}
    sets = [dataset_section(dataset, title, emotions, evaluation) for dataset, title in titles.items()]
    content = {
        "emotions": emotions,
        "models": MODELS,
        "population": population,
        "inflated": "" if known else INFLATED,
        "datasets": sets,
        "ceilings": evaluation["ceilings"].to_dict("records"),
        "labels": by_model(evaluation["labels"], ["label", "emotion"]),
        "people": by_model(evaluation["people"], ["subset"]),
        "groups": by_model(evaluation["groups"], ["attribute", "group"]),
        "gaps": by_model(evaluation["gaps"], ["attribute"]),
        "training": [
            training_section("pretrain", "FER2013"),
            training_section("transfer", f"batches; {population} validation"),
        ],
        "counts": counts(population),
        "splits": {dataset: read_metrics(METRICS / "index" / f"{dataset}.json") for dataset in DATASETS},
        "sheets": [(path.as_posix(), sheet(path)) for path in sorted(Path("data/sheets").glob("*.png"))],
        "studies": [study_section(path) for path in sorted(study.FOLDER.glob("*.csv"))],
    }
    page.render(REPORT, content)
    print(f"{REPORT}: {REPORT.stat().st_size / 1e6:.1f} MB")


def read_figures(path: Path) -> pd.DataFrame:
    """A table of figures; an empty cell is NaN."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"group": str})


def draw(figure: Figure, name: str, description: str) -> str:
    """Write a chart as PNG and return it for the page."""
    charts.save(figure, FIGURES / f"{name}.png")
    return charts.svg(figure, description)


def dataset_section(
    dataset: str, title: str, emotions: dict[str, str], evaluation: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    """All that the page shows of one data set's test faces."""
    predictions = read_table(Path("data/predictions") / f"{dataset}.csv")
    own = {name: table[table["dataset"] == dataset] for name, table in evaluation.items() if "dataset" in table}
    examples = read_examples(dataset, predictions)
    return {
        "name": dataset,
        "title": title,
        "drawn": drawn(dataset),
        "faces": len(predictions),
        "people": predictions["person"].nunique() if people_known(predictions["person"]) and dataset == "korean" else 0,
        "differences": own["differences"].to_dict("records"),
        "scores": by_emotion(own["scores"]),
        "charts": emotion_charts(dataset, title, emotions, own["scores"], predictions),
        "reliability": reliability_charts(dataset, title, own["reliability"]),
        "robustness": robustness_chart(dataset, title, own["robustness"]),
        "mistakes": [(emotion, mistakes(examples, emotion)) for emotion in emotions],
        "saliency": saliency(examples, np.load(EXAMPLES / f"{dataset}_saliency.npy")),
    }


def by_model(table: pd.DataFrame, keys: list[str]) -> list[dict[str, Any]]:
    """A row for each combination of `keys`, in the table's order, with the table's row of each model under its name."""
    rows = []
    for _, pair in table.groupby(keys, sort=False):
        models = pair.to_dict("records")
        rows.append(models[0] | {str(row["model"]): row for row in models})
    return rows


def by_emotion(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """emotion (`all` first) -> figure -> model -> its value and interval."""
    tree: dict[str, dict[str, dict[str, Any]]] = {}
    for row in scores.to_dict("records"):
        tree.setdefault(row["emotion"], {}).setdefault(row["figure"], {})[row["model"]] = row
    return tree


def interval(scores: pd.DataFrame, emotions: dict[str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The recall of each emotion by one model with the ends of its interval, in percent."""
    recalls = scores[scores["figure"] == "recall"].set_index("emotion").loc[list(emotions)]
    value, low, high = (100 * recalls[column].to_numpy(float) for column in ("value", "low", "high"))
    return value, low, high


def emotion_charts(
    dataset: str, title: str, emotions: dict[str, str], scores: pd.DataFrame, predictions: pd.DataFrame
) -> list[str]:
    """Bars of what is recognised, and both confusion matrices; emotions in English and Korean on the page."""
    # matplotlib's own font has no Hangul, the reader's browser has.
    names, both = list(emotions), [f"{english}\n{korean}" for english, korean in emotions.items()]
    recalls = {name: interval(scores[scores["model"] == name], emotions) for name in MODELS}
    heading = f"{title}: recognised"
    charts.save(charts.bars(heading, names, recalls), FIGURES / f"{dataset}_emotions.png")
    drawings = [
        charts.svg(charts.bars(heading, both, recalls), f"{heading}, by emotion; the figures are in the table above")
    ]
    label = predictions["label"].map(names.index).to_numpy()
    for name in MODELS:
        shares = confusion(label, probabilities(predictions, name, names))
        heading = f"{title}: {name} transfer (%)"
        charts.save(charts.confusion(heading, names, shares), FIGURES / f"{dataset}_confusion_{name}.png")
        drawings.append(charts.svg(charts.confusion(heading, both, shares), f"{heading}, confusion matrix"))
    return drawings


def probabilities(predictions: pd.DataFrame, name: str, emotions: list[str]) -> np.ndarray:
    """A model's probabilities, float (faces, emotions)."""
    values: np.ndarray = predictions[[f"{name}_{emotion}" for emotion in emotions]].to_numpy(float)
    return values


def reliability_charts(dataset: str, title: str, bins: pd.DataFrame) -> list[str]:
    """Reliability diagrams as the models are, and after temperature scaling."""
    drawings = []
    for calibrated, state in ((False, "as trained"), (True, "after temperature scaling")):
        chosen = bins[(bins["calibrated"] == calibrated) & (bins["faces"] > 0)]
        models = {
            name: tuple(part[column].to_numpy(float) for column in ("confidence", "accuracy", "faces"))
            for name in MODELS
            for part in [chosen[chosen["model"] == name]]
        }
        figure = charts.reliability(f"{title}: {state}", models)  # type: ignore[arg-type]
        name = f"{dataset}_reliability{'_calibrated' if calibrated else ''}"
        drawings.append(draw(figure, name, f"{title}, {state}: reliability diagram before and after transfer"))
    return drawings


def robustness_chart(dataset: str, title: str, table: pd.DataFrame) -> str:
    """Accuracy under each distortion, at three strengths; strength 0 is the undistorted faces."""
    names = [str(name) for name in table["distortion"].unique() if name != "none"]
    models: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in MODELS}
    for name, by_distortion in models.items():
        rows = table[table["model"] == name]
        for distortion in names:
            line = rows[rows["distortion"].isin(("none", distortion))].sort_values("strength")
            percent = [100 * line[column].to_numpy(float) for column in ("accuracy", "low", "high")]
            by_distortion.append((line["strength"].to_numpy(), *percent))
    figure = charts.panels(f"{title}: distorted faces", "right (%)", names, models)  # type: ignore[arg-type]
    return draw(figure, f"{dataset}_robustness", f"{title}: accuracy under distortions of three strengths")


def read_examples(dataset: str, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """The examples that `evaluate` chose: kind, id, what `predictions` says of the face, and its picture."""
    table = read_table(EXAMPLES / f"{dataset}.csv").merge(predictions, on="id", how="left", validate="many_to_one")
    pictures = open_array(EXAMPLES / f"{dataset}.npy")
    rows = ({str(name): value for name, value in row.items()} for row in table.to_dict("records"))
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
    mixed: np.ndarray = (1 - strength) * grey + strength * np.where(fall > 0, ORANGE, BLUE)
    return mixed.round().clip(0, 255).astype(np.uint8)


def training_section(stage: str, faces: str) -> dict[str, Any]:
    """Learning curves of one training stage; none if shipped weights were taken."""
    figures = read_metrics(METRICS / f"{stage}.json")[stage]
    if "weights" in figures:
        return {"stage": stage, "charts": [], "figures": figures}
    drawings = []
    for what, unit, factor in (("accuracy", "right (%)", 100), ("loss", "loss", 1)):
        folder = Path("data/live") / stage / "plots/metrics"
        values = {part: read_curve(folder / part / f"{what}.tsv") * factor for part in ("train", "validation")}
        figure = charts.curves(f"{stage}: {what} on {faces}", unit, values, figures["best_epoch"])
        drawings.append(draw(figure, f"{stage}_{what}", f"{stage}: {what} of training and validation over the epochs"))
    return {"stage": stage, "charts": drawings, "figures": figures}


def read_curve(path: Path) -> np.ndarray:
    """A learning curve, float (epochs,)."""
    values: np.ndarray = pd.read_csv(path, sep="\t").iloc[:, 1].to_numpy(float)
    return values


def counts(population: str) -> list[dict[str, Any]]:
    """What each stage found, kept and rejected for which reason."""
    crops = [read_metrics(path) for path in sorted((METRICS / "crop").glob("*.json"))]
    rejected: Counter[str] = Counter()
    for crop in crops:
        rejected.update(crop["rejected"])
    cropped = {"found": sum(c["found"] for c in crops), "kept": sum(c["kept"] for c in crops), "rejected": rejected}
    lines = [
        (population, "rename", "photos found", read_metrics(METRICS / "rename.json")["photos"]),
        (population, "crop", "faces cut out", cropped),
        *(
            (title, stage, what, read_metrics(METRICS / stage / f"{dataset}.json"))
            for dataset, title in (("korean", population), ("fer2013", "FER2013"))
            for stage, what in (("resize", "grey squares"), ("index", "used"))
        ),
    ]
    return [
        {"dataset": dataset, "stage": stage, "what": what, "found": c["found"], "kept": c["kept"],
         "rejected": sorted(c["rejected"].items(), key=lambda item: (-item[1], item[0]))}
        for dataset, stage, what, c in lines
    ]  # fmt: skip


def sheet(path: Path) -> str:
    """A contact sheet, made smaller."""
    return page.jpeg(shrink(decode(path.read_bytes(), colour=True), SHEET_SIDE), SHEET_QUALITY)


def study_section(path: Path) -> dict[str, Any]:
    """A study's table and picture."""
    table = read_figures(path)
    heading, *lines = study.cells(table)
    description = f"study {path.stem}: accuracy by {', '.join(study.keys_of(table))}"
    return {
        "name": path.stem,
        "heading": heading,
        "lines": lines,
        "chart": charts.svg(study.draw(table, path.stem), description),
    }


if __name__ == "__main__":
    run(main)
