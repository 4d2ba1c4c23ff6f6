"""Cut the face out of every photo of one split and emotion.

In: data/manifest/<split>_<emotion>.csv (its CRC-32 column stands for the photos, which are read in place).
Out: data/crops/<split>_<emotion>.zip, a JPEG <id>.jpg for each face; data/crops/<split>_<emotion>.csv, a row for each
photo with its box or the reason for its rejection.
Run: python -m stages.crop training happy
"""

import argparse
import functools
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from tqdm import tqdm

from stages.datasets.manifest import DAMAGED, boxes_of, read_photo
from stages.faces.box import Box, overlap
from stages.faces.cutting import choose_face, cut_face, reference_box, square_around
from stages.faces.detection import YUNET, coarsest, find_faces
from stages.faces.framing import square_side
from stages.files.archives import failing_alike, write_zip
from stages.files.images import BadPictureError, decode, reduction, upright_size
from stages.files.tables import read_table, write_table
from stages.runtime import engine, params, resume
from stages.runtime.errors import UserError, run
from stages.runtime.limits import account, check_share

CROPS = Path("data/crops")
COLUMNS = ["id", "path", "width", "height", "method", "left", "top", "side", "overlap", "crop", "reason"]
PART = 64  # photos in a part, the unit that a killed run does not do again


def main() -> None:
    """Crop the photos of one manifest, part by part."""
    parser = argparse.ArgumentParser(description="Cut the faces out of the photos of one split and emotion.")
    parser.add_argument("split", help="training or validation")
    parser.add_argument("emotion", help="a name under `emotions` in params.yaml")
    arguments = parser.parse_args()
    name = f"{arguments.split}_{arguments.emotion}"
    manifest = Path("data/manifest") / f"{name}.csv"
    settings, photos = params.load(), read_table(manifest, "number")
    with resume.folder(f"crop_{name}", [manifest, YUNET], settings.crop.model_dump()) as place:
        parts = {place / f"{start:08}": photos.iloc[start : start + PART] for start in range(0, len(photos), PART)}
        crop_parts(name, parts, Path(settings.data["korean"]), settings.crop, settings.runtime)
        tables = [read_table(part.with_suffix(".csv")) for part in parts]
        table = pd.concat([pd.DataFrame(columns=COLUMNS, dtype=str), *tables])
        write_zip(CROPS / f"{name}.zip", joined_members(part.with_suffix(".zip") for part in parts))
        write_table(table, CROPS / f"{name}.csv")
        kept = table[table["reason"] == ""]
        reasons = table.loc[table["reason"] != "", "reason"]
        account(name, len(photos), len(kept), reasons)
        names = ("whole",) if settings.crop.input == "face" else ("verified", "annotators", "unverified")
        methods = {method: int((kept["method"] == method).sum()) for method in names}
        print("  faces by: " + ", ".join(f"{method} {count:,}" for method, count in methods.items()))
        # An archive that is fetched again has the same directory, so nothing else would say that its photos are new.
        for part in (part for part, rows in zip(parts, tables, strict=True) if DAMAGED in set(rows["reason"])):
            part.with_suffix(".csv").unlink()
        lost = [(name, reason) for reason in reasons]
        check_share({name: len(kept)}, lost, settings.limits.max_rejected, CROPS / f"{name}.csv")


def crop_parts(
    name: str, parts: dict[Path, pd.DataFrame], root: Path, crop: params.Crop, runtime: params.Runtime
) -> None:
    """Crop those parts that an earlier run has not finished."""
    todo = {path: photos for path, photos in parts.items() if not path.with_suffix(".csv").exists()}
    total, left = (sum(map(len, some.values())) for some in (parts, todo))
    batches = ((path, photos.to_dict("records")) for path, photos in todo.items())
    with tqdm(desc=name, total=total, initial=total - left, unit="photo", mininterval=1) as progress:
        for count in engine.ordered_map(functools.partial(crop_part, root=root, crop=crop), batches, runtime):
            progress.update(count)


