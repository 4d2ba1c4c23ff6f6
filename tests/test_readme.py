"""The documentation: figures are the committed ones, links lead somewhere. Its commands run in test_experiments.py."""

import functools
import json
import operator
import re
from pathlib import Path

import pytest
from conftest import ROOT, params_with
from pipeline import commands

from stages.runtime.params import RENAMED

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
READMES = ("README.md", "README.ko.md")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_figures_that_the_readme_prints_exist() -> None:
    figures = json.loads(text("metrics/evaluate.json"))
    names = re.findall(r"^metrics/evaluate.json +(\S+)", text("README.md"), re.MULTILINE)
    assert names
    for name in names:
        assert 0 <= functools.reduce(operator.getitem, name.split("."), figures) <= 1


@pytest.mark.parametrize("name", READMES)
def test_readme_is_read_in_three_minutes(name: str) -> None:
    assert len(text(name).encode()) <= 9_000
    assert text(name).count("\n") <= 150


def test_both_readmes_have_the_same_commands_and_figures() -> None:
    english, korean = (commands(name) for name in READMES)
    assert english == korean
    figures = [re.findall(r"\d+\.\d+ %|\[\d.*?\]|\d+\.\d+ ms", text(name)) for name in READMES]
    assert figures[0] == figures[1]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"(?:\]\(|src=\")([^)\"#:\s]*)(?:#([^)\s]*))?[)\"]", path.read_text(encoding="utf-8"))
    for name, anchor in links:
        target = path.parent / name if name else path
        assert target.exists(), name
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{name}#{anchor}"


def test_the_sample_table_is_that_of_the_committed_run() -> None:
    # Written by `python -m tools.table`.
    parts = text("docs/sample_table.txt").split("\n\n")
    for part, by_model in zip(parts, json.loads(text("metrics/evaluate.json")).values(), strict=False):
        for name in ("accuracy", *params_with({})["emotions"]):
            line = next(line for line in part.splitlines() if line.startswith(f"  {name} "))
            expected = [f"{100 * by_model[model][name]:.1f}" for model in ("before", "after")]
            assert re.findall(r"([\d.]+) \[", line)[:2] == expected


def test_changelog_lists_what_was_renamed() -> None:
    changes = text("CHANGELOG.md")
    for old, new in RENAMED.items():
        assert f"| `{old}` | `{new}` |" in changes


def test_the_tests_that_a_page_names_are_there() -> None:
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", text("docs/faults.md"))
    assert len(named) > 10
    for file, name in named:
        assert f"def {name}(" in text(file), name
