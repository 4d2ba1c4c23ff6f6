"""What evaluate joins and how it nests: rows of people, metrics of tables. What it scores is in test_pipeline.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.evaluate import ends, rows_of_test, score_tree, tree, with_people
from stages.files.tables import read_table, write_table

CSV = Path("merged.csv")
NAN = float("nan")


@pytest.fixture
def rows(place: Path) -> pd.DataFrame:
    """Test faces of two people, one of whom is trained on, too; the manifest has more photos, in another order."""
    columns = ["array", "row", "id", "path", "label", "person", "split"]
    faces = [
        ("training", "0", "b", "b.jpg", "happy", "ann", "test"),
        ("training", "1", "c", "c.jpg", "sad", "ann", "train"),
        ("training", "2", "d", "d.jpg", "sad", "bob", "validation"),
        ("validation", "0", "a", "a.jpg", "sad", "bob", "test"),
    ]
    write_table(pd.DataFrame(faces, columns=columns), CSV)
    columns = ["id", "gender", "age", "professional", "uploader", "label_A", "label_B", "label_C", "minX_A"]
    for name, photos in {
        "training_happy": [("b", "female", "20", "True", "happy", "happy", "happy", "sad", "1")],
        "training_sad": [
            (photo, "female", "20", "True", "sad", "sad", "sad", "sad", "1") for photo in ("d", "x", "c", "y")
        ],
        "validation_sad": [("a", "male", "60", "", "sad", "sad", "happy", "알수없음", "1")],
        "rejected": [],
    }.items():
        write_table(pd.DataFrame(photos, columns=columns), Path(f"data/manifest/{name}.csv"))
    return with_people(rows_of_test(CSV), read_table(CSV))


def test_rows_know_their_people(rows: pd.DataFrame) -> None:
    assert rows.to_dict("records") == [
        {"id": "b", "path": "b.jpg", "label": "happy", "person": "ann", "gender": "female", "age": "20s"}
        | {"professional": "yes", "uploader": "happy", "majority": "happy", "annotated": True, "familiar": "seen"},
        {"id": "a", "path": "a.jpg", "label": "sad", "person": "bob", "gender": "male", "age": "60s"}
        | {"professional": "unknown", "uploader": "sad", "majority": "", "annotated": True, "familiar": "validation"},
    ]


SCORES = pd.DataFrame(
    [
        ("korean", "after", "all", 9, "accuracy", 0.5, 0.4, 0.6),
        ("korean", "after", "all", 9, "temperature", 1.5, NAN, NAN),
        ("korean", "after", "happy", 4, "recall", 0.25, 0.0, 0.5),
    ],
    columns=["dataset", "model", "emotion", "faces", "figure", "value", "low", "high"],
)


def test_metrics_are_nested_by_data_set_model_and_emotion() -> None:
    def leaf(row: Any) -> dict[str, Any]:
        return {"faces": row.faces, row.figure: row.value}

    assert score_tree(SCORES, leaf) == {
        "korean": {"after": {"faces": 9, "accuracy": 0.5, "temperature": 1.5, "happy": {"faces": 4, "recall": 0.25}}}
    }


def test_intervals_lie_at_the_same_place() -> None:
    assert score_tree(SCORES, ends) == {
        "korean": {"after": {"accuracy": {"low": 0.4, "high": 0.6}, "happy": {"recall": {"low": 0.0, "high": 0.5}}}}
    }


def test_a_table_as_a_tree_of_its_numbers() -> None:
    table = pd.DataFrame({"model": ["before", "after"], "subset": "all", "people": [3, 4], "gap": [0.5, np.nan]})
    table["best"] = "20s"
    table["enough"] = [True, False]
    table["amount"] = pd.array([None, 2], "Int64")
    assert tree(table, ["model", "subset"]) == {
        "before": {"all": {"people": 3, "gap": 0.5, "enough": True}},
        "after": {"all": {"people": 4, "enough": False, "amount": 2}},
    }
