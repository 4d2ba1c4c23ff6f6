"""How fast the demo reads frames and faces, and how well, beside the package `fer`, on the same pictures in one run.

Frames: drawn photos of 640 x 480 pixels with one face, decoded; `fer` with its defaults. Accuracy: on FER2013's test
pictures of our emotions as `benchmarks.accuracy` takes them, no face looked for, of each network in weights/ and of
`fer`, whose answer is the likeliest of these emotions; it says surprise for embarrassed, and whether it was trained on
those pictures is not known. Times are those of one core's work, so that what
else the machine does counts for neither; the start is by the clock on the wall.
Run: python -m benchmarks.demo ARCHIVE [--model FOLDER] [--votes TABLE], of FER2013 and FER+; three minutes. Linux.
"""

import argparse
import importlib.resources
import os
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")

import cv2
import numpy as np

from benchmarks import accuracy
from benchmarks.accuracy import NO_VOTES, RESAMPLES, SEED, prepare, read_untouched, share
from benchmarks.stage import WATCH
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
    parser = argparse.ArgumentParser(description="Measure the demo.")
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="FER2013: a folder, zip archive or CSV file")
    parser.add_argument("--votes", type=Path, metavar="TABLE", help="FER+'s votes, as data.ferplus in params.yaml")
    parser.add_argument("--model", type=Path, help="a folder with models; without it, as python -m demo finds them")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    models = find_models(arguments.model)[-1:]
    other = load_fer()
    frames = [draw_frame(number) for number in range(FRAMES)]
    print_frames(frames, models, other)
    print_network(frames, models[0], other)
    print_accuracy(arguments.archive.resolve(), (arguments.votes or NO_VOTES).resolve(), other)
    print_start(frames, arguments.model)


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


def in_turns(ways: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds of work that each way took, the ways taking turns; the first, with all loading, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if turn:
                seconds[name].append(time.process_time() - start)
    return seconds


def with_detector(model: Model, detector: str) -> Model:
    """The same model, its faces found by another detector."""
    changed = object.__new__(Model)
    crop = model.card.crop.model_copy(update={"detector": detector})
    card = model.card.model_copy(update={"crop": crop, "square": square_side(detector, crop.margin)})
    changed.session, changed.card = model.session, card
    return changed


def print_frames(frames: list[np.ndarray], models: list[Model], other: Any) -> None:
    """From a decoded frame to the answer."""
    readers: dict[str, Callable[[np.ndarray], int]] = {
        "demo, haar": partial(count_faces, [with_detector(models[0], "haar")]),
        "demo, yunet": partial(count_faces, [with_detector(models[0], "yunet")]),
        "fer": lambda frame: len(other.detect_emotions(frame)),
    }
    found = {name: sum(read(frame) > 0 for frame in frames) for name, read in readers.items()}
    ways = {name: partial(read_all, read, frames) for name, read in readers.items()}
    seconds = {name: float(np.median(times)) / len(frames) for name, times in in_turns(ways, TURNS).items()}
    print(f"{'frame to answer':20}{'frames/s':>10}{'ms':>8}{'times fer':>11}{'with a face':>13}")
    for name, one in seconds.items():
        ratio = seconds["fer"] / one
        print(f"{name:20}{1 / one:>10.1f}{1e3 * one:>8.2f}{ratio:>11.1f}{found[name]:>10}/{len(frames)}")


def count_faces(models: list[Model], frame: np.ndarray) -> int:
    """Read a frame with the demo."""
    return len(read_frame(frame, models).faces)


def read_all(read: Callable[[np.ndarray], int], frames: list[np.ndarray]) -> None:
    """Read all frames, one after the other."""
    for frame in frames:
        read(frame)


def print_network(frames: list[np.ndarray], model: Model, other: Any) -> None:
    """The network alone, on faces that are cut out already."""
    faces = read_frame(frames[0], [model]).faces
    print(f"\n{'network alone':20}{'ours, ms':>10}{'fer, ms':>10}{'times fer':>11}")
    for batch in BATCHES:
        pictures = np.repeat(faces[0].picture[np.newaxis], batch, axis=0)
        ways = {
            "ours": partial(model.predict, pictures),
            "fer": partial(other._classify_emotions, fer_input(pictures)),
        }
        ours, fer = (1e3 * float(np.median(times)) for times in in_turns(ways, 5 * TURNS).values())
        print(f"{f'batch of {batch}':20}{ours:>10.2f}{fer:>10.2f}{fer / ours:>11.1f}")


def fer_input(pictures: np.ndarray) -> np.ndarray:
    """Grey pictures uint8 (n, size, size) as `fer` prepares them: float32 (n, 64, 64), -1 to 1."""
    return np.stack([cv2.resize(picture, (64, 64)) for picture in pictures]).astype(np.float32) / 127.5 - 1


def print_accuracy(archive: Path, votes: Path, other: Any) -> None:
    """How many of FER2013's untouched test pictures are recognised: by its label, and as most people see them."""
    with tempfile.TemporaryDirectory() as name:
        prepare(archive, votes, Path(name))
        test = read_untouched(Path(name))
    shipped = {path.stem: Model(path) for path in sorted(SHIPPED.parent.glob("*.onnx"))}
    emotions = list(params.load().emotions)
    answers = {name: accuracy.predict(model.predict, test.pictures) for name, model in shipped.items()}
    names = [LABELS.get(name, name) for _, name in sorted(other._get_labels().items())]
    answers["fer"] = other._classify_emotions(fer_input(test.pictures))[:, [names.index(name) for name in emotions]]
    bootstrap = Bootstrap(test.id, RESAMPLES, SEED)
    for truth, label in (("FER2013's label", test.label), ("people's majority", test.people)):
        if (some := label >= 0).any():
            print(f"\n{f'{truth}, {some.sum():,} pictures':36}{'recognised, %':>20}{'balanced':>10}")
            for name, probability in answers.items():
                right = probability.argmax(axis=1) == label
                balanced = np.mean([right[label == number].mean() for number in range(len(emotions))])
                print(f"{name:36}{share(right, some, bootstrap)[1]:>20}{100 * balanced:>10.1f}")


def print_start(frames: list[np.ndarray], model: Path | None) -> None:
    """From pressing enter to the answer for one photo; and memory for a short and a long video."""
    chosen = [] if model is None else ["--model", str(model)]
    with tempfile.TemporaryDirectory() as name:
        photo = Path(name) / "photo.jpg"
        photo.write_bytes(encode_jpeg(frames[0], 95))
        command = [sys.executable, "-m", "demo", str(photo), *chosen]
        runs = []
        for _ in range(STARTS):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            runs.append(time.perf_counter() - start)
        print(
            f"\nfirst photo answered after {np.median(runs):.2f} s (median of {len(runs)}, longest {max(runs):.2f} s)"
        )
        for count in VIDEO_FRAMES:
            film = Path(name) / f"{count}.mp4"
            writer = VideoWriter(film, 30)
            for number in range(count):
                writer.write(np.roll(frames[0], number % 40, axis=1), number / 30)
            writer.close()
            out = str(Path(name) / str(count))
            watch = [sys.executable, "-c", WATCH, "demo", str(film), "--out", out, *chosen]
            done = subprocess.run(watch, check=True, stdout=subprocess.PIPE)
            print(f"video of {count:,} frames: {int(done.stdout) / 1e3:.0f} MB")


if __name__ == "__main__":
    run(main)
