"""Figures by hand and by scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn

from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.calibration import apply_temperature
from stages.evaluation.reliability import chance_calibration_error, expected_calibration_error
from stages.evaluation.scores import confusion, resampled_scores, scores

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


def test_confusion_counts_the_answers_of_each_label() -> None:
    table = confusion(LABEL, PROBABILITY, EMOTIONS)
    assert table[["label", "answer"]].to_numpy().tolist() == [[a, b] for a in EMOTIONS for b in EMOTIONS]
    assert table["faces"].tolist() == [3, 1, 0, 1, 1, 0, 1, 1, 2]
    assert table["share"].tolist() == [0.75, 0.25, 0, 0.5, 0.5, 0, 0.25, 0.25, 0.5]
