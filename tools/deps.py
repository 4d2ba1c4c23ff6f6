"""Write the modules that each stage imports into dvc.yaml, so that nobody types them and none is forgotten.

A stage depends on its own file, on all modules of `stages/` that it imports, by however many steps, and on the files
that these bring. What lies in `stages/runtime/` changes no byte of an output and is left out (tests/test_runtime.py).
Run: python -m tools.deps [--check]
"""

import argparse
import ast
import re
from collections.abc import Iterable
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
    if new != text:
        if arguments.check:
            raise UserError(f"{FILE} does not list the modules that the stages import; run `python -m tools.deps`.")
        FILE.write_text(new, encoding="utf-8")


def with_modules(text: str) -> str:
    """dvc.yaml with the deps of each stage brought up to date; every other line stays as it is."""
    stages = YAML(typ="safe", pure=True).load(text)["stages"]
    lines = text.splitlines(keepends=True)
    for name, definition in stages.items():
        old = definition.get("do", definition)["deps"]
        new = [dep for dep in old if Path(dep).parts[0] != STAGES.name] + code_of(name, definition.get("foreach", []))
        head = next(n for n in range(lines.index(f"  {name}:\n"), len(lines)) if lines[n].strip() == "deps:")
        lines[head + 1 : head + 1 + len(old)] = [lines[head].replace("deps:", f"  - {dep}") for dep in new]
    return "".join(lines)


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
    names: list[str] = []
    found: set[Path] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            name = re.sub(r"\{\w+\}", KEY, ast.unparse(node.args[0]).removeprefix("f").strip("'\""))
            found.add(Path(name.replace(".", "/") + ".py"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value[:80]:
            # A file beside the module, such as a template.
            beside = file.parent / node.value
            found |= {beside} if len(node.value) < 80 and "\n" not in node.value and beside.is_file() else set()
    modules = {Path(name.replace(".", "/") + ".py") for name in names if name.startswith(f"{STAGES.name}.")}
    return frozenset(found | {module for module in modules if module.is_file()})


if __name__ == "__main__":
    run(main)
