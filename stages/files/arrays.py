"""Pictures of one size in one .npy file: written one after the other, read back as a memory map."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from stages.runtime.errors import reading
from stages.runtime.replacing import replacing


class ArrayWriter(ExitStack):
    """Append grey pictures, uint8 (size, size), to one .npy file; memory does not grow with their number."""

    def __init__(self, path: Path, size: int) -> None:
        """Start a new file of pictures of `size` pixels."""
        super().__init__()
        self.count, self.size = 0, size
        beside = self.enter_context(replacing(path))
        self.file = self.enter_context(open(beside, "wb"))  # noqa: SIM115  closed by the stack
        self._header()
        self.callback(self._header)  # at the end, with the number of pictures

    def _header(self) -> None:
        # numpy pads the header so that the first axis may grow: it can be written again in place.
        self.file.seek(0)
        shape = (self.count, self.size, self.size)
        np.lib.format.write_array_header_1_0(self.file, {"descr": "|u1", "fortran_order": False, "shape": shape})

    def append(self, picture: np.ndarray) -> int:
        """Write one picture and return its row number."""
        if picture.shape != (self.size, self.size) or picture.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(self.size, self.size)}, got {picture.dtype} {picture.shape}")
        self.file.write(picture.tobytes())
        self.count += 1
        return self.count - 1


def open_array(path: Path) -> np.ndarray:
    """The pictures of a file that `ArrayWriter` wrote, uint8 (count, size, size), memory-mapped and read-only."""
    with reading(path, TokenError):
        with open(path, "rb") as file:
            shape = _read_shape(file)
        # An empty file cannot be mapped.
        pictures: np.ndarray = np.load(path, mmap_mode="r" if shape[0] else None)
    return pictures


def stream_array(path: Path) -> Iterator[np.ndarray]:
    """Yield the pictures one after the other; a map would count as memory as far as it has been read."""
    with reading(path, TokenError), open(path, "rb") as file:
        count, *shape = _read_shape(file)
        for _ in range(count):
            yield np.frombuffer(file.read(math.prod(shape)), np.uint8).reshape(shape)


def _read_shape(file: BinaryIO) -> tuple[int, ...]:
    np.lib.format.read_magic(file)
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    if len(shape) != 3 or kind != np.uint8:
        raise ValueError(f"not pictures, but {kind} {shape}")
    return shape
