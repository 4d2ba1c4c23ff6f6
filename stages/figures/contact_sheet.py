"""Contact sheets: many small pictures on one page, with a caption below each, as PNG files that are always the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.files.images import shrink
from stages.runtime.replacing import replacing

WIDTH = 1200  # of a sheet, in pixels, as all lengths here
GAP = 10
TITLE, HEADING, CAPTION = 22, 17, 12  # sizes of the fonts
INK, PAPER, EMPTY = (30, 30, 30), (255, 255, 255), (225, 225, 225)


class Tile(NamedTuple):
    """A picture, BGR uint8 (height, width, 3), or None where there is none to show; and two lines below it."""

    picture: np.ndarray | None
    caption: str


class Section(NamedTuple):
    """A heading and the tiles below it, `columns` in a row."""

    heading: str
    columns: int
    tiles: Sequence[Tile]

    @property
    def side(self) -> int:
        """The longer side of its pictures."""
        return (WIDTH - GAP) // self.columns - GAP

    @property
    def row_height(self) -> int:
        """Height of a row of tiles with their captions."""
        return self.side + 3 * CAPTION + GAP

    @property
    def height(self) -> int:
        """Height of the section."""
        return 3 * HEADING + -(-len(self.tiles) // self.columns) * self.row_height


def write_sheet(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a page with the sections, one below the other."""
    height = 2 * TITLE + GAP + sum(section.height for section in sections)
    page = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((GAP, GAP), title, INK, ImageFont.load_default(TITLE))
    top = 2 * TITLE
    for section in sections:
        draw.text((GAP, top + HEADING), section.heading, INK, ImageFont.load_default(HEADING))
        side = section.side
        for number, tile in enumerate(section.tiles):
            row, column = divmod(number, section.columns)
            x, y = GAP + column * (side + GAP), top + 3 * HEADING + row * section.row_height
            if tile.picture is None:
                draw.rectangle((x, y, x + side - 1, y + side - 1), EMPTY)
            else:
                picture = Image.fromarray(cv2.cvtColor(shrink(tile.picture, side), cv2.COLOR_BGR2RGB))
                page.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
            draw.text((x, y + side + 2), tile.caption, INK, ImageFont.load_default(CAPTION))
        top += section.height
    with replacing(path) as file:
        page.save(file)
