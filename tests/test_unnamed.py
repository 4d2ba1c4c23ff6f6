import cv2
import numpy as np
import pandas as pd
from samples import noise

from stages.datasets.cleaning import near_duplicate_groups, thumbnails
from stages.datasets.columns import people_known


def groups(*pictures: np.ndarray, correlation: float = 0.93) -> list[str]:
    ids = pd.Series([f"{99 - n}" for n in range(len(pictures))])
    return near_duplicate_groups(ids, thumbnails(pictures), correlation)


def smooth(number: int) -> np.ndarray:
    return cv2.resize(noise(number, 8, 8), (48, 48), interpolation=cv2.INTER_CUBIC)


def test_groups_hold_what_resembles_directly_or_by_way_of_others() -> None:
    first, last, other = smooth(1).astype(np.float32), smooth(2).astype(np.float32), smooth(3)
    # Each resembles the next, and the first not the last.
    chain = [((1 - share) * first + share * last).astype(np.uint8) for share in np.linspace(0, 1, 16)]
    assert groups(chain[0], chain[-1]) == ["~99", "~98"]
    assert groups(*chain, other) == ["~84"] * 16 + ["~83"]
    assert groups(chain[0], other, chain[0][:, ::-1]) == ["~97", "~98", "~97"]
    assert groups(chain[0], chain[1], correlation=0.9999) == ["~99", "~98"]
    assert groups() == []


def test_more_pictures_than_fit_in_a_part() -> None:
    pictures = [noise(n % 1100, 16, 16) for n in range(2200)]
    ids = pd.Series([f"{n:04}" for n in range(2200)])
    found = near_duplicate_groups(ids, thumbnails(pictures), 0.93)
    assert found == [f"~{n % 1100:04}" for n in range(2200)]


def test_people_are_known_if_none_is_a_group() -> None:
    assert people_known(["a", "b"])
    assert people_known([])
    assert not people_known(["~0123"])
