"""Bring every face of one data set to a grey square of one size, in one array file for each official split.

In: what the reader stages/datasets/<dataset>.py finds: FER2013 (`data.fer2013` in params.yaml; read in place), or the
Korean crops, data/crops/*.zip and *.csv.
Out: data/arrays/<dataset>/<split>.npy, uint8 (faces, size, size), which training maps into memory;
data/arrays/<dataset>/<split>.csv, a row for each face in the same order; data/arrays/<dataset>/rejected.csv.
Run: python -m stages.resize fer2013
"""

import argparse
import functools
import importlib
import itertools
import math
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from stages.datasets.catalog import DATASETS, check_listed
from stages.datasets.picture import Picture
from stages.files import archives
from stages.files.archives import Entry
from stages.files.arrays import ArrayWriter
from stages.files.images import BadPictureError, network_picture, resize
from stages.files.tables import write_table
from stages.runtime import engine, params
from stages.runtime.errors import run
from stages.runtime.limits import account, check_share

ARRAYS = Path("data/arrays")
NOT_DAMAGE = ("face found twice",)  # an archive beside what was unpacked from it
BATCH = 256


def main() -> None:
    """Write the arrays of one data set."""
    parser = argparse.ArgumentParser(description="Bring every face of one data set to a grey square of one size.")
    parser.add_argument("dataset", choices=list(DATASETS))
    dataset = parser.parse_args().dataset
    settings, known = params.load(), DATASETS[dataset]
    check_listed(dataset, settings.data)
    root = known.pictures or Path(settings.data[dataset])
    reader = importlib.import_module(f"stages.datasets.{dataset}")
    faces: list[Picture] = list(reader.find_pictures(root, list(settings.emotions)))
    # The label, too, so that the Korean crops are read archive by archive.
    faces.sort(key=lambda face: (known.splits.index(face.split), face.label, face.id))
    squares = functools.partial(grey_squares, root=root, image=settings.image)
    size = settings.image.size
    kept, rejected = write_arrays(ARRAYS / dataset, known.splits, faces, squares, size, settings.runtime)
    table = ARRAYS / dataset / "rejected.csv"
    write_table(pd.DataFrame(rejected, columns=["path", "label", "reason"]), table)
    name, split = f"{dataset} faces", {face.path: face.split for face in faces}
    account(name, len(faces), kept, [reason for _, _, reason in rejected])
    lost = [(name, reason) for _, _, reason in rejected]
    lost += [(f"{dataset} {split[path]} {label}" if label else "", reason) for path, label, reason in rejected]
    found = Counter(f"{dataset} {face.split} {face.label}" for face in faces) + Counter({name: len(faces)})
    gone = Counter(group for group, _ in lost)
    check_share(found - gone, lost, settings.limits.max_rejected, table, NOT_DAMAGE)


def write_arrays(
    folder: Path,
    splits: tuple[str, ...],
    faces: list[Picture],
    grey_squares: functools.partial[list[np.ndarray | str]],
    size: int,
    runtime: params.Runtime,
) -> tuple[int, list[tuple[str, str, str]]]:
    """Write array and table of each split; return the number kept, and rejected (path, label, reason)."""
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
                if face.id in seen and not isinstance(picture, str):
                    picture = "face found twice"
                if isinstance(picture, str):
                    rejected.append((face.path, face.label, picture))
                else:
                    seen.add(face.id)
                    rows.append((array.append(picture), face.id, face.path, face.label))
        write_table(pd.DataFrame(rows, columns=["row", "id", "path", "label"]), folder / f"{split}.csv")
    return len(seen), rejected


def grey_squares(sources: list[Entry | bytes], root: Path, image: params.Image) -> list[np.ndarray | str]:
    """Each source as a grey square, uint8 (size, size), or the reason why it is rejected."""
    cv2.setNumThreads(1)
    results: list[np.ndarray | str] = []
    for source in sources:
        try:
            results.append(grey_square(source, root, image))
        except BadPictureError as error:
            results.append(str(error))
    return results


def grey_square(source: Entry | bytes, root: Path, image: params.Image) -> np.ndarray:
    """One source as a grey square, uint8 (size, size); BadPictureError if it is not a whole picture, or not square."""
    if isinstance(source, bytes):
        if not source:
            raise BadPictureError("not 48 x 48 pixel values")
        side = math.isqrt(len(source))
        return resize(np.frombuffer(source, np.uint8).reshape(side, side), image.size)
    if source.problem:
        raise BadPictureError(source.problem)
    if source.size > image.max_megabytes * 1e6:
        raise BadPictureError("too many bytes")
    try:
        data = archives.read(root, source)
    except zipfile.BadZipFile:
        raise BadPictureError("damaged in its archive") from None
    return network_picture(data, image.size, image.max_megapixels)


if __name__ == "__main__":
    run(main)
