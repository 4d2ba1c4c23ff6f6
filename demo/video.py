"""Frames of a video file or a camera with their times, and a video file to write; one frame is in memory at a time."""

import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

# Read when the first video is opened: FFmpeg would write its own complaints between ours.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_DEBUG", "0")

import cv2
import numpy as np

from stages.files.images import BadPictureError, turn
from stages.runtime.errors import UserError

USUAL_RATE = 30.0  # frames a second, where a file does not say
CAMERA_RATE = 15.0  # frames a second of the video written from a camera
HIGHEST_RATE = 240.0
LONGEST_PAUSE = 600.0  # seconds between two frames
WIDEST_PIXEL = 8.0  # times as wide as high, or as high as wide
# EXIF's orientation of a picture that is to be turned by 0 to 3 quarters clockwise; mirrored top to bottom before that.
TURNED = (1, 6, 3, 8)
MIRRORED = (4, 5, 2, 7)
# Of ISO/IEC 14496-12: boxes that hold boxes, and where a matrix begins in the headers of film and track.
CONTAINERS = (b"moov", b"trak", b"mdia")
MATRICES = {b"mvhd": 36, b"tkhd": 40}


class VideoFile:
    """A video file, as it is to be seen: turned, mirrored, and its pixels made square."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            BadPictureError: it is not a video that OpenCV can read.
        """
        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise BadPictureError("not a video that can be read")
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= HIGHEST_RATE else USUAL_RATE
        self.count = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        # In seconds, as the file says; 0 if it does not, or cannot be right.
        self.duration = self.count / rate if rate == self.rate else 0.0
        # OpenCV would turn a mirrored video upside down.
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        quarters = round(self.capture.get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 4
        self.orientation = (MIRRORED if _is_mirrored(path) else TURNED)[quarters]
        width, height = self.capture.get(cv2.CAP_PROP_SAR_NUM), self.capture.get(cv2.CAP_PROP_SAR_DEN)
        self.pixel = width / height if width > 0 and height > 0 else 1.0
        if not 1 / WIDEST_PIXEL <= self.pixel <= WIDEST_PIXEL:
            raise BadPictureError(f"a video with pixels of {width:.0f} x {height:.0f}, which cannot be right")

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """The time in seconds and the pixels, uint8 (height, width, 3) BGR, of each frame."""
        last = -1.0
        while True:
            ok, frame = self.capture.read()
            if not ok:
                break
            seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # Some files have no times, or such as stand still; a damaged one would have us write frames for years.
            last = seconds if 0 < seconds - last < LONGEST_PAUSE else last + 1 / self.rate
            if self.pixel != 1:
                frame = cv2.resize(frame, (max(1, round(frame.shape[1] * self.pixel)), frame.shape[0]))
            yield last, turn(frame, self.orientation)
        self.capture.release()


def _is_mirrored(path: Path) -> bool:
    """Whether an MP4 or QuickTime file mirrors its video: of the matrix that says so, OpenCV tells only the angle."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        mirrored = dict.fromkeys(MATRICES, False)
        try:
            for kind, place in _boxes(data):
                if kind in MATRICES:
                    version = data[place]  # the second has longer times
                    a, b, _, c, d = struct.unpack_from(">5i", data, place + MATRICES[kind] + 12 * version)
                    mirrored[kind] = a * d < b * c
                elif kind == b"hdlr" and data[place + 8 : place + 12] == b"vide":
                    return mirrored[b"mvhd"] != mirrored[b"tkhd"]
        except (struct.error, IndexError):  # not such a file
            pass
    return False


def _boxes(data: mmap.mmap) -> Iterator[tuple[bytes, int]]:
    """Kind of each box, and where its content begins."""
    place = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        content = place + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        yield kind, content
        if kind in CONTAINERS:
            place = content
        elif size < 8:  # the last one, or not a box
            return
        else:
            place += size


class Camera:
    """A camera of this machine, until `seconds` are over."""

    rate = CAMERA_RATE
    count = 0  # not known beforehand
    duration = 0.0

    def __init__(self, number: int, seconds: float) -> None:
        """Open it.

        Raises:
            UserError: there is no such camera.
        """
        self.capture = cv2.VideoCapture(number)
        self.seconds = seconds
        if not self.capture.isOpened():
            raise UserError(f"Camera {number} cannot be opened; see which there are (Linux: ls /dev/video*), from 0.")

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """The time in seconds and the pixels, uint8 (height, width, 3) BGR, of each frame."""
        start = time.monotonic()
        try:
            while (seconds := time.monotonic() - start) < self.seconds:
                ok, frame = self.capture.read()
                if not ok:
                    break
                yield seconds, frame
        finally:
            self.capture.release()


class VideoWriter:
    """Write an MP4 file (MPEG-4 part 2, no sound) of a fixed rate; frames keep the times at which they were seen."""

    def __init__(self, path: Path, rate: float) -> None:
        """Start with the first frame, whose size counts."""
        self.path = path
        self.rate = rate
        self.frames = 0
        self.writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray, seconds: float) -> None:
        """Add a frame; again if the time until it is longer than a frame lasts, and not at all if it is shorter."""
        if self.writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self.writer = cv2.VideoWriter(str(self.path), code, self.rate, frame.shape[1::-1])
            if not self.writer.isOpened():
                raise UserError(f"{self.path} cannot be written; see whether the folder may be written to.")
        while self.frames <= round(seconds * self.rate):
            self.writer.write(frame)
            self.frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            UserError: it is not whole; OpenCV does not say that a disk is full.
        """
        if self.writer is not None:
            self.writer.release()
            if not cv2.VideoCapture(str(self.path)).isOpened():
                raise UserError(f"{self.path} could not be written to its end; see whether the disk is full.")
