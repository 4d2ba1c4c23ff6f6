"""Say what emotion each face shows, in photos, folders, zip archives, videos, before a camera or on a page.

Run: python -m demo PATH... | --camera N | --web

Exit status: 0 if a face was found, 3 if none was, 1 if something could not be read, 2 for a wrong command line.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import cv2
from tqdm import tqdm

from demo.annotation import annotate
from demo.media import Item, find_items, free_places
from demo.models import Model, find_choices
from demo.reading import read_frame, read_photo
from demo.tables import FORMATS, Write, table, visible, write_rejected
from demo.tracking import Tracker
from demo.video import Camera, VideoFile, VideoWriter
from stages.files.images import BadPictureError, decode, encode_jpeg
from stages.runtime.errors import UserError, run

PORT = 8765
QUALITY = 95  # of annotated pictures, JPEG
NO_FACE = 3  # exit status
CAMERAS = 100  # more than a machine has; OpenCV takes far higher numbers for other things
WHOLE = 0.9  # of a video's duration; less is not all of it


def main() -> None:
    """Do what the command line says."""
    arguments = command_line()
    out: Path | None = arguments.out
    # Be it a link to nowhere or an empty folder, in which links may be planted.
    if out is not None and os.path.lexists(out):
        raise UserError(f"{out} is there already; name a new folder with --out, so that nothing is overwritten.")
    choices = find_choices(arguments.model)
    models = choices[0] if arguments.web else choices[0][-1:]
    for model in models:
        drawn = ", trained on drawn faces" if model.card.drawn else ""
        tested = f", tested on {' and '.join(model.card.recognised)}" if model.card.recognised else ""
        say(f"model: {model.path}{drawn}{tested}")
    if arguments.web:
        from demo.web import serve

        serve(choices, PORT if arguments.port is None else arguments.port)
        return
    cv2.setNumThreads(1)
    # Before the folder is made: what cannot begin leaves none behind.
    camera = None if arguments.camera is None else Camera(arguments.camera, arguments.seconds or float("inf"))
    items, others = find_items(arguments.paths) if camera is None else ([], [])
    form = arguments.format or FORMATS[0]
    with open_table(out, form) as file, table(file, form, models[-1].shown) as write:
        reader = Reader(models, out, write)
        if camera is None:
            reader.read_all(items, others)
        else:
            reader.read_camera(arguments.camera, camera)
    sys.exit(1 if reader.bad else 0 if reader.faces else NO_FACE)


def command_line() -> argparse.Namespace:
    """What was typed; options that do not go together, or mean nothing, end the program."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").partition("\n")[0])
    option = parser.add_argument
    option("paths", nargs="*", type=Path, metavar="PATH", help="photos, videos, folders, zip archives")
    option("--camera", type=camera_number, metavar="N", help="read camera N of this machine, from 0")
    option("--seconds", type=positive, help="with --camera: how long (else: Ctrl-C)")
    option("--web", action="store_true", help="start the page, for this machine alone")
    option("--port", type=int, help=f"with --web: port on 127.0.0.1 (default: {PORT})")
    option("--out", type=Path, metavar="FOLDER", help="write annotated copies and the table to a new folder")
    option("--format", choices=FORMATS, help="of the table (default: csv)")
    place = "an .onnx file, or a folder: its after.onnx, or else the last by name (default: data/export or weights/)"
    option("--model", type=Path, metavar="PLACE", help=place)
    arguments = parser.parse_args()
    if bool(arguments.paths) + (arguments.camera is not None) + arguments.web != 1:
        parser.error("name photos, or --camera N, or --web")
    if arguments.camera is not None and arguments.out is None:
        parser.error("--camera needs --out FOLDER, where video and table are written")
    if arguments.seconds is not None and arguments.camera is None:
        parser.error("--seconds goes with --camera")
    if arguments.port is not None and not arguments.web:
        parser.error("--port goes with --web")
    if arguments.web and (arguments.out is not None or arguments.format is not None):
        parser.error("--web writes no table and no copies: leave out --out and --format")
    return arguments


def camera_number(text: str) -> int:
    """The number of a camera."""
    if not (text.isdecimal() and int(text) < CAMERAS):
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from 0 to {CAMERAS - 1}")
    return int(text)


