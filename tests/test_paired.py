"""Differences on the same faces, and McNemar's test by hand."""

from math import comb

import numpy as np
import pytest

from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.paired import differences, mcnemar

EMOTIONS = ["angry", "happy"]


@pytest.mark.parametrize(("gained", "lost"), [(10, 2), (2, 10), (1, 0), (6, 6), (30, 11)])
def test_mcnemar_by_hand(gained: int, lost: int) -> None:
    total, most = gained + lost, max(gained, lost)
    tail = sum(comb(total, k) for k in range(most, total + 1)) / 2**total
    assert mcnemar(gained, lost) == pytest.approx(min(1, 2 * tail))


def test_mcnemar_of_two_that_agree() -> None:
    assert mcnemar(0, 0) == 1


def test_differences_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    before = np.eye(2)[[0, 1, 1, 1, 1, 1, 1, 0]]
    after = np.eye(2)[[0, 0, 0, 1, 0, 1, 1, 0]]
    person = np.array(list("abcdabcd"))
    table = differences(label, before, after, Bootstrap(person, 500, 1), EMOTIONS).set_index("emotion")
    assert table["faces"].to_dict() == {"all": 8, "angry": 4, "happy": 4}
    assert table["before"].to_dict() == {"all": 0.5, "angry": 0.25, "happy": 0.75}
    assert table["after"].to_dict() == {"all": 0.625, "angry": 0.75, "happy": 0.5}
    assert table["difference"].to_dict() == {"all": 0.125, "angry": 0.5, "happy": -0.25}
    assert table["gained"].to_dict() == {"all": 2, "angry": 2, "happy": 0}
    assert table["lost"].to_dict() == {"all": 1, "angry": 0, "happy": 1}
    assert table["p_value"].to_dict() == pytest.approx({"all": 1, "angry": 0.5, "happy": 1})
    assert (table["low"] <= table["difference"]).all() and (table["difference"] <= table["high"]).all()


def test_the_interval_is_paired() -> None:
    """Both models fail on the same half of the people, so their difference is far more certain than either accuracy."""
    person = np.repeat([f"p{n}" for n in range(40)], 10)
    hard = np.repeat(np.arange(40) % 2 == 0, 10)
    gained = np.arange(400) % 20 == 0  # one face of each hard person
    label = np.arange(400) % 2
    before, after = np.eye(2)[label ^ hard], np.eye(2)[label ^ (hard & ~gained)]
    bootstrap = Bootstrap(person, 1000, 1)
    row = differences(label, before, after, bootstrap, EMOTIONS).iloc[0]
    low, high = np.quantile(bootstrap.means(~hard, np.ones(400, bool)), [0.025, 0.975])
    assert row["difference"] == pytest.approx(0.05)
    assert 0 < row["low"] < 0.05 < row["high"]
    assert row["high"] - row["low"] < (high - low) / 5
