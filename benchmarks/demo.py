"""How fast the demo reads frames and faces, and how well, beside the package `fer`, on the same pictures in one run.

Frames: drawn photos of 640 x 480 pixels with one face, decoded; `fer` with its defaults. Accuracy: on FER2013's test
pictures of our emotions as `benchmarks.accuracy` takes them, no face looked for, of each network in weights/ and of
`fer`, whose answer is the likeliest of these emotions; it says surprise for embarrassed, and whether it was trained on
those pictures is not known. Times are those of one core's work, so that what
else the machine does counts for neither; the start is by the clock on the wall.
Run: python -m benchmarks.demo ARCHIVE [--model FOLDER] [--votes TABLE], of FER2013 and FER+; three minutes. Linux.
"""

import importlib.resources
import os
import subprocess
import sys
import tempfile
import timeit
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")

import cv2
import numpy as np

from benchmarks.accuracy import RESAMPLES, SEED, balanced, by_emotion, prepared, raw_answer, read_untouched
from benchmarks.measuring import fer2013_command_line, in_turns, measured
from demo.models import SHIPPED, Model, find_models
from demo.reading import read_frame
from demo.video import VideoWriter
from stages.evaluation.bootstrap import Bootstrap
from stages.faces.framing import square_side
from stages.files.images import encode_jpeg
from stages.runtime import params
from stages.runtime.errors import run
from stages.synthetic.camera import Shot, korean_photo

FRAMES, TURNS, STARTS = 20, 10, 5
WIDTH, HEIGHT = 640, 480
BATCHES = 1, 64
VIDEO_FRAMES = 100, 1000
LABELS = {"surprise": "embarrassed"}  # FER2013's name, and `fer`'s, for what we call embarrassed


def main() -> None:
    """Print the tables."""
    parser = fer2013_command_line("demo", __doc__)
    parser.add_argument("--votes", type=Path, metavar="TABLE", help="FER+'s votes, as data.ferplus in params.yaml")
    parser.add_argument("--model", type=Path, help="a folder with models; without it, as python -m demo finds them")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    model = find_models(arguments.model)[-1]
    other = load_fer()
    frames = [draw_frame(number) for number in range(FRAMES)]
    print_frames(frames, model, other)
    print_network(frames[0], model, other)
    print_accuracy(arguments.archive, arguments.votes, other)
    print_start(frames[0], arguments.model)


def load_fer() -> Any:
    """The classifier of the package `fer`, with its defaults."""
    # It asks setuptools for the place of its files, which newer ones no longer tell.
    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_filename = lambda package, name: str(  # type: ignore[attr-defined]
        importlib.resources.files(package) / name
    )
    sys.modules["pkg_resources"] = stand_in

    from fer.fer import FER  # isort: skip

    return FER()


def draw_frame(number: int) -> np.ndarray:
    """A drawn photo of one person, as a camera sends it: uint8 (HEIGHT, WIDTH, 3)."""
    picture, _ = korean_photo(82, Shot(number, number, number, "기쁨"), (1.0,), (0.31, 0.32))
    scale = HEIGHT / picture.shape[0]
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:, :WIDTH]
    left = (WIDTH - small.shape[1]) // 2
    return cv2.copyMakeBorder(small, 0, 0, left, WIDTH - small.shape[1] - left, cv2.BORDER_REPLICATE)


def with_detector(model: Model, detector: str) -> Model:
    """The same model, its faces found by another detector."""
    changed = object.__new__(Model)
    crop = model.card.crop.model_copy(update={"detector": detector})
    card = model.card.model_copy(update={"crop": crop, "square": square_side(detector, crop.margin)})
    changed.session, changed.card = model.session, card
    return changed


