"""Train the network on FER2013 (fer-pretrain).

In: `data/csvs/fer2013/merged.csv` and the training pictures in `data/arrays/fer2013`.
Out: the weights of the best validation epoch `data/models/pretrain.weights.h5`, its figures `metrics/pretrain.json`,
and the learning curves `data/live/pretrain`. Run again after a kill, it goes on after the last whole epoch.
With `pretrain.weights` set, the shipped weights of that name are taken instead, and nothing is trained.
Run: python -m stages.pretrain
"""

from pathlib import Path

from stages.files.metrics import write_metrics
from stages.network import model
from stages.network.backend import deterministic, use_threads
from stages.network.inputs import Faces, read_faces
from stages.runtime import params, resume
from stages.runtime.errors import run
from stages.training import augment, loop, shipped
from stages.training.batches import Source, balance_weights

CSV = Path("data/csvs/fer2013/merged.csv")
ARRAYS = Path("data/arrays/fer2013")
WEIGHTS = Path("data/models/pretrain.weights.h5")
METRICS = Path("metrics/pretrain.json")
CURVES = Path("data/live/pretrain")


def main() -> None:
    """Read the section `pretrain:`, train or take the weights, and write weights, figures and curves."""
    use_threads(model.threads_from_params())
    section = params.section("pretrain")
    emotions = list(params.emotions())
    faces = read_faces(CSV, ARRAYS, "train", emotions)
    validation = read_faces(CSV, ARRAYS, "validation", emotions)
    if name := section.optional_text("weights"):
        network = model.for_training(faces.size, len(emotions))
        shipped.check(name, emotions, faces.size, shipped.ARCHITECTURE, CSV)
        model.load_weights(network, shipped.files(name)[0])
        model.save_weights(network, WEIGHTS)
        figures = {"train": loop.validate(network, faces), "validation": loop.validate(network, validation)}
        # All four curves, as dvc.yaml plots them.
        loop.log_start({f"{split}/{key}": v for split in figures for key, v in figures[split].items()}, CURVES)
        write_metrics({"pretrain": {"validation": figures["validation"]}}, METRICS)
    else:
        train(section, emotions, faces, validation)


def train(section: params.Section, emotions: list[str], faces: Faces, validation: Faces) -> None:
    """Train the network, and write weights, figures and curves."""
    recipe = loop.read_recipe(section)
    weight = balance_weights(faces.label, len(emotions), section.number("balance", 0, 1))
    names, taught = section.texts("teachers"), section.number("taught", 0, 1)
    sources = [Source(faces, section.integer("batch_size", 1, 4096), weight, taught)]
    deterministic(recipe.seed)
    network = model.for_training(faces.size, len(emotions))
    for name in names:
        # Teachers look at the very same distorted pictures.
        shipped.check(name, emotions, faces.size, ["view"], CSV)
    teacher = shipped.mean_of(names, len(emotions)) if names else None
    place = resume.folder(
        "pretrain",
        [CSV, *faces.files, *(path for name in names for path in shipped.files(name))],
        {
            "emotions": emotions,
            "pretrain": section.values,
            "model": params.section("model").values,
            "augment": params.section("augment").values,
        },
    )
    history = loop.fit(
        network,
        teacher,
        sources,
        validation,
        augment.from_params(model.view_from_params(faces.size)),
        recipe,
        place / "checkpoint.npz",
        CURVES,
    )
    model.save_weights(network, WEIGHTS)
    write_metrics({"pretrain": loop.summary(history, network, validation)}, METRICS)
    resume.done(place)


if __name__ == "__main__":
    run(main)
