"""Bring every face of one data set to a grey square of one size, in one array file for each official split.

In: FER2013 (`data.fer2013` in params.yaml; read in place), or the Korean crops, data/crops/*.zip and *.csv.
Out: data/arrays/<dataset>/<split>.npy, uint8 (faces, size, size), which training maps into memory;
data/arrays/<dataset>/<split>.csv, a row for each face in the same order; data/arrays/<dataset>/rejected.csv.
Run: python -m stages.resize fer2013
"""

import argparse
import functools
import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from stages.datasets import fer2013
from stages.files import archives
from stages.files.archives import Entry
from stages.files.arrays import ArrayWriter
from stages.files.images import BadPictureError, network_picture, resize
from stages.files.metrics import account
from stages.files.tables import read_table, write_table
from stages.runtime import engine, params
from stages.runtime.errors import UserError, run
from stages.runtime.limits import check_share

ARRAYS = Path("data/arrays")
CROPS = Path("data/crops")
SPLITS = {"fer2013": ("train", "test"), "korean": ("training", "validation")}
NOT_DAMAGE = ("face found twice",)  # an archive beside what was unpacked from it
BATCH = 256


@dataclass(frozen=True, slots=True)
class Face:
    """One face on its way into the array; `source` is an entry below the data set's root, or a CSV cell of pixels."""

    split: str
    id: str
    path: str
    label: str
    source: Entry | str


def main() -> None:
    """Write the arrays of one data set."""
    parser = argparse.ArgumentParser(description="Bring every face of one data set to a grey square of one size.")
    parser.add_argument("dataset", choices=list(SPLITS))
    dataset = parser.parse_args().dataset
    settings = params.load()
    if dataset == "fer2013":
        root = Path(settings.data["fer2013"])
        faces = list(fer2013_faces(root))
    else:
        root = CROPS
        faces = list(korean_faces(list(settings.emotions)))
    # The label, too, so that the Korean crops are read archive by archive.
    faces.sort(key=lambda face: (SPLITS[dataset].index(face.split), face.label, face.id))
    kept, rejected = write_arrays(
        ARRAYS / dataset,
        SPLITS[dataset],
        faces,
        functools.partial(grey_squares, root=root, image=settings.image),
        settings.image.size,
        settings.runtime,
    )
    write_table(pd.DataFrame(rejected, columns=["path", "label", "reason"]), ARRAYS / dataset / "rejected.csv")
    counts = account(f"{dataset} faces", len(faces), sum(kept.values()), [reason for _, _, reason in rejected])
    check_share(f"{dataset} faces", counts, settings.limits.max_rejected, ARRAYS / dataset / "rejected.csv", NOT_DAMAGE)


def fer2013_faces(root: Path) -> Iterator[Face]:
    """All pictures of FER2013."""
    try:
        for picture in fer2013.find_pictures(root):
            yield Face(picture.split, picture.id, picture.path, picture.label, picture.source)
    except UserError as error:
        if root.exists():
            raise
        raise UserError(
            f"{error} Download FER2013 from https://www.kaggle.com/datasets/msambare/fer2013 and set data.fer2013 in "
            "params.yaml to the folder or the archive."
        ) from None


def korean_faces(emotions: list[str]) -> Iterator[Face]:
    """All faces that the crop stage kept."""
    for split, emotion in itertools.product(SPLITS["korean"], emotions):
        name = f"{split}_{emotion}"
        table = read_table(CROPS / f"{name}.csv")
        members = {entry.path: entry for entry in archives.walk(CROPS / f"{name}.zip")}
        for row in table[table["crop"] != ""].itertuples():
            if (entry := members.get(str(row.crop))) is None:
                raise UserError(f"{CROPS / name}.zip lacks {row.crop}, listed in its table; run the crop stage again.")
            source = Entry(f"{name}.zip", entry.number, entry.path, entry.size, entry.crc)
            yield Face(split, str(row.id), str(row.path), emotion, source)


def write_arrays(
    folder: Path,
    splits: tuple[str, ...],
    faces: list[Face],
    grey_squares: functools.partial[list[np.ndarray | str]],
    size: int,
    runtime: params.Runtime,
) -> tuple[dict[str, int], list[tuple[str, str, str]]]:
    """Write array and table of each split; return the number kept of each, and rejected (path, label, reason)."""
    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[str, int] = {}
    rejected: list[tuple[str, str, str]] = []
    seen: set[str] = set()
    for split in splits:
        chosen = [face for face in faces if face.split == split]
        batches = [[face.source for face in chosen[i : i + BATCH]] for i in range(0, len(chosen), BATCH)]
        pictures = itertools.chain.from_iterable(engine.ordered_map(grey_squares, batches, runtime))
        rows = []
        with ArrayWriter(folder / f"{split}.npy", size) as array:
            for face, picture in zip(
                chosen, tqdm(pictures, desc=split, unit="face", mininterval=1, total=len(chosen)), strict=True
            ):
                reason = picture if isinstance(picture, str) else "face found twice" if face.id in seen else ""
                if reason or isinstance(picture, str):
                    rejected.append((face.path, face.label, reason))
                else:
                    seen.add(face.id)
                    rows.append((array.append(picture), face.id, face.path, face.label))
        write_table(pd.DataFrame(rows, columns=["row", "id", "path", "label"]), folder / f"{split}.csv")
        kept[split] = len(rows)
    return kept, rejected


def grey_squares(sources: list[Entry | str], root: Path, image: params.Image) -> list[np.ndarray | str]:
    """Each source as a grey square, uint8 (size, size), or the reason why it is rejected."""
    cv2.setNumThreads(1)
    results: list[np.ndarray | str] = []
    for source in sources:
        try:
            results.append(grey_square(source, root, image))
        except BadPictureError as error:
            results.append(str(error))
    return results


def grey_square(source: Entry | str, root: Path, image: params.Image) -> np.ndarray:
    """One source as a grey square, uint8 (size, size).

    Raises:
        BadPictureError: it is not a whole picture, or not square.
    """
    if isinstance(source, str):
        pixels = fer2013.parse_pixels(source)
        if pixels is None:
            raise BadPictureError("not 48 x 48 pixel values")
        return resize(pixels, image.size)
    if source.problem:
        raise BadPictureError(source.problem)
    if source.size > image.max_megabytes * 1e6:
        raise BadPictureError("too many bytes")
    try:
        data = archives.read(root, source.archive, source.number, source.path)
    except zipfile.BadZipFile:
        raise BadPictureError("damaged in its archive") from None
    return network_picture(data, image.size, image.max_megapixels)


if __name__ == "__main__":
    run(main)
