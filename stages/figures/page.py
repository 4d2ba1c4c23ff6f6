"""The report's page: one HTML file that needs no other file and no network."""

import base64
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np

from stages.runtime.replacing import replacing

TEMPLATE = Path(__file__).parent / "page.html"


def render(path: Path, content: dict[str, Any]) -> None:
    """Write the page that the template makes of `content`; a name that is missing there is an error."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "points": points, "probability": probability}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(content)
    # Names of files may hold what is no valid Unicode.
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8", errors="replace", newline="\n")


def percent(share: float) -> str:
    """A share, 0 to 1, in percent: 0.511 is 51.1."""
    return f"{100 * share:.1f}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign and a real minus: -0.013 is −1.3."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def probability(p: float) -> str:
    """A p-value; a small one only as being small."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def png(picture: np.ndarray) -> str:
    """A picture, uint8 (height, width) grey or (height, width, 3) BGR, as a data URI without loss."""
    return uri("png", bytes(cv2.imencode(".png", picture)[1]))


def uri(kind: str, data: bytes) -> str:
    """An encoded picture, png or jpeg, as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