def crop_part(part: tuple[Path, list[dict[str, Any]]], root: Path, crop: params.Crop) -> int:
    """Crop some photos into `<part>.zip` and `<part>.csv`; the table is moved into place last and so means: done.

    Dask may do a part twice, even at once: each time under names of its own, until it is whole.
    """
    cv2.setNumThreads(1)
    path, photos = part
    if path.with_suffix(".csv").exists():
        return len(photos)
    rows, members = [], []
    for photo in photos:
        row = {"id": photo["id"], "path": f"{photo['archive']}/{photo['path']}".strip("/")}
        try:
            face, row_of_face = crop_photo(read_photo(root, photo), boxes_of(photo), crop)
        except BadPictureError as error:
            row["reason"] = str(error)
        else:
            row |= row_of_face | {"crop": f"{photo['id']}.jpg"}
            members.append((row["crop"], face))
        rows.append(row)
    unfinished = path.with_suffix(f".{uuid.uuid4().hex}")
    write_zip(unfinished, members)
    unfinished.replace(path.with_suffix(".zip"))
    # As objects: beside a rejected photo, which has no box, whole numbers would become fractions.
    write_table(pd.DataFrame(rows, columns=COLUMNS, dtype=object), unfinished)
    unfinished.replace(path.with_suffix(".csv"))
    return len(photos)


def crop_photo(data: bytes, boxes: list[Box | None], crop: params.Crop) -> tuple[bytes, dict[str, Any]]:
    """Find the face in a photo's bytes and cut it out: the crop as JPEG, and its row (square in upright pixels).

    If the picture is the face (`crop.input`), it is cut to a square as wide as it is, and no box is believed: they are
    of another picture. Otherwise the annotators' boxes tell which decode will have the pixels for the crop, so that one
    decode mostly does for both finding the face and cutting it out.

    Raises:
        BadPictureError: no face, or no usable picture.
    """
    width, height = upright_size(data, crop.max_megapixels)
    agreement = ""
    if crop.input == "face":
        method, square = "whole", square_around(Box(0, 0, width, height), 1)
        factor = reduction(square[2], crop.size)
        picture = decode(data, colour=True, factor=factor)
    else:
        reference = reference_box(boxes, width, height, crop.smallest_face)
        factor = coarsest(width, height, crop)
        near = None
        if reference is not None:
            side = square_around(reference, square_side("annotators", crop.margin))[2]
            factor = min(factor, reduction(side, crop.size))
            near = reference.scaled(1 / factor)
        picture = decode(data, colour=True, factor=factor)
        found = [face.scaled(factor) for face in find_faces(picture, crop, near)]
        face, method = choose_face(found, reference, crop.min_overlap)
        if face is None:
            raise BadPictureError("no face found")
        if reference is not None:
            agreement = f"{overlap(face, reference):.3f}"
        source = "annotators" if method == "annotators" else crop.detector
        square = square_around(face, square_side(source, crop.margin))
        if (finer := reduction(square[2], crop.size)) < factor:
            factor = finer
            picture = decode(data, colour=True, factor=factor)
    row = {"width": width, "height": height, "method": method, "overlap": agreement}
    cut = cut_face(picture, factor, square, crop.size, crop.quality)
    return cut, row | dict(zip(("left", "top", "side"), square, strict=True))


def joined_members(paths: Iterator[Path]) -> Iterator[tuple[str, bytes]]:
    """All members of the parts' archives, one after the other; a damaged one stops it and is no longer done."""
    for path in paths:
        try:
            with failing_alike(), zipfile.ZipFile(path) as archive:
                members = [(name, archive.read(name)) for name in archive.namelist()]
        except (zipfile.BadZipFile, FileNotFoundError):
            path.with_suffix(".csv").unlink()
            raise UserError(f"{path} is damaged; run the same command again, which crops its photos anew.") from None
        yield from members


if __name__ == "__main__":
    run(main)
