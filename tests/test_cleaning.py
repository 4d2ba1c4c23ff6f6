import cv2
import numpy as np
import pandas as pd
import pytest
from samples import noise

from stages.datasets.cleaning import (
    digests,
    duplicate_reasons,
    excluded,
    likeness,
    mirror_parts,
    near_duplicate_reasons,
    plain_id,
    read_exclusions,
    share_of,
    thumbnails,
)
from stages.files.endings import READ
from stages.runtime.errors import UserError


def test_exclusions(tmp_path) -> None:
    text = (
        "\ufeff# a list\ntrain/angry/Training_1.jpg\n\n  train/sad/2.JPEG  # 사람 없음\n0123456789abcdef\na.b\n.\n/\n"
    )
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    expected = ["train/angry/training_1", "train/sad/2", "0123456789abcdef", "a.b", ".", "/"]
    assert read_exclusions(tmp_path / "a.txt") == expected


@pytest.mark.parametrize(
    "line",
    [
        "train/angry/im0",
        "train/angry/im0.jpg",
        "train\\angry\\im0.jpg",
        "./train/angry/im0.png",
        ".\\train\\angry\\im0",
        "Train/Angry/IM0.JPG",
        '"train/angry/im0.jpg"',
        "'train/angry/im0'",
        "fer/images/train/angry/im0.jpg",
    ],
)
def test_a_picture_is_excluded_however_it_is_written(line: str) -> None:
    ids, paths = ["train/angry/im0", "train/angry/im1"], [f"fer/images/train/angry/im{n}.jpg" for n in range(2)]
    assert excluded([plain_id(line)], ids, paths, []) == [True, False]
    assert excluded([], ids, paths, []) == [False, False]


@pytest.mark.parametrize("ending", READ)
def test_the_ending_of_a_picture_does_not_matter(ending: str) -> None:
    assert plain_id(f"train/happy/7{ending}") == plain_id(f"train/happy/7{ending.upper()}") == "train/happy/7"


def test_a_line_that_names_nothing() -> None:
    ids = ["train/angry/im10", "train/happy/im10"]
    with pytest.raises(UserError, match=r"^`train/angry/im1o` names no picture; is train/angry/im10 meant\?$"):
        excluded(["train/angry/im1o"], ids, ids, [])
    with pytest.raises(UserError, match=r"^`xyz` \(as do 1 others\) names no picture; take it out\.$"):
        excluded(["xyz", "zyx"], ids, ids, [])
    assert excluded(["lost/1"], ids, ids, ["Lost/1.jpg"]) == [False, False]


