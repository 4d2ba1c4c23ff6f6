"""The table of the faces, CSV or JSON, row by row: a video of hours takes no more memory than one of seconds."""

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from demo.reading import UNSURE, Face, label
from stages.deployment.model_card import ModelCard

FORMATS = ("csv", "json")
KOREAN_UNSURE = "불확실"
Write = Callable[..., None]


def visible(text: str) -> str:
    r"""The text with control and format characters as JSON escapes them (`\u001b`): they could steer a terminal."""
    return "".join(json.dumps(c)[1:-1] if unicodedata.category(c).startswith("C") else c for c in text)


def cell(name: str) -> str:
    """The name as a cell of a CSV file; a spreadsheet does not take it for a formula (OWASP, "CSV Injection")."""
    return ("'" if unicodedata.normalize("NFKC", name[:1]) in ("=", "+", "-", "@") else "") + visible(name)


def write_rejected(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write the table of files of which nothing, or not all, was read: name and reason."""
    with open(path, "x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "reason"])
        writer.writerows((cell(name), visible(reason)) for name, reason in rows)


@contextmanager
def table(file: TextIO, form: str, card: ModelCard) -> Iterator[Write]:
    """Yield a function that adds the row of a face, with what the last model, that of the card, says.

    JSON is a list of objects; there, the label is in Korean, too, and the probabilities are an object.
    """
    rows = 0
    writer = csv.writer(file, lineterminator="\n")
    if form == "csv":
        writer.writerow(["file", "frame", "time", "face", "left", "top", "right", "bottom", "label", *card.emotions])
    else:
        file.write("[")

    def add(name: str, number: int, face: Face, frame: int | None = None, time: float | None = None) -> None:
        nonlocal rows
        sides = [round(side, 1) for side in face.box]
        emotion = label(face.probability[-1], card)
        shares = [round(float(share), 4) for share in face.probability[-1]]
        seconds = None if time is None else round(time, 3)
        if form == "csv":
            writer.writerow([cell(name), frame, seconds, number, *sides, emotion, *shares])
        else:
            values = {"file": name, "frame": frame, "time": seconds, "face": number, "box": sides, "label": emotion}
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
