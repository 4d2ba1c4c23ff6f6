"""The models, as the export stage writes them, on ONNX Runtime."""

from pathlib import Path

import numpy as np

from stages.deployment.model_card import ModelCard, from_texts
from stages.deployment.onnx_runtime import open_session
from stages.evaluation.calibration import apply_temperature
from stages.runtime.errors import UserError

SHIPPED = Path("weights/fer2013.onnx")
# Where models are looked for: one's own before the one that is shipped, and that one beside a smaller one.
PLACES = ((Path("data/export"),), (SHIPPED,), (Path("weights/fer2013_small.onnx"), SHIPPED))
SURPRISED = ("surprised", "놀람")


class Model:
    """One model and what its file says of it."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UserError: it is no model of the export stage.
        """
        self.path = path
        try:
            self.session = open_session(path)
        except Exception:  # ONNX Runtime's have no class in common
            raise UserError(f"{path} is no ONNX model; make it again with `dvc repro export`.") from None
        self.card = from_texts(self.session.get_modelmeta().custom_metadata_map, str(path))
        taken, given = self.session.get_inputs()[0].shape, self.session.get_outputs()[0].shape
        if [*taken[1:], *given[1:]] != [self.card.size, self.card.size, 1, len(self.card.emotions)]:
            raise UserError(f"{path}: its metadata is not of this network; make it again with `dvc repro export`.")
        self.shown = as_trained(self.card)

    def predict(self, pictures: np.ndarray) -> np.ndarray:
        """The probabilities float (n, emotions) of pictures uint8 (n, size, size)."""
        values = pictures[..., np.newaxis].astype(np.float32)
        return apply_temperature(self.session.run(None, {"picture": values})[0], self.card.temperature)


def as_trained(card: ModelCard) -> ModelCard:
    """The card in words that are true: an emotion learned from FER2013's surprise alone is called surprised."""
    if SURPRISED[0] in card.emotions:
        return card
    words = {}
    for name, korean in card.emotions.items():
        labels = {label for learned in card.trained_on.values() for label in learned.get(name, ())}
        words[name] = SURPRISED if labels == {"surprise"} else (name, korean)
    recognised = {
        dataset: {words[name][0]: share for name, share in shares.items()}
        for dataset, shares in card.recognised.items()
    }
    return card.model_copy(update={"emotions": dict(words.values()), "recognised": recognised})


def find_models(place: Path | None = None) -> list[Model]:
    """The models that answer if nobody chooses: the first of `find_choices`."""
    return find_choices(place)[0]


def find_choices(place: Path | None = None) -> list[list[Model]]:
    """The model of a file, or all of a folder, `after` last: that one counts.

    Without a place, the models of each of `PLACES` that has any; those of drawn faces come last.

    Raises:
        UserError: there is none, or they do not go together.
    """
    places = PLACES if place is None else ((place,),)
    choices = [models for some in places if (models := _read_models(*some))]
    if not choices:
        names = " or ".join(some[0].as_posix() for some in places[:2])
        raise UserError(f"No model (*.onnx) in {names}; make one with `dvc repro export`.")
    return sorted(choices, key=lambda models: models[-1].card.drawn)


def _read_models(*places: Path) -> list[Model]:
    """The models of all places; none if one of these is not there."""
    found = [
        [place] if place.is_file() else sorted(place.glob("*.onnx"), key=lambda path: (path.stem == "after", path.stem))
        for place in places
    ]
    models = [Model(path) for paths in found for path in paths] if all(found) else []
    if len({(m.card.size, m.card.crop, m.card.square, *m.card.emotions) for m in models}) > 1:
        raise UserError(f"The models in {places[0]} come from different params; make them again: dvc repro export.")
    return models
