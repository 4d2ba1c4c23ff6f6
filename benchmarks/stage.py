"""Run a stage as a user does, in a folder of its own, and measure time and memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent


# A process of its own between us and the stage: Linux counts what we hold ourselves for processes that we start.
WATCH = """
import resource, subprocess, sys
line = [sys.executable, "-m", *sys.argv[1:]]
done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
if done.returncode:
    sys.exit(done.stderr.rstrip())
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


class Cost(NamedTuple):
    """What a run took."""

    seconds: float  # by the clock on the wall
    megabytes: float  # most memory that one of its processes had at once


def run_stage(folder: Path, *command: str, **sections: Any) -> Cost:
    """Run `python -m stages.<command>` in `folder`, with values of these sections of params.yaml changed.

    Raises:
        UserError: the stage stopped; the message ends as its own did.
    """
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, changes in sections.items():
        values[section] |= changes
    # JSON is YAML.
    (folder / "params.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, f"stages.{command[0]}", *command[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        # Above its own sentence are progress bars.
        raise UserError(f"stages.{' '.join(command)} stopped: " + "".join(done.stderr.splitlines()[-1:]))
    # Linux counts kilobytes, macOS bytes.
    return Cost(seconds, int(done.stdout) / (1e6 if sys.platform == "darwin" else 1e3))
