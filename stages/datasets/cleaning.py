"""Say which faces of a data set must go: removed by hand, blank, or duplicates; and which must stay together.

A table has the columns array, row, id, path, label, person and split; a reason is a short text, empty for a kept face.
"""

import difflib
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from stages.datasets.splits import SPLITS
from stages.datasets.unnamed import GROUP
from stages.runtime.errors import UserError

OTHER_LABEL, SAME_SPLIT = "twin with another label", "twin in the same split"
DUPLICATE, NEAR_DUPLICATE = ({split: f"{kind} in {split}" for split in SPLITS[1:]} for kind in ("twin", "near twin"))
DUPLICATE_REASONS = (OTHER_LABEL, SAME_SPLIT, *DUPLICATE.values(), *NEAR_DUPLICATE.values())
THUMBNAIL = 16  # pixels; what near duplicates have in common is coarser than this
PICTURE_ENDING = re.compile(r"\.(jpe?g|jfif|png|bmp|webp|tiff?)$", re.IGNORECASE)


def read_exclusions(path: Path) -> list[str]:
    """The lines of a list of hand-removed pictures, as `plain_id` makes them; `#` starts a comment.

    Raises:
        UserError: there is no list, or it is not UTF-8 text.
    """
    if not path.exists():
        raise UserError(f"{path} is missing; an empty file means that nothing was removed by hand.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [plain_id(line) for line in lines if line]


def plain_id(line: str) -> str:
    """A picture's id or path however it is typed: without quotes, `./`, ending and capitals."""
    place = unicodedata.normalize("NFC", line).strip(" \t\"'").replace("\\", "/").removeprefix("./")
    return PICTURE_ENDING.sub("", place).lower()


def excluded(lines: Iterable[str], ids: Iterable[str], paths: Iterable[str], unused: Iterable[str]) -> list[bool]:
    """Which pictures, each with an id and a path, the `lines` of an exclusion list name.

    A line may also name one of the `unused`, ids or paths of pictures that are not there for another reason.

    Raises:
        UserError: a line names none of them; the message holds the most similar id.
    """
    wanted, plain_ids, plain_paths = set(lines), list(map(plain_id, ids)), list(map(plain_id, paths))
    if unmatched := wanted.difference(plain_ids, plain_paths, map(plain_id, unused) if wanted else ()):
        line = min(unmatched)
        near = difflib.get_close_matches(line, plain_ids, 1)
        others = f" (as do {len(unmatched) - 1:,} others)" if len(unmatched) > 1 else ""
        raise UserError(f"`{line}`{others} names no picture; " + (f"is {near[0]} meant?" if near else "take it out."))
    return [id_ in wanted or path in wanted for id_, path in zip(plain_ids, plain_paths, strict=True)]


def share_of(unit: str, seed: int) -> float:
    """A number from 0 to below 1 that a person or picture always has: adding data moves nobody to another split."""
    digest = hashlib.sha256(f"{seed}:{unit}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def digests(pictures: Iterable[np.ndarray]) -> Iterator[str]:
    """For each picture, uint8 (size, size), a text that only identical ones share; empty if it is constant."""
    for picture in pictures:
        yield "" if picture.min() == picture.max() else hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest()


def duplicate_reasons(table: pd.DataFrame, digest: pd.Series) -> pd.Series:
    """Why a face goes for the sake of an identical one: all if their labels differ, else all but one.

    The one that stays is in the latest of train, validation, test, and the first by id.
    """
    reasons = pd.Series("", index=table.index, dtype=object)
    groups: defaultdict[str, list[tuple[int, str, str, Any]]] = defaultdict(list)
    for place, key, id_, label, split in zip(
        table.index, digest, table["id"], table["label"], table["split"], strict=True
    ):
        groups[key].append((-SPLITS.index(split), id_, label, place))
    for same in groups.values():
        (first_split, _, first_label, _), *others = sorted(same)
        if any(label != first_label for _, _, label, _ in others):
            reasons[[place for *_, place in same]] = OTHER_LABEL
            continue
        for split, _, _, place in others:
            reasons[place] = SAME_SPLIT if split == first_split else DUPLICATE[SPLITS[-first_split]]
    return reasons


def thumbnails(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Small versions of pictures, uint8 (size, size) each, with mean 0 and length 1; float32 (n, 16, 16).

    The sum over the product of two is their normalised cross-correlation, whatever the brightness and contrast.
    """
    small = [cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA) for picture in pictures]
    result = np.array(small, np.float32).reshape(-1, THUMBNAIL, THUMBNAIL)
    result -= result.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((result**2).sum(axis=(1, 2), keepdims=True))
    result /= np.maximum(length, 1e-6)
    return result


def near_duplicate_reasons(split: pd.Series, thumbnail: np.ndarray, correlation: float) -> pd.Series:
    """Why a face goes because one in a later split looks like it, as it is or mirrored.

    `thumbnail` is what `thumbnails` gives for the faces of `split`; two look alike above this `correlation`.
    """
    reasons = pd.Series("", index=split.index, dtype=object)
    flat, mirrored = (view.reshape(-1, THUMBNAIL**2) for view in (thumbnail, thumbnail[:, :, ::-1]))
    for number, later in enumerate(SPLITS[1:], 1):
        others = flat[split == later].T
        for earlier in SPLITS[:number]:
            here = np.flatnonzero(split == earlier)
            # In parts, so that memory does not grow with the product of both numbers.
            for part in np.array_split(here, max(len(here) // 1000, 1)):
                likeness = np.maximum(flat[part] @ others, mirrored[part] @ others).max(axis=1, initial=-1)
                reasons.iloc[part[likeness > correlation]] = NEAR_DUPLICATE[later]
    return reasons


def near_duplicate_groups(ids: pd.Series, thumbnail: np.ndarray, correlation: float) -> list[str]:
    """For each picture the name of its group: all that resemble one another, directly or by way of others.

    `thumbnail` is what `thumbnails` gives; two pictures resemble each other above this `correlation`, as they are or
    mirrored. On 17,178 pictures of FER2013 the largest group at 0.93 has 19.
    """
    flat, mirrored = (view.reshape(-1, THUMBNAIL**2) for view in (thumbnail, thumbnail[:, :, ::-1]))
    pairs = []
    # In parts, so that memory does not grow with the square of their number.
    for start in range(0, len(flat), 1000):
        part = slice(start, start + 1000)
        alike = np.maximum(flat[part] @ flat[start:].T, mirrored[part] @ flat[start:].T) > correlation
        pairs.append(np.argwhere(alike) + start)
    first, second = np.concatenate([np.empty((0, 2), int), *pairs]).T
    size = (len(flat), len(flat))
    _, group = connected_components(coo_matrix((np.ones(len(first), bool), (first, second)), size), directed=False)
    names = ids.groupby(group).min()
    return [f"{GROUP}{names[number]}" for number in group]
