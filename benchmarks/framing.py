"""How much of a face FER2013's pictures show, and how much our crops and the demo do, whatever finds the face.

FER2013's pictures are put into larger ones, their edges repeated and blurred, and found again: where they lie about
the detector's box. What stages/faces/framing.py holds is chosen by the validation pictures. The accuracy is that of the
demo's network, by the label, on the pictures that were found (an overlap, intersection over union, of 0.3 with the
picture): as they are, and as the demo reads them. The landmarks are YuNet's, in the pictures that the network sees, as
shares of the width. Brackets are 10 and 90 %, what is before them is the median.
Run: python -m benchmarks.framing ARCHIVE, FER2013 as Kaggle has it; about a quarter of an hour
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from benchmarks.accuracy import prepared
from benchmarks.demo import with_detector
from benchmarks.detectors import LEAST_OVERLAP, MEGAPIXELS
from benchmarks.measuring import fer2013_command_line
from demo.models import SHIPPED, Model
from demo.reading import read_frame, read_photo
from stages.crop import crop_photo
from stages.datasets.annotators import ANNOTATORS
from stages.faces.box import Box, overlap
from stages.faces.detection import YUNET
from stages.files.images import encode_jpeg, network_picture
from stages.network.inputs import read_faces
from stages.runtime import params
from stages.runtime.errors import run
from stages.synthetic.camera import Shot, fer_picture, korean_photo

PHOTOS = 100  # drawn
SIDE, BORDER, BLUR = 192, 96, 24  # of a picture of FER2013 and of what is around it, pixels
DETECTORS = "haar", "yunet"
# Two names for each emotion: as FER2013's side of the sample is drawn, and as the Korean side is.
EMOTIONS = ("angry", "분노"), ("happy", "기쁨"), ("sad", "슬픔"), ("surprise", "당황"), ("neutral", "중립")
HEADING = f"{'':30}{'eyes':>22}{'eyes to mouth':>22}{'eyes, y':>22}{'mouth, y':>22}{'found':>14}"


def main() -> None:
    """Print both tables."""
    archive = fer2013_command_line("framing", __doc__).parse_args().archive
    cv2.setNumThreads(1)
    model, crop = Model(SHIPPED), params.load().crop
    models = {detector: with_detector(model, detector) for detector in DETECTORS}
    with prepared(archive) as folder:
        table, arrays = folder / "data/csvs/fer2013/merged.csv", folder / "data/arrays/fer2013"
        print(f"{'':20}{'side, box widths':>22}{'down, box widths':>23}{'found':>14}{'as it is':>10}{'found, %':>10}")
        for split in ("validation", "test"):
            faces = read_faces(table, arrays, split, list(model.card.emotions))
            pictures = faces.pictures(np.arange(len(faces)))
            for detector in DETECTORS:
                print_found_again(f"{split}, {detector}", pictures, faces.label, models[detector])
        print(f"\n{HEADING}")
        print_landmarks(f"FER2013, {split}", pictures)
    print_landmarks("drawn FER2013", (fer_picture(82, n, EMOTIONS[n % len(EMOTIONS)][0]) for n in range(PHOTOS)))
    photos = [draw(number) for number in range(PHOTOS)]
    ways = {detector: crop.model_copy(update={"detector": detector}) for detector in DETECTORS}
    # No find overlaps the box so well that it would take its place.
    ways["annotators"] = crop.model_copy(update={"min_overlap": 1.0})
    for way, changed in ways.items():
        print_landmarks(f"drawn crops, {way}", cropped(photos, changed, model.card.size))
    for detector in DETECTORS:
        found = [read_photo(data, [models[detector]]).faces[:1] for data, _ in photos]
        print_landmarks(f"demo, drawn photos, {detector}", [face.picture for faces in found for face in faces])


def draw(number: int) -> tuple[bytes, Box]:
    """A drawn photo of one person as a JPEG, and the annotators' box."""
    emotion = EMOTIONS[number % len(EMOTIONS)][1]
    picture, box = korean_photo(82, Shot(number, number, number, emotion), (1.0,), MEGAPIXELS)
    return encode_jpeg(picture, 95), box


def put_into_a_larger_one(picture: np.ndarray) -> np.ndarray:
    """A grey picture of a face, enlarged, with its edges repeated and blurred around it: uint8 (height, width, 3)."""
    large = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    around = cv2.GaussianBlur(np.pad(large, BORDER, mode="edge"), (0, 0), BLUR)
    around[BORDER : BORDER + SIDE, BORDER : BORDER + SIDE] = large
    return cv2.cvtColor(around, cv2.COLOR_GRAY2BGR)


def print_found_again(name: str, pictures: np.ndarray, labels: np.ndarray, model: Model) -> None:
    """Put FER2013's pictures into larger ones, find them and read them."""
    whole = Box(BORDER, BORDER, BORDER + SIDE, BORDER + SIDE)
    found, again, places = [], [], []
    for number, picture in enumerate(pictures):
        for face in read_frame(put_into_a_larger_one(picture), [model]).faces:
            if overlap(face.box, whole) >= LEAST_OVERLAP:
                width, middle = face.box.right - face.box.left, (face.box.top + face.box.bottom) / 2
                places.append((SIDE / width, (BORDER + SIDE / 2 - middle) / width))
                found.append(number)
                again.append(face.probability[-1].argmax())
                break  # the largest
    side, down = (spread(values) for values in np.transpose(places))
    direct = model.predict(pictures[found]).argmax(axis=1)
    shares = [f"{100 * np.mean(answer == labels[found]):>10.1f}" for answer in (direct, again)]
    print(f"{name:20}{side:>22}{down:>23}{len(found):>7,} of {len(pictures):,}", *shares, sep="", flush=True)


def cropped(photos: list[tuple[bytes, Box]], crop: params.Crop, size: int) -> Iterator[np.ndarray]:
    """The faces of photos as the crop stage cuts them out and the network sees them."""
    for data, box in photos:
        yield network_picture(crop_photo(data, [box] * len(ANNOTATORS), crop)[0], size)


def print_landmarks(name: str, pictures: Iterable[np.ndarray]) -> None:
    """Where eyes and mouth lie in grey pictures, uint8 (size, size)."""
    network = cv2.FaceDetectorYN.create(
        "onnx", np.frombuffer(YUNET.read_bytes(), np.uint8), np.empty(0, np.uint8), (1, 1)
    )
    places, count = [], 0
    for picture in pictures:
        count += 1
        framed = put_into_a_larger_one(picture)
        network.setInputSize(framed.shape[1::-1])
        if (found := network.detect(framed)[1]) is not None:
            points = (found[0, 4:14].reshape(5, 2) - BORDER) / SIDE  # eyes, nose, corners of the mouth
            eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
            apart, below = np.linalg.norm(points[1] - points[0]), np.linalg.norm(mouth - eyes)
            places.append((apart, below, eyes[1], mouth[1]))
    figures = "".join(f"{spread(values):>22}" for values in np.transpose(places))
    print(f"{name:30}{figures}{len(places):>7,} of {count:,}", flush=True)


def spread(values: np.ndarray) -> str:
    """The median, and in brackets 10 and 90 %."""
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return f"{middle:.3f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    run(main)
