"""A folder for work in progress, so that a killed run goes on where it was.

It lies outside of DVC and git, and is named by a digest of input files, values and code: when an input, a value or a
line of the code that dvc.yaml lists changes, the name changes and nothing stale is picked up.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(".work")
NEUTRAL = Path(__file__).parent  # this package: it changes no byte of an output


@contextmanager
def folder(stage: str, inputs: Sequence[Path], values: dict[str, Any]) -> Iterator[Path]:
    """Yield the work folder of `stage` for these input files, values (JSON types) and the code now loaded.

    A stage writes its outputs inside the `with` block: once it ends without an exception, the folder is removed, with
    older ones of the same stage.
    """
    digest = hashlib.sha256(json.dumps(values).encode())
    for path in [*inputs, *_code()]:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    place = ROOT / stage / digest.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    yield place
    finished = place.parent.with_name(f"{stage}.done")
    shutil.rmtree(finished, ignore_errors=True)
    # In one step: half a folder, should this be killed, must not look like work to go on with.
    place.parent.rename(finished)
    shutil.rmtree(finished)


def _code() -> list[Path]:
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "stages"}
    files = [getattr(module, "__file__", None) for _, module in sorted(modules.items())]
    paths = {Path(file) for file in [*files, sys.modules["__main__"].__dict__.get("__file__")] if file}
    return sorted(path for path in paths if path.parent != NEUTRAL and path.name != "__init__.py")
