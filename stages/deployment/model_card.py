"""What a model file says of itself, so that it can be used with nothing else at hand: as texts in its metadata."""

import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from stages.evaluation.calibration import LEAST
from stages.runtime.errors import UserError
from stages.runtime.params import Crop, Export

DESCRIPTION = "Facial expression of one face. It describes what a face looks like, not what a person feels."
LICENCE = (
    "MIT, as far as the weights are ours to license. The data have terms of their own: FER2013 is for research only."
)
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
    words = {"description": DESCRIPTION, "licence": LICENCE, "use": _steps(card)}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in (card.model_dump() | words).items()}


def _steps(card: ModelCard) -> list[str]:
    """From the photo to the label, in order: enough to write a program that answers as ours."""
    crop, size = card.crop, card.size
    if crop.detector == "yunet":
        detector = (
            "Run OpenCV's FaceDetectorYN with face_detection_yunet_2023mar.onnx, score threshold "
            f"{crop.confidence:g}, NMS threshold 0.3; drop boxes of which the shorter side is below "
            f"{crop.smallest_face:g} x the copy's shorter side."
        )
    else:
        detector = (
            "Convert it to grey (0.299 R + 0.587 G + 0.114 B), equalize its histogram and run OpenCV's "
            f"{crop.cascade} with scaleFactor {crop.scale_factor:g}, minNeighbors {crop.min_neighbors} and minSize "
            f"round({crop.smallest_face:g} x its shorter side)."
        )
    return [
        "Photo: 8 bits, BGR, turned upright by its EXIF orientation. A large JPEG may be decoded at 1/2, 1/4 or 1/8 of"
        " its size where libjpeg offers that and the longer side of what a step needs keeps its pixels.",
        f"Search: shrink a copy to a longer side of {crop.detect_side} pixels (halved while at least twice as long,"
        f" then at once; area averaging; a smaller photo stays as it is). {detector} If none is found, search"
        f" once more at {2 * crop.detect_side} pixels. Scale the boxes back to the photo.",
        f"Crop: the square around the middle of the box, {card.square:g} x the width of the box wide, rounded"
        " to whole pixels; beyond the edge of the photo its outermost pixels are repeated. If it is wider than"
        f" {crop.size} pixels, shrink it to that by area averaging. Encode it as JPEG of quality {crop.quality}, as"
        " the training crops were.",
        f"Image: decode the crop as grey (its luma) and resize it to {size}x{size}: area averaging to shrink, cubic "
        "interpolation to enlarge.",
        f"Input `picture`: float32 (n, {size}, {size}, 1), values 0 to 255, not divided and no mean subtracted.",
        f"Output `probability`: float32 (n, {len(card.emotions)}), in the order of `emotions`.",
        f"Temperature: max(p, {LEAST:g}) ** (1 / {card.temperature:g}), divided by its sum over the classes.",
        f"Label: the most probable emotion; `unsure` if its probability is below {card.export.unsure:g}.",
    ]


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
