"""How fast photos as phones take them are cropped, how well, and in how much memory.

The photos are drawn: 4032 x 3024, about 2 MB, faces 500 to 1,100 pixels wide. Each time is that of one core, from the
JPEG bytes to the written crop, as a multiple of one cv2.imdecode of the same bytes at 1/8 in grey; all ways take turns
on each photo. The agreement is that of the face a way found itself with the drawn annotators' box (intersection over
union, 0 if it found none).
Run: python -m benchmarks.crop, about five minutes
"""

import importlib
import importlib.util
import itertools
import statistics
import tempfile
import time
import timeit
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from benchmarks.measuring import Cost, run_stage
from stages.crop import crop_photo
from stages.datasets.annotators import ANNOTATORS, SIDES
from stages.faces.box import Box, overlap
from stages.faces.framing import square_side
from stages.files.images import BadPictureError, decode
from stages.files.tables import write_table
from stages.runtime import params
from stages.runtime.errors import run
from stages.synthetic.camera import Shot, korean_photo
from stages.synthetic.korean_download import EMOTIONS
from stages.synthetic.packing import jpeg

PHOTOS = 12
REPEATS = 3  # of the ways that take less than a second
MEGAPIXELS = 4032 * 3024 / 1e6
QUALITY = 92  # makes about 2 MB of a drawn photo
FACES = 0.43, 0.72  # sizes at which a drawn face is 500 to 1,100 pixels wide
CASCADE = "haarcascade_frontalface_default.xml"
STAGE_PHOTOS = 128, 512  # photos in the short and the long run of the whole stage


class Photo(NamedTuple):
    """A JPEG and the annotators' box in it."""

    data: bytes
    box: Box


# Crops a photo into a file and returns how far the face that it found agrees with the annotators' box.
Way = Callable[[Photo, Path], float]


def main() -> None:
    """Print one table of all ways, and one of the whole stage."""
    cv2.setNumThreads(1)
    photos = [draw_photo(number) for number in range(PHOTOS)]
    megabytes = statistics.mean(len(photo.data) for photo in photos) / 1e6
    widths = [photo.box.right - photo.box.left for photo in photos]
    print(f"{PHOTOS} photos, {megabytes:.1f} MB on average, faces {min(widths):.0f} to {max(widths):.0f} pixels wide\n")
    with tempfile.TemporaryDirectory() as folder:
        print_ways(photos, Path(folder))
        print()
        print_stage(photos, Path(folder))


def draw_photo(number: int) -> Photo:
    """A drawn photo; its person, place and light follow from the number."""
    size = np.random.default_rng([82, number]).uniform(*FACES)
    shot = Shot(number, number, number, EMOTIONS[number % 5])  # without those that are not used
    picture, box = korean_photo(82, shot, (size,), (MEGAPIXELS, MEGAPIXELS))
    return Photo(jpeg(picture, 1, QUALITY), box)


def ours(photo: Photo, path: Path, crop: params.Crop) -> float:
    """As the crop stage does it."""
    cut, row = crop_photo(photo.data, [photo.box] * len(ANNOTATORS), crop)
    path.write_bytes(cut)
    return float(row["overlap"]) if row["method"] == "verified" else 0.0


def unaided(photo: Photo, path: Path, crop: params.Crop) -> float:
    """As the crop stage does it for a photo without annotators' boxes, with the cascade, whose faces are square."""
    try:
        cut, row = crop_photo(photo.data, [None] * len(ANNOTATORS), crop)
    except BadPictureError:
        return 0.0
    path.write_bytes(cut)
    side = row["side"] / square_side("haar", crop.margin)
    left, top = (row[edge] + (row["side"] - side) / 2 for edge in ("left", "top"))
    return overlap(Box(left, top, left + side, top + side), photo.box)


def original(photo: Photo, path: Path, size: int) -> float:
    """As the original did it: decode the whole photo and cut out the annotators' box."""
    write_cut(decode(photo.data, colour=True), photo.box, path, size)
    return 1.0


def plain(photo: Photo, path: Path, size: int) -> float:
    """As a first attempt would: decode the whole photo, search it at full size, take the largest face."""
    picture = decode(photo.data, colour=True)
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))
    found = cascade.detectMultiScale(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), 1.1, 5)
    if len(found) == 0:
        return 0.0
    x, y, width, height = (float(value) for value in max(found, key=lambda face: face[2] * face[3]))
    face = Box(x, y, x + width, y + height)
    write_cut(picture, face, path, size)
    return overlap(face, photo.box)


def write_cut(picture: np.ndarray, box: Box, path: Path, size: int) -> None:
    """Cut a box out, resize it and write it."""
    left, top, right, bottom = (max(0, round(side)) for side in box)
    cut = cv2.resize(picture[top:bottom, left:right], (size, size), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cut)


