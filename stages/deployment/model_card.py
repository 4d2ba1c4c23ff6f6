"""What a model file says of itself, so that it can be used with nothing else at hand: as texts in its metadata."""

import json
from typing import NamedTuple

from stages.faces.detection import Search
from stages.runtime.errors import UserError


class ModelCard(NamedTuple):
    """How pictures come to the network, what its answers mean, and where it comes from."""

    name: str  # before or after transfer
    drawn: bool  # whether the faces that it was last trained on are drawn: it then proves the machinery and no more
    emotions: dict[str, str]  # English to Korean, in the order of the classes
    size: int  # the network takes grey pictures, float32 (n, size, size, 1) of values 0 to 255
    search: Search  # how faces are found
    margin: float  # and cut out: values of `crop:` in params.yaml
    crop_size: int
    quality: int
    max_megapixels: float
    temperature: float  # of its probabilities; stages.evaluation.calibration applies it
    unsure: float  # a largest probability below this is no answer
    smoothing: float  # in video: values of `export:` in params.yaml
    same_face: float
    forget: float
    recognised: dict[str, dict[str, float]]  # share of the test faces that it recognised: data set -> emotion
    provenance: dict[str, str]  # SHA-256 of what it was made from


def to_texts(card: ModelCard) -> dict[str, str]:
    """Each field as JSON."""
    values = card._asdict() | {"search": card.search._asdict()}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def from_texts(texts: dict[str, str], file: str) -> ModelCard:
    """The card that `to_texts` wrote; what else stands in the metadata is left out.

    Raises:
        UserError: the metadata of `file` is not complete.
    """
    try:
        values = {name: json.loads(texts[name]) for name in ModelCard._fields}
        return ModelCard(**values | {"search": Search(**values["search"])})
    except (KeyError, ValueError, TypeError):
        raise UserError(
            f"{file} lacks what the export stage of this version writes into a model; make it again with `dvc repro`."
        ) from None
