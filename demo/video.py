"""Frames of a video file or a camera with their times, and a video file to write; one frame is in memory at a time."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

# Read when the first video is opened: FFmpeg would write its own complaints between ours.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_DEBUG", "0")

import cv2
import numpy as np

from stages.files.images import BadPictureError
from stages.runtime.errors import UserError

USUAL_RATE = 30.0  # frames a second, where a file does not say
CAMERA_RATE = 15.0  # frames a second of the video written from a camera
HIGHEST_RATE = 240.0


class VideoFile:
    """A video file, upright."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            BadPictureError: it is no video that OpenCV can read.
        """
        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise BadPictureError("not a video that can be read")
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= HIGHEST_RATE else USUAL_RATE
        self.count = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """The time in seconds and the pixels, uint8 (height, width, 3) BGR, of each frame."""
        last = -1.0
        while True:
            ok, frame = self.capture.read()
            if not ok:
                break
            seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # Some files have no times, or such as stand still.
            last = seconds if seconds > last else last + 1 / self.rate
            yield last, frame
        self.capture.release()


class Camera:
    """A camera of this machine, until `seconds` are over."""

    rate = CAMERA_RATE
    count = 0  # not known beforehand

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
        """Finish the file."""
        if self.writer is not None:
            self.writer.release()
