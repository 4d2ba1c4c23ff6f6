"""Groups, people who were trained on, and what the annotators saw; all by hand."""

import numpy as np
import pytest

from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.groups import UNKNOWN, by_familiarity, by_group, by_label, ceilings

PERSON = np.array(list("aabbccddee"))
RIGHT = np.array([1, 1, 1, 0, 0, 0, 1, 1, 1, 0], bool)


@pytest.fixture
def bootstrap() -> Bootstrap:
    return Bootstrap(PERSON, 400, 1)


def test_groups_and_the_gap_between_them(bootstrap: Bootstrap) -> None:
    group = np.array(["old"] * 4 + ["young"] * 4 + ["child"] * 2)
    groups, gap = by_group(RIGHT, PERSON, group, 2, bootstrap)
    groups = groups.set_index("group")
    assert groups["people"].to_dict() == {"child": 1, "old": 2, "young": 2}
    assert groups["faces"].to_dict() == {"child": 2, "old": 4, "young": 4}
    assert groups["enough"].to_dict() == {"child": False, "old": True, "young": True}
    assert groups["accuracy"].to_dict() == pytest.approx({"child": np.nan, "old": 0.75, "young": 0.5}, nan_ok=True)
    assert groups.loc["child", ["low", "high"]].isna().all()
    assert groups.loc["old", "low"] == 0.5 and groups.loc["old", "high"] == 1.0  # person b alone, person a alone
    assert gap.iloc[0][["best", "worst", "gap"]].tolist() == ["old", "young", 0.25]
    assert gap.iloc[0][["smallest", "smallest_people"]].tolist() == ["child", 1]
    assert gap.iloc[0]["low"] < 0.25 < gap.iloc[0]["high"]


def test_one_group_that_is_large_enough_makes_no_gap(bootstrap: Bootstrap) -> None:
    group = np.array(["old"] * 8 + ["child"] * 2)
    _, gap = by_group(RIGHT, PERSON, group, 2, bootstrap)
    assert gap.iloc[0][["best", "worst", "smallest"]].tolist() == ["", "", "child"]
    assert gap.iloc[0][["gap", "low", "high"]].isna().all()


def test_people_who_were_trained_on(bootstrap: Bootstrap) -> None:
    familiar = np.select([np.isin(PERSON, ["a", "d"]), PERSON == "e"], ["seen", "validation"], "unseen")
    table = by_familiarity(RIGHT, PERSON, familiar, bootstrap).set_index("subset")
    assert table["people"].to_dict() == {"all": 5, "seen": 2, "validation": 1, "unseen": 2}
    assert table["faces"].to_dict() == {"all": 10, "seen": 4, "validation": 2, "unseen": 4}
    assert table["accuracy"].to_dict() == pytest.approx({"all": 0.6, "seen": 1, "validation": 0.5, "unseen": 0.25})
    assert table["difference"].to_dict() == pytest.approx(
        {"all": 0.35, "seen": 0.75, "validation": 0.25, "unseen": np.nan}, nan_ok=True
    )
    assert table.loc["seen", "difference_low"] > 0


@pytest.mark.parametrize(("full", "empty"), [("seen", "unseen"), ("unseen", "seen")])
def test_all_people_seen_or_none(bootstrap: Bootstrap, full: str, empty: str) -> None:
    table = by_familiarity(RIGHT, PERSON, np.full(10, full), bootstrap).set_index("subset")
    assert table.loc[empty, ["people", "faces"]].tolist() == [0, 0]
    assert table.loc[empty, ["accuracy", "low", "high"]].isna().all()
    assert table.loc[full, "accuracy"] == table.loc["all", "accuracy"]
    assert table["difference"].isna().all(), "there is nobody to compare with"


def test_who_says_nothing_makes_no_gap(bootstrap: Bootstrap) -> None:
    group = np.array(["old"] * 4 + ["young"] * 4 + [UNKNOWN] * 2)
    groups, gap = by_group(np.arange(10) < 8, PERSON, group, 1, bootstrap)
    assert groups["enough"].all()
    assert gap.iloc[0][["best", "worst", "gap"]].tolist() == ["old", "old", 0]


UPLOADER = np.array(["angry", "angry", "angry", "happy", "happy", "상처"], object)
MAJORITY = np.array(["angry", "happy", "", "happy", "상처", "happy"], object)
LABELS = {"uploader": UPLOADER, "majority": MAJORITY}


def test_ceilings_by_hand() -> None:
    bootstrap = Bootstrap(np.array(list("abcdef")), 300, 1)
    table = ceilings(UPLOADER, MAJORITY, np.ones(6, bool), bootstrap, ["angry", "happy"]).set_index("emotion")
    assert table["faces"].to_dict() == {"all": 5, "angry": 3, "happy": 2}
    assert table["decided"].to_dict() == {"all": 4, "angry": 2, "happy": 2}
    # An angry face on which no two annotators agree lowers it, as does one that they take for happy.
    assert table["agreement"].to_dict() == pytest.approx({"all": 2 / 5, "angry": 1 / 3, "happy": 1 / 2})


def test_a_face_that_no_annotator_saw_has_no_part_in_the_ceiling() -> None:
    bootstrap = Bootstrap(np.array(list("abcdef")), 300, 1)
    table = ceilings(UPLOADER, MAJORITY, np.arange(6) != 2, bootstrap, ["angry", "happy"]).set_index("emotion")
    assert table["faces"].to_dict() == {"all": 4, "angry": 2, "happy": 2}
    assert table.loc["angry", "agreement"] == 0.5


def test_scores_against_both_labels_are_of_the_same_faces() -> None:
    predicted = np.array(["happy", "happy", "angry", "happy", "happy", "happy"], object)
    table = by_label(LABELS, predicted, Bootstrap(np.array(list("abcdef")), 300, 1), ["angry", "happy"])
    found = table.set_index(["label", "emotion"])
    assert found["faces"].to_dict() == (
        {("uploader", "all"): 3, ("uploader", "angry"): 2, ("uploader", "happy"): 1}
        | {("majority", "all"): 3, ("majority", "angry"): 1, ("majority", "happy"): 2}
    )
    assert found["accuracy"].to_dict() == pytest.approx(
        {("uploader", "all"): 1 / 3, ("uploader", "angry"): 0, ("uploader", "happy"): 1}
        | {("majority", "all"): 2 / 3, ("majority", "angry"): 0, ("majority", "happy"): 1}
    )


def test_an_emotion_on_which_nobody_agrees_has_no_figure() -> None:
    bootstrap = Bootstrap(np.array(list("ab")), 20, 1)
    uploader, nobody = np.array(["angry", "happy"], object), np.array(["", ""], object)
    assert (ceilings(uploader, nobody, np.ones(2, bool), bootstrap, ["angry", "happy"])["agreement"] == 0).all()
    assert ceilings(uploader, nobody, np.zeros(2, bool), bootstrap, ["angry", "happy"])["agreement"].isna().all()
    labels = {"uploader": uploader, "majority": nobody}
    assert by_label(labels, uploader, bootstrap, ["angry", "happy"])["accuracy"].isna().all()
