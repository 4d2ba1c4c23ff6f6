import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.figures import charts
from stages.figures.study_table import draw, markdown
from stages.runtime.errors import UserError
from tools import study
from tools.study import Run, ran, read_runs, summary

ROOT = Path(__file__).parent.parent
BASE: dict[str, Any] = {
    "finetune.lr": 0.004,
    "finetune.start": "pretrain",
    "finetune.seed": 1,
    "data.fer2013": "a",
    "index.korean.seed": 1,
    "model.blocks": [[16]],
}


def one(validation: float, korean: float = 0.8, **changes: Any) -> Run:
    """A finished run; `lr=1` stands for `finetune.lr=1`."""
    params = BASE | {key if "." in key else f"finetune.{key}": value for key, value in changes.items()}
    figures = {
        "korean_validation": validation,
        "fer2013_validation_before": 0.75,
        "fer2013_validation": 0.65,
        "korean_before": 0.5,
        "korean": korean,
        "fer2013_before": 0.7,
        "fer2013": 0.6,
    }
    return Run(params, figures)


def test_a_row_for_each_combination_and_a_mean_over_seeds() -> None:
    runs = [one(0.5), one(0.7, 0.9, seed=2), one(0.9, lr=0.1), one(0.8, start="scratch", lr=0.1)]
    table = summary(runs, ["finetune.lr", "finetune.start"])
    assert list(table["korean_validation"]) == [0.9, 0.8, 0.6]
    assert list(table["runs"]) == [1, 1, 2]
    assert list(table["finetune.start"]) == ["pretrain", "scratch", "pretrain"]
    last = table.iloc[2]
    assert last["korean"] == pytest.approx(0.85)
    # Of two values it is their difference over the square root of 2.
    assert last["korean_sd"] == pytest.approx(0.1 / 2**0.5, abs=1e-6)
    assert table["korean_sd"].isna().tolist() == [True, True, False]


def test_runs_that_differ_elsewhere_are_not_in_the_study() -> None:
    elsewhere: list[dict[str, Any]] = [{"data.fer2013": "b"}, {"index.korean.seed": 2}]
    runs = [one(0.5), one(0.6, lr=0.1), one(0.9, start="scratch"), *(one(0.9, lr=1, **other) for other in elsewhere)]
    assert list(summary(runs, ["finetune.lr"])["finetune.lr"]) == [0.1, 0.004]


def test_the_same_run_counts_once_and_an_unfinished_one_not() -> None:
    table = summary([one(0.5), one(0.5), one(0.6, lr=0.1), Run(BASE | {"finetune.lr": 1.0}, {})], ["finetune.lr"])
    assert list(table["runs"]) == [1, 1]


def test_a_run_that_is_older_than_a_value_is_not_in_the_study() -> None:
    runs = [one(0.5, lr=0.1), one(0.6, lr=0.2)]
    older = Run({key: value for key, value in runs[1].params.items() if key != "finetune.lr"}, runs[1].figures)
    assert list(summary([*runs, older], ["finetune.lr"])["runs"]) == [1, 1]


def test_values_may_be_lists() -> None:
    table = summary([one(0.5), one(0.6, **{"model.blocks": [[16], [32]]})], ["model.blocks"])
    assert list(table["model.blocks"]) == ["[[16], [32]]", "[[16]]"]


def test_null_is_written_as_in_params_yaml() -> None:
    runs = [one(0.5, **{"pretrain.weights": None}), one(0.6, **{"pretrain.weights": "fer2013"})]
    table = summary(runs, ["pretrain.weights"])
    assert list(table["pretrain.weights"]) == ["fer2013", "null"]
    assert "| null | 1 | 50.0 |" in study.markdown(table)


def test_nothing_to_compare_and_an_unknown_value_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"fewer than two.*finetune\.lr.*docs/studies\.md"):
        summary([one(0.5), one(0.5, seed=2)], ["finetune.lr"])
    with pytest.raises(UserError, match=r"no value finetune\.lrr"):
        summary([one(0.5)], ["finetune.lrr"])


