"""Parts of the report; the whole page is in test_pipeline.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages import report
from stages.figures import page
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
    rows = report.by_model(table, ["group"])
    assert [row["group"] for row in rows] == ["b", "a"]
    assert [(row["before"]["accuracy"], row["after"]["accuracy"]) for row in rows] == [(0.1, 0.3), (0.2, 0.4)]


def test_counts_of_all_crops_are_added_up(place: Path) -> None:
    counts: dict[str, Any] = {"found": 3, "kept": 2, "rejected": {"cut off": 1}}
    files = {"rename": {"photos": counts}, "crop/training_happy": counts, "crop/training_sad": counts}
    files |= {f"{stage}/{dataset}": counts for stage in ("resize", "index") for dataset in ("korean", "fer2013")}
    for name, content in files.items():
        path = Path("metrics") / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    crop = next(row for row in report.counts("Korean") if row["stage"] == "crop")
    assert (crop["found"], crop["kept"], crop["rejected"]) == (6, 4, [("cut off", 2)])
    assert all(
        row["found"] == row["kept"] + sum(count for _, count in row["rejected"]) for row in report.counts("Korean")
    )


def test_what_is_missing_is_one_sentence(place: Path) -> None:
    with pytest.raises(UserError, match=r"metrics.rename\.json is missing; run `dvc repro`"):
        report.counts("Korean")


def test_orange_where_covering_hurts_and_blue_where_it_helps() -> None:
    fall = np.zeros((8, 8))
    fall[:, :2], fall[:, -2:] = 1, -1
    picture = report.overlay(np.full((8, 8), 128, np.uint8), fall)
    assert picture.shape == (report.SALIENCY_SIDE, report.SALIENCY_SIDE, 3)
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


def test_a_shipped_network_has_no_learning_curves(place: Path) -> None:
    Path("metrics").mkdir()
    figures = {"weights": "fer2013", "validation": {"accuracy": 0.75, "loss": 0.7}}
    Path("metrics/pretrain.json").write_text(json.dumps({"pretrain": figures}))
    section = report.training_section("pretrain", "FER2013")
    assert (section["charts"], section["figures"]) == ([], figures)
