"""How rename, crop, resize and index grow with the number of Korean photos, and how long DVC takes to see no change.

For each number given, small photos are packed as AI-Hub 82 packs them (a few hundred pictures, each copy of one with
a pattern of its own over it, since `index` would remove identical ones), and the stages run on them in a temporary DVC
repository. Time and memory are those of a stage with all its processes, start-up included.
Run: python -m benchmarks.load 10000 330000
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.measuring import ROOT, Cost, command_line, measured, write_params
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import run
from stages.synthetic.annotations import label_record
from stages.synthetic.camera import Shot, korean_photo, sitter
from stages.synthetic.korean_download import EMOTIONS, QUALITY, Delivery, orders, stem, write_deliveries
from stages.synthetic.packing import jpeg

SEED = 82
PICTURES = 200  # different ones
MEGAPIXELS = (0.02, 0.03)
SESSIONS, SHOTS = 8, 4  # of each person
GROWTH = 1.3  # most times the seconds for each photo, from the first number of photos to the last
MEMORY = 1500  # most MB of one stage
NO_CHANGE = 5  # most seconds of `dvc status` and of a `dvc repro` that runs nothing
TARGETS = ["rename", "crop", "resize@korean", "index@korean"]


def main() -> None:
    """Measure each number of photos, and print how it grows."""
    parser = command_line("load", __doc__)
    parser.add_argument("photos", type=int, nargs="+", help="numbers of photos, such as 10000 330000")
    results = [measure(count) for count in parser.parse_args().photos]
    (first_count, first), (last_count, last) = results[0], results[-1]
    failed = False
    print(f"{'stage':8} {first_count:>10,} photos {last_count:>10,} photos   growth   memory")
    for stage in ("rename", "crop", "resize", "index"):
        each = first[stage].seconds / first_count, last[stage].seconds / last_count
        memory = max(result[stage].together for _, result in results)
        wrong = each[1] > GROWTH * each[0] or memory > MEMORY
        failed |= wrong
        print(
            f"{stage:8} {1000 * each[0]:14.3f} ms {1000 * each[1]:14.3f} ms {each[1] / each[0]:8.2f} "
            f"{memory:5,.0f} MB{'  <- over the limit' * wrong}"
        )
    for command in ("dvc status", "dvc repro"):
        wrong = last[command].seconds > NO_CHANGE
        failed |= wrong
        print(f"{command}: {last[command].seconds:.1f} s, nothing changed{'  <- over the limit' * wrong}")
    sys.exit(failed)


def measure(count: int) -> tuple[int, dict[str, Cost]]:
    """Run the stages on about `count` photos; return how many there were, and what each command took."""
    with tempfile.TemporaryDirectory(prefix="load") as name:
        place = Path(name)
        make_repository(place, place / "download")
        write_photos(place / "download", count)
        measured(place, "dvc", "repro", "fingerprint")
        result = {"rename": measured(place, "stages.rename")}
        parts = [(split, emotion) for split in ("training", "validation") for emotion in params.load().emotions]
        crops = [measured(place, "stages.crop", *part) for part in parts]
        result["crop"] = Cost(sum(crop.seconds for crop in crops), together=max(crop.together for crop in crops))
        result |= {stage: measured(place, f"stages.{stage}", "korean") for stage in ("resize", "index")}
        measured(place, "dvc", "commit", "--force", "--quiet", *TARGETS)
        result["dvc status"] = measured(place, "dvc", "status", *TARGETS)
        result["dvc repro"] = measured(place, "dvc", "repro", *TARGETS)
        tables = [*(place / "data/manifest").glob("*_*.csv"), place / "data/manifest/rejected.csv"]
        found = sum(len(read_table(path)) for path in tables)
        for command, took in result.items():
            print(f"{found:,} photos, {command}: {took.seconds:.1f} s, {took.together:,.0f} MB", flush=True)
    return found, result


def make_repository(place: Path, download: Path) -> None:
    """A DVC repository with this project's code, whose Korean photos are in `download`."""
    shutil.copytree(ROOT / "stages", place / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data/exclude", place / "data/exclude")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "data/no_votes.csv"):
        shutil.copy(ROOT / name, place / name)
    sample = {"fer_train": 100, "fer_test": 100, "people": 10, "sessions": 1, "shots": 1}
    # A quick look for the face: it is the rest that could grow.
    crop = {"detect_side": 64, "scale_factor": 1.3}
    write_params(place, data={"korean": str(download)}, sample=sample, crop=crop)
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    measured(place, "dvc", "init", "--quiet")
    measured(place, "dvc", "config", "core.analytics", "false")


def write_photos(folder: Path, count: int) -> None:
    """About `count` photos in AI-Hub's archives and folders, with their labels."""
    people = max(10, count // (SESSIONS * SHOTS))
    write_deliveries(folder, deliveries(people), people)


def deliveries(people: int) -> Iterator[Delivery]:
    """The photos of all people, in the order of their archives."""
    pictures = [korean_photo(SEED, Shot(n, n, n, EMOTIONS[n % 5]), (1.0,), MEGAPIXELS) for n in range(PICTURES)]
    all_orders = list(orders(list(params.load().emotions.values()), people, SESSIONS, SHOTS))
    for order in tqdm(all_orders, "writing photos", unit="photo", mininterval=5):
        number, person = order.shot.number, sitter(SEED, order.shot.person)
        picture, box = pictures[number % PICTURES]
        name = f"{stem(person, order)}.jpg"
        photo = jpeg(patterned(picture, number), None, QUALITY) if order.delivered else None
        rng = np.random.default_rng([SEED, number])
        yield Delivery(order, name, photo, label_record(rng, name, person, order.shot.emotion, "도심 환경", box, {}))


def patterned(picture: np.ndarray, number: int) -> np.ndarray:
    """The picture with a grid of squares of 16 x 16 pixels, brighter or not as a generator seeded by `number` says."""
    height, width = picture.shape[:2]
    grid = np.random.default_rng(number).integers(0, 2, (height // 16 + 1, width // 16 + 1), dtype=np.uint8)
    pattern = np.kron(12 * grid, np.ones((16, 16), np.uint8))[:height, :width]
    return cv2.add(picture, cv2.merge([pattern] * 3))


if __name__ == "__main__":
    run(main)
