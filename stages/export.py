"""Write both models, before and after transfer, as files that other programs can use.

In: data/models/{pretrain,transfer}.weights.h5; data/csvs/<dataset>/merged.csv and the arrays, to fit a temperature
and to compare the forms on the validation split; metrics/evaluate.json; the names in data/sample/, to say whether
the faces are drawn.
Out: data/export/{before,after}.onnx and data/export/after.keras, each with a model card inside
(stages/deployment/model_card.py).
Run: python -m stages.export

A model card holds digests of the params, the weights and the data. The git revision is not in it, as the same input
would then give other bytes after each commit: `python -m tools.ship` adds it to the copy in weights/.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.datasets.catalog import DATASETS
from stages.datasets.origin import drawn
from stages.deployment.model_card import ModelCard
from stages.deployment.onnx_export import INPUT, write_keras, write_onnx
from stages.deployment.onnx_runtime import open_session
from stages.evaluation.calibration import fit_temperature
from stages.faces.detection import search_from_params
from stages.files.metrics import read_metrics
from stages.network import model
from stages.network.backend import keras, use_threads
from stages.network.inputs import Faces, read_faces
from stages.runtime import params
from stages.runtime.errors import run

EXPORT = Path("data/export")
EVALUATED = Path("metrics/evaluate.json")
LARGEST_DIFFERENCE = 1e-4  # in probability, between two forms of one model


class Origin(NamedTuple):
    """Where a model comes from, and the data set that it was last trained on."""

    weights: Path
    dataset: str
    forms: tuple[str, ...]


MODELS = {
    "before": Origin(Path("data/models/pretrain.weights.h5"), "fer2013", ("onnx",)),
    "after": Origin(Path("data/models/transfer.weights.h5"), "korean", ("onnx", "keras")),
}


def main() -> None:
    """Write all forms of both models, and compare them."""
    use_threads(model.threads_from_params())
    emotions = list(params.emotions())
    compared = params.section("export").integer("compared", 1, 100_000)
    judged = [faces_of(dataset, emotions) for dataset in DATASETS]
    # Evenly over each data set, which lies sorted by emotion.
    some = [np.unique(np.linspace(0, len(faces) - 1, compared, dtype=int)) for faces in judged]
    pictures = np.concatenate([faces.pictures(index) for faces, index in zip(judged, some, strict=True)])
    digests = {"params": digest_of_params()} | {
        dataset: digest_of_data(dataset, faces.files) for dataset, faces in zip(DATASETS, judged, strict=True)
    }
    for name, source in MODELS.items():
        validation = faces_of(source.dataset, emotions)
        network = model.for_prediction(validation.size, len(emotions), source.weights)
        temperature = round(fit_temperature(validation.label, model.predict(network, validation)), 4)
        provenance = digests | {"weights": digest(source.weights)}
        card = read_card(name, source.dataset, validation.size, temperature, provenance)
        paths = {form: EXPORT / f"{name}.{form}" for form in source.forms}
        for form, path in paths.items():
            {"onnx": write_onnx, "keras": write_keras}[form](network, card, path)
        expected = in_batches(network.predict_on_batch, pictures)
        for form, path in paths.items():
            check(path, READ[form](path), pictures, expected)
        print(f"{name}: temperature {temperature:.2f}; " + ", ".join(map(str, paths.values())))


def faces_of(dataset: str, emotions: list[str]) -> Faces:
    """The faces of the validation split."""
    csv = Path("data/csvs") / dataset / "merged.csv"
    return read_faces(csv, Path("data/arrays") / dataset, "validation", emotions)


def read_card(name: str, dataset: str, size: int, temperature: float, provenance: dict[str, str]) -> ModelCard:
    """The model card of a model last trained on `dataset`, with what params.yaml says of the use of a model."""
    crop, export = params.section("crop"), params.section("export")
    # A shipped network was not trained on what lies here.
    drawn_faces = drawn(dataset) and not (name == "before" and params.section("pretrain").optional_text("weights"))
    return ModelCard(
        name=name,
        drawn=drawn_faces,
        emotions=params.emotions(),
        size=size,
        search=search_from_params(),
        margin=crop.number("margin", -0.4, 2),
        crop_size=crop.integer("size", 16, 2048),
        quality=crop.integer("quality", 1, 100),
        max_megapixels=crop.number("max_megapixels", 0.01, 1000),
        temperature=temperature,
        unsure=export.number("unsure", 0, 1),
        smoothing=export.number("smoothing", 0, 10),
        same_face=export.number("same_face", 0.01, 1),
        forget=export.number("forget", 0, 60),
        # What it makes of drawn faces says nothing of a model of photos, and the other way round.
        recognised=read_recognised(name, [other for other in DATASETS if drawn(other) == drawn_faces]),
        provenance=provenance,
    )


def read_recognised(name: str, datasets: list[str]) -> dict[str, dict[str, float]]:
    """The share of each emotion's test faces that the model recognised, for each data set."""
    metrics = read_metrics(EVALUATED)
    return {
        dataset: {emotion: metrics[dataset][name][emotion] for emotion in params.emotions()} for dataset in datasets
    }


def digest_of_params() -> str:
    """SHA-256 of all sections of params.yaml that the models follow from."""
    sections = [
        *(params.section("emotions"), params.section("rename"), params.section("crop"), params.section("image")),
        *(params.section("index"), params.section("model"), params.section("augment"), params.section("pretrain")),
        params.section("finetune"),
    ]
    text = json.dumps({section.name: section.values for section in sections}, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_data(dataset: str, arrays: list[Path]) -> str:
    """SHA-256 of those of a data set's index and of these arrays of pictures."""
    paths = [Path("data/csvs") / dataset / "merged.csv", *arrays]
    return hashlib.sha256("".join(map(digest, paths)).encode()).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, predict: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, expected: np.ndarray) -> None:
    """Stop if what the file answers on pictures, uint8 (n, size, size), is not what the network it was made from does.

    Raises:
        RuntimeError: a probability differs by more than LARGEST_DIFFERENCE, which would be a fault of ours.
    """
    largest = float(np.abs(in_batches(predict, pictures) - expected).max())
    if largest > LARGEST_DIFFERENCE:
        raise RuntimeError(f"{path} and the network it was made from differ by {largest:.2g} in probability")


def in_batches(predict: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """What `predict` makes of pictures, uint8 (n, size, size), a few at a time: large networks need much memory."""
    parts = np.array_split(pictures, range(model.PREDICT_BATCH, len(pictures), model.PREDICT_BATCH))
    return np.concatenate([predict(part[..., np.newaxis].astype(np.float32)) for part in parts])


def read_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What an ONNX file answers, read by ONNX Runtime."""
    session = open_session(path)
    return lambda pictures: np.asarray(session.run(None, {INPUT: pictures})[0])


def read_keras(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What a .keras file answers, read by Keras."""
    network = keras.saving.load_model(path)
    return lambda pictures: np.asarray(network.predict_on_batch(pictures))


READ = {"onnx": read_onnx, "keras": read_keras}


if __name__ == "__main__":
    run(main)
