"""A study of several experiments, for a reader: its table and its picture, from docs/studies/NAME.csv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from pydantic import RootModel

from stages.figures import charts
from stages.runtime.params import Section, Text, read

FOLDER = Path("docs/studies")
ABOUT = FOLDER / "about.yaml"
HEADINGS = {
    "korean_validation": "Korean validation",
    "fer2013_validation": "FER2013 validation",
    "korean": "Korean test",
    "fer2013": "FER2013 test",
}
COLOURS = dict(zip(HEADINGS, (charts.THIRD, charts.FOURTH, charts.AFTER, charts.BEFORE), strict=True))


class Study(Section):
    """A study in words."""

    question: Text
    data: Text
    answer: Text


class About(RootModel[dict[str, Study]]):
    """docs/studies/about.yaml: what each study is about, by its name."""


def read_about() -> dict[str, Study]:
    """What about.yaml says of each study."""
    return read(ABOUT, About).root if ABOUT.exists() else {}


def files(about: Mapping[str, Any]) -> list[Path]:
    """The tables of all studies: in the order of about.yaml, then what it does not describe."""
    places = {name: place for place, name in enumerate(about)}
    return sorted(FOLDER.glob("*.csv"), key=lambda path: (places.get(path.stem, len(places)), path.stem))


def keys_of(table: pd.DataFrame) -> list[str]:
    """The values under study: what stands before the column `runs`."""
    return list(table.columns[: list(table.columns).index("runs")])


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown: a heading, a row for each combination in percent, and the accuracy before transfer."""
    keys, headings = keys_of(table), headings_of(table)
    lines = [[*keys, "runs", *headings.values()]]
    for row in table.to_dict("records"):
        values, figures = (_text(row[key]) for key in keys), (_percent(row, name) for name in headings)
        lines.append([*values, str(row["runs"]), *figures])
    if any(last := before(table)):
        lines.append(["before transfer", *[""] * len(keys), *last])
    heading, *others = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([heading, "|" + "---|" * len(lines[0]), *others])


def rows(table: pd.DataFrame) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """The table for a narrow page: of each combination its values in one text, the runs, each figure and its spread.

    Of a key only its last part is shown, so `finetune.lr` is `lr`.
    """
    keys = keys_of(table)
    found = []
    for row in table.to_dict("records"):
        values = ", ".join(f"{key.rpartition('.')[2]} {_text(row[key])}" for key in keys)
        parts = (_percent(row, name).partition(" ± ") for name in headings_of(table))
        found.append((values, row["runs"], [(mean, spread) for mean, _, spread in parts]))
    return found


def is_over_a_number(table: pd.DataFrame) -> bool:
    """Whether a single number varies, so that the figures are lines over it."""
    keys = keys_of(table)
    return len(keys) == 1 and pd.api.types.is_numeric_dtype(table[keys[0]]) and table[keys[0]].dtype != bool


def headings_of(table: pd.DataFrame) -> dict[str, str]:
    """The heading of each figure that the table has, by its column."""
    return {name: heading for name, heading in HEADINGS.items() if name in table}


def before(table: pd.DataFrame) -> list[str]:
    """The accuracy before transfer in percent under each heading, "" where it was not measured.

    Where the runs started from several networks, the lowest and the highest.
    """
    found = []
    for column in (f"{name}_before" for name in headings_of(table)):
        values = sorted({f"{100 * value:.1f}" for value in table.get(column, [])}, key=float)
        found.append(" to ".join(values[:1] + values[1:][-1:]))
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(row: Any, name: str) -> str:
    spread = row[f"{name}_sd"]
    return f"{100 * row[name]:.1f}" + ("" if pd.isna(spread) else f" ± {100 * spread:.1f}")


def draw(table: pd.DataFrame, name: str) -> Figure:
    """The picture: a line over the values if a single number varies, else a row for each combination."""
    keys = keys_of(table)
    percent = 100 * table.drop(columns=keys).fillna(0)
    series = {
        heading: (percent[figure].to_numpy(), percent[f"{figure}_sd"].to_numpy(), COLOURS[figure])
        for figure, heading in headings_of(table).items()
    }
    if is_over_a_number(table):
        return charts.lines_over(name, keys[0], table[keys[0]].to_numpy(), series)
    rows = [" · ".join(_text(row[key]) for key in keys) for row in table.to_dict("records")]
    meaning = " · ".join(key.split(".")[-1] for key in keys)
    return charts.rows_with_spread(name, meaning, rows, series)
