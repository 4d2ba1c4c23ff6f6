"""CSV tables, the same bytes on every machine; names of files that are no valid Unicode pass through unchanged."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from stages.runtime.errors import reading
from stages.runtime.replacing import replacing


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write `table` without its index, as UTF-8 with `\\n` line ends."""
    with replacing(path) as file:
        table.to_csv(file, index=False, encoding="utf-8", errors="surrogateescape", lineterminator="\n")


def read_table(path: Path, *whole_numbers: str) -> pd.DataFrame:
    """Read a table that `write_table` wrote: all columns are texts (an empty cell an empty one) but `whole_numbers`."""
    types: defaultdict[str, type] = defaultdict(lambda: str, dict.fromkeys(whole_numbers, int))
    with reading(path):
        # A carriage return may be part of a name.
        return pd.read_csv(
            path, encoding_errors="surrogateescape", lineterminator="\n", keep_default_na=False, dtype=types
        )


def with_columns(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The table behind new first columns, which are the same in each row."""
    return table.assign(**values)[[*values, *table]]
