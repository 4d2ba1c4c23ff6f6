"""Parts of the report; the whole page is in test_pipeline.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from stages import report
from stages.figures import page, sections, study_table
from stages.figures.changes import DEFAULTS, changes, flat
from stages.figures.results import TABLES, by_model, read_evaluation
from stages.runtime import params
from stages.runtime.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (page.percent(0.5106), "51.1"),
        (page.points(-0.013), "−1.3"),
        (page.points(0.362), "+36.2"),
        (page.probability(0.0004), "< 0.001"),
        (page.probability(0.0126), "0.013"),
    ],
)
def test_numbers_for_a_reader(text: str, shown: str) -> None:
    assert text == shown


def test_models_stand_side_by_side() -> None:
    table = pd.DataFrame(
        [("before", "b", 0.1), ("before", "a", 0.2), ("after", "b", 0.3), ("after", "a", 0.4)],
        columns=["model", "group", "accuracy"],
    )
    rows = by_model(table, ["group"])
    assert [row["group"] for row in rows] == ["b", "a"]
    assert [(row["before"]["accuracy"], row["after"]["accuracy"]) for row in rows] == [(0.1, 0.3), (0.2, 0.4)]


def test_what_is_missing_is_one_sentence(place: Path) -> None:
    with pytest.raises(UserError, match=r"data.evaluation is missing; run `dvc repro`"):
        read_evaluation()
    evaluation = place / "data/evaluation"
    evaluation.mkdir(parents=True)
    for name in TABLES:
        (evaluation / f"{name}.csv").write_text("model,value\n")
    assert read_evaluation().keys() == set(TABLES)
    (evaluation / "gaps.csv").unlink()
    with pytest.raises(UserError, match=r"data.evaluation.gaps\.csv is missing; run `dvc repro`"):
        read_evaluation()


def test_orange_where_covering_hurts_and_blue_where_it_helps() -> None:
    fall = np.zeros((8, 8))
    fall[:, :2], fall[:, -2:] = 1, -1
    picture = sections.overlay(np.full((8, 8), 128, np.uint8), fall)
    assert picture.shape == (sections.SALIENCY_SIDE, sections.SALIENCY_SIDE, 3)
    blue, _, red = (picture[70, 2, channel] for channel in range(3))
    assert red > blue
    blue, _, red = (picture[70, -3, channel] for channel in range(3))
    assert blue > red
    assert (picture[70, 70] == 128).all()


def test_the_page_escapes_what_it_is_given_and_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").write_text("<p>{{ name }}</p>", encoding="utf-8")
    monkeypatch.setattr(page, "TEMPLATE", tmp_path / "page.html")
    page.render(tmp_path / "new/index.html", {"name": "a < b"})
    assert (tmp_path / "new/index.html").read_text(encoding="utf-8") == "<p>a &lt; b</p>"
    with pytest.raises(Exception, match="'name' is undefined"):
        page.render(tmp_path / "new/index.html", {})


def write_figures(stage: str, figures: dict[str, Any]) -> None:
    Path("metrics").mkdir()
    Path(f"metrics/{stage}.json").write_text(json.dumps({stage: figures | {"validation": {"accuracy": 0.75}}}))


def test_a_shipped_network_has_no_learning_curves(place: Path) -> None:
    write_figures("pretrain", {})
    section = report.training_section("pretrain", "FER2013", 9, "fer2013")
    assert (section["weights"], section["accuracy"], section["charts"]) == ("fer2013", 0.75, [])


def test_a_training_is_shown_with_its_curves(place: Path) -> None:
    write_figures("transfer", {"best_epoch": 2})
    for curve in ("train/accuracy", "train/loss", "validation/accuracy", "validation/loss"):
        path = Path(f"data/live/transfer/plots/metrics/{curve}.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("step\taccuracy\n1\t0.5\n2\t0.75\n3\t0.7\n")
    section = report.training_section("transfer", "Korean", 1397, None)
    assert [section[key] for key in ("images", "epochs", "best_epoch", "accuracy")] == [1397, 3, 2, 0.75]
    assert len(section["charts"]) == 2


def test_the_defaults_are_those_of_params_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    sections_shown = report.sections(params.load(), drawn=True)
    assert changes(sections_shown) == [], f"copy these into {DEFAULTS}"
    assert sections_shown.keys() == params.Params.model_fields.keys() - {"data", "runtime", "limits", "export"}


def test_what_a_run_changed() -> None:
    values = {"crop": {"margin": 0.2, "new": [1, 2]}, "other": {"name": "얼굴"}}
    assert dict(flat(values)) == {"crop.margin": 0.2, "crop.new": [1, 2], "other.name": "얼굴"}
    found = {key: (value, default) for key, value, default in changes(values)}
    assert found["crop.margin"] == ("0.2", "0.0")
    assert found["crop.new"] == ("[1, 2]", "–")
    assert found["other.name"] == ("얼굴", "–")
    assert found["crop.detector"] == ("–", "haar")
    assert "pretrain.lr" not in found


def test_every_study_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    about = study_table.read_about()
    assert [path.stem for path in study_table.files(about)] == list(about)
    docs = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    assert all(study.answer for study in about.values())
    assert "docs/studies/about.yaml" in docs


def test_a_study_that_nobody_described_comes_last(place: Path) -> None:
    assert study_table.read_about() == {}
    study_table.FOLDER.mkdir(parents=True)
    for name in ("a", "b"):
        (study_table.FOLDER / f"{name}.csv").touch()
    text = "b:\n  question: Why?\n  data: drawn\n  answer: So.\n"
    study_table.ABOUT.write_text(text, encoding="utf-8")
    about = study_table.read_about()
    assert about["b"].answer == "So."
    assert [path.stem for path in study_table.files(about)] == ["b", "a"]
    study_table.ABOUT.write_text(text.replace("data: drawn", "date: 1"), encoding="utf-8")
    with pytest.raises(UserError, match=r"about.yaml: b.date is unknown; did you mean b.data\?"):
        study_table.read_about()


def test_a_study_in_a_narrow_table() -> None:
    table = pd.DataFrame(
        [[0.1, "scratch", 2, 0.5, 0.01, 0.75], [0.2, "pretrain", 1, 0.4, np.nan, 0.75]],
        columns=["finetune.lr", "finetune.start", "runs", "fer2013", "fer2013_sd", "fer2013_before"],
    )
    assert study_table.rows(table) == [
        ("lr 0.1, start scratch", 2, [("50.0", "1.0")]),
        ("lr 0.2, start pretrain", 1, [("40.0", "")]),
    ]
    assert study_table.before(table) == ["75.0"]
