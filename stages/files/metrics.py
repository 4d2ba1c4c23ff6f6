"""Files of metrics, as `dvc metrics` reads them."""

import json
from pathlib import Path
from typing import Any

from stages.runtime.errors import reading
from stages.runtime.replacing import replacing


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write nested metrics as JSON."""
    with replacing(path) as file:
        file.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_metrics(path: Path) -> Any:
    """What `write_metrics` wrote."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))
