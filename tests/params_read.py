"""Which values of params.yaml a file of ours reads: by its source alone, every annotation and assignment followed."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel
from ruamel.yaml import YAML

from stages.runtime import params
from tools.deps import NEUTRAL, closure

ROOT = Path(__file__).parent.parent
Class = type[BaseModel]
CLASSES: dict[str, Class] = {
    name: value for name, value in vars(params).items() if isinstance(value, type) and issubclass(value, BaseModel)
}


def section_of(owner: Class, name: str) -> Class | None:
    """The class of the section `name` of `owner`; None if it is a plain value."""
    field = owner.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


SECTIONS = {
    name: kind
    for owner in (params.Params, params.Index)
    for name in owner.model_fields
    if (kind := section_of(owner, name))
}


@cache
def read_in(file: Path) -> frozenset[tuple[Class, str]]:
    """(class of a section, key) for each value that a file reads; (Params, section) for each section it takes."""
    found: set[tuple[Class, str]] = set()
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef):
            found |= set(_read_in_scope(scope))
    return frozenset(found)


def _read_in_scope(scope: ast.FunctionDef) -> Iterator[tuple[Class, str]]:
    known: dict[str, Class] = {}
    for argument in [*scope.args.args, *scope.args.kwonlyargs]:
        for part in ast.walk(argument.annotation) if argument.annotation else ():
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            if name in CLASSES:
                known[argument.arg] = CLASSES[name]
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                for left, right in pairs:
                    if isinstance(left, ast.Name) and (kind := _class_of(right, known)):
                        known[left.id] = kind
    # Of `settings.index.fer2013` only the data set is read.
    data_set = {*params.Index.model_fields, "of"}
    attributes = [node for node in ast.walk(scope) if isinstance(node, ast.Attribute)]
    parts = {id(node.value) for node in attributes if node.attr in data_set and _class_of(node.value, known)}
    for node in ast.walk(scope):
        if isinstance(node, ast.Attribute) and (owner := _class_of(node.value, known)) and id(node) not in parts:
            yield owner, node.attr
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".model_dump"):
            owner = _class_of(node.func.value, known) if isinstance(node.func, ast.Attribute) else None
            for keyword in node.keywords:
                if owner and keyword.arg == "include":
                    yield from ((owner, str(key)) for key in ast.literal_eval(keyword.value))


def _class_of(node: ast.expr, known: dict[str, Class]) -> Class | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Call):
        return params.Params if ast.unparse(node.func) == "params.load" else None
    if isinstance(node, ast.Attribute):
        owner = _class_of(node.value, known)
        # `card.crop` is the section `crop`, whoever holds it.
        return section_of(owner, node.attr) if owner else SECTIONS.get(node.attr)
    return None


def modules(stage: Path) -> list[Path]:
    """The Python files that a stage or a command of ours runs."""
    return [
        path
        for path in closure(stage)
        if path.suffix == ".py" and path.is_file() and path != Path("stages/runtime/params.py")
    ]


def sections_read_by(stage: Path) -> set[str]:
    """The sections that a stage's output follows from; of `index:` the data set, where it names one."""
    # What stages/runtime asks for, such as when to give up, changes no byte of an output.
    read = set().union(*(read_in(module) for module in modules(stage) if NEUTRAL not in module.parents))
    sections = {key for owner, key in read if owner is params.Params and key in params.Params.model_fields}
    data_sets = {f"index.{key}" for owner, key in read if owner is params.Index and key in params.Index.model_fields}
    if (params.Index, "of") in read:
        manual = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        data_sets |= {f"index.{key}" for key in manual["index"]}
    return sections if "index" in sections else sections | data_sets
