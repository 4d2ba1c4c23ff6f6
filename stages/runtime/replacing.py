"""Write a file beside its place and move it there, whole.

A file of an output may be a link into DVC's cache (`cache.type` hardlink or symlink), and is never to be written
through: moved into its place, a new file takes the link's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a place to write a file at, with the ending of `path`; it is moved to `path` unless the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".part.{path.name}")
    beside.unlink(missing_ok=True)  # of a run that was killed; it may itself be a link
    try:
        yield beside
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(beside):
            error.filename = str(path)  # which the user knows
        raise