def test_exclusions_missing_or_not_utf_8(tmp_path) -> None:
    with pytest.raises(UserError, match=r"a\.txt is missing; an empty file"):
        read_exclusions(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes("# 사람 없음".encode("cp949"))
    with pytest.raises(UserError, match=r"a\.txt is not UTF-8 text"):
        read_exclusions(tmp_path / "a.txt")


def test_shares_are_even_and_stay() -> None:
    shares = np.array([share_of(str(n), 1) for n in range(4000)])
    assert shares.min() >= 0
    assert shares.max() < 1
    assert np.abs(np.histogram(shares, 10, (0, 1))[0] - 400).max() < 80
    assert share_of("person", 1) == pytest.approx(0.3065607797, abs=1e-9)  # written down once
    assert share_of("person", 2) != share_of("person", 1)
    assert 0 <= share_of("\udcb1.jpg", 1) < 1


def test_digests() -> None:
    pictures = np.stack([noise(1, 8, 8), np.zeros((8, 8), np.uint8), noise(2, 8, 8), noise(1, 8, 8)])
    almost = np.full((1, 8, 8), 255, np.uint8)
    almost[0, 7, 7] = 254
    first, constant, other, twin, single = digests(np.concatenate([pictures, almost]))
    assert constant == ""
    assert first == twin != ""
    assert len({first, other, single, ""}) == 4


def twins(*rows: tuple[str, str, str, str]) -> list[str]:
    """Reasons for (digest, id, label, split) rows, under an index that is not the row number."""
    table = pd.DataFrame(rows, columns=["digest", "id", "label", "split"], index=range(10, 10 + len(rows)))
    return duplicate_reasons(table, table["digest"]).tolist()


def test_within_a_split_the_first_by_id_stays() -> None:
    rows = [("x", "c", "happy", "train"), ("x", "a", "happy", "train"), ("x", "b", "happy", "train")]
    assert twins(*rows, ("y", "d", "happy", "train")) == ["twin in the same split", "", "twin in the same split", ""]


def test_across_splits_the_training_copy_goes() -> None:
    rows = [("x", "a", "happy", "train"), ("x", "b", "happy", "validation"), ("x", "c", "happy", "test")]
    assert twins(*rows) == ["twin in test", "twin in test", ""]
    assert twins(*rows[:2]) == ["twin in validation", ""]
    assert twins(*rows, ("x", "d", "happy", "test"))[2:] == ["", "twin in the same split"]


def test_conflicting_labels_all_go() -> None:
    rows = [("x", "a", "happy", "test"), ("x", "b", "sad", "train"), ("x", "c", "happy", "train")]
    assert twins(*rows, ("y", "d", "sad", "train")) == ["twin with another label"] * 3 + [""]


def test_no_faces() -> None:
    assert twins() == []


def near_duplicates(correlation: float, *faces: tuple[str, np.ndarray]) -> list[str]:
    """Reasons for (split, picture) pairs, under an index that is not the row number."""
    splits = pd.Series([split for split, _ in faces], index=range(10, 10 + len(faces)), dtype=object)
    return near_duplicate_reasons(splits, thumbnails(picture for _, picture in faces), correlation).tolist()


def test_near_duplicates_go_from_the_earlier_split() -> None:
    face, other = (cv2.resize(noise(n, 8, 8), (48, 48), interpolation=cv2.INTER_CUBIC) for n in (1, 2))
    darker = (face * 0.5 + 20).astype(np.uint8)
    assert near_duplicates(0.93, ("train", face), ("test", darker), ("train", other)) == ["near twin in test", "", ""]
    assert near_duplicates(0.93, ("train", face[:, ::-1]), ("validation", face)) == ["near twin in validation", ""]
    everywhere = ("train", face), ("validation", darker), ("test", face)
    assert near_duplicates(0.93, *everywhere) == ["near twin in test", "near twin in test", ""]
    assert near_duplicates(0.93, ("train", face), ("train", darker), ("test", other)) == ["", "", ""]


def test_near_duplicates_are_those_above_the_correlation() -> None:
    face, other = noise(1, 16, 16).astype(np.float32), noise(2, 16, 16).astype(np.float32)
    mixed = (0.7 * face + 0.3 * other).astype(np.uint8)
    likeness = np.corrcoef(face.ravel(), mixed.ravel())[0, 1]  # 16x16 pictures are their own thumbnails
    pair = ("train", face.astype(np.uint8)), ("test", mixed)
    assert near_duplicates(likeness - 0.001, *pair) == ["near twin in test", ""]
    assert near_duplicates(likeness + 0.001, *pair) == ["", ""]


def test_near_duplicates_of_constant_pictures_and_of_none() -> None:
    assert near_duplicates(0.9, ("train", np.zeros((9, 9), np.uint8)), ("test", np.zeros((9, 9), np.uint8))) == ["", ""]
    assert near_duplicates(0.9) == []
    assert near_duplicates(0.9, ("train", noise(1, 9, 9))) == [""]


def test_likeness_is_the_higher_correlation_of_both_views() -> None:
    some, others = (thumbnails([noise(n, 48, 48) for n in numbers]) for numbers in (range(5), range(3, 9)))
    direct, mirrored = (np.einsum("nhw,mhw->nm", view, others) for view in (some, some[:, :, ::-1]))
    found = likeness(mirror_parts(some), mirror_parts(others))
    assert found == pytest.approx(np.maximum(direct, mirrored), abs=1e-5)
    assert found[3, 0] == pytest.approx(1, abs=1e-5)
