"""dvc.yaml tells the truth: what a stage imports and reads stands there, and nothing else."""

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.runtime import params
from tools.deps import NEUTRAL, closure, needs, with_modules

ROOT = Path(__file__).parent.parent
UNTRACKED = {"data", "runtime", "limits"}
COMMANDS = ["tools/gate.py"]  # read params as a stage does
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


@cache
def tree(module: str | Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@cache
def sections_read(module: str | Path) -> set[str]:
    """The sections that a file reads: all go through params.section("...") or params.emotions().

    A second argument is another file than params.yaml.
    """
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "section" and len(node.args) == 1:
                argument = node.args[0]
                assert isinstance(argument, ast.Constant), f"{module}: name the section literally, so it can be checked"
                found.add(str(argument.value))
            elif node.func.attr == "emotions":
                found.add("emotions")
    return found


READERS = {name for name, member in vars(params.Section).items() if not name.startswith("_") and callable(member)}


@cache
def keys_read(module: str | Path) -> set[str]:
    """The keys that a file asks sections for."""
    calls = (node for node in ast.walk(tree(module)) if isinstance(node, ast.Call))
    asked = (node.args for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr in READERS)
    return {str(args[0].value) for args in asked if args and isinstance(args[0], ast.Constant)}


def sections_read_by(stage: str) -> set[str]:
    return set().union(*(sections_read(module) for module in closure(Path(stage)) if module.suffix == ".py"))


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8"))


def definitions(stage: str) -> list[dict[str, Any]]:
    """A stage's definition, with `${key}` replaced by each key if it is a group."""
    definition = load("dvc.yaml")["stages"][stage]
    if "foreach" not in definition:
        return [definition]
    text = repr(definition["do"])
    return [ast.literal_eval(text.replace("${key}", key)) for key in definition["foreach"]]


def test_every_stage_file_is_a_stage_and_the_other_way_round() -> None:
    assert sorted(load("dvc.yaml")["stages"]) == STAGES


def test_deps_are_those_that_the_tool_finds() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert with_modules(text) == text


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_exactly_the_sections_read(stage: str) -> None:
    # What stages/runtime asks for, such as when to give up, changes no byte of an output.
    modules = (module for module in closure(Path(f"stages/{stage}.py")) if NEUTRAL not in module.parents)
    read = set().union(*(sections_read(module) for module in modules if module.suffix == ".py")) - UNTRACKED
    declared = set().union(*(definition["params"] for definition in definitions(stage)))
    assert declared == read


def test_every_stage_says_what_it_does() -> None:
    for name, definition in load("dvc.yaml")["stages"].items():
        assert definition.get("do", definition).get("desc"), name


def test_crop_has_an_instance_for_each_emotion() -> None:
    assert load("dvc.yaml")["stages"]["crop"]["matrix"]["emotion"] == list(load("params.yaml")["emotions"])


def leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """(section, key) of each value; `index:` is read a section deeper, a table of names as one value."""
    for key, inner in value.items():
        if isinstance(inner, dict) and name == "index":
            yield from leaves(f"{name}.{key}", inner)
        else:
            yield name, key


@pytest.mark.parametrize(
    ("section", "key"),
    [leaf for name, value in load("params.yaml").items() if name != "emotions" for leaf in leaves(name, value)],
)
def test_every_value_in_params_is_read(section: str, key: str) -> None:
    """A stage or command that reads the section asks a section for the key, itself or in a module that it imports.

    A key of the same name in another section that it reads hides one that is not asked for.
    """
    files = [*(f"stages/{stage}.py" for stage in STAGES), *COMMANDS]
    readers = [file for file in files if section in sections_read_by(file)]
    modules = {path for file in readers for path in closure(Path(file)) if path.suffix == ".py"}
    assert key in set().union(*map(keys_read, modules))


def test_packages_hold_only_a_docstring() -> None:
    for package in (ROOT / "stages").rglob("__init__.py"):
        assert len(tree(package.relative_to(ROOT).as_posix()).body) == 1, package


def test_imports_run_downwards_only() -> None:
    """No package of `stages` imports a stage, a tool or, by however many steps, itself."""
    rooms: dict[str, set[str]] = {}
    for path in (ROOT / "stages").glob("*/*.py"):
        for needed in needs(path.relative_to(ROOT)):
            assert len(needed.parts) > 2, f"{path} imports the stage {needed}"
            rooms.setdefault(path.parent.name, set()).add(needed.parts[1])
    order = [*graphlib.TopologicalSorter({room: below - {room} for room, below in rooms.items()}).static_order()]
    assert order[0] == "runtime"
    for path in (ROOT / "stages").rglob("*.py"):
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"tools", "demo", "benchmarks", "tests"}, path
