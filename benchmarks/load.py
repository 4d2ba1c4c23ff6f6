"""How rename, crop, resize and index grow with the number of Korean photos, and how long DVC takes to see no change.

For each number given, small photos are packed as AI-Hub 82 packs them (a few hundred pictures, each copy of one with
a pattern of its own over it, since `index` would remove identical ones), and the stages run on them in a temporary DVC
repository. Time and memory are those of a stage with all its processes, start-up included.
Run: python -m benchmarks.load 10000 330000
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
from ruamel.yaml import YAML
from tqdm import tqdm

from stages.faces.box import Box
from stages.files.tables import read_table
from stages.runtime import errors
from stages.synthetic.annotations import label_record
from stages.synthetic.camera import Shot, korean_photo, sitter
from stages.synthetic.korean_download import EMOTIONS, QUALITY, Delivery, orders, write_deliveries
from stages.synthetic.packing import jpeg

ROOT = Path(__file__).parent.parent
SEED = 82
PICTURES = 200  # different ones
MEGAPIXELS = (0.02, 0.03)
SESSIONS, SHOTS = 8, 4  # of each person
GROWTH = 1.3  # most times the seconds for each photo, from the first number of photos to the last
MEMORY = 1.5e9  # most bytes of one stage
NO_CHANGE = 5  # most seconds of `dvc status` and of a `dvc repro` that runs nothing
TARGETS = ["rename", "crop", "resize@korean", "index@korean"]


@dataclass
class Measured:
    """What a command took."""

    seconds: float = 0
    memory: int = 0  # most bytes at one time, all processes together


def main() -> None:
    """Measure each number of photos, and print how it grows."""
    parser = argparse.ArgumentParser(description="How the stages grow with the number of Korean photos.")
    parser.add_argument("photos", type=int, nargs="+", help="numbers of photos, such as 10000 330000")
    results = [measure(count) for count in parser.parse_args().photos]
    (first_count, first), (last_count, last) = results[0], results[-1]
    failed = False
    print(f"{'stage':8} {first_count:>10,} photos {last_count:>10,} photos   growth   memory")
    for stage in ("rename", "crop", "resize", "index"):
        each = first[stage].seconds / first_count, last[stage].seconds / last_count
        memory = max(result[stage].memory for _, result in results)
        wrong = each[1] > GROWTH * each[0] or memory > MEMORY
        failed |= wrong
        print(
            f"{stage:8} {1000 * each[0]:14.3f} ms {1000 * each[1]:14.3f} ms {each[1] / each[0]:8.2f} "
            f"{memory / 1e6:5,.0f} MB{'  <- over the limit' * wrong}"
        )
    for command in ("dvc status", "dvc repro"):
        wrong = last[command].seconds > NO_CHANGE
        failed |= wrong
        print(f"{command}: {last[command].seconds:.1f} s, nothing changed{'  <- over the limit' * wrong}")
    sys.exit(failed)


def measure(count: int) -> tuple[int, dict[str, Measured]]:
    """Run the stages on about `count` photos; return how many there were, and what each command took."""
    with tempfile.TemporaryDirectory(prefix="load") as name:
        place = Path(name)
        make_repository(place, place / "download")
        write_photos(place / "download", count)
        run(place, "dvc", "repro", "fingerprint")
        result = {"rename": run(place, "stages.rename"), "crop": Measured()}
        for split in ("training", "validation"):
            for emotion in YAML(typ="safe").load(ROOT / "params.yaml")["emotions"]:
                part = run(place, "stages.crop", split, emotion)
                result["crop"].seconds += part.seconds
                result["crop"].memory = max(result["crop"].memory, part.memory)
        result |= {stage: run(place, f"stages.{stage}", "korean") for stage in ("resize", "index")}
        run(place, "dvc", "commit", "--force", "--quiet", *TARGETS)
        result["dvc status"] = run(place, "dvc", "status", *TARGETS)
        result["dvc repro"] = run(place, "dvc", "repro", *TARGETS)
        tables = [*(place / "data/manifest").glob("*_*.csv"), place / "data/manifest/rejected.csv"]
        found = sum(len(read_table(path)) for path in tables)
        for command, took in result.items():
            print(f"{found:,} photos, {command}: {took.seconds:.1f} s, {took.memory / 1e6:,.0f} MB", flush=True)
    return found, result


def make_repository(place: Path, download: Path) -> None:
    """A DVC repository with this project's code, whose Korean photos are in `download`."""
    shutil.copytree(ROOT / "stages", place / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data/exclude", place / "data/exclude")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, place / name)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["data"]["korean"] = str(download)
    params["sample"] |= {"fer_train": 100, "fer_test": 100, "people": 10, "sessions": 1, "shots": 1}
    # A quick look for the face: it is the rest that could grow.
    params["crop"] |= {"detect_side": 64, "scale_factor": 1.3}
    YAML(typ="safe").dump(params, place / "params.yaml")
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    run(place, "dvc", "init", "--quiet")
    run(place, "dvc", "config", "core.analytics", "false")


def write_photos(folder: Path, count: int) -> None:
    """About `count` photos in AI-Hub's archives and folders, with their labels."""
    used = list(YAML(typ="safe").load(ROOT / "params.yaml")["emotions"].values())
    people = max(10, count // (SESSIONS * SHOTS))
    pictures = [korean_photo(SEED, Shot(n, n, n, EMOTIONS[n % 5]), (1.0,), MEGAPIXELS) for n in range(PICTURES)]
    write_deliveries(folder, deliveries(pictures, used, people), people)


def deliveries(pictures: list[tuple[np.ndarray, Box]], emotions: list[str], people: int) -> Iterator[Delivery]:
    """The photos of all people, in the order of their archives."""
    total = sum(1 for _ in orders(emotions, people, SESSIONS, SHOTS))
    for order in tqdm(orders(emotions, people, SESSIONS, SHOTS), "writing photos", total, unit="photo", mininterval=5):
        number, person = order.shot.number, sitter(SEED, order.shot.person)
        picture, box = pictures[number % PICTURES]
        name = (
            f"{person.code}_{person.gender}_{person.age}_{order.shot.emotion}_도심 환경_"
            f"{20_200_101_000_000 + order.shot.session:014}-008-{order.position:03}.jpg"
        )
        photo = jpeg(patterned(picture, number), None, QUALITY) if order.delivered else None
        rng = np.random.default_rng([SEED, number])
        yield Delivery(order, name, photo, label_record(rng, name, person, order.shot.emotion, "도심 환경", box, {}))


def patterned(picture: np.ndarray, number: int) -> np.ndarray:
    """The picture with a grid of squares of 16 x 16 pixels, brighter or not as a generator seeded by `number` says."""
    height, width = picture.shape[:2]
    grid = np.random.default_rng(number).integers(0, 2, (height // 16 + 1, width // 16 + 1), dtype=np.uint8)
    pattern = np.kron(12 * grid, np.ones((16, 16), np.uint8))[:height, :width]
    return cv2.add(picture, cv2.merge([pattern] * 3))


def run(place: Path, *command: str) -> Measured:
    """Run a stage or DVC in `place`, and measure it."""
    line = (
        [str(Path(sys.executable).with_name("dvc")), *command[1:]]
        if command[0] == "dvc"
        else [sys.executable, "-m", *command]
    )
    start, memory = time.monotonic(), 0
    with (place / "log.txt").open("w") as log:
        process = subprocess.Popen(line, cwd=place, env=environment(), stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory = max(memory, memory_of(process.pid))
            time.sleep(0.1)
    seconds = time.monotonic() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)}:\n{(place / 'log.txt').read_text(encoding='utf-8')}")
    return Measured(seconds, memory)


def environment() -> dict[str, str]:
    """Of a process whose `python` and `dvc` are those that run here."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONUTF8": "1"}


def memory_of(pid: int) -> int:
    """Bytes of memory that a process and all that it started take."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


if __name__ == "__main__":
    errors.run(main)
