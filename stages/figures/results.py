"""The tables of data/evaluation, read to be shown; docs/evaluation.md explains them."""

from pathlib import Path
from typing import Any

import pandas as pd

from stages.runtime.errors import reading, require

EVALUATION = Path("data/evaluation")
TABLES = (
    *("scores", "differences", "confusion", "reliability", "robustness"),
    *("labels", "people", "groups", "gaps", "ceilings"),
)


def read_evaluation() -> dict[str, pd.DataFrame]:
    """All tables, by name; `votes` is there if people voted on FER2013.

    Raises:
        UserError: another one is missing, or one is damaged.
    """
    require(EVALUATION)
    voted = ["votes"] if (EVALUATION / "votes.csv").exists() else []
    return {name: read_figures(EVALUATION / f"{name}.csv") for name in (*TABLES, *voted)}


def read_figures(path: Path) -> pd.DataFrame:
    """A table of figures; an empty cell is NaN."""
    with reading(path):
        return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"group": str})


def by_model(table: pd.DataFrame, keys: list[str]) -> list[dict[str, Any]]:
    """A row for each combination of `keys`, in the table's order, with the table's row of each model under its name."""
    rows = []
    for _, pair in table.groupby(keys, sort=False):
        models = pair.to_dict("records")
        rows.append(models[0] | {str(row["model"]): row for row in models})
    return rows
