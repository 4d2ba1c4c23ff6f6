"""What evaluate joins, rows of people, and its metrics. What it scores: test_pipeline.py and test_third_dataset.py."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.evaluate import by_people, recognised, rows_of_test
from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.groups import by_label, with_people
from stages.files.tables import read_table, write_table

CSV = Path("merged.csv")


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
    return with_people(rows_of_test(CSV), read_table(CSV), Path("data/manifest"))


def test_rows_know_their_people(rows: pd.DataFrame) -> None:
    assert rows.to_dict("records") == [
        {"id": "b", "path": "b.jpg", "label": "happy", "person": "ann", "gender": "female", "age": "20s"}
        | {"professional": "yes", "uploader": "happy", "majority": "happy", "annotated": True, "familiar": "seen"},
        {"id": "a", "path": "a.jpg", "label": "sad", "person": "bob", "gender": "male", "age": "60s"}
        | {"professional": "unknown", "uploader": "sad", "majority": "", "annotated": True, "familiar": "validation"},
    ]


def test_metrics_are_what_one_glance_needs() -> None:
    rows = [
        ("korean", "after", "all", "accuracy", 0.5),
        ("korean", "after", "all", "temperature", 1.5),
        ("korean", "after", "happy", "recall", 0.25),
        ("korean", "after", "happy", "precision", 0.75),
        ("fer2013", "before", "happy", "recall", 1.0),
    ]
    scores = pd.DataFrame(rows, columns=["dataset", "model", "emotion", "figure", "value"])
    assert recognised(scores) == {
        "korean": {"after": {"accuracy": 0.5, "happy": 0.25}},
        "fer2013": {"before": {"happy": 1.0}},
    }


def test_metrics_of_what_people_see() -> None:
    people = np.array(["happy", "happy", "happy", "sad", "", "sad"], object)
    label = np.array(["happy", "sad", "happy", "sad", "sad", "angry"], object)
    answer = np.array(["happy", "sad", "happy", "happy", "sad", "sad"], object)
    labels = {"fer2013": label, "people": people}
    table = by_label(labels, answer, Bootstrap(np.arange(6), 100, 1), ["happy", "sad"]).assign(model="before")
    assert by_people(table) == {"before": {"people": pytest.approx(2 / 4), "people_balanced": pytest.approx(1 / 3)}}
    assert table.loc[table["label"] == "fer2013", "accuracy"].iloc[0] == 3 / 4, "on the same faces"
