"""dvc.yaml tells the truth: what a stage imports and reads stands there, and nothing else."""

import ast
import graphlib
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tools.deps import needs, with_modules

ROOT = Path(__file__).parent.parent
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


@cache
def tree(module: str | Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8"))


def test_every_stage_file_is_a_stage_and_the_other_way_round() -> None:
    assert sorted(load("dvc.yaml")["stages"]) == STAGES


def test_deps_are_those_that_the_tool_finds() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert with_modules(text) == text


def test_every_stage_says_what_it_does() -> None:
    for name, definition in load("dvc.yaml")["stages"].items():
        assert definition.get("do", definition).get("desc"), name


def test_crop_has_an_instance_for_each_emotion() -> None:
    assert load("dvc.yaml")["stages"]["crop"]["matrix"]["emotion"] == list(load("params.yaml")["emotions"])


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
