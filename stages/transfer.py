"""Go on training the FER2013 network on Korean faces (korean-transfer), with FER2013 images rehearsed in each batch.

In: the weights of `pretrain`, `data/csvs/korean/merged.csv` and `data/csvs/fer2013/merged.csv` with their arrays.
Out: the weights of the epoch that did best on the Korean validation split, mixed with `finetune.wise_ft` of those
before, `data/models/transfer.weights.h5`; its figures `metrics/transfer.json`, among them what it has forgotten of the
FER2013 validation split; and the learning curves `data/live/transfer`. Run again after a kill, it goes on.
Run: python -m stages.transfer
"""

from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import recall_score

from stages.files.metrics import write_metrics
from stages.network import model
from stages.network.backend import deterministic, keras, use_threads
from stages.network.inputs import Faces, read_faces, read_targets
from stages.runtime import params, resume
from stages.runtime.errors import run
from stages.training import loop
from stages.training.augment import distort
from stages.training.batches import Source, class_weights
from stages.training.loop import TrainingData

CSV = Path("data/csvs/korean/merged.csv")
ARRAYS = Path("data/arrays/korean")
FER_CSV = Path("data/csvs/fer2013/merged.csv")
FER_ARRAYS = Path("data/arrays/fer2013")
PRETRAINED = Path("data/models/pretrain.weights.h5")
WEIGHTS = Path("data/models/transfer.weights.h5")
METRICS = Path("metrics/transfer.json")
CURVES = Path("data/live/transfer")


def main() -> None:
    """Train, and write weights, figures and curves."""
    settings = params.load()
    emotions, recipe = list(settings.emotions), settings.finetune
    use_threads(settings.model.threads)
    validation = read_faces(CSV, ARRAYS, "validation", emotions)
    sources = read_sources(emotions, recipe)
    deterministic(recipe.seed)
    network = model.for_training(settings.model, len(emotions))
    if recipe.start == "pretrain":
        model.load_weights(network, PRETRAINED)
    before, teacher = network.get_weights(), None
    # It teaches the rehearsed faces alone.
    if recipe.teacher_share and len(sources) > 1:
        teacher = model.for_training(settings.model, len(emotions))
        teacher.set_weights(before)
    model.freeze(network, recipe.frozen_blocks, recipe.frozen_batchnorm)
    augment = partial(distort, augment=settings.augment, view=settings.model.input_size)
    data = TrainingData(sources, validation, augment, teacher)
    inputs = [CSV, FER_CSV, PRETRAINED, *(file for source in sources for file in source.faces.files)]
    values = settings.model_dump(include={"emotions", "finetune", "model", "augment"})
    rehearsed = read_faces(FER_CSV, FER_ARRAYS, "validation", emotions)
    watched = {"fer2013": rehearsed, "korean": validation} if recipe.start == "pretrain" else {}
    known = {name: recalls(network, faces) for name, faces in watched.items()}
    with resume.folder("transfer", inputs, values) as place:
        history = loop.fit(network, data, recipe, place / "checkpoint.npz", CURVES)
        model.blend(network, before, recipe.wise_ft)
        model.save_weights(network, WEIGHTS)
        for name, faces in watched.items():
            warn_of_collapse(name, emotions, known[name], recalls(network, faces))
        figures = {
            "best_epoch": loop.best_epoch(history),
            "validation": loop.validate(network, validation),
            "fer2013_validation": {"accuracy": loop.validate(network, rehearsed)["accuracy"]},
        }
        write_metrics({"transfer": figures}, METRICS)


def recalls(network: keras.Model, faces: Faces) -> np.ndarray:
    """The share of each emotion's faces that `network` recognises, float (emotions,); NaN where there is no face."""
    answer, emotions = model.predict(network, faces).argmax(axis=1), range(network.output_shape[-1])
    return np.asarray(recall_score(faces.label, answer, labels=emotions, average=None, zero_division=np.nan))


def warn_of_collapse(name: str, emotions: list[str], before: np.ndarray, after: np.ndarray) -> None:
    """Print a line for each emotion of which less than half is left of its recall, float (emotions,)."""
    for emotion, old, new in zip(emotions, before, after, strict=True):
        # A network that guesses has nothing to lose.
        if new < old / 2 and old > 1 / len(emotions):
            print(
                f"warning: {emotion} has collapsed on {name} validation: recall {old:.0%} before transfer, {new:.0%} "
                "after; lower finetune.lr, or raise finetune.rehearsal or finetune.wise_ft."
            )


def read_sources(emotions: list[str], recipe: params.Finetune) -> list[Source]:
    """The Korean training faces and those of FER2013, which fill the share `rehearsal` of a batch, rounded to faces."""
    korean = read_faces(CSV, ARRAYS, "train", emotions)
    weights = class_weights(korean.label, len(emotions), recipe.class_weight_power)
    rehearsed = round(recipe.batch_size * recipe.rehearsal)
    sources = [Source(korean, recipe.batch_size - rehearsed, weights)]
    if rehearsed:
        fer = read_faces(FER_CSV, FER_ARRAYS, "train", emotions)
        weights = class_weights(fer.label, len(emotions), recipe.class_weight_power)
        target = read_targets(FER_CSV, "train", emotions)
        sources.append(Source(fer, rehearsed, weights, recipe.teacher_share, target))
    return sources


if __name__ == "__main__":
    run(main)
