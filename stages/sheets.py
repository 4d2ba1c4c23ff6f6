"""Draw a contact sheet for each split and emotion, to see in a minute whether the crops are right.

In: data/crops/*.{zip,csv} and data/manifest/*.csv; of the photos, which are read in place, only the few that are shown.
Out: data/sheets/<split>_<emotion>.png: the first crops, and with their boxes the first photos that were rejected or of
which something else than a found and confirmed face was cut out.
Run: python -m stages.sheets

A stage of its own, so that a change of the sheets crops no photo again.
"""

import itertools
import zipfile
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from stages.datasets.columns import OFFICIAL
from stages.datasets.korean import read_crops
from stages.datasets.manifest import boxes_of, read_photo
from stages.faces.box import Box
from stages.figures.colours import BLUE, ORANGE, bgr
from stages.figures.contact_sheet import Section, Tile, write_sheet
from stages.files.archives import failing_alike
from stages.files.images import BadPictureError, decode, reduction, shrink, upright_size
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import reading, run

CROPS, MANIFEST, SHEETS = Path("data/crops"), Path("data/manifest"), Path("data/sheets")
Row = dict[Hashable, Any]
CROPS_SHOWN, CROPS_IN_A_ROW = 32, 8
PHOTOS_SHOWN, PHOTOS_IN_A_ROW = 12, 6
PHOTO_SIDE = 640  # pixels of the longer side of a photo while its boxes are drawn
CUT_OUT, ANNOTATED = bgr(ORANGE), bgr(BLUE)
HEADINGS = {
    "annotators": "cut out (orange) around the annotators' boxes (blue), as no face was found there",
    "whole": "taken whole, as the picture is the face (crop.input)",
    "unverified": "found and cut out (orange) without an annotators' box to confirm it",
}


def main() -> None:
    """Draw all sheets."""
    settings = params.load()
    for split, emotion in itertools.product(OFFICIAL, settings.emotions):
        draw_sheet(split, emotion, Path(settings.data["korean"]), settings.crop.max_megapixels)


def draw_sheet(split: str, emotion: str, root: Path, max_megapixels: float) -> None:
    """Draw the sheet of one split and emotion."""
    name = f"{split}_{emotion}"
    crops, manifest = read_crops(CROPS, split, emotion), read_table(MANIFEST / f"{name}.csv", "number")
    table = crops.drop(columns="path").merge(manifest, on="id", validate="one_to_one")
    rejected = table[table["reason"] != ""]
    sections = [crops_section(table[table["method"] == "verified"], CROPS / f"{name}.zip")]
    for rows, heading in (
        *((table[table["method"] == method], heading) for method, heading in HEADINGS.items()),
        (each_reason_first(rejected), "rejected"),
    ):
        shown = rows.head(PHOTOS_SHOWN).to_dict("records")
        tiles = [Tile(photo_with_boxes(row, root, max_megapixels), caption(row)) for row in shown]
        sections.append(Section(counted(rows, tiles, heading), PHOTOS_IN_A_ROW, tiles))
    title = f"{split} {emotion}: {len(table):,} photos, {len(table) - len(rejected):,} crops"
    write_sheet(SHEETS / f"{name}.png", title, [section for section in sections if section.tiles])


def crops_section(rows: pd.DataFrame, archive: Path) -> Section:
    """The first crops of faces that were found where the annotators saw them."""
    shown = rows.head(CROPS_SHOWN).to_dict("records")
    with reading(archive, zipfile.BadZipFile, KeyError), failing_alike(), zipfile.ZipFile(archive) as crops:
        tiles = [Tile(decode(crops.read(row["crop"]), colour=True), caption(row)) for row in shown]
    return Section(counted(rows, tiles, "found where the annotators saw the face"), CROPS_IN_A_ROW, tiles)


def counted(rows: pd.DataFrame, tiles: Sequence[Tile], heading: str) -> str:
    """The heading with how many rows there are, and how many of them are shown."""
    return f"{len(rows):,} {heading}" + (f", the first {len(tiles)}" if len(tiles) < len(rows) else "")


def each_reason_first(rejected: pd.DataFrame) -> pd.DataFrame:
    """The rows, the first of each reason before the second of any."""
    return rejected.iloc[rejected.groupby("reason").cumcount().argsort(kind="stable")]


def caption(row: Row) -> str:
    """A photo's id, and why it was rejected or how far the crop's face agrees with the annotators' box."""
    agreement = f"overlap {row['overlap']}" if row["method"] == "verified" else ""
    return f"{row['id']}\n{row['reason'] or agreement}"


def photo_with_boxes(row: Row, root: Path, max_megapixels: float) -> np.ndarray | None:
    """The photo of a row, shrunk, with the annotators' boxes and the square that was cut out; None if it has none."""
    try:
        data = read_photo(root, row)
        width, height = upright_size(data, max_megapixels)
        factor = reduction(max(width, height), PHOTO_SIDE)
        picture = shrink(decode(data, colour=True, factor=factor), PHOTO_SIDE)
    except BadPictureError:
        return None
    scale = picture.shape[1] / width
    for box in boxes_of(row):
        if box is not None:
            draw_box(picture, box, scale, ANNOTATED, 3)
    if row["side"]:
        left, top, side = (int(row[key]) for key in ("left", "top", "side"))
        draw_box(picture, Box(left, top, left + side, top + side), scale, CUT_OUT, 6)
    return picture


def draw_box(picture: np.ndarray, box: Box, scale: float, colour: tuple[int, int, int], thickness: int) -> None:
    """Draw a box, in pixels of the photo, onto the picture `scale` times as large."""
    # OpenCV draws nothing right that lies far outside.
    sides = np.clip(np.multiply(box, scale), -PHOTO_SIDE, 2 * PHOTO_SIDE).round().astype(int).tolist()
    cv2.rectangle(picture, sides[:2], sides[2:], colour, thickness)


if __name__ == "__main__":
    run(main)
