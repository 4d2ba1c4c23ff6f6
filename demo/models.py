"""The models, as the export stage writes them, on ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.deployment.model_card import from_texts
from stages.deployment.onnx_runtime import open_session
from stages.evaluation.calibration import apply_temperature
from stages.runtime.errors import UserError

SHIPPED = Path("weights/fer2013.onnx")
PLACES = (Path("data/export"), SHIPPED)  # where models are looked for: one's own before the one that is shipped


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

    def predict(self, pictures: np.ndarray) -> np.ndarray:
        """The probabilities float (n, emotions) of pictures uint8 (n, size, size)."""
        values = pictures[..., np.newaxis].astype(np.float32)
        return apply_temperature(self.session.run(None, {"picture": values})[0], self.card.temperature)


def find_models(place: Path | None = None) -> list[Model]:
    """The model of a file, or all of a folder, `after` last: that one counts.

    Without a place, those of the first of `PLACES` that has any; models of drawn faces only if there are no others.

    Raises:
        UserError: there is none, or they do not go together.
    """
    places = PLACES if place is None else (place,)
    found: list[Model] = []
    for models in map(_read_models, places):
        if models and not models[-1].card.drawn:
            return models
        found = found or models
    if not found:
        names = " or ".join(place.as_posix() for place in places)
        raise UserError(f"No model (*.onnx) in {names}; make one with `dvc repro export`.")
    return found


def _read_models(place: Path) -> list[Model]:
    paths = [place] if place.is_file() else place.glob("*.onnx")
    models = [Model(path) for path in sorted(paths, key=lambda path: (path.stem == "after", path.stem))]
    if len({_common(model) for model in models}) > 1:
        raise UserError(f"The models in {place} come from different params; make them again: dvc repro export.")
    return models


def predict(models: Sequence[Model], pictures: np.ndarray) -> np.ndarray:
    """The probabilities float (n, models, emotions) of pictures uint8 (n, size, size)."""
    return np.stack([model.predict(pictures) for model in models], axis=1)


def _common(model: Model) -> tuple[object, ...]:
    card = model.card
    return (card.size, card.crop, *card.emotions)
