"""Make one page of all results: before against after transfer, mistakes, where the models look, the data, the study.

In: data/evaluation/, data/predictions/ and data/examples/, all by `evaluate`; metrics/; data/live/ (learning curves),
data/sheets/, docs/studies/; data/csvs/ and the names in data/sample/, to say whether the faces are drawn; params.yaml
and data/models/*.weights.h5, to say which run it is.
Out: data/report/index.html, which needs no other file and no network, and its charts as PNG in data/report/figures/.
Run: python -m stages.report

With real data the page shows photos of people: it stays on this machine.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.datasets.catalog import MODELS, WEIGHTS, titled
from stages.datasets.columns import INFLATED, people_known
from stages.datasets.counts import counts, splits
from stages.figures import charts, page, study_table
from stages.figures.changes import changes
from stages.figures.results import by_model, read_evaluation, read_figures
from stages.figures.sections import dataset_section, draw
from stages.files.digests import digest
from stages.files.images import decode, encode_jpeg, shrink
from stages.files.metrics import read_metrics
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import reading, run

REPORT = Path("data/report/index.html")
SHEET_SIDE, SHEET_QUALITY = 1200, 75


def main() -> None:
    """Gather what the stages wrote, draw the charts and write the page."""
    settings = params.load()
    emotions, weights = settings.emotions, settings.pretrain.weights
    evaluation = read_evaluation()
    known = people_known(read_table(Path("data/csvs/korean/merged.csv"))["person"])
    # The faces that the transfer is for come first.
    sets = dict(reversed(titled(settings.report.population, known).items()))
    sizes = {dataset: splits(dataset, list(emotions)) for dataset in sets}
    shown = [dataset_section(name, dataset, emotions, evaluation) for name, dataset in sets.items()]
    content = {
        "changes": changes(sections(settings, any(section["drawn"] for section in shown))),
        "weights": {name: digest(path) for name, path in WEIGHTS.items()},
        "emotions": emotions,
        "models": MODELS,
        "population": settings.report.population,
        "inflated": "" if known else INFLATED,
        "datasets": shown,
        "ceilings": evaluation["ceilings"].query("faces > 0").to_dict("records"),
        "labels": labels(evaluation["labels"].query("faces > 0")),
        "people": by_model(evaluation["people"].query("faces > 0"), ["subset"]),
        "groups": by_model(evaluation["groups"], ["attribute", "group"]),
        "gaps": by_model(evaluation["gaps"], ["attribute"]),
        "training": [
            training_section("pretrain", "FER2013", sizes["fer2013"]["train"]["faces"], weights),
            training_section(
                "transfer", f"batches; {settings.report.population} validation", sizes["korean"]["train"]["faces"], None
            ),
        ],
        "counts": [(dataset.name, count) for name, dataset in sets.items() for count in counts(name)],
        "splits": sizes,
        "sheets": [(path.as_posix(), sheet(path)) for path in sorted(Path("data/sheets").glob("*.png"))],
        "studies": studies(),
    }
    page.render(REPORT, content)
    print(f"{REPORT}: {REPORT.stat().st_size / 1e6:.1f} MB")


def sections(settings: params.Params, drawn: bool) -> dict[str, Any]:
    """The sections of params.yaml that this page follows from; those of the sample only if faces are `drawn`."""
    sample = settings.model_dump(include={"sample"}) if drawn else {}
    faces = settings.model_dump(include={"emotions", "rename", "crop", "image", "index"})
    models = settings.model_dump(include={"model", "augment", "pretrain", "finetune"})
    return sample | faces | models | settings.model_dump(include={"evaluate", "robustness", "report"})


def labels(table: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Whose label -> emotion (`all` first) -> the row of each model."""
    tree: dict[str, dict[str, dict[str, Any]]] = {}
    for row in by_model(table, ["label", "emotion"]):
        tree.setdefault(row["label"], {})[row["emotion"]] = row
    return tree


def training_section(stage: str, faces: str, images: int, weights: str | None) -> dict[str, Any]:
    """How the training of one stage on `images` faces went, with learning curves; none if shipped `weights` were taken.

    `faces` says in the headings of the charts which faces they are.
    """
    figures = read_metrics(Path("metrics") / f"{stage}.json")[stage]
    section = {"stage": stage, "accuracy": figures["validation"]["accuracy"], "weights": weights}
    if weights:
        return section | {"charts": []}
    drawings = []
    for what, unit, factor in (("accuracy", "right (%)", 100), ("loss", "loss", 1)):
        folder = Path("data/live") / stage / "plots/metrics"
        values = {part: read_curve(folder / part / f"{what}.tsv") * factor for part in ("train", "validation")}
        figure = charts.curves(f"{stage}: {what} on {faces}", unit, values, figures["best_epoch"])
        description = f"{stage}: {what} of training and validation over the epochs"
        drawings.append(draw(figure, f"{stage}_{what}", description))
    epochs = {"epochs": len(values["validation"]), "best_epoch": figures["best_epoch"]}
    return section | epochs | {"images": images, "charts": drawings}


def read_curve(path: Path) -> np.ndarray:
    """A learning curve, float (epochs,)."""
    with reading(path, IndexError):
        return pd.read_csv(path, sep="\t").iloc[:, 1].to_numpy(float)


def sheet(path: Path) -> str:
    """A contact sheet, made smaller."""
    # A tenth as long as PNG.
    smaller = shrink(decode(path.read_bytes(), colour=True), SHEET_SIDE)
    return page.uri("jpeg", encode_jpeg(smaller, SHEET_QUALITY))


def studies() -> list[dict[str, Any]]:
    """Each study in docs/studies: in words, as far as they are in about.yaml there, and its figures.

    A chart comes with it if a single number varies.
    """
    about = study_table.read_about()
    shown = []
    for path in study_table.files(about):
        name, table = path.stem, read_figures(path)
        chart = ""
        if study_table.is_over_a_number(table):
            description = f"study {name}: accuracy by {', '.join(study_table.keys_of(table))}"
            chart = charts.svg(study_table.draw(table, name), description)
        figures = {"rows": study_table.rows(table), "before": study_table.before(table), "chart": chart}
        headings = list(study_table.headings_of(table).values())
        shown.append({"name": name, "about": about.get(name), "headings": headings} | figures)
    return shown


if __name__ == "__main__":
    run(main)
