"""Figures by hand and by scikit-learn, and the table that people read."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.calibration import apply_temperature
from stages.evaluation.reliability import chance_calibration_error, expected_calibration_error
from stages.evaluation.scores import confusion, resampled_scores, scores
from tools.table import agreement, distortions, parts, table

EMOTIONS = ["angry", "happy", "sad"]
LABEL = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 2, 2, 1, 0])
PROBABILITY = np.eye(3)[PREDICTED] * 0.4 + 0.2


def random_case(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 3, count), random.dirichlet([0.6, 0.6, 0.6], count)


def test_scores_by_hand() -> None:
    found = scores(LABEL, PROBABILITY, 2.0, EMOTIONS)
    assert found["all", "accuracy"] == 0.6
    assert [found[emotion, "recall"] for emotion in EMOTIONS] == [0.75, 0.5, 0.5]
    assert [found[emotion, "precision"] for emotion in EMOTIONS] == pytest.approx([3 / 5, 1 / 3, 1])
    assert found["all", "balanced_accuracy"] == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    # F1 = 2 TP / (2 TP + FP + FN) for angry (3, 2, 1), happy (1, 2, 1) and sad (2, 0, 2).
    assert [found[emotion, "f1"] for emotion in EMOTIONS] == pytest.approx([6 / 9, 2 / 5, 4 / 6])
    assert found["all", "macro_f1"] == pytest.approx((6 / 9 + 2 / 5 + 4 / 6) / 3)
    # Six labels have probability 0.6 and four 0.2; all confidences are 0.6 and the accuracy is, too.
    assert found["all", "log_loss"] == pytest.approx(-(6 * np.log(0.6) + 4 * np.log(0.2)) / 10)
    assert found["all", "ece"] == pytest.approx(0, abs=1e-9)
    # Twice the temperature takes the square root of each probability, and the sum to 1 again.
    confidence = np.sqrt(0.6) / (np.sqrt(0.6) + 2 * np.sqrt(0.2))
    assert found["all", "ece_calibrated"] == pytest.approx(0.6 - confidence)
    other = (1 - confidence) / 2
    assert found["all", "log_loss_calibrated"] == pytest.approx(-(6 * np.log(confidence) + 4 * np.log(other)) / 10)
    assert found["all", "temperature"] == 2


def test_a_class_that_is_never_predicted() -> None:
    found = scores(np.array([0, 1, 2]), np.eye(3)[[0, 0, 0]] * 0.97 + 0.01, 1, EMOTIONS)
    assert found["happy", "recall"] == found["happy", "precision"] == found["happy", "f1"] == 0
    assert found["all", "macro_f1"] == pytest.approx(0.5 / 3)


def test_the_figures_of_each_resample_are_those_of_its_faces() -> None:
    """Each resample's faces written out and given to scikit-learn; this is where sums over units could go wrong."""
    label, probability = random_case(1, 60)
    person = np.array([f"p{n % 9}" for n in range(60)])
    bootstrap = Bootstrap(person, 40, 3)
    found = resampled_scores(bootstrap, label, probability, 1.7, EMOTIONS)
    names = np.unique(person)
    for number, weights in enumerate(bootstrap.weights):
        assert weights.sum() == 9
        faces = np.concatenate(
            [
                np.flatnonzero(person == name)
                for name, times in zip(names, weights, strict=True)
                for _ in range(int(times))
            ]
        )
        true, given = label[faces], probability[faces]
        predicted = given.argmax(axis=1)
        assert found["all", "accuracy"][number] == pytest.approx(sklearn.accuracy_score(true, predicted))
        assert found["all", "balanced_accuracy"][number] == pytest.approx(
            sklearn.balanced_accuracy_score(true, predicted)
        )
        assert found["all", "macro_f1"][number] == pytest.approx(sklearn.f1_score(true, predicted, average="macro"))
        assert found["all", "log_loss"][number] == pytest.approx(sklearn.log_loss(true, given, labels=[0, 1, 2]))
        assert found["all", "log_loss_calibrated"][number] == pytest.approx(
            sklearn.log_loss(true, apply_temperature(given, 1.7), labels=[0, 1, 2])
        )
        for place, emotion in enumerate(EMOTIONS):
            for name, score in (("precision", sklearn.precision_score), ("recall", sklearn.recall_score)):
                by_class = score(true, predicted, labels=[0, 1, 2], average=None, zero_division=0)
                assert found[emotion, name][number] == pytest.approx(by_class[place])


def test_resampled_calibration_errors_lie_around_the_estimate() -> None:
    label, probability = random_case(2, 300)
    bootstrap = Bootstrap(np.arange(300).astype(str), 400, 1)
    found = resampled_scores(bootstrap, label, probability, 1.5, EMOTIONS)
    point = scores(label, probability, 1.5, EMOTIONS)
    for figure in ("ece", "ece_calibrated"):
        assert found["all", figure].mean() == pytest.approx(point["all", figure], abs=1e-3)
        assert (found["all", figure] >= 0).all()
        assert found["all", figure].std() > 0.005


def test_a_class_that_a_resample_lacks_is_left_out_of_its_means() -> None:
    label = np.array([0, 0, 0, 1])
    bootstrap = Bootstrap(np.array(["a", "b", "c", "d"]), 200, 1)
    found = resampled_scores(bootstrap, label, np.eye(2)[label] * 0.8 + 0.1, 1, ["angry", "happy"])
    lacking = bootstrap.weights[:, 3] == 0
    assert lacking.any()
    assert (np.isnan(found["happy", "recall"]) == lacking).all()
    assert np.allclose(found["all", "balanced_accuracy"], 1)
    assert np.allclose(found["all", "macro_f1"], 1)


