"""Train the network on FER2013 (fer-pretrain).

In: `data/csvs/fer2013/merged.csv` and the training pictures in `data/arrays/fer2013`.
Out: the weights of the best validation epoch `data/models/pretrain.weights.h5`, its figures `metrics/pretrain.json`,
and the learning curves `data/live/pretrain`. Run again after a kill, it goes on after the last whole epoch.
With `pretrain.weights` set, the shipped weights of that name are taken instead, and nothing is trained.
Run: python -m stages.pretrain
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stages.datasets.columns import EXTRA
from stages.files.metrics import write_metrics
from stages.network import model
from stages.network.backend import deterministic, keras, use_threads
from stages.network.inputs import Faces, read_faces, read_targets
from stages.runtime import params, resume
from stages.runtime.errors import run
from stages.training import loop, presets
from stages.training.augment import distort
from stages.training.batches import Source, class_weights
from stages.training.loop import TrainingData

CSV = Path("data/csvs/fer2013/merged.csv")
ARRAYS = Path("data/arrays/fer2013")
WEIGHTS = Path("data/models/pretrain.weights.h5")
METRICS = Path("metrics/pretrain.json")
CURVES = Path("data/live/pretrain")


def main() -> None:
    """Train the network or take the weights that are shipped, and write weights, figures and curves."""
    settings = params.load()
    use_threads(settings.model.threads)
    emotions = list(settings.emotions)
    validation = read_faces(CSV, ARRAYS, "validation", emotions)
    if name := settings.pretrain.weights:
        take(name, settings, read_faces(CSV, ARRAYS, "train", emotions), validation)
    else:
        train(settings, validation)


def take(name: str, settings: params.Params, faces: Faces, validation: Faces) -> None:
    """Take the shipped network `name` as it is."""
    presets.check(name, presets.preset_of(name), settings, presets.ARCHITECTURE, faces.size, presets.form_of(CSV))
    network = model.for_training(settings.model, len(settings.emotions))
    model.load_weights(network, presets.file_of(name, ".weights.h5"))
    model.save_weights(network, WEIGHTS)
    figures = {"train": loop.validate(network, faces), "validation": loop.validate(network, validation)}
    # All four curves, as dvc.yaml plots them.
    loop.log_start({f"{split}/{key}": v for split in figures for key, v in figures[split].items()}, CURVES)
    write_metrics({"pretrain": {"validation": figures["validation"]}}, METRICS)
    print(f"{name} is taken from weights/ as it is: {figures['validation']['accuracy']:.1%} right on validation")


def train(settings: params.Params, validation: Faces) -> None:
    """Train a network from fresh weights, with the extra classes as further outputs, which it loses at the end."""
    recipe, extra = settings.pretrain, settings.index.fer2013.extra_classes
    classes = [*settings.emotions, *extra]
    faces = read_faces(CSV, ARRAYS, "train", classes, EXTRA)
    form = presets.form_of(CSV)
    for name in recipe.teachers:
        # Teachers look at the very same distorted pictures.
        presets.check(name, presets.preset_of(name), settings, ["input_size"], faces.size, form)
    deterministic(recipe.seed)
    network = model.for_training(settings.model, len(classes))
    teacher = ensemble(recipe.teachers, settings.model, len(classes)) if recipe.teachers else None
    weights = class_weights(faces.label, len(classes), recipe.class_weight_power)
    target = read_targets(CSV, "train", classes, EXTRA)
    source = Source(faces, recipe.batch_size, weights, recipe.teacher_share, target)
    augment = partial(distort, augment=settings.augment, view=settings.model.input_size)
    data = TrainingData([source], validation, augment, teacher, len(extra))
    inputs = [CSV, *faces.files, *(presets.file_of(name, ".weights.h5") for name in recipe.teachers)]
    values = settings.model_dump(include={"emotions", "pretrain", "model", "augment"})
    values["extra_classes"] = extra
    with resume.folder("pretrain", inputs, values) as place:
        history = loop.fit(network, data, recipe, place / "checkpoint.npz", CURVES)
        if extra:
            network = model.without_last(network, settings.model, len(extra))
        model.save_weights(network, WEIGHTS)
        figures = {"best_epoch": loop.best_epoch(history), "validation": loop.validate(network, validation)}
        write_metrics({"pretrain": figures}, METRICS)


def ensemble(names: Sequence[str], settings: params.Model, classes: int) -> keras.Model:
    """The networks `names`, which look at pictures of one size, as one: it answers with the mean of their answers."""
    networks = []
    for name in names:
        # It is built for what it looks at; of our own settings only the precision matters.
        own = presets.preset_of(name).model.model_copy(update={"precision": settings.precision})
        network = model.for_training(own, classes)
        model.load_weights(network, presets.file_of(name, ".weights.h5"))
        network.name = name  # Keras wants them different
        networks.append(network)
    inputs = keras.Input(networks[0].input_shape[1:])
    return keras.Model(inputs, sum(network(inputs) for network in networks) / len(networks))


if __name__ == "__main__":
    run(main)
