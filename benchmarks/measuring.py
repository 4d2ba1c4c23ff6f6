"""What the benchmarks share: commands with their time and memory, ways that take turns, and command lines."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import psutil
from ruamel.yaml import YAML

from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent


class Cost(NamedTuple):
    """What a command took, start-up included."""

    seconds: float = 0  # by the clock on the wall
    largest: float = 0  # most MB that one of its processes had at once
    together: float = 0  # most MB that all of them had at once


def command_line(name: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m benchmarks.<name>`, whose module has the docstring `doc`."""
    return argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").partition("\n")[0])


def fer2013_command_line(name: str, doc: str | None) -> argparse.ArgumentParser:
    """The same, and the first argument is FER2013's archive."""
    parser = command_line(name, doc)
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="FER2013: archive.zip, or unpacked")
    return parser


def in_turns(
    ways: Mapping[str, Callable[[], object]], turns: int, timer: Callable[[], float] = time.process_time
) -> pd.DataFrame:
    """Seconds of each way (a column) in each turn (a row); the first turn, with all loading, is left out."""
    return pd.DataFrame(
        {name: timeit.timeit(way, timer=timer, number=1) for name, way in ways.items()} for _ in range(turns + 1)
    )[1:]


def environment() -> dict[str, str]:
    """Of a process that has this project's modules, and whose `python` and `dvc` are those that run here."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


def measured(folder: Path, *command: str) -> Cost:
    """Run `python -m <command>` in `folder`; its memory is looked at ten times a second.

    Raises:
        UserError: it failed; the message ends as its own did.
    """
    largest = together = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        start = time.perf_counter()
        line = [sys.executable, "-m", *command]
        process = psutil.Popen(line, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            sizes = [0]
            with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended
                for one in (process, *process.children(recursive=True)):
                    sizes.append(one.memory_info().rss)
            largest, together = max(largest, *sizes), max(together, sum(sizes))
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(0.1)
        seconds = time.perf_counter() - start
        if process.returncode:
            log.seek(0)
            *before, last = log.read().splitlines() or [""]
            print(*before, sep="\n", file=sys.stderr)
            raise UserError(f"{' '.join(command)} stopped: {last}")
    return Cost(seconds, largest / 1e6, together / 1e6)


def run_stage(folder: Path, stage: str, *arguments: str, **sections: Any) -> Cost:
    """Run `python -m stages.<stage>` in `folder`, with values of these sections of params.yaml changed."""
    write_params(folder, **sections)
    return measured(folder, f"stages.{stage}", *arguments)


def write_params(folder: Path, **sections: Any) -> None:
    """Write our params.yaml into `folder`, with values of these sections changed."""
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, changes in sections.items():
        values[section] |= changes
    # JSON is YAML.
    (folder / "params.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
