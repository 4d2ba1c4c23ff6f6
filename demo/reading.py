"""Read the faces in a picture: found, cut out and scaled by the functions that made the training pictures."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from demo.models import Model
from stages.deployment.model_card import ModelCard
from stages.faces.box import Box
from stages.faces.cutting import cut_face, square_around
from stages.faces.detection import coarsest, find_faces
from stages.files.images import decode, network_picture, reduction, upright_size

UNSURE = "unsure"  # the label of a face whose likeliest emotion is not likely enough


class Face(NamedTuple):
    """A face, and what the models say of it."""

    box: Box  # in upright pixels of the picture
    picture: np.ndarray  # as the network sees it, uint8 (size, size)
    probability: np.ndarray  # float (models, emotions)


class Picture(NamedTuple):
    """A picture that was read."""

    width: int
    height: int
    faces: list[Face]
    frames: int = 1  # in its file: of an animation, and of several pages, only the first is read


def read_photo(data: bytes, models: Sequence[Model]) -> Picture:
    """The faces in the bytes of a photo, upright whatever its EXIF orientation; largest first.

    Raises:
        BadPictureError: no usable picture.
    """
    card = models[-1].card
    width, height = upright_size(data, card.crop.max_megapixels)
    coarse = coarsest(width, height, card.crop)
    decoded = {coarse: decode(data, colour=True, factor=coarse)}

    def pixels(side: int) -> tuple[np.ndarray, int]:
        """A decode in which a square of `side` has the pixels for a crop, as in the crop stage."""
        factor = min(coarse, reduction(side, card.crop.size))
        if factor not in decoded:
            decoded[factor] = decode(data, colour=True, factor=factor)
        return decoded[factor], factor

    boxes = [box.scaled(coarse) for box in find_faces(decoded[coarse], card.crop)]
    return Picture(width, height, _read(boxes, pixels, models), _frames(data))


def _frames(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format == "MPO":  # a photo, and behind it what a phone made it from
            return 1
        try:
            return getattr(picture, "n_frames", 1)
        except Exception:  # damaged behind the first; Pillow's errors have no class in common
            return 1


def read_frame(frame: np.ndarray, models: Sequence[Model]) -> Picture:
    """The faces in a frame, uint8 (height, width, 3) BGR."""
    boxes = find_faces(frame, models[-1].card.crop)
    return Picture(frame.shape[1], frame.shape[0], _read(boxes, lambda side: (frame, 1), models))


def _read(boxes: Sequence[Box], pixels: Callable[[int], tuple[np.ndarray, int]], models: Sequence[Model]) -> list[Face]:
    if not boxes:
        return []
    card = models[-1].card
    # Largest first: the person before the camera, then those behind.
    boxes = sorted(boxes, key=lambda box: (-box.area, box))
    crops = []
    for box in boxes:
        square = square_around(box, card.square)
        # By way of the JPEG that the crop stage would store.
        crop = cut_face(*pixels(square[2]), square, card.crop.size, card.crop.quality)
        crops.append(network_picture(crop, card.size))
    probability = np.stack([model.predict(np.stack(crops)) for model in models], axis=1)
    return [Face(*values) for values in zip(boxes, crops, probability, strict=True)]


def label(probability: np.ndarray, card: ModelCard) -> str:
    """The likeliest emotion, or `unsure` if it is not likely enough; probabilities float (emotions,)."""
    best = int(probability.argmax())
    return list(card.emotions)[best] if probability[best] >= card.export.unsure else UNSURE
