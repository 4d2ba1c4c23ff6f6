"""A study: the experiments that differ in nothing but the values under study and in seeds, as a table and a picture.

Run: python -m tools.study [--stage STAGE] NAME KEY [KEY ...], after `dvc exp run --run-all`; KEY is a value
of params.yaml, such as finetune.lr, and STAGE the last one that the experiments ran: pretrain, transfer or evaluate
(the default). docs/studies.md lists the studies with their commands.
Out: docs/studies/NAME.csv, a row for each combination of the values, sorted by validation accuracy: the values, `runs`,
and of each figure in `FIGURES` (a share, 0 to 1) the mean over the runs and its standard deviation (`_sd`; empty for a
single run); and docs/studies/NAME.png.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd
from ruamel.yaml import YAML

from stages.figures import charts
from stages.figures.changes import flat
from stages.figures.study_table import FOLDER, draw, markdown
from stages.files.tables import write_table
from stages.runtime.errors import UserError, run

# What a study measures, by the last stage of its runs and by its column: the key under which `dvc exp show` has it.
# Choices are made by the first.
_TRANSFER = {
    "korean_validation": "transfer.validation.accuracy",
    "fer2013_validation_before": "pretrain.validation.accuracy",
    "fer2013_validation": "transfer.fer2013_validation.accuracy",
}
FIGURES = {
    "pretrain": {"fer2013_validation": "pretrain.validation.accuracy"},
    "transfer": _TRANSFER,
    "evaluate": _TRANSFER
    | {
        "korean_before": "korean.before.accuracy",
        "korean": "korean.after.accuracy",
        "fer2013_before": "fer2013.before.accuracy",
        "fer2013": "fer2013.after.accuracy",
    },
}
# What runs are averaged over; other seeds choose other faces.
TRAINING_SEEDS = {"pretrain.seed", "finetune.seed"}
# Sections of params.yaml that change no byte of a result.
NO_RESULT = ("runtime", "limits")


class Run(NamedTuple):
    """What went into an experiment, by its dotted key, and what came out, by its column; none if it is not finished."""

    params: dict[str, Any]
    figures: dict[str, float]


def main() -> None:
    """Write table and picture of one study, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.study", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stage", choices=list(FIGURES), default="evaluate", help="the last that the experiments ran")
    parser.add_argument("name", metavar="NAME", help="of the files in docs/studies")
    parser.add_argument("keys", metavar="KEY", nargs="+", help="a value of params.yaml, such as finetune.lr")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json"]
    try:
        shown = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=600)
    except subprocess.TimeoutExpired:
        raise UserError("`dvc exp show` did not end within ten minutes; is another dvc command at work?") from None
    if shown.returncode:
        raise UserError(f"`dvc exp show` failed: {shown.stderr.strip()}")
    table = summary(read_runs(json.loads(shown.stdout), arguments.stage, read_lock), arguments.keys)
    write_table(table, FOLDER / f"{arguments.name}.csv")
    charts.save(draw(table, arguments.name), FOLDER / f"{arguments.name}.png")
    print(markdown(table))


def read_lock(revision: str) -> str:
    """The text of dvc.lock in a commit, or in the `workspace`; empty if it has none."""
    if revision == "workspace":
        lock = Path("dvc.lock")
        return lock.read_text(encoding="utf-8") if lock.exists() else ""
    return subprocess.run(
        ["git", "show", f"{revision}:dvc.lock"], capture_output=True, encoding="utf-8", check=False
    ).stdout


def read_runs(shown: Sequence[dict[str, Any]], stage: str, lock_of: Callable[[str], str]) -> list[Run]:
    """The runs in what `dvc exp show --json` prints: the workspace first, then commits and their experiments.

    Of each the figures of `stage`, by column, as in `FIGURES`, and none if the run ended before it. `lock_of` reads the
    dvc.lock of a revision.
    """
    runs = []
    for commit in shown:
        experiments = (revision for found in commit["experiments"] or [] for revision in found["revs"] or [])
        for revision in (commit, *experiments):
            if revision["data"] is not None:
                run = _run(revision["data"], FIGURES[stage])
                # One that is queued has no figures, and need not have a dvc.lock.
                finished = run.figures and ran(lock_of(revision["rev"]), stage, run.params)
                runs.append(run if finished else run._replace(figures={}))
    return runs


