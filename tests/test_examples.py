from pathlib import Path

import numpy as np
import pandas as pd

from stages.evaluation.examples import MISTAKES, mistakes, typical, write_examples
from stages.files.arrays import ArrayWriter, open_array
from stages.network.inputs import Faces

LABEL = np.array([0, 0, 0, 0, 1, 1])
# Of class 0: right at 0.9, wrong at 0.6 and 0.8, right at 0.7; of class 1: right at 0.6 and 0.5.
SURE = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.49, 0.51]])


def test_the_surest_mistakes_of_each_emotion_come_first() -> None:
    assert mistakes(LABEL, SURE) == [2, 1]
    many = np.tile([0.1, 0.9], (10, 1))
    assert mistakes(np.zeros(10, int), many) == list(range(MISTAKES))


def test_a_typical_face_is_recognised_and_in_the_middle() -> None:
    assert typical(LABEL, SURE) == [0, 4]
    three = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
    assert typical(np.zeros(3, int), three) == [2]
    assert typical(np.ones(3, int), three) == []


class Whiteness:
    """A network that says class 0 with a share of all white."""

    def __init__(self, share: float) -> None:
        self.share = share

    def predict_on_batch(self, pictures: np.ndarray) -> np.ndarray:
        white = self.share * pictures.mean(axis=(1, 2, 3)) / 255
        return np.stack([white, 1 - white], axis=1)


def test_pictures_and_looks_belong_to_their_rows(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "test.npy", 16) as array:
        for number in range(6):
            array.append(np.full((16, 16), 10 * number, np.uint8))
    faces = Faces([tmp_path / "test.npy"], np.zeros(6, int), np.arange(6), LABEL)

    ids = pd.Series([f"face{number}" for number in range(6)])
    write_examples(tmp_path / "new/korean", faces, ids, SURE, {"before": Whiteness(0), "after": Whiteness(1)})
    table = pd.read_csv(tmp_path / "new/korean.csv")
    assert list(table["kind"]) == ["mistake", "mistake", "typical", "typical"]
    assert list(table["id"]) == ["face2", "face1", "face0", "face4"]
    assert [int(picture[0, 0]) for picture in open_array(tmp_path / "new/korean.npy")] == [20, 10, 0, 40]
    falls = np.load(tmp_path / "new/korean_saliency.npy")
    assert falls.shape == (2, 2, 16, 16)
    # Grey is covered with the same grey.
    assert not falls.any()


def test_no_face_at_all_is_no_error(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "test.npy", 16) as array:
        array.append(np.zeros((16, 16), np.uint8))
    faces = Faces([tmp_path / "test.npy"], np.zeros(1, int), np.zeros(1, int), np.zeros(1, int))
    write_examples(tmp_path / "korean", faces, pd.Series(["a"]), np.array([[0.1, 0.9]]), {})
    assert len(pd.read_csv(tmp_path / "korean.csv")) == 1
    assert np.load(tmp_path / "korean_saliency.npy").shape == (0, 0, 16, 16)
