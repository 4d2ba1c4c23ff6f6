"""Stage `sample`: draw both data sets from a seed, so that the whole pipeline runs on a machine without any photo.

In:  nothing but params.yaml (sections `sample`, `emotions`, `runtime`).
Out: data/sample/fer2013/archive.zip, packed as Kaggle's FER2013 is, and the folder data/sample/korean/, packed as
     AI-Hub 82 is; both with the faults of the real sets.
Run: python -m stages.sample

Every picture is a pure function of the seed and its number: the output is the same to the byte, however many processes
draw it.
"""

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages.files.replacing import replacing
from stages.runtime import engine, params
from stages.runtime.errors import UserError, run
from stages.synthetic import fer2013_archive, korean_download

FER_ARCHIVE = Path("data/sample/fer2013/archive.zip")
KOREAN_FOLDER = Path("data/sample/korean")
FER_BATCH, KOREAN_BATCH = 100, 10  # pictures drawn at once

Item = TypeVar("Item")


def main() -> None:
    """Read the parameters and draw both data sets."""
    sample, emotions = params.section("sample"), params.section("emotions")
    seed = sample.integer("seed", 0, 2**32 - 1)
    runtime = engine.from_params()
    train, test = sample.integer("fer_train", 100, 10**7), sample.integer("fer_test", 100, 10**7)
    smallest = sample.number("megapixels_low", 0.02, 12)
    largest = sample.number("megapixels_high", smallest, 12)
    draw_fer2013(FER_ARCHIVE, seed, train, test, runtime)
    draw_korean(
        KOREAN_FOLDER,
        seed,
        [emotions.text(name) for name in emotions.values],
        people=sample.integer("people", 10, 10**6),
        sessions=sample.integer("sessions", 1, 100),
        shots=sample.integer("shots", 1, 100),
        megapixels=(smallest, largest),
        runtime=runtime,
    )


def draw_fer2013(archive: Path, seed: int, train: int, test: int, runtime: tuple[str, int, str]) -> None:
    """Write `train` and `test` pictures, and a few faulty ones, to the zip `archive`."""
    total = train + test + len(fer2013_archive.FAULTS)
    files = tqdm(fer2013_archive.fer_files(train, test), "FER2013 side", total, unit="picture", mininterval=1)
    drawn = engine.ordered_map(partial(fer2013_archive.draw_files, seed), batches(files, FER_BATCH), *runtime)
    with replacing(archive) as file, zipfile.ZipFile(file, "w") as target:
        for path, data in chain.from_iterable(drawn):
            fer2013_archive.add_file(target, path, data)


def draw_korean(
    folder: Path,
    seed: int,
    emotions: Sequence[str],
    *,
    people: int,
    sessions: int,
    shots: int,
    megapixels: tuple[float, float],
    runtime: tuple[str, int, str],
) -> None:
    """Write the photos and labels of `people` people to `folder`, which is emptied first."""
    unknown = set(emotions) - set(korean_download.EMOTIONS)
    if unknown:
        known = ", ".join(korean_download.EMOTIONS)
        raise UserError(f"params.yaml: emotions has {', '.join(sorted(unknown))}, but AI-Hub 82 knows only {known}.")
    if folder.exists():
        shutil.rmtree(folder)
    total = sum(1 for _ in korean_download.orders(emotions, people, sessions, shots))
    orders = tqdm(
        korean_download.orders(emotions, people, sessions, shots), "Korean side", total, unit="photo", mininterval=1
    )
    drawn = engine.ordered_map(
        partial(korean_download.draw_orders, seed, megapixels), batches(orders, KOREAN_BATCH), *runtime
    )
    korean_download.write_deliveries(folder, chain.from_iterable(drawn), people)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


if __name__ == "__main__":
    run(main)
