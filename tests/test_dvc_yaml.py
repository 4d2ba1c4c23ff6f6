"""dvc.yaml tells the truth: what a stage imports and reads stands there, and nothing else."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.common import faces, page, params

ROOT = Path(__file__).parent.parent
UNTRACKED = {"data", "runtime", "limits"}
COMMANDS = ["stages/common/gate.py"]  # read params as a stage does
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@cache
def imported(module: str) -> set[str]:
    """The files of ours that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import would escape this test"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {name.replace(".", "/") + ".py" for name in names if name.split(".")[0] == "stages"}
    return {file for file in files if (ROOT / file).exists()}


@cache
def closure(module: str) -> set[str]:
    found, todo = {module}, [module]
    while todo:
        new = imported(todo.pop()) - found
        found |= new
        todo += new
    return found


@cache
def sections_read(module: str) -> set[str]:
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
def keys_read(module: str) -> set[str]:
    """The keys that a file asks sections for."""
    calls = (node for node in ast.walk(tree(module)) if isinstance(node, ast.Call))
    asked = (node.args for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr in READERS)
    return {str(args[0].value) for args in asked if args and isinstance(args[0], ast.Constant)}


def sections_read_by(stage: str) -> set[str]:
    return set().union(*(sections_read(module) for module in closure(stage)))


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


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_exactly_the_modules_imported_and_the_files_they_bring(stage: str) -> None:
    needed = closure(f"stages/{stage}.py")
    for module, file in (("faces", faces.YUNET), ("page", page.TEMPLATE)):
        if f"stages/common/{module}.py" in needed:
            needed = needed | {file.relative_to(ROOT).as_posix()}
    for definition in definitions(stage):
        declared = {dep for dep in definition["deps"] if dep.startswith("stages/")}
        assert declared == needed


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_exactly_the_sections_read(stage: str) -> None:
    read = sections_read_by(f"stages/{stage}.py") - UNTRACKED
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
    assert key in set().union(*(keys_read(module) for file in readers for module in closure(file)))


def test_packages_hold_only_a_docstring() -> None:
    for package in ("stages", "stages/common"):
        assert len(tree(f"{package}/__init__.py").body) == 1


def test_shared_modules_import_downwards_only() -> None:
    for path in (ROOT / "stages/common").glob("*.py"):
        module = path.relative_to(ROOT).as_posix()
        assert all(file.startswith("stages/common/") for file in imported(module)), module
        assert all(module not in closure(file) for file in imported(module)), f"{module} is in a circle of imports"
