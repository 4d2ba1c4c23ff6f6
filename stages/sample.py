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

from stages.runtime import engine, params
from stages.runtime.errors import UserError, run
from stages.runtime.replacing import replacing
from stages.synthetic import fer2013_archive, korean_download
from stages.synthetic.packing import DownloadInfo

FER_ARCHIVE = Path("data/sample/fer2013/archive.zip")
KOREAN_FOLDER = Path("data/sample/korean")
FER_BATCH, KOREAN_BATCH = 100, 10  # pictures drawn at once

Item = TypeVar("Item")


def main() -> None:
    """Draw both data sets."""
    settings = params.load()
    draw_fer2013(FER_ARCHIVE, settings.sample, settings.runtime)
    draw_korean(KOREAN_FOLDER, list(settings.emotions.values()), settings.sample, settings.runtime)


def draw_fer2013(archive: Path, sample: params.Sample, runtime: params.Runtime) -> None:
    """Write the pictures of both splits, and a few faulty ones, to the zip `archive`."""
    total = sample.fer_train + sample.fer_test + len(fer2013_archive.FAULTS)
    files = fer2013_archive.fer_files(sample.fer_train, sample.fer_test)
    shown = tqdm(files, "FER2013 side", total, unit="picture", mininterval=1)
    drawn = engine.ordered_map(partial(fer2013_archive.draw_files, sample.seed), batches(shown, FER_BATCH), runtime)
    with replacing(archive) as file, zipfile.ZipFile(file, "w") as target:
        for path, data in chain.from_iterable(drawn):
            target.writestr(DownloadInfo(path), data)


def draw_korean(folder: Path, emotions: Sequence[str], sample: params.Sample, runtime: params.Runtime) -> None:
    """Write the photos and labels of all people to `folder`, which is emptied first; `emotions` are Korean words.

    Those that AI-Hub 82 does not have are not drawn: they are of photos of other people.
    """
    emotions = [emotion for emotion in emotions if emotion in korean_download.EMOTIONS]
    if not emotions:
        known = ", ".join(korean_download.EMOTIONS)
        raise UserError(f"params.yaml: emotions has none of the words of AI-Hub 82, which are {known}; add one.")
    if folder.exists():
        shutil.rmtree(folder)
    orders = partial(korean_download.orders, emotions, sample.people, sample.sessions, sample.shots)
    shown = tqdm(orders(), "Korean side", sum(1 for _ in orders()), unit="photo", mininterval=1)
    draw = partial(korean_download.draw_orders, sample.seed, (sample.megapixels_low, sample.megapixels_high))
    drawn = engine.ordered_map(draw, batches(shown, KOREAN_BATCH), runtime)
    korean_download.write_deliveries(folder, chain.from_iterable(drawn), sample.people)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


if __name__ == "__main__":
    run(main)