def test_the_error_by_chance_is_that_of_labels_drawn_from_the_probabilities() -> None:
    random = np.random.default_rng(4)
    probability = random.dirichlet([0.6, 0.6, 0.6], 200)
    drawn = [[random.choice(3, p=p) for p in probability] for _ in range(100)]
    expected = np.mean([expected_calibration_error(np.array(label), probability) for label in drawn])
    assert chance_calibration_error(probability, 400, 1) == pytest.approx(expected, rel=0.05)
    assert chance_calibration_error(np.repeat(probability, 100, axis=0), 20, 1) < expected / 5


def test_confusion_has_labels_in_rows() -> None:
    assert np.allclose(confusion(LABEL, PROBABILITY), [[0.75, 0.25, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]])


def test_table_shows_percent_intervals_and_difference() -> None:
    def figures(accuracy: float, happy: float) -> dict[str, Any]:
        names = ("balanced_accuracy", "macro_f1", "ece", "ece_calibrated", "ece_chance")
        return {"faces": 1234, "accuracy": accuracy, "happy": {"recall": happy}} | dict.fromkeys(names, 0.25)

    def ends(low: float, high: float) -> Any:
        names = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "ece_calibrated")
        interval = {"low": low, "high": high}
        return dict.fromkeys(names, interval) | {"happy": {"recall": interval}}

    differences = {
        "all": {"faces": 1234, "difference": 0.3, "low": 0.2, "high": 0.4, "p_value": 0.0004},
        "happy": {"faces": 56, "difference": -0.005, "low": -0.01, "high": 0.002, "p_value": 0.25},
    }
    lines = table(
        "Test faces",
        {"before": figures(0.5, 1), "after": figures(0.8, 0.995)},
        {"before": ends(0.4, 0.6), "after": ends(0.7, 0.9)},
        differences,
    ).splitlines()
    assert lines[0].split() == ["Test", "faces", "faces", "before", "after", "change", "p"]
    assert " ".join(lines[1].split()) == (
        "accuracy 1,234 50.0 [40.0, 60.0] 80.0 [70.0, 90.0] +30.0 [+20.0, +40.0] <0.001"
    )
    assert " ".join(lines[2].split()) == "happy 56 100.0 [40.0, 60.0] 99.5 [70.0, 90.0] -0.5 [-1.0, +0.2] 0.250"
    assert lines[4].split()[-1] == "+0.0"
    assert lines[-1].split() == ["by", "chance", "alone", "1,234", "25.0", "25.0"]
    certain = dict.fromkeys(("before", "after"), figures(1, 1) | dict.fromkeys(("ece", "ece_calibrated"), 1.0))
    widest = table("Test faces", certain, dict.fromkeys(certain, ends(1, 1)), differences)
    assert " 56 100.0 [100.0, 100.0] 100.0 [100.0, 100.0] -0.5" in " ".join(widest.split()), "columns run together"
    assert max(map(len, lines)) <= 100


def test_agreement_is_a_sentence() -> None:
    everybody = {"agreement": 0.8, "faces": 1000, "decided": 900}
    text = agreement({"all": everybody, "happy": {"agreement": 0.92}, "sad": {"agreement": 0.6}}, "Korean")
    assert "80.0% of 1,000\nKorean test faces (happy 92.0%, sad 60.0%);\nin 10.0% no two" in text
    assert "happy 92.0%, sad -" in agreement(
        {"all": everybody, "happy": {"agreement": 0.92}, "sad": {"faces": 0}}, "Korean"
    )
    assert (
        agreement({"all": {"faces": 0, "decided": 0}}, "Korean") == "No annotator has looked at the Korean test faces."
    )


def test_parts_of_the_faces_with_groups_that_are_too_small() -> None:
    half = {"faces": 40, "accuracy": 0.5, "low": 0.4, "high": 0.6}
    few, nobody = {"people": 2, "faces": 8, "enough": False}, {"people": 0, "faces": 0}
    text = parts(
        {
            "labels": {m: {"uploader": {"all": half}, "majority": {"all": half}} for m in ("before", "after")},
            "people": {
                m: {"seen": nobody, "validation": nobody, "unseen": half | {"people": 9}} for m in ("before", "after")
            },
            "groups": {"age": {"60s": dict.fromkeys(("before", "after"), few)}},
            "gaps": {
                "age": {m: {"smallest_people": 2} for m in ("before", "after")},
                "gender": {m: {"gap": 0.1, "low": -0.05, "high": 0.2} for m in ("before", "after")},
            },
        },
        "Korean",
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "uploader's label 40 50.0 [40.0, 60.0] 50.0 [40.0, 60.0]" in lines
    assert "seen people 0 0 - -" in lines
    assert "unseen people 9 40 50.0 [40.0, 60.0] 50.0 [40.0, 60.0]" in lines
    assert "age 60s 2 8 too few people too few people" in lines
    assert "largest gap by gender 10.0 [-5.0, 20.0] 10.0 [-5.0, 20.0]" in lines
    assert not any("gap by age" in line for line in lines)


def test_distortions_in_the_order_of_their_strength() -> None:
    blur = {"1": {"amount": 2, "accuracy": 0.75}, "2": {"amount": 4, "accuracy": 0.25}}
    by_name = {"none": {"0": {"accuracy": 1.0}}, "blur": blur}
    lines = distortions({d: dict.fromkeys(("before", "after"), by_name) for d in ("fer2013", "korean")}).splitlines()
    assert lines[1].split() == ["none", "100", "100", "100", "100"]
    assert " ".join(lines[2].split()) == "blur 2, 4" + 4 * " 75 / 25"
