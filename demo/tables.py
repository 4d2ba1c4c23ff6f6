"""The table of the faces, CSV or JSON, row by row: a video of hours takes no more memory than one of seconds."""

import csv
import json
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import numpy as np

from demo.reading import UNSURE, label
from stages.deployment.model_card import ModelCard
from stages.faces.box import Box

FORMATS = ("csv", "json")
KOREAN_UNSURE = "불확실"
Write = Callable[..., None]


def visible(text: str) -> str:
    r"""The text with control and format characters as JSON escapes them (`\u001b`): they could steer a terminal."""
    return "".join(json.dumps(c)[1:-1] if unicodedata.category(c).startswith("C") else c for c in text)


def cell(name: str) -> str:
    """The name as a cell of a CSV file; a spreadsheet does not take it for a formula (OWASP, "CSV Injection")."""
    return ("'" if unicodedata.normalize("NFKC", name[:1]) in ("=", "+", "-", "@") else "") + visible(name)


@contextmanager
def table(file: TextIO, form: str, card: ModelCard) -> Iterator[Write]:
    """Yield a function that adds the row of a face.

    JSON is a list of objects; there, the label is in Korean, too, and the probabilities are an object.
    """
    rows = 0
    writer = csv.writer(file, lineterminator="\n")
    if form == "csv":
        writer.writerow(["file", "frame", "time", "face", "left", "top", "right", "bottom", "label", *card.emotions])
    else:
        file.write("[")

    def add(name: str, face: int, box: Box, probability: np.ndarray, frame: int | None, time: float | None) -> None:
        nonlocal rows
        sides = [round(side, 1) for side in box]
        emotion = label(probability, card)
        shares = [round(float(share), 4) for share in probability]
        seconds = None if time is None else round(time, 3)
        if form == "csv":
            writer.writerow([cell(name), frame, seconds, face, *sides, emotion, *shares])
        else:
            values = {"file": name, "frame": frame, "time": seconds, "face": face, "box": sides, "label": emotion}
            korean = {"label_korean": KOREAN_UNSURE if emotion == UNSURE else card.emotions[emotion]}
            probabilities = {"probability": dict(zip(card.emotions, shares, strict=True))}
            text = visible(json.dumps(values | korean | probabilities, ensure_ascii=False))
            file.write(("\n" if rows == 0 else ",\n") + text)
        rows += 1

    try:
        yield add
    finally:
        if form == "json":
            file.write("\n]\n")
