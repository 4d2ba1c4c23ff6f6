"""Use the model: photos, folders, zip archives, videos, a camera, a page, or `read_faces` in Python; no TensorFlow."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stages.faces.box import Box

# `import demo` costs nothing: OpenCV, ONNX Runtime and the rest are imported with the first photo.
if TYPE_CHECKING:
    import numpy as np

    from demo.models import Model


class FaceReading(NamedTuple):
    """A face in a photo, and what the model says of it."""

    box: Box  # in pixels of the upright photo
    label: str  # the likeliest emotion, or `unsure`
    probability: dict[str, float]  # emotion -> probability, 0 to 1


def read_faces(photo: "str | Path | np.ndarray", model: str | Path | None = None) -> list[FaceReading]:
    """The faces in a photo, largest first, as `python -m demo` reads them.

    Args:
        photo: a file, or pixels uint8 (height, width, 3) in OpenCV's order, BGR.
        model: an .onnx file; without one, as for `python -m demo`, that of data/export/ or weights/ in the current
            folder. It is read once in a process.

    Raises:
        UserError: the file is not a usable picture, `photo` is neither, or there is no such model.
        OSError: the file cannot be read.
    """
    import numpy as np

    from demo.reading import label, read_frame, read_photo
    from stages.files.images import BadPictureError
    from stages.runtime.errors import UserError

    models = _models(model)
    if isinstance(photo, str | Path):
        try:
            faces = read_photo(Path(photo).read_bytes(), models).faces
        except BadPictureError as error:
            raise UserError(f"{photo}: {error}") from None
    elif isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.ndim in (2, 3) and photo.size:
        faces = read_frame(photo, models).faces
    else:
        raise UserError(
            "photo must be a file, or pixels uint8 (height, width, 3); cv2.imread gives None for a file that it cannot "
            "read."
        )
    card = models[0].shown
    return [
        FaceReading(face.box, label(shares, card), dict(zip(card.emotions, shares.tolist(), strict=True)))
        for face in faces
        for shares in [face.probability[0]]  # of the only model
    ]


@cache
def _models(place: str | Path | None) -> "Sequence[Model]":
    from demo.models import find_models

    return find_models(None if place is None else Path(place))[-1:]
