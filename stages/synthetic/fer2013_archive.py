"""Drawn pictures named and packed as Kaggle's FER2013 is: archive.zip with {train,test}/<emotion>/<name>.jpg.

The real set's faults are there as well: byte-identical twins (in one split, in both, with two emotions), a blank
picture and a file that is no picture.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np

from stages.synthetic.camera import FER_SIZE, fer_picture
from stages.synthetic.packing import DATE, stable

# Share of each emotion, percent: disgust and fear are rare, as in FER2013.
SHARES = {"angry": 18, "disgust": 2, "fear": 4, "happy": 22, "neutral": 19, "sad": 18, "surprise": 17}
BLANK, UNREADABLE = -1, -2  # stand for the number of a picture
QUALITY = 92

# Files added to train: their folder, and the split and emotion whose first picture they repeat, or what else they hold.
FAULTS: Sequence[tuple[str, str | int, str]] = (
    ("happy", "train", "happy"),
    ("sad", "train", "sad"),
    ("neutral", "test", "neutral"),
    ("angry", "test", "angry"),
    ("angry", "train", "surprise"),
    ("angry", BLANK, ""),
    ("neutral", UNREADABLE, ""),
)


@dataclass(frozen=True)
class FerFile:
    """One file of the archive."""

    path: str
    emotion: str  # that is shown
    picture: int  # number of the picture that it holds; twins hold the same


def fer_files(train: int, test: int) -> Iterator[FerFile]:
    """Every file of the archive: the regular ones of both splits (a hundred at least), then the faulty ones."""
    emotions = _mixed()
    starts = {"train": 0, "test": train}
    for number in range(train + test):
        emotion = emotions[number % 100]
        yield _file("train" if number < train else "test", emotion, number, emotion, number)
    for number, (folder, origin, emotion) in enumerate(FAULTS, train + test):
        if isinstance(origin, str):
            picture = next(n for n in count(starts[origin]) if emotions[n % 100] == emotion)
        else:
            picture = origin
        yield _file("train", folder, number, emotion, picture)


def _mixed() -> list[str]:
    """A hundred emotions in their shares; as 37 and 100 have no common factor, steps of 37 meet each place once."""
    row = [emotion for emotion, share in SHARES.items() for _ in range(share)]
    return [row[37 * number % 100] for number in range(100)]


def _file(split: str, folder: str, number: int, emotion: str, picture: int) -> FerFile:
    usage = "Training" if split == "train" else ("PublicTest", "PrivateTest")[number % 2]
    return FerFile(f"{split}/{folder}/{usage}_{number}.jpg", emotion, picture)


def draw_files(seed: int, batch: Sequence[FerFile]) -> list[tuple[str, bytes]]:
    """Path and bytes of each of these files."""
    cv2.setNumThreads(1)
    return [(file.path, _content(seed, file)) for file in batch]


def _content(seed: int, file: FerFile) -> bytes:
    if file.picture == UNREADABLE:
        return b"\xff\xd8\xff\xe0" + bytes(range(200))
    blank = np.zeros((FER_SIZE, FER_SIZE), np.uint8)
    pixels = blank if file.picture == BLANK else fer_picture(seed, file.picture, file.emotion)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def add_file(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    """Append one file to the archive."""
    archive.writestr(stable(zipfile.ZipInfo(path, DATE)), data)
