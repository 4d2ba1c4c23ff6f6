"""The gate, fed by real `dvc metrics diff`."""

import copy
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import params_with

from stages.runtime import errors
from tools.gate import falls, main

ROOT = Path(__file__).parent.parent
FIGURES: dict[str, Any] = {
    dataset: {
        model: {"accuracy": 0.8, "happy": {"precision": 0.8, "recall": 0.9}, "sad": {"precision": 0.7, "recall": 0.6}}
        for model in ("before", "after")
    }
    for dataset in ("fer2013", "korean")
}
FALL = {"old": 0.9, "new": 0.75, "diff": -0.15}
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "PYTHONUTF8": "1",
    **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", errors="replace"
    )


def write(folder: Path, figures: dict[str, Any]) -> None:
    (folder / "metrics/evaluate.json").write_text(json.dumps(figures), encoding="utf-8")


def commit(folder: Path) -> None:
    done = run(folder, "git add . && git commit -qm figures")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits, both of the same figures."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "dvc.yaml").write_text("metrics:\n  - metrics/evaluate.json\n", encoding="utf-8")
    (tmp_path / "params.yaml").write_text(json.dumps(params_with({})), encoding="utf-8")
    assert run(tmp_path, "git init -q && dvc init -q").returncode == 0
    write(tmp_path, FIGURES)
    commit(tmp_path)
    (tmp_path / "note").write_text("nothing changed")
    commit(tmp_path)
    return tmp_path


def gate(folder: Path, revision: str = "HEAD^") -> tuple[int, str]:
    done = run(folder, f"dvc metrics diff --json {revision} | python -m tools.gate")
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def changed(**recalls: float) -> dict[str, Any]:
    """FIGURES with other recalls, such as korean_after_happy=0.5."""
    figures = copy.deepcopy(FIGURES)
    for name, recall in recalls.items():
        dataset, model, emotion = name.split("_")
        figures[dataset][model][emotion]["recall"] = recall
    return figures


def test_a_fall_is_named_and_fails(repository: Path) -> None:
    assert gate(repository) == (0, "No emotion's recall or precision fell by more than 10 points.\n")
    worse = changed(korean_after_happy=0.75, fer2013_before_sad=0.3, fer2013_after_sad=0.55)
    write(repository, worse)
    uncommitted = gate(repository, "HEAD")
    commit(repository)
    assert gate(repository) == uncommitted
    code, output = uncommitted
    assert code == 1
    assert output == (
        "error: recall of sad (fer2013, before transfer) fell from 60.0% to 30.0%; recall of happy (korean, after "
        "transfer) fell from 90.0% to 75.0%. limits.max_drop in params.yaml allows 10 points; find out "
        "why, or raise it.\n"
    )


def test_figures_that_are_gone_fail(repository: Path) -> None:
    figures = changed()
    del figures["korean"]["after"]["happy"]
    write(repository, figures)
    code, output = gate(repository, "HEAD")
    assert code == 1
    assert output.startswith("error: precision of happy (korean, after transfer) is gone; recall of happy (")
    (repository / "metrics/evaluate.json").unlink()
    commit(repository)
    for revision in ("HEAD", "HEAD^"):
        code, output = gate(repository, revision)
        assert code == 1
        assert "metrics/evaluate.json is missing; run `dvc repro`" in output


def test_a_revision_that_does_not_exist_fails(repository: Path) -> None:
    code, output = gate(repository, "HEAD~9")
    assert code == 1
    assert "error: standard input is no JSON" in output


def test_the_limit_is_a_param(set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    name = "korean.after.happy.recall"

    def stop(limit: float) -> str:
        set_params({"limits.max_drop": limit})
        Path("metrics").mkdir(exist_ok=True)
        Path("metrics/evaluate.json").touch()
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"metrics/evaluate.json": {name: FALL}})))
        try:
            errors.run(main)
        except SystemExit as caught:
            return str(caught.code)
        return ""

    assert stop(0.15) == ""
    assert "recall of happy (korean, after transfer) fell from 90.0% to 75.0%" in stop(0.14)
    assert "limits.max_drop is 2, but must be a number from 0 to 1" in stop(2)


def test_rises_new_figures_and_a_fall_by_just_the_limit_pass() -> None:
    assert not falls(
        {
            "korean.after.happy.recall": FALL,
            "korean.after.sad.recall": {"old": 0.1, "new": 0.9, "diff": 0.8},
            "korean.after.anxious.recall": {"new": 0.1},
            "korean.after.happy.f1": {"old": 0.9, "new": 0.1, "diff": -0.8},
            "korean.after.accuracy": {"old": 0.9, "new": 0.1, "diff": -0.8},
        },
        0.15,
    )
