"""The tables that people read, from fixed tables of the stages."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.files.tables import write_table
from tools.table import accounts, agreement, distortions, parts, table, used

NAN = float("nan")
MODELS = ("before", "after")
Row = tuple[Any, ...]


def scores(accuracy: dict[str, float], happy: dict[str, float], low: float, high: float) -> pd.DataFrame:
    """Of all faces and of happy ones, each figure with the same interval."""
    rows: list[Row] = []
    for m in MODELS:
        rows += [(m, "all", 1234, "accuracy", accuracy[m], low, high), (m, "happy", 56, "recall", happy[m], low, high)]
        rows += [(m, "all", 1234, name, 0.25, low, high) for name in ("balanced_accuracy", "macro_f1")]
        rows += [(m, "all", 1234, name, 0.25, low, high) for name in ("ece", "ece_calibrated")]
        rows += [(m, "all", 1234, "ece_chance", 0.25, NAN, NAN)]
    return pd.DataFrame(rows, columns=["model", "emotion", "faces", "figure", "value", "low", "high"])


DIFFERENCES = pd.DataFrame(
    [("all", 1234, 0.3, 0.2, 0.4, 0.0004), ("happy", 56, -0.005, -0.01, 0.002, 0.25)],
    columns=["emotion", "faces", "difference", "low", "high", "p_value"],
)


def test_table_shows_percent_intervals_and_difference() -> None:
    shown = scores({"before": 0.5, "after": 0.8}, {"before": 1, "after": 0.995}, 0.4, 0.9)
    assert table("Test faces", shown, DIFFERENCES).splitlines() == [
        "Test faces           faces               before                after                  change       p",
        "  accuracy           1,234    50.0 [40.0, 90.0]    80.0 [40.0, 90.0]    +30.0 [+20.0, +40.0]  <0.001",
        "  happy                 56   100.0 [40.0, 90.0]    99.5 [40.0, 90.0]       -0.5 [-1.0, +0.2]   0.250",
        "  balanced accuracy  1,234    25.0 [40.0, 90.0]    25.0 [40.0, 90.0]       +0.0",
        "  macro F1           1,234    25.0 [40.0, 90.0]    25.0 [40.0, 90.0]       +0.0",
        "  ECE                1,234    25.0 [40.0, 90.0]    25.0 [40.0, 90.0]       +0.0",
        "  scaled ECE         1,234    25.0 [40.0, 90.0]    25.0 [40.0, 90.0]       +0.0",
        "    by chance alone  1,234                 25.0                 25.0",
    ]
    certain = dict.fromkeys(MODELS, 1.0)
    widest = table("Test faces", scores(certain, certain, 1, 1), DIFFERENCES)
    assert " 56 100.0 [100.0, 100.0] 100.0 [100.0, 100.0] -0.5" in " ".join(widest.split()), "columns run together"


def ceilings(*rows: Row) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["emotion", "faces", "decided", "agreement"])


def test_agreement_is_a_sentence() -> None:
    everybody = ("all", 1000, 900, 0.8)
    text = agreement(ceilings(everybody, ("happy", 500, 450, 0.92), ("sad", 500, 450, 0.6)), "Korean")
    assert "80.0% of 1,000\nKorean test faces (happy 92.0%, sad 60.0%);\nin 10.0% no two" in text
    assert "happy 92.0%, sad -" in agreement(
        ceilings(everybody, ("happy", 500, 450, 0.92), ("sad", 0, 0, NAN)), "Korean"
    )
    assert agreement(ceilings(("all", 0, 0, NAN)), "Korean") == "No annotator has looked at the Korean test faces."


def of_both(*rows: Row, columns: str) -> pd.DataFrame:
    """The same rows for either model."""
    return pd.DataFrame([(m, *row) for m in MODELS for row in rows], columns=["model", *columns.split()])


def test_parts_of_the_faces_with_groups_that_are_too_small() -> None:
    text = parts(
        {
            "labels": of_both(
                ("uploader", "all", 40, 0.5, 0.4, 0.6),
                ("uploader", "happy", 9, 0.1, 0.1, 0.1),
                ("majority", "all", 40, 0.25, 0.2, 0.3),
                columns="label emotion faces accuracy low high",
            ),
            "people": of_both(
                ("all", 9, 40, 0.5, 0.4, 0.6),
                ("seen", 0, 0, NAN, NAN, NAN),
                ("unseen", 9, 40, 0.5, 0.4, 0.6),
                columns="subset people faces accuracy low high",
            ),
            "groups": of_both(
                ("age", "60s", 2, 8, NAN, NAN, NAN), columns="attribute group people faces accuracy low high"
            ),
            "gaps": of_both(("age", NAN, NAN, NAN), ("gender", 0.1, -0.05, 0.2), columns="attribute gap low high"),
        },
        "Korean",
    )
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "Accuracy on Korean faces people faces before after",
        "uploader's label 40 50.0 [40.0, 60.0] 50.0 [40.0, 60.0]",
        "majority's label 40 25.0 [20.0, 30.0] 25.0 [20.0, 30.0]",
        "seen people 0 0 - -",
        "unseen people 9 40 50.0 [40.0, 60.0] 50.0 [40.0, 60.0]",
        "age 60s 2 8 too few people too few people",
        "largest gap by gender 10.0 [-5.0, 20.0] 10.0 [-5.0, 20.0]",
    ]


def test_distortions_in_the_order_of_their_strength() -> None:
    rows = [
        (dataset, *row)
        for dataset in ("fer2013", "korean")
        for row in of_both(
            ("none", 0, NAN, 1.0), ("blur", 1, 2, 0.75), ("blur", 2, 4, 0.25), columns="name strength amount accuracy"
        ).itertuples(index=False)
    ]
    columns = ["dataset", "model", "distortion", "strength", "amount", "accuracy"]
    heading, *lines = distortions(pd.DataFrame(rows, columns=columns)).splitlines()
    assert heading.split()[3:] == ["fer2013", "before", "fer2013", "after", "korean", "before", "korean", "after"]
    assert lines[0].split() == ["none", "100", "100", "100", "100"]
    assert " ".join(lines[1].split()) == "blur 2, 4" + 4 * " 75 / 25"


@pytest.fixture
def data(place: Path) -> None:
    """Three photos of one emotion, of which one is left, and a picture of FER2013."""

    def write(name: str, columns: str, *rows: Row) -> None:
        write_table(pd.DataFrame(rows, columns=columns.split()), Path("data") / f"{name}.csv")

    write("manifest/training_happy", "id path", ("a", "a.jpg"), ("b", "b.jpg"), ("c", "c.jpg"))
    write("manifest/rejected", "path reason", ("d.jpg", "split unknown"))
    write("manifest/labels", "outcome records", ("repeated", 7))
    write("crops/training_happy", "id reason", ("a", ""), ("b", "no face found"), ("c", ""))
    for dataset, person in (("korean", "ann"), ("fer2013", "")):
        faces = "array id label person split"
        write(f"csvs/{dataset}/merged", faces, ("training", "a", "happy", person, "train"))
        write(f"csvs/{dataset}/rejected", f"{faces} reason", ("", "", "", "", "", "cut off"))


def test_accounts_of_all_stages(data: None) -> None:
    assert accounts().splitlines() == [
        "Pictures                               found      kept  rejected",
        "  FER2013, resize: grey squares            2         1         1",
        "                                                               1 cut off",
        "  FER2013, index: used                     1         1         0",
        "  Korean, rename: photos found             4         3         1",
        "                                                               1 split unknown",
        "  Korean, crop: faces cut out              3         2         1",
        "                                                               1 no face found",
        "  Korean, resize: grey squares             2         1         1",
        "                                                               1 cut off",
        "  Korean, index: used                      1         1         0",
    ]


def test_faces_of_each_split(data: None) -> None:
    lines = used(["happy", "embarrassed"]).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["Used", "people", "faces", "happy", "embarrassed"],
        ["FER2013", "train", "1", "1", "0"],
    ]
    assert lines[4].split() == ["Korean", "train", "1", "1", "1", "0"]
    assert len({len(line) for line in lines}) == 1
