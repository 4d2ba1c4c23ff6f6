"""The gate on real revisions: recall from git, precision from what DVC has of them."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sentences import says

from stages.runtime import errors
from tools.gate import falls, main, recalls

RECALLS: dict[str, Any] = {
    dataset: {model: {"accuracy": 0.8, "happy": 0.9, "sad": 0.6} for model in ("before", "after")}
    for dataset in ("fer2013", "korean")
}
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONUTF8": "1",
    **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
Gate = Callable[..., tuple[str, str]]


def run(command: str) -> None:
    done = subprocess.run(command, shell=True, env=ENVIRONMENT, capture_output=True, encoding="utf-8", errors="replace")
    assert done.returncode == 0, done.stderr


def changed(**values: float) -> dict[str, Any]:
    """RECALLS with other recalls, such as korean_after_happy=0.5."""
    figures = copy.deepcopy(RECALLS)
    for name, recall in values.items():
        dataset, model, emotion = name.split("_")
        figures[dataset][model][emotion] = recall
    return figures


def write(recalls: dict[str, Any], precision: float = 0.7) -> None:
    """Both files of results; `precision` is that of sad faces in Korean, after transfer."""
    Path("metrics/evaluate.json").write_text(json.dumps(recalls), encoding="utf-8")
    rows = [
        ("korean", "after", "sad", 9, "precision", precision),
        ("korean", "after", "sad", 9, "f1", precision / 2),
        ("korean", "before", "sad", 9, "precision", 0.5),
    ]
    columns = ["dataset", "model", "emotion", "faces", "figure", "value"]
    pd.DataFrame(rows, columns=columns).to_csv("data/evaluation/scores.csv", index=False)


def commit() -> None:
    run("dvc add -q data/evaluation && git add . && git commit -qm figures")


def lose_data() -> None:
    for folder in ("data/evaluation", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a remote and two commits, both of the same figures."""
    folder, store = (tmp_path_factory.mktemp(name) for name in ("repository", "store"))
    with pytest.MonkeyPatch.context() as context:
        context.chdir(folder)
        run(f"git init -q && dvc init -q && dvc remote add -q --default store {store}")
        for name in ("metrics", "data/evaluation"):
            Path(name).mkdir(parents=True)
        write(RECALLS)
        commit()
        Path("note").write_text("nothing changed")
        commit()
    return folder


@pytest.fixture
def gate(
    repository: Path,
    place: Path,
    set_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gate:
    """In a copy of the repository: the gate's error, or "", and what it printed."""
    shutil.copytree(repository, place, dirs_exist_ok=True)

    def ask(revision: str = "HEAD^") -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["gate", revision])
        capsys.readouterr()
        try:
            errors.run(main)
        except SystemExit as stop:
            return str(stop.code), capsys.readouterr().out
        return "", capsys.readouterr().out

    return ask


def test_a_fall_is_named_and_fails(gate: Gate) -> None:
    assert gate() == ("", "No emotion's recall or precision fell by more than 10 points.\n")
    write(changed(korean_after_happy=0.75, fer2013_before_sad=0.3, fer2013_after_sad=0.55), precision=0.5)
    uncommitted = gate("HEAD")
    commit()
    assert gate() == uncommitted
    assert uncommitted[1].splitlines() == [
        "recall of sad (fer2013, before transfer) fell from 60.0% to 30.0%",
        "recall of happy (korean, after transfer) fell from 90.0% to 75.0%",
        "precision of sad (korean, after transfer) fell from 70.0% to 50.0%",
    ]
    says(uncommitted[0], "limits.max_drop", "params.yaml", "10 points", "3 of the figures")


def test_a_model_is_not_judged_on_faces_that_it_has_not_learned(gate: Gate) -> None:
    write(changed(korean_before_happy=0.1))
    assert gate("HEAD")[0] == ""


