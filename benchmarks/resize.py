"""How much faster the resize stage is than a plain loop: imread, resize, imwrite, and the CSV rewritten for each image.

The loop does only the first images, unpacked beforehand, while its CSV is short: over all of FER2013 it would be slower
still. The stage does all, from the archive, start of Python included, in one process.
Run: python -m benchmarks.resize PATH, a folder or archive of FER2013; about one minute
"""

import argparse
import csv
import itertools
import tempfile
import time
from pathlib import Path

import cv2

from benchmarks.stage import run_stage
from stages.datasets import fer2013
from stages.files import archives
from stages.files.archives import Entry
from stages.files.tables import read_table
from stages.runtime.errors import run

LOOP = 2000  # images


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="Compare the resize stage with a plain loop.")
    parser.add_argument("path", type=Path, help="FER2013: a folder or zip archive with train/<class>/*.jpg")
    root = parser.parse_args().path.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = unpack(root, folder / "images")
        start = time.perf_counter()
        plain_loop(images, folder)
        loop = (time.perf_counter() - start) / len(images)
        cost = run_stage(folder, "resize", "fer2013", data={"fer2013": str(root)}, runtime={"engine": "serial"})
        count = sum(len(read_table(path)) for path in (folder / "data/arrays/fer2013").glob("*.csv"))
    stage = cost.seconds / count
    print(f"{'':16}{'images':>8}{'seconds':>9}{'ms an image':>13}")
    print(f"{'plain loop':16}{len(images):>8}{loop * len(images):>9.1f}{1e3 * loop:>13.2f}")
    print(f"{'resize stage':16}{count:>8}{cost.seconds:>9.1f}{1e3 * stage:>13.2f}")
    print(f"the stage is {loop / stage:.0f} times as fast and takes {cost.megabytes:.0f} MB")


def unpack(root: Path, folder: Path) -> list[Path]:
    """Write the first images into a folder."""
    folder.mkdir()
    paths = []
    for number, picture in enumerate(itertools.islice(fer2013.find_pictures(root), LOOP)):
        if not isinstance(picture.source, Entry):
            raise SystemExit("The plain loop reads images; this FER2013 is a CSV file.")
        paths.append(folder / f"{number}.jpg")
        entry = picture.source
        paths[-1].write_bytes(archives.read(root, entry))
    return paths


def plain_loop(images: list[Path], folder: Path) -> None:
    """Resize image by image, and write the whole CSV again after each."""
    target = folder / "resized"
    target.mkdir()
    rows = []
    for path in images:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            continue
        cv2.imwrite(str(target / path.name), cv2.resize(grey, (48, 48)))
        rows.append([str(target / path.name), "happy"])
        with open(folder / "images.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["path", "label"], *rows])


if __name__ == "__main__":
    run(main)
