"""Write both models, before and after transfer, as files that other programs can use.

In: data/models/{pretrain,transfer}.weights.h5; data/csvs/<dataset>/merged.csv and the arrays, to fit a temperature
and to compare each file with its network, both on the validation split; metrics/evaluate.json; the names in
data/sample/, to say whether the faces are drawn.
Out: data/export/{before,after}.onnx, each with a model card inside (stages/deployment/model_card.py).
Run: python -m stages.export

A model card holds digests of the params, the weights and the data. The git revision is not in it, as the same input
would then give other bytes after each commit: `python -m tools.ship` adds it to the copy in weights/.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.datasets.catalog import WEIGHTS
from stages.datasets.columns import INFLATED, people_known
from stages.datasets.origin import drawn
from stages.deployment.model_card import ModelCard, learned
from stages.deployment.onnx_export import INPUT, write_onnx
from stages.deployment.onnx_runtime import open_session
from stages.evaluation.calibration import fit_temperature
from stages.faces.framing import square_side
from stages.files.digests import digest
from stages.files.metrics import read_metrics
from stages.files.tables import read_table
from stages.network import model
from stages.network.backend import keras, use_threads
from stages.network.inputs import Faces, read_faces
from stages.runtime import params
from stages.runtime.errors import run

EXPORT = Path("data/export")
COMPARED = 500  # places in each validation split at which a file must answer as its network does
LARGEST_DIFFERENCE = 1e-4  # in probability


class Origin(NamedTuple):
    """Where a model comes from, and the data set that it was last trained on."""

    weights: Path
    dataset: str


ORIGINS = {
    "before": Origin(WEIGHTS["before"], "fer2013"),
    "after": Origin(WEIGHTS["after"], "korean"),
}


def main() -> None:
    """Write both models, and compare each file with its network."""
    settings = params.load()
    use_threads(settings.model.threads)
    emotions = list(settings.emotions)
    validation = {source.dataset: faces_of(source.dataset, emotions) for source in ORIGINS.values()}
    is_drawn = {dataset: drawn(dataset) for dataset in validation}
    # From all over the faces, which lie sorted by emotion.
    pictures = np.concatenate(
        [faces.pictures(np.linspace(0, len(faces) - 1, COMPARED, dtype=int)) for faces in validation.values()]
    )
    metrics = read_metrics(Path("metrics/evaluate.json"))
    digests = {"params": digest_of_params(settings), "population": settings.report.population} | {
        dataset: digest_of_data(dataset, faces.files) for dataset, faces in validation.items()
    }
    if not people_known(read_table(Path("data/csvs/korean/merged.csv"))["person"]):
        digests["korean people"] = INFLATED
    for name, source in ORIGINS.items():
        faces, path = validation[source.dataset], EXPORT / f"{name}.onnx"
        network = model.for_prediction(settings.model, faces.size, len(emotions), source.weights)
        # A shipped network was not trained on what lies here.
        shipped = name == "before" and bool(settings.pretrain.weights)
        temperature = 1.0
        if not (shipped and is_drawn[source.dataset]):  # drawn faces do not say how sure it may be of photos
            temperature = round(fit_temperature(faces.label, model.predict(network, faces)), 4)
        drawn_faces = is_drawn[source.dataset] and not shipped
        card = ModelCard(
            name=name,
            drawn=drawn_faces,
            emotions=settings.emotions,
            trained_on=trained_on(name, settings),
            size=faces.size,
            crop=settings.crop,
            square=square_side(settings.crop.detector, settings.crop.margin),
            export=settings.export,
            temperature=temperature,
            # What it makes of drawn faces says nothing of a model of photos, and the other way round.
            recognised={
                other: {emotion: metrics[other][name][emotion] for emotion in emotions}
                for other in validation
                if is_drawn[other] == drawn_faces
            },
            provenance=digests | {"weights": digest(source.weights)},
        )
        write_onnx(network, card, path)
        check_answers(path, network, pictures)
        print(f"{path}: temperature {temperature:.2f}")


def trained_on(name: str, settings: params.Params) -> dict[str, dict[str, list[str]]]:
    """What the model `name` has learned from, as the model card has it."""
    fer2013 = name == "before" or settings.finetune.start == "pretrain" or settings.finetune.rehearsal > 0
    return learned(settings.emotions, settings.index.fer2013.classes, fer2013, korean=name == "after")


def faces_of(dataset: str, emotions: list[str]) -> Faces:
    """The faces of the validation split."""
    csv = Path("data/csvs") / dataset / "merged.csv"
    return read_faces(csv, Path("data/arrays") / dataset, "validation", emotions)


def digest_of_params(settings: params.Params) -> str:
    """SHA-256 of all sections of params.yaml that the models follow from."""
    values = settings.model_dump(
        include={"emotions", "rename", "crop", "image", "index", "model", "augment", "pretrain", "finetune"}
    )
    return hashlib.sha256(json.dumps([*values.values()], ensure_ascii=False).encode()).hexdigest()


def digest_of_data(dataset: str, arrays: list[Path]) -> str:
    """SHA-256 of the digests of a data set's merged.csv and of these arrays of pictures."""
    paths = [Path("data/csvs") / dataset / "merged.csv", *arrays]
    return hashlib.sha256("".join(map(digest, paths)).encode()).hexdigest()


def check_answers(path: Path, network: keras.Model, pictures: np.ndarray) -> None:
    """Stop if a file and its network do not agree on pictures, uint8 (n, size, size).

    Raises:
        RuntimeError: a probability differs by more than LARGEST_DIFFERENCE, which would be a fault of ours.
    """
    session, largest = open_session(path), 0.0
    # A few at a time: large networks need much memory.
    for part in np.array_split(pictures, range(model.PREDICT_BATCH, len(pictures), model.PREDICT_BATCH)):
        values = part[..., np.newaxis].astype(np.float32)
        answers = session.run(None, {INPUT: values})[0]
        largest = max(largest, float(np.abs(answers - network.predict_on_batch(values)).max()))
    if largest > LARGEST_DIFFERENCE:
        raise RuntimeError(f"{path} differs from its network by {largest:.2g} in probability")


if __name__ == "__main__":
    run(main)
