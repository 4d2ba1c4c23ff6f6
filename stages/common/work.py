"""A folder for work in progress, so that a killed run goes on where it was.

It lies outside of DVC and git, and is named by a digest of all that the result depends on: when an input,
a value or a line of our code changes, the name changes and nothing stale is picked up.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(".work")


def folder(stage: str, inputs: Sequence[Path], values: dict[str, Any]) -> Path:
    """The work folder of `stage` for these input files, values (JSON types) and the code of ours now loaded."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in [*inputs, *_own_code()]:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    place = ROOT / stage / digest.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    return place


def _own_code() -> list[Path]:
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "stages"}
    files = [getattr(module, "__file__", None) for _, module in sorted(modules.items())]
    return sorted({Path(file) for file in [*files, sys.modules["__main__"].__dict__.get("__file__")] if file})


def done(place: Path) -> None:
    """Remove a work folder (and older ones of the same stage) once the stage's outputs are written."""
    finished = place.parent.with_name(f"{place.parent.name}.done")
    shutil.rmtree(finished, ignore_errors=True)
    # In one step: half a folder, should this be killed, must not look like work to go on with.
    place.parent.rename(finished)
    shutil.rmtree(finished)
