"""Read params.yaml, one section at a time, and check each value where it is used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.runtime.errors import UserError

FILE = Path("params.yaml")


class Section:
    """One section of params.yaml. Every reader names a key, says what it may be, and fails in one sentence."""

    def __init__(self, name: str, values: dict[str, Any], file: Path = FILE) -> None:
        """Keep the section's name and file, for messages, and its values."""
        self.name = name
        self.values = values
        self.file = file

    def fail(self, key: str, expected: str) -> NoReturn:
        """Say that `key` is missing or not as `expected`."""
        if key not in self.values:
            raise UserError(f"{self.file}: {self.name}.{key} is missing; it must be {expected}.")
        raise UserError(f"{self.file}: {self.name}.{key} is {self.values[key]!r}, but must be {expected}.")

    def value(self, key: str) -> Any:
        """Whatever stands there, to be compared."""
        if key not in self.values:
            self.fail(key, "there")
        return self.values[key]

    def number(self, key: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.fail(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(key, f"a whole number from {low} to {high}")
        return value

    def flag(self, key: str) -> bool:
        """`true` or `false`."""
        value = self.values.get(key)
        if not isinstance(value, bool):
            self.fail(key, "true or false")
        return value

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            self.fail(key, "a text")
        return value

    def optional_text(self, key: str) -> str:
        """A text, or "" for nothing (`null`)."""
        if key in self.values and self.values[key] is None:
            return ""
        return self.text(key)

    def choice(self, key: str, options: Sequence[str]) -> str:
        """One of `options`."""
        value = self.values.get(key)
        if value not in options:
            self.fail(key, f"one of {', '.join(options)}")
        return str(value)

    def integers(self, key: str, low: int, high: int) -> list[int]:
        """A list of whole numbers from `low` to `high`; may be empty."""
        value = self.values.get(key)
        if not isinstance(value, list) or not all(type(v) is int and low <= v <= high for v in value):
            self.fail(key, f"a list of whole numbers from {low} to {high}")
        return list(value)

    def texts(self, key: str) -> list[str]:
        """A list of texts that are not empty, none of them twice; may be empty itself."""
        value = self.values.get(key)
        if (
            not isinstance(value, list)
            or not all(isinstance(v, str) and v for v in value)
            or len(set(value)) < len(value)
        ):
            self.fail(key, "a list of different texts")
        return list(value)

    def integer_lists(self, key: str, low: int, high: int) -> list[list[int]]:
        """A list of lists of whole numbers from `low` to `high`; none of them empty."""
        value = self.values.get(key)
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(part, list) and part for part in value)
            or not all(type(v) is int and low <= v <= high for part in value for v in part)
        ):
            self.fail(key, f"a list of lists of whole numbers from {low} to {high}")
        return [list(part) for part in value]

    def table(self, key: str) -> dict[str, str | None]:
        """A table from text to text, or to nothing (`null`)."""
        value = self.values.get(key)
        if not isinstance(value, dict) or not all(v is None or isinstance(v, str) for v in value.values()):
            self.fail(key, "a table of `name: name` or `name: null` lines")
        return {str(k): v for k, v in value.items()}


def section(name: str, file: Path = FILE) -> Section:
    """The section `name` of params.yaml in the current folder (or another file); a dot leads to a section inside one.

    Read as YAML 1.2, as DVC does: `1e-05`, which `dvc exp run -S` writes, is a number there and a text in YAML 1.1.
    """
    try:
        values = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (YAMLError, ValueError) as error:  # ValueError: no UTF-8, or an impossible date
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        raise UserError(f"{file} is not valid YAML{place}; compare it with the committed one.") from None
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise UserError(f"{file} has no section `{name}`; compare it with the committed one (git diff {file}).")
    return Section(name, values, file)


def emotions() -> dict[str, str]:
    """The classes, in the order of their numbers: English name -> the word that AI-Hub 82 uses."""
    names = section("emotions").values
    if len(names) < 2 or not all(isinstance(word, str) for pair in names.items() for word in pair):
        raise UserError(f"{FILE}: emotions must be at least two lines of `english: korean`.")
    if len(set(names.values())) < len(names):
        raise UserError(f"{FILE}: emotions names a Korean word twice; each stands for one class.")
    return dict(names)
