"""Take the values that a network was trained with: merge weights/NAME.yaml into params.yaml, whose comments stay.

`original` is the network of the project that this one grew out of. `data:`, `runtime:` and whatever else the preset
does not name stay as they are. `git diff params.yaml` shows what has changed, `git checkout params.yaml` undoes it.
Run: python -m tools.preset NAME
"""

import argparse
import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from stages.runtime import params
from stages.runtime.errors import run
from stages.runtime.replacing import replacing
from stages.training.presets import Preset, file_of

WHOLE = ("emotions", "classes")  # their keys are the preset's, too, and in its order, which numbers the classes


def main() -> None:
    """Merge one preset."""
    parser = argparse.ArgumentParser(prog="python -m tools.preset", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", metavar="NAME", help="of weights/NAME.yaml")
    file = file_of(parser.parse_args().name, ".yaml")
    params.load()  # what is wrong before is no fault of the preset
    params.read(file, Preset)
    values = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    values.pop("trained_on", None)
    data = merged(params.FILE.read_text(encoding="utf-8-sig"), values).encode()
    params.parse(data, f"{params.FILE} with {file}", params.Params)
    with replacing(params.FILE) as place:
        place.write_bytes(data)


def merged(text: str, values: Mapping[str, Any]) -> str:
    """The YAML `text` with these values in place of its own; its comments and its other values stay."""
    yaml = YAML()
    yaml.width = 10_000
    document = yaml.load(text)
    _merge(document, values)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _merge(document: CommentedMap, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if key in WHOLE:
            _replace(document[key], value)
        elif isinstance(value, Mapping):
            _merge(document[key], value)
        elif document[key] != value:
            document[key] = value


def _replace(document: CommentedMap, values: Mapping[str, Any]) -> None:
    # The comment above what follows hangs on the last key.
    comment = document.ca.items.pop(next(reversed(document)), None)
    document.clear()
    document.update(values)
    if comment:
        document.ca.items[next(reversed(document))] = comment


if __name__ == "__main__":
    run(main)
