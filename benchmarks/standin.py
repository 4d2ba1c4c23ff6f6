"""FER2013 as a stand-in for a second population: real faces to study the transfer on, for those without AI-Hub 82.

A third of the test pictures of the five emotions is distorted in one fixed, heavy way and packed as AI-Hub 82 arrives,
each picture as a person of its own; FER2013 without these pictures, and without those of its train folder that resemble
one of them (`index.fer2013.near_duplicate`), is the other side. Studies on it measure
transfer and forgetting on real faces and real labels, but across a drawn difference between the populations.
Run: python -m benchmarks.standin ARCHIVE FOLDER [--votes TABLE], of FER+'s votes by file name; set `data:` in
params.yaml to what it prints.
"""

import contextlib
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.measuring import fer2013_command_line
from stages.datasets import fer2013
from stages.datasets.cleaning import near_duplicate_reasons, share_of, thumbnails
from stages.datasets.picture import Picture
from stages.datasets.votes import BY_NAME, read_votes
from stages.faces.box import Box
from stages.files import archives
from stages.files.images import BadPictureError, decode, resize
from stages.files.tables import write_table
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.synthetic.annotations import label_record
from stages.synthetic.camera import Shot, sitter
from stages.synthetic.korean_download import EMOTIONS, QUALITY, TRAINING, Delivery, Order, stem, write_deliveries
from stages.synthetic.packing import DownloadInfo, jpeg

SEED = 82
SHARE = 1 / 3  # of the test pictures
FACE, BORDER = 192, 32  # pixels: a face on a photo
NARROW, LEAN, TALL = 0.65, 0.2, 1.15  # how the face is squeezed, sheared and stretched
DARKEST = 0.15  # of the light that is left on one side


def main() -> None:
    """Write both data sets."""
    parser = fer2013_command_line("standin", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder for the two data sets")
    parser.add_argument("--votes", type=Path, metavar="TABLE", help="FER+'s votes by file name, as data.ferplus")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        raise UserError(f"{arguments.folder} exists; name a new folder, so that nothing in it is overwritten.")
    korean, rest = arguments.folder / "korean", arguments.folder / "fer2013" / "archive.zip"
    pictures = [picture for picture in fer2013.find_pictures(arguments.archive) if picture.label]
    votes = None
    if arguments.votes is not None:
        votes = read_votes(arguments.votes, pd.Series([picture.id for picture in pictures]), [])
    settings = params.load()
    classes = settings.index.fer2013.classes
    chosen = [picture for picture in pictures if classes[picture.label] and is_chosen(picture)]
    left_out = near_duplicates(arguments.archive, pictures, chosen)
    labels = [settings.emotions[str(classes[picture.label])] for picture in chosen]
    # The archives of an emotion lie together, in AI-Hub's order.
    order = sorted(range(len(chosen)), key=lambda number: EMOTIONS.index(labels[number]))
    write_deliveries(korean, deliveries(arguments.archive, chosen, labels, order), len(chosen))
    rest.parent.mkdir(parents=True)
    stays = [not is_chosen(picture) and picture.id not in left_out for picture in pictures]
    with zipfile.ZipFile(rest, "w") as target:
        for picture in itertools.compress(pictures, stays):
            target.writestr(DownloadInfo(f"{picture.id}.jpg"), content(arguments.archive, picture))
    print(f"{len(chosen):,} pictures distorted, {len(left_out):,} of the train folder that resemble one left out")
    print(f"data.fer2013={rest.resolve()}\ndata.korean={korean.resolve()}")
    if votes is not None:
        table = arguments.folder / "votes.csv"
        votes.insert(0, BY_NAME, [f"{picture.id}.jpg" for picture in pictures])
        write_table(votes[stays], table)
        print(f"data.ferplus={table.resolve()}")


def is_chosen(picture: Picture) -> bool:
    """Whether a picture belongs to the stand-in."""
    return picture.split == "test" and share_of(picture.id, SEED) < SHARE


def near_duplicates(root: Path, pictures: list[Picture], chosen: list[Picture]) -> set[str]:
    """The ids of the pictures in the train folder that resemble one of the `chosen`, which `index` could not see."""
    compared, faces = [], []
    for picture in [*(picture for picture in pictures if picture.split == "train"), *chosen]:
        with contextlib.suppress(BadPictureError):  # nobody trains on a broken one either
            faces.append(decode(content(root, picture), colour=False))
            compared.append(picture)
    correlation = params.load().index.fer2013.near_duplicate
    splits = pd.Series([picture.split for picture in compared])
    reasons = near_duplicate_reasons(splits, thumbnails(faces), correlation)
    return {picture.id for picture, reason in zip(compared, reasons, strict=True) if reason}


def content(root: Path, picture: Picture) -> bytes:
    """The bytes of a picture's file."""
    entry = picture.source
    if isinstance(entry, bytes):
        raise UserError(f"{root} is FER2013 as CSV; name Kaggle's archive.zip.")
    return archives.read(root, entry)


def deliveries(root: Path, pictures: list[Picture], labels: list[str], order: list[int]) -> Iterator[Delivery]:
    """The photo and the label record of each picture; `labels` are Korean, the numbers in `order` stand for people."""
    for serial, number in enumerate(order):
        person = sitter(SEED, number)
        place = Order(TRAINING, Shot(serial, serial, serial, labels[number]), position=1)
        name = f"{stem(person, place)}.jpg"
        face = distort(decode(content(root, pictures[number]), colour=False))
        photo = np.pad(resize(face, FACE), BORDER, mode="edge")
        box = Box(BORDER, BORDER, BORDER + FACE, BORDER + FACE)
        rng = np.random.default_rng([SEED, number])
        record = label_record(rng, name, person, labels[number], "도심 환경", box, {})
        yield Delivery(place, name, jpeg(photo, 1, QUALITY), record)


def distort(face: np.ndarray) -> np.ndarray:
    """The face, uint8 (size, size), narrower, sheared, lit from one side, and at half the resolution."""
    size = len(face)
    middle = (size - 1) / 2
    linear = np.array([[NARROW, LEAN], [0, TALL]])
    offset = middle - linear.sum(axis=1) * middle
    moved = cv2.warpAffine(face, np.column_stack([linear, offset]), (size, size), borderMode=cv2.BORDER_REPLICATE)
    lit = np.rint(moved * np.linspace(DARKEST, 1, size)).astype(np.uint8)
    return resize(lit, size // 2)


if __name__ == "__main__":
    run(main)