def with_autocrop(photo: Photo, path: Path, cropper: Any) -> float:
    """As the package autocrop does it; reading the photo from a file that is in memory costs it next to nothing."""
    result = cropper.crop(str(path.with_name("photo.jpg")))
    if result.image is None:
        return 0.0
    cv2.imwrite(str(path), result.image[:, :, ::-1])
    face = result.diagnostics.faces[result.diagnostics.selected_face_index].box
    return overlap(Box(face.x, face.y, face.x + face.width, face.y + face.height), photo.box)


def ways() -> dict[str, tuple[Way, int]]:
    """Each way to crop a photo, and how often it is measured."""
    crop = params.load().crop
    haar, yunet = (crop.model_copy(update={"detector": detector}) for detector in ("haar", "yunet"))
    found: dict[str, tuple[Way, int]] = {
        "this project, haar": (partial(ours, crop=haar), REPEATS),
        "this project, yunet": (partial(ours, crop=yunet), REPEATS),
        "this project, haar, without annotators' boxes": (partial(unaided, crop=haar), REPEATS),
        "original: whole decode, annotators' box": (partial(original, size=crop.size), REPEATS),
        "plain: whole decode, cascade at full size": (partial(plain, size=crop.size), 1),
    }
    if importlib.util.find_spec("autocrop") is None:
        print("Without autocrop: pip install --no-deps -r benchmarks/requirements.txt")
    else:
        cropper = importlib.import_module("autocrop").Cropper(crop.size, crop.size)
        found["autocrop 2.0.0"] = partial(with_autocrop, cropper=cropper), 1
    return found


def print_ways(photos: list[Photo], folder: Path) -> None:
    """Measure every way on every photo, in turns, and print the table."""
    measured = ways()
    base = 0.0
    seconds = dict.fromkeys(measured, 0.0)
    agreement: dict[str, list[float]] = {name: [] for name in measured}
    for photo in photos:
        (folder / "photo.jpg").write_bytes(photo.data)
        base += timed(partial(decode, photo.data, colour=False, factor=8), REPEATS)[0]
        for name, (way, repeats) in measured.items():
            spent, agreed = timed(partial(way, photo, folder / "crop.jpg"), repeats)
            seconds[name] += spent
            agreement[name].append(agreed)
    print(f"{'way to crop':48}{'x decode':>10}{'median IoU':>12}{'IoU >= 0.5':>12}")
    print(f"{'1/8 grey decode alone':48}{1:>10.2f}     ({1e3 * base / len(photos):.1f} ms on this machine)")
    for name, shares in agreement.items():
        share = np.mean(np.array(shares) >= 0.5)
        print(f"{name:48}{seconds[name] / base:>10.2f}{np.median(shares):>12.3f}{share:>12.0%}")


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The shortest time on the processor, in seconds, of several calls, and what one of them returned."""
    results: list[Any] = []
    times = timeit.repeat(lambda: results.append(function()), timer=time.process_time, number=1, repeat=repeats)
    return min(times), results[-1]


def print_stage(photos: list[Photo], folder: Path) -> None:
    """Run the whole stage on few and many photos, with one worker and two in turns, and print what it took."""
    print(f"{'the whole stage':24}{'photos':>8}{'seconds':>10}{'MB, largest process':>22}")
    costs: dict[tuple[int, int], Cost] = {}
    for count, workers in itertools.product(STAGE_PHOTOS, (1, 2, 1, 2)):
        write_manifest(photos, count, folder)
        runtime = {"engine": "processes", "workers": workers}
        cost = run_stage(folder, "crop", "training", "happy", data={"korean": str(folder.resolve())}, runtime=runtime)
        costs[workers, count] = min(cost, costs.get((workers, count), cost))
        print(f"{f'{workers} worker(s)':24}{count:>8}{cost.seconds:>10.1f}{cost.largest:>22.0f}")
    few, many = STAGE_PHOTOS
    one, two = (costs[workers, many].seconds - costs[workers, few].seconds for workers in (1, 2))
    print(f"two workers take {one / two:.2f} times less than one for each further photo (shortest runs)")


def write_manifest(photos: list[Photo], count: int, folder: Path) -> None:
    """The manifest of so many photos: the same few, under many ids."""
    for number, photo in enumerate(photos):
        (folder / f"{number}.jpg").write_bytes(photo.data)
    rows = []
    for place in range(count):
        number = place % len(photos)
        data = photos[number].data
        row = {"id": f"{place:016x}", "archive": "", "number": -1, "path": f"{number}.jpg"}
        row |= {"size": len(data), "crc": f"{zlib.crc32(data):08x}"}
        box = zip(SIDES, photos[number].box, strict=True)
        rows.append(row | {f"{side}_{annotator}": value for side, value in box for annotator in ANNOTATORS})
    write_table(pd.DataFrame(rows), folder / "data/manifest/training_happy.csv")


if __name__ == "__main__":
    run(main)
