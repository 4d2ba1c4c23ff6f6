"""Accounts of what came in, what was kept and what was rejected why, which must add up; and the files of metrics."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stages.files.replacing import replacing
from stages.runtime.errors import require


def account(name: str, found: int, kept: int, reasons: Iterable[str]) -> dict[str, Any]:
    """Print and return `{"found", "kept", "rejected": {reason: count}}`; reasons hold one item for each rejection.

    Raises:
        RuntimeError: found is not kept + rejected, which would be a fault of ours.
    """
    rejected = dict(sorted(Counter(reasons).items()))
    if found != kept + sum(rejected.values()):
        raise RuntimeError(f"{name}: {found} found, but {kept} kept and {sum(rejected.values())} rejected")
    print(f"{name}: {found:,} found = {kept:,} kept + {sum(rejected.values()):,} rejected")
    for reason, count in rejected.items():
        print(f"  {count:,} {reason}")
    return {"found": found, "kept": kept, "rejected": rejected}


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write nested metrics as JSON, as `dvc metrics` reads it."""
    with replacing(path) as file:
        file.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_metrics(path: Path) -> Any:
    """What `write_metrics` wrote."""
    require(path)
    return json.loads(path.read_text(encoding="utf-8"))