def test_a_clone_without_data_compares_recall_alone_and_says_so(gate: Gate) -> None:
    write(changed(korean_after_happy=0.75), precision=0.1)
    commit()
    lose_data()
    stopped, printed = gate()
    says(stopped, "limits.max_drop")
    fall = "recall of happy (korean, after transfer) fell from 90.0% to 75.0%"
    why = "there is no data/evaluation/scores.csv of HEAD^: neither git nor DVC's cache or remote has it"
    assert printed == f"Precision was not compared: {why}.\n{fall}\n"
    Path("metrics/evaluate.json").write_text(json.dumps(RECALLS), encoding="utf-8")
    assert gate()[1].endswith("No emotion's recall fell by more than 10 points.\n")


def test_precision_comes_from_a_remote(gate: Gate) -> None:
    write(RECALLS, precision=0.1)
    commit()
    run("dvc push -q --all-commits")
    lose_data()
    assert "precision of sad (korean, after transfer) fell from 70.0% to 10.0%" in gate()[1]


def test_figures_that_are_gone_fail(gate: Gate) -> None:
    figures = changed()
    del figures["korean"]["after"]["happy"], figures["fer2013"]["before"]
    write(figures)
    printed = gate("HEAD")[1]
    for emotion, whose in (("happy", "korean, after"), ("happy", "fer2013, before"), ("sad", "fer2013, before")):
        assert f"recall of {emotion} ({whose} transfer) is gone" in printed
    Path("metrics/evaluate.json").unlink()
    commit()
    for revision in ("HEAD", "HEAD^"):
        assert "metrics/evaluate.json is missing; run `dvc repro`" in gate(revision)[0]


def test_a_revision_without_figures_fails(gate: Gate) -> None:
    unknown, absent = "unknown Git revision 'HEAD~9'", "neither git nor DVC's cache or remote has it"
    for revision, reason in (("HEAD~9", unknown), ("empty", absent)):
        if revision == "empty":
            run("git checkout -q --orphan empty && git rm -q --cached metrics/evaluate.json && git commit -qm none")
        says(gate(revision)[0], "metrics/evaluate.json", f"{revision}: {reason}", "another revision")


def test_damaged_figures_are_one_sentence(gate: Gate) -> None:
    metrics = Path("metrics/evaluate.json")
    whole = metrics.read_text(encoding="utf-8")
    for damaged in ("<<<<<<< HEAD\n" + whole, "{}[", "[]", '{"korean": 1}'):
        metrics.write_text(damaged, encoding="utf-8")
        says(gate()[0], "metrics/evaluate.json of this working tree is damaged", "dvc repro evaluate")
    metrics.write_text(whole, encoding="utf-8")
    Path("data/evaluation/scores.csv").write_text("a,b\n1,2\n")
    says(gate()[0], "data/evaluation/scores.csv of this working tree is damaged", "dvc repro evaluate")


def test_the_limit_is_a_param(gate: Gate, set_params: Callable[..., None]) -> None:
    write(changed(korean_after_happy=0.75))
    for limit, message in ((0.15, ""), (0.14, "limits.max_drop"), (2, "limits.max_drop is 2")):
        set_params({"limits.max_drop": limit})
        assert message in gate()[0]
        assert bool(gate()[0]) == bool(message)


def test_rises_new_figures_and_a_fall_by_just_the_limit_pass() -> None:
    old = {("korean", "after", "happy"): 0.9, ("korean", "after", "sad"): 0.1}
    new = {("korean", "after", "happy"): 0.75, ("korean", "after", "sad"): 0.9, ("korean", "after", "anxious"): 0.1}
    assert not falls("recall", old, new, 0.15)
    assert falls("recall", old, new, 0.149)


def test_accuracy_is_of_no_emotion_and_earlier_metrics_are_understood() -> None:
    expected = {("korean", "after", "happy"): 0.9, ("korean", "after", "sad"): 0.6}
    earlier = {"faces": 9, "accuracy": 0.8, "happy": {"f1": 0.1, "recall": 0.9}, "sad": {"f1": 0.1, "recall": 0.6}}
    of_people = RECALLS["korean"]["after"] | {"people": 0.8, "people_balanced": 0.7}
    for figures in (RECALLS["korean"]["after"], of_people, earlier):
        assert recalls(json.dumps({"korean": {"after": figures}})) == expected