def positive(text: str) -> float:
    """A number above 0."""
    with contextlib.suppress(ValueError):
        if (value := float(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"{text} must be a number above 0")


@contextlib.contextmanager
def open_table(out: Path | None, form: str) -> Iterator[TextIO]:
    """The table's file in the output folder, or standard output."""
    if out is None:
        yield sys.stdout
    else:
        out.mkdir(parents=True)
        with open(out / f"faces.{form}", "x", encoding="utf-8", newline="") as file:
            yield file


class Reader:
    """Reads one thing after the other, and counts."""

    def __init__(self, models: list[Model], out: Path | None, write: Write) -> None:
        """Write rows with `write` and annotated copies to the folder `out`."""
        self.models = models
        self.out = out
        self.write = write
        self.faces = 0
        self.bad = 0
        self.rejected: list[tuple[str, str]] = []

    def read_all(self, items: list[Item], others: list[str]) -> None:
        """Read everything.

        What has no face or cannot be read is one sentence each, and the number of `others` is said. With an output
        folder all of them are rows of rejected.csv, too, so that each file is in one of the two tables or in both.
        """
        self.rejected = [(name, "not a picture or video") for name in others]
        try:
            self._read_items(items)
        finally:
            if self.out is not None:
                write_rejected(self.out / "rejected.csv", self.rejected)
        if others:
            say(f"{len(others)} other file{'s' if len(others) > 1 else ''} left out")

    def _read_items(self, items: list[Item]) -> None:
        places = free_places(items, self.out or Path(), {"faces", "rejected"})
        with tqdm(items, unit="file", disable=None if len(items) > 1 else True) as progress:
            for item, place in zip(progress, places, strict=True):
                before = self.faces
                try:
                    if item.video is None:
                        self.read_picture(item, place)
                    else:
                        self.read_video(item.name, VideoFile(item.video), place)
                except BadPictureError as error:
                    self.bad += 1
                    self.reject(item.name, str(error))
                except KeyboardInterrupt:
                    say(f"Stopped at {item.name}: it and what follows was not read.")
                    raise
                else:
                    if self.faces == before:
                        self.reject(item.name, "no face found")

    def reject(self, name: str, reason: str) -> None:
        """Say and keep why a file gives no row, or not all."""
        say(f"{name}: {reason}")
        self.rejected.append((name, reason))

    def read_picture(self, item: Item, place: Path) -> None:
        """Read one picture."""
        data = item.read()
        _, _, faces, frames = read_photo(data, self.models)
        if frames > 1:
            say(f"{item.name}: only the first of its {frames} pictures was read")
        for number, face in enumerate(faces, 1):
            self.write(item.name, number, face)
        self.faces += len(faces)
        if self.out is not None:
            picture = decode(data, colour=True)
            annotate(picture, faces, self.models[-1].shown)
            copy = place.with_name(f"{place.name}.jpg")
            copy.parent.mkdir(parents=True, exist_ok=True)
            with open(copy, "xb") as file:
                file.write(encode_jpeg(picture, QUALITY))

    def read_camera(self, number: int, camera: Camera) -> None:
        """Read a camera until its time is over or Ctrl-C is pressed; what was seen until then is kept."""
        say("Reading the camera; Ctrl-C ends it.")
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self.read_video(f"camera {number}", camera, (self.out or Path()) / "camera")
        except BadPictureError:
            raise UserError(
                f"Camera {number} gives no picture; close the program that uses it, or name another one."
            ) from None

    def read_video(self, name: str, video: VideoFile | Camera, place: Path) -> None:
        """Read a video frame by frame."""
        card = self.models[-1].shown
        tracker = Tracker(card)
        writer = None
        if self.out is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            writer = VideoWriter(place.with_name(f"{place.name}.mp4"), video.rate)
        frames, seconds = 0, 0.0
        try:
            for seconds, frame in tqdm(video, total=video.count or None, unit="frame", leave=False, disable=None):
                seen = tracker.update(read_frame(frame, self.models).faces, seconds)
                for number, face in seen:
                    self.write(name, number, face, frames, seconds)
                self.faces += len(seen)
                frames += 1
                if writer is not None:
                    annotate(frame, [face for _, face in seen], card)
                    writer.write(frame, seconds)
        finally:
            if writer is not None:
                writer.close()
        if frames == 0:
            raise BadPictureError("not one frame could be read")
        if (read := seconds + 1 / video.rate) < WHOLE * video.duration:
            raise BadPictureError(f"only {read:.1f} of its {video.duration:.1f} seconds could be read")


def say(text: str) -> None:
    """Print a line beside the table, above a progress bar."""
    tqdm.write(visible(text), file=sys.stderr)


if __name__ == "__main__":
    run(main)
