"""Figures by hand, pictures the same bytes twice, and the table that people read."""

from pathlib import Path

import numpy as np
import pytest

from stages.common.comparison import table
from stages.common.figures import save_before_after, save_confusions
from stages.common.scores import confusion, scores

EMOTIONS = ["angry", "happy", "sad"]
LABEL = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 2, 2, 1, 0])
PROBABILITY = np.eye(3)[PREDICTED] * 0.4 + 0.2


def test_scores_by_hand() -> None:
    found = scores(LABEL, PROBABILITY, EMOTIONS)
    assert found["faces"] == 10
    assert found["accuracy"] == 0.6
    assert [found[emotion]["accuracy"] for emotion in EMOTIONS] == [0.75, 0.5, 0.5]
    assert [found[emotion]["faces"] for emotion in EMOTIONS] == [4, 2, 4]
    assert found["balanced_accuracy"] == pytest.approx((0.75 + 0.5 + 0.5) / 3, abs=1e-6)
    # F1 = 2 TP / (2 TP + FP + FN) for angry (3, 2, 1), happy (1, 2, 1) and sad (2, 0, 2).
    assert found["macro_f1"] == pytest.approx((6 / 9 + 2 / 5 + 4 / 6) / 3, abs=1e-6)


def test_confusion_has_labels_in_rows() -> None:
    assert np.allclose(confusion(LABEL, PROBABILITY), [[0.75, 0.25, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]])


def test_a_class_that_is_never_predicted() -> None:
    found = scores(np.array([0, 1, 2]), np.eye(3)[[0, 0, 0]], EMOTIONS)
    assert found["happy"]["accuracy"] == 0
    assert found["macro_f1"] == pytest.approx(0.5 / 3, abs=1e-6)


def test_figures_are_the_same_bytes_twice(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        save_before_after(tmp_path / folder / "bars.png", "title", EMOTIONS, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
        save_confusions(tmp_path / folder / "tables.png", "title", EMOTIONS, np.eye(3), np.full((3, 3), 1 / 3))
    for name in ("bars.png", "tables.png"):
        first = (tmp_path / "first" / name).read_bytes()
        assert first.startswith(b"\x89PNG")
        assert first == (tmp_path / "second" / name).read_bytes()


def test_table_shows_percent_and_difference() -> None:
    before = scores(LABEL, PROBABILITY, EMOTIONS)
    after = scores(LABEL, np.eye(3)[LABEL], EMOTIONS)
    lines = table("Test faces", {"before": before, "after": after}).splitlines()
    assert lines[0].split() == ["Test", "faces", "faces", "before", "after", "change"]
    assert lines[1].split() == ["accuracy", "10", "60.0%", "100.0%", "+40.0"]
    assert lines[4].split() == ["angry", "4", "75.0%", "100.0%", "+25.0"]
