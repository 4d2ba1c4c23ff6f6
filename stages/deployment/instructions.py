"""How a model file is used, in words: with these its metadata is enough to write a program that answers as ours."""

from typing import Any

from stages.evaluation.calibration import LEAST
from stages.runtime.params import Crop, Export

DESCRIPTION = "Facial expression of one face. It describes what a face looks like, not what a person feels."
LICENCE = (
    "MIT, as far as the weights are ours to license. The data have terms of their own: FER2013 is for research only."
)


def instructions(
    crop: Crop, square: float, export: Export, size: int, classes: int, temperature: float
) -> dict[str, Any]:
    """What a model file says beside the values of its card."""
    return {
        "description": DESCRIPTION,
        "licence": LICENCE,
        "use": _steps(crop, square, export, size, classes, temperature),
    }


def _steps(crop: Crop, square: float, export: Export, size: int, classes: int, temperature: float) -> list[str]:
    """From the photo to the label, in order."""
    return [
        "Photo: 8 bits, BGR, turned upright by its EXIF orientation. A large JPEG may be decoded at 1/2, 1/4 or 1/8 of"
        " its size where libjpeg offers that and the longer side of what a step needs keeps its pixels.",
        f"Search: shrink a copy to a longer side of {crop.detect_side} pixels (halved while at least twice as long,"
        f" then at once; area averaging; a smaller photo stays as it is). {_detector(crop)} If none is found, search"
        f" once more at {2 * crop.detect_side} pixels. Scale the boxes back to the photo.",
        f"Crop: the square around the middle of the box, {square:g} x the width of the box wide, rounded"
        " to whole pixels; beyond the edge of the photo its outermost pixels are repeated. If it is wider than"
        f" {crop.size} pixels, shrink it to that by area averaging. Encode it as JPEG of quality {crop.quality}, as"
        " the training crops were.",
        f"Image: decode the crop as grey (its luma) and resize it to {size}x{size}: area averaging to shrink, cubic "
        "interpolation to enlarge.",
        f"Input `picture`: float32 (n, {size}, {size}, 1), values 0 to 255, not divided and no mean subtracted.",
        f"Output `probability`: float32 (n, {classes}), in the order of `emotions`.",
        f"Temperature: max(p, {LEAST:g}) ** (1 / {temperature:g}), divided by its sum over the classes.",
        f"Label: the most probable emotion; `unsure` if its probability is below {export.unsure:g}.",
    ]


def _detector(crop: Crop) -> str:
    if crop.detector == "yunet":
        return (
            "Run OpenCV's FaceDetectorYN with face_detection_yunet_2023mar.onnx, score threshold "
            f"{crop.confidence:g}, NMS threshold 0.3; drop boxes of which the shorter side is below "
            f"{crop.smallest_face:g} x the copy's shorter side."
        )
    return (
        "Convert it to grey (0.299 R + 0.587 G + 0.114 B), equalize its histogram and run OpenCV's "
        f"{crop.cascade} with scaleFactor {crop.scale_factor:g}, minNeighbors {crop.min_neighbors} and minSize "
        f"round({crop.smallest_face:g} x its shorter side)."
    )
