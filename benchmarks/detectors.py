"""How many faces the two detectors find: on drawn photos and on the face pictures in the wheel of scikit-image.

The whole picture is searched, with the values of `crop:` in params.yaml and no annotators' box to help. A find counts
from an overlap (intersection over union) of 0.3 with the true box, which keeps its size when the picture is turned.
LFW's 100 faces and 100 other things are of 25 x 25 pixels, enlarged to 150 with a border.
Run: python -m benchmarks.detectors, about one minute
"""

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from stages.faces.box import Box, overlap
from stages.faces.detection import find_faces
from stages.files.images import decode
from stages.runtime import params
from stages.runtime.errors import run
from stages.synthetic.camera import Shot, korean_photo

PHOTOS = 100
MEGAPIXELS = 0.5, 2.0  # as in the sample
ROLLS = 0, 15, 30  # degrees
LEAST_OVERLAP = 0.3
ASTRONAUT = Box(178, 65, 270, 190)  # hairline to chin, drawn by hand
LFW_SCALE, LFW_BORDER = 6, 75  # pixels after scaling

Example = tuple[np.ndarray, Box | None]


def main() -> None:
    """Print one table."""
    cv2.setNumThreads(1)
    crop = params.load().crop
    print(f"{'pictures':36}{'detector':>10}{'found':>8}{'false finds':>13}{'ms each':>9}")
    drawn = [korean_photo(82, Shot(number, number, number, "중립"), (1.0,), MEGAPIXELS) for number in range(PHOTOS)]
    sets: dict[str, Sequence[Example]] = {f"{PHOTOS} drawn photos": drawn}
    folder = Path(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data")))
    sets["astronaut (1 face)"] = [(decode((folder / "astronaut.png").read_bytes(), colour=True), ASTRONAUT)]
    lfw = list(lfw_examples(folder / "lfw_subset.npy"))
    sets["LFW, 100 faces"], others = lfw[:100], lfw[100:]
    for name, examples in sets.items():
        for roll in ROLLS:
            print_row(f"{name}, turned {roll}°", [turned(example, roll) for example in examples], crop)
    print_row("LFW, 100 without a face", others, crop)


def lfw_examples(path: Path) -> Iterator[Example]:
    """100 faces and 100 other things from scikit-image's subset of Labeled Faces in the Wild, float (200, 25, 25)."""
    pictures = (255 * np.load(path)).astype(np.uint8)
    for number, small in enumerate(pictures):
        large = cv2.resize(small, None, fx=LFW_SCALE, fy=LFW_SCALE, interpolation=cv2.INTER_CUBIC)
        picture = np.pad(large, LFW_BORDER, mode="edge")
        first, last = float(LFW_BORDER), float(LFW_BORDER + len(large))
        yield picture, Box(first, first, last, last) if number < 100 else None


def turned(example: Example, degrees: float) -> Example:
    """The picture turned about its middle, its border repeated; the box moves with the face."""
    picture, box = example
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    picture = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if box is None:
        return picture, None
    half_width, half_height = (box.right - box.left) / 2, (box.bottom - box.top) / 2
    x, y = matrix @ (box.left + half_width, box.top + half_height, 1)
    return picture, Box(x - half_width, y - half_height, x + half_width, y + half_height)


def print_row(name: str, examples: Sequence[Example], crop: params.Crop) -> None:
    """Search the pictures with each detector."""
    for detector in ("haar", "yunet"):
        hits = false = 0
        start = time.process_time()
        for picture, box in examples:
            found = find_faces(picture, crop.model_copy(update={"detector": detector}))
            matches = [box is not None and overlap(face, box) >= LEAST_OVERLAP for face in found]
            hits += any(matches)
            false += len(matches) - any(matches)
        spent = 1e3 * (time.process_time() - start) / len(examples)
        print(f"{name:36}{detector:>10}{hits:>8}{false:>13}{spent:>9.1f}")


if __name__ == "__main__":
    run(main)
