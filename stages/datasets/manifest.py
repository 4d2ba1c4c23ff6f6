"""What a row of data/manifest stands for: the bytes of a photo, and the annotators' boxes."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.datasets.labels import ANNOTATORS, SIDES
from stages.faces.box import Box
from stages.files import archives
from stages.files.images import BadPictureError


def read_photo(root: Path, photo: Mapping[Any, Any]) -> bytes:
    """A photo's bytes, if they still are those that its manifest row was written for."""
    try:
        data = archives.read(root, photo["archive"], photo["number"], photo["path"])
    except zipfile.BadZipFile:
        raise BadPictureError("damaged in its archive") from None
    if f"{zlib.crc32(data):08x}" != photo["crc"]:
        raise BadPictureError("changed since rename ran")
    return data


def boxes_of(photo: Mapping[Any, Any]) -> list[Box | None]:
    """The box of each annotator, in pixels of the upright photo."""
    boxes: list[Box | None] = []
    for annotator in ANNOTATORS:
        sides = [photo[f"{side}_{annotator}"] for side in SIDES]
        boxes.append(Box(*map(float, sides)) if all(sides) else None)
    return boxes