def ran(lock: str, stage: str, params: dict[str, Any]) -> bool:
    """Whether `stage` and all before it ran with `params`: of one that did not, DVC shows the commit's figures.

    `lock` is the text of dvc.lock, which says with what values a stage ran and what it read and wrote.
    """
    entries = (YAML(typ="safe").load(lock) or {}).get("stages", {})
    if stage not in entries:
        return False
    written = {out["path"]: out["md5"] for entry in entries.values() for out in entry.get("outs", [])}
    for name in _with_upstream(entries, stage):
        used = flat(entries[name].get("params", {}).get("params.yaml", {}))
        read = {dependency["path"]: dependency["md5"] for dependency in entries[name].get("deps", [])}
        if any(key not in params or params[key] != value for key, value in used):
            return False
        if any(written.get(path, digest) != digest for path, digest in read.items()):
            return False
    return True


def _with_upstream(entries: dict[str, Any], stage: str) -> list[str]:
    """`stage` and those before it: whose outputs, or files in them, it reads."""
    writers = {out["path"]: name for name, entry in entries.items() for out in entry.get("outs", [])}
    found = [stage]
    for name in found:
        for dependency in entries[name].get("deps", []):
            path = PurePosixPath(dependency["path"])
            makers = {writers[place.as_posix()] for place in (path, *path.parents) if place.as_posix() in writers}
            found += sorted(makers - set(found))
    return found


def _run(data: dict[str, Any], figures: dict[str, str]) -> Run:
    params, metrics = (
        {key: value for file in data[part].values() for key, value in flat(file.get("data") or {})}
        for part in ("params", "metrics")
    )
    found = {name: float(metrics[key]) for name, key in figures.items() if key in metrics}
    return Run(
        {key: value for key, value in params.items() if key.split(".")[0] not in NO_RESULT},
        found if len(found) == len(figures) else {},
    )


def summary(runs: Sequence[Run], keys: Sequence[str]) -> pd.DataFrame:
    """The table of a study, as the module's description says; the first of `runs` is params.yaml as it stands.

    Raises:
        UserError: params.yaml has no such key, or there is nothing to compare.
    """
    base = runs[0].params
    for key in keys:
        if key not in base:
            raise UserError(f"params.yaml has no value {key}; see the spelling there.")
    rows = {}
    for params, figures in runs:
        others = {key for key in base.keys() | params.keys() if base.get(key) != params.get(key)} - set(keys)
        # A run may be older than a value under study.
        if figures and others <= TRAINING_SEEDS and set(keys) <= params.keys():
            # The workspace, its commit and an experiment may be the same run.
            rows[repr(sorted(params.items()))] = {key: _cell(params[key]) for key in keys} | figures
    table = pd.DataFrame(rows.values())
    if table.empty or len(table.drop_duplicates(list(keys))) < 2:
        raise UserError(
            f"fewer than two finished experiments differ from params.yaml in {', '.join(keys)} and in nothing else but "
            "seeds; queue them as docs/studies.md says, and run them with `dvc exp run --run-all`."
        )
    groups = table.groupby(list(keys), sort=True, dropna=False)
    result = groups.size().rename("runs").to_frame()
    measured = list(table.columns[len(keys) :])
    for name in measured:
        result[name] = groups[name].mean().round(6)
        result[f"{name}_sd"] = groups[name].std(ddof=1).round(6)
    return result.reset_index().sort_values(measured[0], ascending=False, kind="stable", ignore_index=True)


def _cell(value: Any) -> Any:
    # A list cannot be grouped by, and None would become NaN.
    return "null" if value is None else str(value) if isinstance(value, list) else value


if __name__ == "__main__":
    run(main)