LOCK = """
schema: '2.0'
stages:
  pretrain: {deps: [{path: data, md5: 0a}], outs: [{path: before, md5: 1a}]}
  transfer:
    deps: [{path: before, md5: 1a}]
    params: {params.yaml: {finetune: {lr: 0.2}}}
    outs: [{path: after, md5: 2a}]
  evaluate:
    deps: [{path: after/file, md5: 7a}, {path: after, md5: 2a}, {path: stages/evaluate.py, md5: 3a}]
    outs: [{path: scores, md5: 4a}]
"""


def test_figures_of_a_stage_that_did_not_run_are_of_another_run() -> None:
    params = {"finetune.lr": 0.2}
    assert all(ran(LOCK, stage, params) for stage in study.FIGURES)
    ended_with_transfer = LOCK.replace("outs: [{path: after, md5: 2a}]", "outs: [{path: after, md5: 2b}]")
    assert [ran(ended_with_transfer, stage, params) for stage in ("pretrain", "transfer", "evaluate")] == [
        True,
        True,
        False,
    ]
    # params.yaml was changed, and nothing has run since.
    changed = {"finetune.lr": 0.5}
    assert [ran(LOCK, stage, changed) for stage in ("pretrain", "transfer", "evaluate")] == [True, False, False]
    assert not ran("stages: {}", "transfer", params)
    assert not ran("", "transfer", params)  # of a commit without dvc.lock
    commit = {"data": shown(0.2, 1, 0.5), "rev": "a", "experiments": None}
    for lock, finished in ((LOCK, True), (ended_with_transfer, False)):
        runs = read_runs([commit], "evaluate", {"a": lock}.__getitem__)
        assert [bool(run.figures) for run in runs] == [finished]


def shown(lr: float, seed: int, accuracy: float) -> dict[str, Any]:
    """What `dvc exp show --json` says of one run."""
    scores = {model: {"accuracy": accuracy} for model in ("before", "after")}
    return {
        "params": {"params.yaml": {"data": {"finetune": {"lr": lr, "seed": seed}, "runtime": {"workers": seed}}}},
        "metrics": {
            "metrics/pretrain.json": {"data": {"pretrain": {"validation": {"accuracy": accuracy / 2}}}},
            "metrics/transfer.json": {
                "data": {"transfer": {name: {"accuracy": accuracy} for name in ("validation", "fer2013_validation")}}
            },
            "metrics/evaluate.json": {"data": {"korean": scores, "fer2013": scores}},
        },
    }


def test_runs_are_read_from_what_dvc_shows() -> None:
    queued = {"params": shown(1, 1, 0)["params"], "metrics": {"metrics/evaluate.json": {"error": "not there"}}}
    experiments = [{"revs": [{"data": data, "rev": "a"}]} for data in (shown(0.1, 2, 0.75), queued, None)]
    experiments[0]["revs"][0]["rev"] = "b"
    commits = [{"data": shown(0.2, 1, 0.5), "rev": "a", "experiments": found} for found in (None, experiments)]
    runs = read_runs(commits, "evaluate", {"a": LOCK, "b": LOCK.replace("lr: 0.2", "lr: 0.1")}.__getitem__)
    assert [run.params for run in runs] == [
        {"finetune.lr": lr, "finetune.seed": seed} for lr, seed in ((0.2, 1), (0.2, 1), (0.1, 2), (1, 1))
    ]
    assert [bool(run.figures) for run in runs] == [True, True, True, False]
    assert runs[2].figures == dict.fromkeys(study.FIGURES["evaluate"], 0.75) | {"fer2013_validation_before": 0.375}


def test_of_runs_that_ended_with_pretrain_nothing_else_is_read() -> None:
    experiments = [{"revs": [{"data": shown(0.1, 1, 0.75), "rev": "a"}]}]
    commit = {"data": shown(0.2, 1, 0.5), "rev": "a", "experiments": experiments}
    runs = read_runs([commit], "pretrain", {"a": LOCK}.__getitem__)
    assert markdown(summary(runs, ["finetune.lr"])).splitlines() == [
        "| finetune.lr | runs | FER2013 validation |",
        "|---|---|---|",
        "| 0.1 | 1 | 37.5 |",
        "| 0.2 | 1 | 25.0 |",
    ]


