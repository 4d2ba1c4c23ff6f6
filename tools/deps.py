"""Write the modules that each stage imports into dvc.yaml, so that nobody types them and none is forgotten.

A stage depends on its own file, on all modules of `stages/` that it imports, by however many steps, and on the files
that these bring. What lies in `stages/runtime/` changes no byte of an output and is left out (tests/test_runtime.py).
Run: python -m tools.deps [--check]
"""

import argparse
import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from stages.runtime.errors import UserError, run

FILE = Path("dvc.yaml")
STAGES = Path("stages")
NEUTRAL = STAGES / "runtime"
KEY = "${key}"  # in dvc.yaml: an instance of a group


def main() -> None:
    """Bring dvc.yaml up to date, or only say whether it is."""
    parser = argparse.ArgumentParser(prog="python -m tools.deps", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if dvc.yaml is not up to date")
    arguments = parser.parse_args()
    text = FILE.read_text(encoding="utf-8")
    new = with_modules(text)
    if arguments.check and new != text:
        raise UserError(f"{FILE} does not list the modules that the stages import; run `python -m tools.deps`.")
    if new != text:
        FILE.write_text(new, encoding="utf-8")


def with_modules(text: str) -> str:
    """dvc.yaml with the deps of each stage brought up to date; every other line stays as it is."""
    stages = YAML(typ="safe", pure=True).load(text)["stages"]
    lines = text.splitlines(keepends=True)
    for name, definition in stages.items():
        old = definition.get("do", definition)["deps"]
        data = [dep for dep in old if not is_code(dep)]
        start = next(n for n, line in enumerate(lines) if line == f"  {name}:\n")
        first = next(n for n in range(start, len(lines)) if lines[n].strip() == "deps:") + 1
        indent = lines[first - 1].partition("deps:")[0] + "  "
        lines[first : first + len(old)] = [
            f"{indent}- {dep}\n" for dep in (*data, *code_of(name, definition.get("foreach", [])))
        ]
    return "".join(lines)


def is_code(dep: str) -> bool:
    """Whether a line of `deps` names code, and not data."""
    return Path(dep).parts[0] == STAGES.name


def code_of(stage: str, keys: Iterable[str]) -> list[str]:
    """The files of ours that a stage's output follows from, as dvc.yaml lists them; `keys` are those of a group."""
    files = closure(STAGES / f"{stage}.py")
    for reader in [file for file in files if KEY in file.name]:
        # Each instance depends on its own reader, and all on what the readers need.
        readers = {reader.with_name(reader.name.replace(KEY, key)) for key in keys}
        files |= set().union(*map(closure, readers)) - readers
    return sorted(path.as_posix() for path in files if NEUTRAL not in path.parents)


def closure(module: Path) -> set[Path]:
    """A file and all that it needs, directly or by way of others."""
    found, todo = {module}, [module]
    while todo:
        new = needs(todo.pop()) - found
        found |= new
        todo += new
    return found


@cache
def needs(file: Path) -> frozenset[Path]:
    """The files of ours that a file imports or names, anywhere in it; the reader of a data set as `${key}.py`."""
    if file.suffix != ".py" or KEY in file.name:
        return frozenset()
    found: set[Path] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= set(modules(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found |= set(modules([base, *(f"{base}.{alias.name}" for alias in node.names)]))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            name = re.sub(r"\{\w+\}", KEY, ast.unparse(node.args[0]).removeprefix("f").strip("'\""))
            found.add(Path(name.replace(".", "/") + ".py"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value[:80]:
            # A file beside the module, such as a template.
            beside = file.parent / node.value
            found |= {beside} if len(node.value) < 80 and "\n" not in node.value and beside.is_file() else set()
    return frozenset(found)


def modules(names: Iterator[str] | list[str]) -> Iterator[Path]:
    """The files of those names that are modules of `stages`."""
    for name in names:
        path = Path(name.replace(".", "/") + ".py")
        if name.startswith(f"{STAGES.name}.") and path.is_file():
            yield path


if __name__ == "__main__":
    run(main)
