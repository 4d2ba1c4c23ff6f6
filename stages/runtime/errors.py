"""One clear sentence instead of a traceback, for everything that a user can put right."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Something outside the code is wrong; the message names the file or key and says what to do."""


def require(path: Path) -> None:
    """Stop if `path`, which the pipeline makes, is not there."""
    if not path.exists():
        raise UserError(f"{path} is missing; run `dvc repro` to make it, or `dvc pull` to fetch it.")


@contextmanager
def reading(path: Path, *failures: type[Exception]) -> Iterator[None]:
    """Stop if `path`, which the pipeline makes, is missing, or damaged: a ValueError or one of `failures` says that."""
    require(path)
    damage: tuple[type[Exception], ...] = (ValueError, *failures)
    try:
        yield
    except damage as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of what is in the file
        raise UserError(
            f"{path} is damaged; remove it and run `dvc repro`, or, if git has it, `git checkout {path}`."
        ) from None


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; a `UserError` or a failing disk ends it with one sentence and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows console is seldom UTF-8: names in Hangul must not end a run.
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, closed the pipe; Python would try to write once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as the shell says of a program that SIGPIPE ended
    except KeyboardInterrupt:
        sys.exit(130)  # likewise, by SIGINT
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        # A full disk, unlike a missing file, comes without a name.
        place = "" if error.filename is None else f"{error.filename}: "
        sys.exit(f"error: {place}{error.strerror or error}. Put this right and run the same command again.")
    except sqlite3.Error as error:  # DVCLive opens a database of DVC's
        sys.exit(f"error: DVC's database: {error}. Put this right and run the same command again.")