def print_frames(frames: list[np.ndarray], model: Model, other: Any) -> None:
    """From a decoded frame to the answer."""
    haar, yunet = (with_detector(model, detector) for detector in ("haar", "yunet"))
    ways: dict[str, Callable[[], list[Any]]] = {
        "demo, haar": lambda: [read_frame(frame, [haar]).faces for frame in frames],
        "demo, yunet": lambda: [read_frame(frame, [yunet]).faces for frame in frames],
        "fer": lambda: [other.detect_emotions(frame) for frame in frames],
    }
    found = {name: sum(map(bool, read())) for name, read in ways.items()}
    seconds = in_turns(ways, TURNS).median() / len(frames)
    print(f"{'frame to answer':20}{'frames/s':>10}{'ms':>8}{'times fer':>11}{'with a face':>13}")
    for name, one in seconds.items():
        ratio = seconds["fer"] / one
        print(f"{name:20}{1 / one:>10.1f}{1e3 * one:>8.2f}{ratio:>11.1f}{found[str(name)]:>10}/{len(frames)}")


def print_network(frame: np.ndarray, model: Model, other: Any) -> None:
    """The network alone, on a face that is cut out already."""
    face = read_frame(frame, [model]).faces[0].picture
    print(f"\n{'network alone':20}{'ours, ms':>10}{'fer, ms':>10}{'times fer':>11}")
    for batch in BATCHES:
        pictures = np.repeat(face[np.newaxis], batch, axis=0)
        ways = {
            "ours": partial(model.predict, pictures),
            "fer": partial(other._classify_emotions, fer_input(pictures)),
        }
        ours, fer = 1e3 * in_turns(ways, 5 * TURNS).median()
        print(f"{f'batch of {batch}':20}{ours:>10.2f}{fer:>10.2f}{fer / ours:>11.1f}")


def fer_input(pictures: np.ndarray) -> np.ndarray:
    """Grey pictures uint8 (n, size, size) as `fer` prepares them: float32 (n, 64, 64), -1 to 1."""
    return np.stack([cv2.resize(picture, (64, 64)) for picture in pictures]).astype(np.float32) / 127.5 - 1


def print_accuracy(archive: Path, votes: Path | None, other: Any) -> None:
    """How many of FER2013's untouched test pictures are recognised: by its label, and as most people see them."""
    with prepared(archive, votes) as folder:
        test = read_untouched(folder)
    emotions = list(params.load().emotions)
    answers = {path.stem: raw_answer(Model(path), test.pictures) for path in sorted(SHIPPED.parent.glob("*.onnx"))}
    names = [LABELS.get(name, name) for _, name in sorted(other._get_labels().items())]
    answers["fer"] = other._classify_emotions(fer_input(test.pictures))[:, [names.index(name) for name in emotions]]
    bootstrap = Bootstrap(test.id, RESAMPLES, SEED)
    for truth, label in (("FER2013's label", test.label), ("people's majority", test.people)):
        if (label >= 0).any():
            print(f"\n{f'{truth}, {(label >= 0).sum():,} pictures':36}{'recognised, %':>20}{'balanced':>10}")
            for name, probability in answers.items():
                lines = by_emotion(truth, probability.argmax(axis=1), label, emotions, bootstrap)
                print(f"{name:36}{next(iter(lines.values()))[1]:>20}{balanced(lines):>10.1f}")


def print_start(frame: np.ndarray, model: Path | None) -> None:
    """From pressing enter to the answer for one photo; and memory for a short and a long video."""
    chosen = [] if model is None else ["--model", str(model)]
    with tempfile.TemporaryDirectory() as name:
        photo = Path(name) / "photo.jpg"
        photo.write_bytes(encode_jpeg(frame, 95))
        command = [sys.executable, "-m", "demo", str(photo), *chosen]
        start = partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
        runs = timeit.repeat(start, number=1, repeat=STARTS)
        print(f"\nfirst photo answered after {np.median(runs):.2f} s (median of {STARTS}, longest {max(runs):.2f} s)")
        for count in VIDEO_FRAMES:
            film = Path(name) / f"{count}.mp4"
            writer = VideoWriter(film, 30)
            for number in range(count):
                writer.write(np.roll(frame, number % 40, axis=1), number / 30)
            writer.close()
            cost = measured(Path(), "demo", str(film), "--out", str(film.with_suffix("")), *chosen)
            print(f"video of {count:,} frames: {cost.largest:.0f} MB")


if __name__ == "__main__":
    run(main)