def test_the_table_for_a_reader() -> None:
    text = markdown(summary([one(0.5), one(0.7, seed=2), one(0.9, lr=0.1)], ["finetune.lr"]))
    assert text.splitlines() == [
        "| finetune.lr | runs | Korean validation | FER2013 validation | Korean test | FER2013 test |",
        "|---|---|---|---|---|---|",
        "| 0.1 | 1 | 90.0 | 65.0 | 80.0 | 60.0 |",
        "| 0.004 | 2 | 60.0 ± 14.1 | 65.0 ± 0.0 | 80.0 ± 0.0 | 60.0 ± 0.0 |",
        "| before transfer |  |  | 75.0 | 50.0 | 70.0 |",
    ]


def test_the_line_before_transfer_names_both_ends_if_networks_differ() -> None:
    table = summary([one(0.5), one(0.9, lr=0.1)], ["finetune.lr"])
    table["korean_before"] = [0.5, 0.25]
    assert markdown(table).splitlines()[-1] == "| before transfer |  |  | 75.0 | 25.0 to 50.0 | 70.0 |"


def test_the_line_before_transfer_has_as_many_cells_as_the_others() -> None:
    table = summary([one(0.5), one(0.9, lr=0.1)], ["finetune.lr", "finetune.start"])
    assert len({line.count("|") for line in markdown(table).splitlines()}) == 1


def test_one_number_is_a_line_and_all_else_rows() -> None:
    lines = draw(summary([one(0.5), one(0.9, lr=0.1)], ["finetune.lr"]), "x").axes[0]
    assert lines.get_xscale() == "log"
    assert lines.get_xlabel() == "finetune.lr"
    rows = draw(summary([one(0.5), one(0.9, start="scratch")], ["finetune.start"]), "x").axes[0]
    assert [label.get_text() for label in rows.get_yticklabels()] == ["scratch", "pretrain"]


def test_a_figure_has_its_colour_whatever_others_there_are() -> None:
    table = summary([one(0.5), one(0.9, lr=0.1)], ["finetune.lr"])
    for some in (table, table.drop(columns=["fer2013_validation"])):
        axes = draw(some, "x").axes[0]
        colours = dict(
            zip(axes.get_legend_handles_labels()[1], (line[0].get_color() for line in axes.containers), strict=True)
        )
        assert colours["Korean test"] == charts.AFTER


@pytest.mark.parametrize("path", sorted((ROOT / "docs/studies").glob("*.csv")), ids=lambda path: path.stem)
def test_docs_show_the_committed_tables(path: Path) -> None:
    docs = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    assert markdown(pd.read_csv(path)) in docs
    assert f"studies/{path.stem}.png" in docs
    assert path.with_suffix(".png").is_file()


def test_outside_a_repository_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["studies", "x", "finetune.lr"])
    with pytest.raises(UserError, match="dvc exp show"):
        study.main()


def test_written_tables_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["studies", "rate", "finetune.lr"])
    Path("dvc.lock").write_text(LOCK)
    experiments = [{"revs": [{"data": shown(1e-5, 2, 0.75), "rev": "workspace"}]}]
    experiments[0]["revs"][0]["rev"] = "a"
    answer = [{"data": shown(0.2, 1, 0.5), "rev": "workspace", "experiments": experiments}]
    # DVC shows the runs, git the dvc.lock of the experiment.
    outputs = {sys.executable: json.dumps(answer), "git": LOCK.replace("lr: 0.2", "lr: 0.00001")}

    def answered(command: list[str], **_: Any) -> Any:
        return type("Done", (), {"returncode": 0, "stdout": outputs[command[0]], "stderr": ""})

    monkeypatch.setattr(study.subprocess, "run", answered)
    study.main()
    assert markdown(pd.read_csv("docs/studies/rate.csv")) in capsys.readouterr().out
    first = Path("docs/studies/rate.png").read_bytes()
    study.main()
    assert Path("docs/studies/rate.png").read_bytes() == first


def test_every_figure_is_among_the_committed_metrics() -> None:
    files = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "metrics").glob("*.json")]
    known = {name for file in files for name in pd.json_normalize(file).columns}
    assert {key for figures in study.FIGURES.values() for key in figures.values()} <= known
