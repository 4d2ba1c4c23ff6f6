"""A tiny pipeline that has run, once for all workers, and real commands in copies of it."""

import functools
import json
import operator
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from stages.datasets.catalog import DATASETS
from tests.tiny import shrink

ROOT = Path(__file__).parent.parent
KOREAN: dict[str, str] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))[
    "emotions"
]
EMOTIONS = list(KOREAN)
CROPS = {f"crop@{split}-{emotion}" for split in ("training", "validation") for emotion in EMOTIONS}
ALWAYS = {"fingerprint"}  # runs each time, to see whether the download has changed
EVERYTHING = {"sample", "rename", "sheets", "pretrain", "transfer", "evaluate", "export", "report", *CROPS} | {
    f"{stage}@{dataset}" for stage in ("resize", "index") for dataset in DATASETS
}


def run(folder: Path, *command: str, ok: bool = True, environment: dict[str, str] | None = None) -> str:
    """Run a command in `folder` with this Python first on PATH; returns what it printed."""
    environment = (
        os.environ
        | (environment or {})
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUTF8": "1",
            "COLUMNS": "500",
            **{
                f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            },
        }
    )
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, output[-5000:]
    return output


def commands(name: str) -> list[str]:
    """What is to be typed, from top to bottom, without comments."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    typed = re.findall(r"^\$ (.*(?:\\\n.*)*)", "\n".join(blocks), re.MULTILINE)
    return [re.sub(r"\s+#.*", "", command) for command in typed]


def stages_run(output: str) -> set[str]:
    """The stages that ran, without those that always do."""
    return set(re.findall(r"Running stage '([^']+)'", output)) - ALWAYS


def changed_stages(folder: Path) -> set[str]:
    """The stages whose inputs or outputs are not as they were when they ran."""
    # Below the first line is what DVC says of a frozen stage.
    return set(json.loads(run(folder, "dvc", "status", "--json").partition("\n")[0])) - ALWAYS


def metrics(folder: Path, name: str) -> Any:
    return json.loads((folder / "metrics" / name).read_text(encoding="utf-8"))


# Appends what each stage opens, in all of its processes, to a file: the stage's command, a tab, and the path.
OPENED = r"""
import os, sys
if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].startswith("stages."):
    os.environ["OPENED_BY"] = " ".join(sys.orig_argv[2:])
if "OPENED_BY" in os.environ:
    log = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    root, seen = os.getcwd(), set()
    def note(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.relpath(os.path.realpath(os.fsdecode(arguments[0])), root)
            if path not in seen and not path.startswith(".."):
                seen.add(path)
                os.write(log, f"{os.environ['OPENED_BY']}\t{path}\n".encode())
    sys.addaudithook(note)
"""


def tiny_repository(folder: Path) -> None:
    """The working tree as a repository of its own, with a tiny sample; nothing has run in it."""
    files = run(ROOT, "git", "ls-files", "-co", "--exclude-standard").splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    shrink(folder / "params.yaml")
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "-qm", "tiny")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the first commands of README made a tiny pipeline run, all committed. Tests only read it.

    The first worker that needs it builds it for all. It lies in the folder that the environment names as BUILT, and
    stays there (.ci/run), or in one for this run.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    place = Path(os.environ.get("BUILT") or shared / "built")
    with FileLock(shared / "built.lock"):
        if not (place / "emotions").exists():
            build(place)
    return place / "emotions"


def build(place: Path) -> None:
    """Make `built` in the folder `place`."""
    tiny_repository(place / "tiny")
    run(place, "git", "clone", "-q", "--bare", "tiny", "origin.git")
    (place / "hook").mkdir()
    (place / "hook/sitecustomize.py").write_text(OPENED, encoding="utf-8")
    # This environment in place of a new one.
    (place / "venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (place / "venv" / name).symlink_to(Path(sys.prefix) / name)
    clone, make = commands("README.md")[:2]
    assert (clone, make) == ("git clone URL emotions && cd emotions", "make run")
    script = ["set -e", clone.replace("URL", "origin.git"), "cp -r ../venv .venv", "touch .venv/installed", make]
    watched = {"PYTHONPATH": str(place / "hook"), "OPENED": str(place / "opened.txt")}
    assert stages_run(run(place, "bash", "-c", "\n".join(script), environment=watched)) == EVERYTHING
    # What the default run writes is committed in the real repository.
    run(place / "emotions", "git", "add", ".")
    run(place / "emotions", "git", "commit", "-qm", "result")


@pytest.fixture
def repository(built: Path, tmp_path: Path) -> Path:
    """A copy of `built` of one's own, cache and all."""
    return Path(shutil.copytree(built, tmp_path / "repository", symlinks=True))


def sentence_in(output: str) -> str:
    """What a stage stopped with, among what it and DVC printed."""
    assert "Traceback" not in output, output[-5000:]
    return "\n".join(line for line in output.splitlines() if line.startswith("error: "))


def edit_params(folder: Path, section: str, **values: object) -> None:
    yaml = YAML()
    path = folder / "params.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    functools.reduce(operator.getitem, section.split("."), document).update(values)
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(document, file)


def edit_module(path: Path) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n# an edit that changes no result\n")


def index_of(folder: Path, dataset: str) -> pd.DataFrame:
    return pd.read_csv(folder / "data/csvs" / dataset / "merged.csv", keep_default_na=False, dtype={"id": str})


def evaluation(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "data/evaluation" / f"{name}.csv", keep_default_na=False, na_values=[""])
