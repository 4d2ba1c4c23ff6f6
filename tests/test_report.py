"""Parts of the report; the whole page is in test_pipeline.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages import report
from stages.figures import page, sections
from stages.figures.results import by_model, read_evaluation
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
