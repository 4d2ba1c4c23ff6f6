"""What ten people saw on each picture of FER2013: the votes of FER+ (Barsoum et al., 2016).

Either as published, `fer2013new.csv`, whose row i is about row i of fer2013.csv; or a table with a column `path` in
place of `Usage` and `Image name`, for the same pictures as files: test/angry/PrivateTest_10131363.jpg.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages.datasets.cleaning import plain_id
from stages.datasets.columns import SPLITS
from stages.runtime.errors import UserError

CLASSES = {  # FER2013's name for each of FER+'s columns
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
}
NO_FACE, NOT_A_FACE = "NF", "not a face"  # the column, and why such a picture is not used
VOTED = (*CLASSES, "contempt", "unknown", NO_FACE)
PUBLISHED, BY_NAME = ("Usage", "Image name"), "path"
ADVICE = "set data.ferplus in params.yaml to FER+'s fer2013new.csv or to a table of votes by file name (docs/data.md)"


def read_votes(file: Path, ids: pd.Series, unreadable: Sequence[str]) -> pd.DataFrame | None:
    """The votes on the pictures `ids`, a row each, int, with the columns VOTED; all 0 for a picture without votes.

    `unreadable` are the paths of pictures that became no grey square, which the table may name, too. None if it has no
    rows: nobody voted.

    Raises:
        UserError: the file is missing or no such table, or it is about other pictures.
    """
    table = _read(file)
    if table.empty:
        return None
    votes = (_by_name if BY_NAME in table else _by_row)(file, table, ids, unreadable)
    return votes[list(VOTED)].set_index(ids.index)


def _by_name(file: Path, table: pd.DataFrame, ids: pd.Series, unreadable: Sequence[str]) -> pd.DataFrame:
    names, own = table[BY_NAME].map(plain_id), ids.map(plain_id)
    stems = {plain_id(path).rpartition("/")[2] for path in unreadable}
    nowhere = table[BY_NAME][~names.isin(own) & ~names.str.rpartition("/")[2].isin(stems)]
    if len(nowhere):
        others = f" (as do {len(nowhere) - 1:,} others)" if len(nowhere) > 1 else ""
        advice = "a name is <train|test>/<class>/<file>, as in Kaggle's archive.zip: correct it, or take it out"
        if _are_rows(ids):
            advice = "for fer2013.csv set data.ferplus in params.yaml to FER+'s fer2013new.csv"
        raise UserError(f"{file}: `{nowhere.iloc[0]}`{others} names no picture of data.fer2013; {advice}.")
    if names.duplicated().any():
        raise UserError(f"{file} has {table[BY_NAME][names.duplicated()].iloc[0]} twice; take one out.")
    return table.set_index(names)[list(VOTED)].reindex(own, fill_value=0)


def _by_row(file: Path, table: pd.DataFrame, ids: pd.Series, unreadable: Sequence[str]) -> pd.DataFrame:
    if not _are_rows(ids):
        raise UserError(
            f"{file} goes by the rows of fer2013.csv, and data.fer2013 has pictures as files; set data.fer2013 in "
            "params.yaml to fer2013.csv, or data.ferplus to a table of votes by file name (docs/data.md)."
        )
    # Ids and paths end with the line, and a blank one is no picture.
    lines = ids.str.rpartition("/")[2].astype(int)
    others = (path.rpartition(":") for path in unreadable)
    # A picture that lies beside fer2013.csv has no line.
    pictures = sorted([*lines, *(int(line) for _, colon, line in others if colon and line.isdigit())])
    if len(pictures) != len(table):
        raise UserError(
            f"{file} has {len(table):,} rows, but FER2013 {len(pictures):,}; {ADVICE} of the same pictures."
        )
    rows = np.searchsorted(pictures, lines)
    is_test = (ids.str.partition("/")[0] == SPLITS[-1]).to_numpy()
    if wrong := rows[(table["Usage"].to_numpy()[rows] != "Training") != is_test].tolist():
        raise UserError(
            f"{file}, line {wrong[0] + 2}: Usage is not that of the same row of fer2013.csv; {ADVICE} of the same "
            "pictures, in the same order."
        )
    return table.iloc[rows]


def _are_rows(ids: pd.Series) -> bool:
    """Whether the pictures are rows of fer2013.csv, and no files."""
    return bool(ids.str.rpartition("/")[2].str.isdigit().all())


def _read(file: Path) -> pd.DataFrame:
    """The table, its votes as int; an empty cell is no vote."""
    if not file.is_file():
        raise UserError(f"{file} is no file; {ADVICE}, or to data/no_votes.csv for none.")
    try:
        table = pd.read_csv(file, encoding="utf-8-sig", dtype=str, keep_default_na=False, index_col=False)
    except ValueError:  # as all of pandas' errors are
        raise UserError(f"{file} is not a table parted by commas; {ADVICE}.") from None
    named = [BY_NAME] if BY_NAME in table else PUBLISHED
    if missing := [column for column in (*named, *VOTED) if column not in table]:
        raise UserError(f"{file} has no column {', '.join(missing)}; {ADVICE}.")
    votes = table[list(VOTED)].replace("", "0")
    for column in VOTED:
        if not (whole := votes[column].str.fullmatch(r"\d{1,6}(\.0)?")).all():
            line = int(np.argmin(whole)) + 2
            raise UserError(f"{file}, line {line}: {column} must be a number of votes; fetch the file again.")
    table[list(VOTED)] = votes.astype(float).astype(int)
    return table


def no_face(votes: pd.DataFrame) -> pd.Series:
    """Whether most voters saw no face: bool, for each row of `read_votes`."""
    return votes[NO_FACE] > votes.sum(axis=1) / 2


def by_class(votes: pd.DataFrame, classes: dict[str, str | None], names: Sequence[str]) -> np.ndarray:
    """The votes for each of our classes `names`, float (n, names); `classes` says what each of FER2013's becomes."""
    counts = np.zeros((len(votes), len(names)))
    for column, theirs in CLASSES.items():
        if (ours := classes.get(theirs)) in names:
            counts[:, names.index(ours)] += votes[column]
    return counts


def majority(counts: np.ndarray, voters: pd.Series, names: Sequence[str]) -> np.ndarray:
    """The class that more than half of the `voters`, int (n,), saw; "" for none. Texts (n,)."""
    most = counts.argmax(axis=1)
    return np.where(counts.max(axis=1) > voters.to_numpy() / 2, np.array(names, object)[most], "")


def targets(counts: np.ndarray, label: np.ndarray, share: float) -> np.ndarray:
    """What a network is to say: `share` of the votes' distribution and the rest of the label, float (n, classes).

    `counts` are votes, float (n, classes); where there are none, the label alone counts. `label` is int (n,).
    """
    one_hot = np.eye(counts.shape[1])[label]
    voters = counts.sum(axis=1, keepdims=True)
    seen = np.divide(counts, voters, out=one_hot.copy(), where=voters > 0)
    return np.asarray((1 - share) * one_hot + share * seen)
