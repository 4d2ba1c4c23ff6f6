"""Drawn pictures named and packed as Kaggle's FER2013 is: archive.zip with {train,test}/<emotion>/<name>.jpg.

The real set's faults are there as well: byte-identical twins (in one split, in both, with two emotions), a blank
picture and a file that is no picture.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import cv2
import numpy as np

from stages.synthetic.camera import FER_SIZE, fer_picture
from stages.synthetic.packing import jpeg

# Share of each emotion, percent: disgust and fear are rare, as in FER2013.
SHARES = {"angry": 18, "disgust": 2, "fear": 4, "happy": 22, "neutral": 19, "sad": 18, "surprise": 17}
HUNDRED = [emotion for emotion, share in SHARES.items() for _ in range(share)]
BLANK, UNREADABLE = -1, -2  # stand for the number of a picture
QUALITY = 92

# Files added to train: their folder, and the split and emotion whose first picture they repeat, or what else they hold.
FAULTS: Sequence[tuple[str, tuple[str, str] | int]] = (
    ("happy", ("train", "happy")),
    ("sad", ("train", "sad")),
    ("neutral", ("test", "neutral")),
    ("angry", ("test", "angry")),
    ("angry", ("train", "surprise")),
    ("angry", BLANK),
    ("neutral", UNREADABLE),
)


def fer_files(train: int, test: int) -> Iterator[tuple[str, int]]:
    """Path of every file of the archive, and number of the picture that it holds: twins hold the same.

    The regular ones of both splits (a hundred at least), then the faulty ones.
    """
    for number in range(train + test):
        yield _path("train" if number < train else "test", shown(number), number), number
    for number, (folder, held) in enumerate(FAULTS, train + test):
        if not isinstance(held, int):
            split, emotion = held
            held = next(n for n in count(0 if split == "train" else train) if shown(n) == emotion)
        yield _path("train", folder, number), held


def shown(number: int) -> str:
    """The emotion on a picture; as 37 and 100 have no common factor, steps of 37 meet each of a hundred once."""
    return HUNDRED[37 * number % 100]


def _path(split: str, folder: str, number: int) -> str:
    usage = "Training" if split == "train" else ("PublicTest", "PrivateTest")[number % 2]
    return f"{split}/{folder}/{usage}_{number}.jpg"


def draw_files(seed: int, batch: Sequence[tuple[str, int]]) -> list[tuple[str, bytes]]:
    """Path and bytes of each of these files."""
    cv2.setNumThreads(1)
    return [(path, _content(seed, number)) for path, number in batch]


def _content(seed: int, number: int) -> bytes:
    if number == UNREADABLE:
        return b"\xff\xd8\xff\xe0" + bytes(range(200))
    blank = np.zeros((FER_SIZE, FER_SIZE), np.uint8)
    return jpeg(blank if number == BLANK else fer_picture(seed, number, shown(number)), None, QUALITY)
