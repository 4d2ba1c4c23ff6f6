"""Experiments as users run them, on a tiny sample: README's commands, a grid, edits, other splits."""

import io
import json
import shutil
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from pipeline import (
    EMOTIONS,
    changed_stages,
    commands,
    edit_params,
    evaluation,
    index_of,
    run,
    stages_run,
)

EXPERIMENT = {"transfer", "evaluate", "export", "report"}
# Commands of README that are not typed here, and why.
NOT_TYPED = {
    "make demo": "it serves the page until Ctrl-C",
    "python -m demo --camera 0 --out result2": "it needs a camera",
}
# `built` and the experiments take minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)


def test_editing_a_label_runs_only_what_depends_on_it(repository: Path) -> None:
    paths = (repository / "data/sample/korean/Validation").rglob("*.json")
    path = next(path for path in paths if "슬픔" in unicodedata.normalize("NFC", path.name))
    records = json.loads(path.read_text(encoding="utf-8-sig"))
    for record in records:
        record["annot_A"]["faceExp"] = "상처"
    path.write_text(json.dumps(records), encoding="utf-8")
    # The drawn sample is the output of a stage, which would put the label right again.
    run(repository, "dvc", "freeze", "sample")
    run_again = {"rename", "crop@validation-sad", "sheets", "index@korean"}
    assert stages_run(run(repository, "dvc", "repro", "index@korean", "sheets")) == run_again
    # evaluate: what annotators saw; export: the names in the sample, all of which DVC takes together
    assert changed_stages(repository) == {"evaluate", "report", "export"}


def test_runtime_changes_no_byte(repository: Path) -> None:
    before = (repository / "dvc.lock").read_bytes()
    edit_params(repository, "runtime", engine="serial")
    assert not stages_run(run(repository, "dvc", "repro"))
    stages = ["sample", "crop@training-happy", "resize@korean", "resize@fer2013"]
    assert stages_run(run(repository, "dvc", "repro", "--force", "--single-item", *stages)) == set(stages)
    assert (repository / "dvc.lock").read_bytes() == before


@pytest.fixture(scope="session")
def typed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same clone after the other commands of README, from top to bottom, and what they printed."""
    place = tmp_path_factory.mktemp("typed")
    for name in ("origin.git", "emotions"):
        shutil.copytree(built.parent / name, place / name, symlinks=True)
    clone = place / "emotions"
    run(clone, "git", "remote", "set-url", "origin", str(place / "origin.git"))
    rest = [command for command in commands("README.md")[2:] if command not in NOT_TYPED]
    return clone, run(clone, "bash", "-c", "\n".join(["set -e", *rest]))


def test_commands_of_the_readme_can_be_typed_from_top_to_bottom(typed: tuple[Path, str]) -> None:
    clone = typed[0]
    assert NOT_TYPED.keys() <= set(commands("README.md"))
    assert run(clone, "git", "status", "--porcelain") == ""
    # So that a colleague's clone knows the remote.
    assert "../store" in run(clone, "git", "--git-dir=../origin.git", "show", "HEAD:.dvc/config")


def test_an_experiment_runs_what_depends_on_it_and_is_compared(typed: tuple[Path, str]) -> None:
    clone, printed = typed
    assert stages_run(printed) == EXPERIMENT
    # The commit of the experiment and the one before; the last one tells of the remote.
    before_and_after = ["HEAD~2", "HEAD~1"]
    changed = json.loads(run(clone, "dvc", "params", "diff", "--json", *before_and_after))
    assert changed["params.yaml"].keys() == {"finetune.lr"}
    assert changed["params.yaml"]["finetune.lr"]["new"] == 1e-4
    lines = run(clone, "dvc", "metrics", "diff", *before_and_after).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    difference = json.loads(run(clone, "dvc", "metrics", "diff", "--all", "--json", *before_and_after))
    for model in ("fer2013.before", "fer2013.after", "korean.before", "korean.after"):
        names = {f"{model}.accuracy", *(f"{model}.{emotion}" for emotion in EMOTIONS)}
        assert names <= set(difference["metrics/evaluate.json"])
    plots = run(clone, "dvc", "plots", "diff", *before_and_after)
    assert "index.html" in plots
    assert "WARNING" not in plots


def test_a_queued_grid_of_learning_rate_and_dropout(repository: Path) -> None:
    grid = ["-S", "finetune.lr=0.002,0.01", "-S", "model.dropout_odd=0"]
    run(repository, "dvc", "exp", "run", "--queue", *grid, "transfer")
    run(repository, "dvc", "exp", "run", "--run-all")
    table = pd.read_csv(io.StringIO(run(repository, "dvc", "exp", "show", "--csv", "--no-pager")))
    done = table[table["typ"].isin(["branch_commit", "branch_base"])].dropna(subset=["Experiment"])
    found = set(zip(done["finetune.lr"].astype(float), done["model.dropout_odd"].astype(float), strict=True))
    grid_done = {(0.002, 0.0), (0.01, 0.0)}
    assert grid_done <= found
    command = ["python", "-m", "tools.study", "--stage", "transfer", "grid", "finetune.lr", "model.dropout_odd"]
    printed = run(repository, *command)
    study = pd.read_csv(repository / "docs/studies/grid.csv")
    # The committed run is one more combination.
    assert set(zip(study["finetune.lr"], study["model.dropout_odd"], strict=True)) == grid_done | {(0.001, 0.1)}
    assert study["korean_validation"].is_monotonic_decreasing
    for row in study.itertuples():
        same = (done["finetune.lr"].astype(float) == row[1]) & (done["model.dropout_odd"].astype(float) == row[2])
        if same.any():
            shown = done.loc[same, "transfer.validation.accuracy"].astype(float).iloc[0]
            assert shown == row.korean_validation
    assert printed.count("\n| ") == len(study) + 1
    run(repository, "dvc", "repro", "--single-item", "report")
    page = (repository / "data/report/index.html").read_text(encoding="utf-8")
    assert '<section id="studies">' in page
    assert '<span class="soft">grid; data:' in page


def test_the_official_split_tells_people_seen_in_training_from_others(repository: Path) -> None:
    edit_params(repository, "index.korean", split="official", people=0.5)
    # With the weights that are there: whom they were trained on is not asked.
    run(repository, "dvc", "repro", "--single-item", "index@korean", "evaluate")
    index = index_of(repository, "korean")
    faces = index[index["split"] == "test"]
    trained = set(index.loc[index["split"] == "train", "person"])
    table = evaluation(repository, "people").query("model == 'after'").set_index("subset")
    assert table.loc["seen", "people"] == len(trained & set(faces["person"])) > 0
    assert table.loc["seen", "faces"] == faces["person"].isin(trained).sum()
    chosen = set(index.loc[index["split"] == "validation", "person"])
    assert table.loc["validation", "faces"] == faces["person"].isin(chosen).sum() > 0
    assert table.loc["unseen", "faces"] == (~faces["person"].isin(trained | chosen)).sum() > 0
    difference = table.loc["seen", "accuracy"] - table.loc["unseen", "accuracy"]
    assert table.loc["seen", "difference"] == pytest.approx(difference, abs=2e-6)
    assert "seen people" in run(repository, "python", "-m", "tools.table")
