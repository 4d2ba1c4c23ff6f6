"""What a model file says of itself, so that it can be used with nothing else at hand: as texts in its metadata."""

import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from stages.deployment.instructions import instructions
from stages.runtime.errors import UserError
from stages.runtime.params import Crop, Export

# Values that came after models had been shipped, as those models have them.
ADDED_TO_CROP = {"input": "photo"}


class ModelCard(BaseModel):
    """How pictures come to the network, what its answers mean, and where it comes from."""

    model_config = ConfigDict(strict=True, frozen=True)

    name: str  # before or after transfer
    drawn: bool  # whether the faces that it was last trained on are drawn: it then proves the machinery and no more
    emotions: dict[str, str]  # English to Korean, in the order of the classes
    # Data set -> emotion -> the data set's own labels that were learned as this emotion: surprise as embarrassed.
    trained_on: dict[str, dict[str, list[str]]]
    size: int  # the network takes grey pictures, float32 (n, size, size, 1) of values 0 to 255
    crop: Crop  # how faces are found and cut out: `crop:` in params.yaml
    square: float  # side of the square that is cut out around a face, in widths of the detector's box
    export: Export  # how the answers are used: `export:` in params.yaml
    temperature: float  # of its probabilities; stages.evaluation.calibration applies it
    recognised: dict[str, dict[str, float]]  # share of the test faces that it recognised: data set -> emotion
    provenance: dict[str, str]  # SHA-256 of what it was made from, and what is to be known of that


def to_texts(card: ModelCard) -> dict[str, str]:
    """Each field as JSON, and in words how the model is used."""
    use = instructions(card.crop, card.square, card.export, card.size, len(card.emotions), card.temperature)
    return {name: json.dumps(value, ensure_ascii=False) for name, value in (card.model_dump() | use).items()}


def from_texts(texts: dict[str, str], file: str) -> ModelCard:
    """The card that `to_texts` wrote; other metadata is ignored.

    Where there is no `square`, `crop.margin` is of the detector's box, as it was then.

    Raises:
        UserError: the metadata of `file` is not complete.
    """
    try:
        values = {name: json.loads(text) for name, text in texts.items() if name in ModelCard.model_fields}
        crop = ADDED_TO_CROP | values["crop"]
        square = 1 + 2 * crop["margin"]
        return ModelCard.model_validate({"square": square} | values | {"crop": crop})
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{file} lacks what the export stage of this version writes into a model; make it again with `dvc repro`."
        ) from None


def learned(
    emotions: Mapping[str, str], classes: Mapping[str, str | None], fer2013: bool, korean: bool
) -> dict[str, dict[str, list[str]]]:
    """`trained_on` of a model that has learned from FER2013, its `classes` as `emotions`, Korean faces, or both."""
    own = {emotion: [label for label, taken in classes.items() if taken == emotion] for emotion in emotions}
    words = {emotion: [word] for emotion, word in emotions.items()}
    return ({"fer2013": own} if fer2013 else {}) | ({"korean": words} if korean else {})
