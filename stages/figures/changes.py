"""What a run changed of the values that this repository came with."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

# A copy of params.yaml without its comments, a line for each value: a run may commit a params.yaml of its own.
DEFAULTS = Path(__file__).parent / "defaults.yaml"


def changes(sections: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Key, value and default of each value in `sections` that differs from DEFAULTS; "–" where one has no such key."""
    defaults = YAML(typ="safe", pure=True).load(DEFAULTS.read_text(encoding="utf-8"))
    known = {key: value for key, value in defaults.items() if key.partition(".")[0] in sections}
    values = dict(flat(sections))
    keys = [*values, *(key for key in known if key not in values)]
    return [
        (key, *(_text(place[key]) if key in place else "–" for place in (values, known)))
        for key in keys
        if key not in values or key not in known or values[key] != known[key]
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested sections by their dotted keys, in order."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
