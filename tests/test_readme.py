"""The documentation: commands of README run as typed, figures are the committed ones, links lead somewhere."""

import functools
import json
import operator
import re
import sys
from pathlib import Path

import pytest
from test_pipeline import EMOTIONS, run, tiny_repository

from stages.runtime.params import RENAMED

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
READMES = ("README.md", "README.ko.md")
# Commands that are not typed here, and why.
NOT_TYPED = {
    "make demo": "it serves the page until Ctrl-C",
    "python -m demo --camera 0 --out result2": "it needs a camera",
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name: str) -> list[str]:
    """What is to be typed, from top to bottom, without comments."""
    blocks = re.findall(r"^```console\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE)
    typed = re.findall(r"^\$ (.*(?:\\\n.*)*)", "\n".join(blocks), re.MULTILINE)
    return [re.sub(r"\s+#.*", "", command) for command in typed]


@pytest.mark.timeout(900)  # of a dozen commands, one of which runs the pipeline
def test_commands_can_be_typed_from_top_to_bottom(tmp_path: Path) -> None:
    typed = commands("README.md")
    assert typed[:2] == ["git clone URL emotions && cd emotions", "make run"]
    assert NOT_TYPED.keys() <= set(typed)
    run(tmp_path, "git", "clone", "-q", "--bare", str(tiny_repository(tmp_path / "tiny")), "origin.git")
    # This environment in place of a new one.
    (tmp_path / "venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / "venv" / name).symlink_to(Path(sys.prefix) / name)
    clone, make, *rest = [command.replace("URL", "origin.git") for command in typed if command not in NOT_TYPED]
    prepared = "cp -r ../venv .venv && touch .venv/installed"
    # What the default run writes is committed in the real repository.
    committed = "git add . && git commit -qm 'first run'"
    script = ["set -ex", clone, prepared, make, committed, *rest, "git status --porcelain >../left"]
    run(tmp_path, "bash", "-c", "\n".join(script))
    assert (tmp_path / "left").read_text() == ""
    figures = json.loads((tmp_path / "emotions/metrics/evaluate.json").read_text(encoding="utf-8"))
    for name in re.findall(r"^metrics/evaluate.json +(\S+)", text("README.md"), re.MULTILINE):
        assert 0 <= functools.reduce(operator.getitem, name.split("."), figures) <= 1
    # So that a colleague's clone knows the remote.
    assert "../store" in run(tmp_path, "git", "--git-dir=origin.git", "show", "HEAD:.dvc/config")


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
        for name in ("accuracy", *EMOTIONS):
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
