"""Write FER+'s votes by file name, for FER2013 as Kaggle's JPEG files, whose names do not say their rows.

In: ARCHIVE, FER2013 as picture files, packed or not; PIXELS, the same pictures as fer2013.csv; VOTES, FER+'s
fer2013new.csv, whose row i is about row i of PIXELS.
Out: TABLE, for `data.ferplus` in params.yaml. A file gets the votes of the row, of its own split and class, whose
pixels are nearest: a JPEG has not quite the pixels that it was made from. What gets none is counted with the reason.
Run: python -m tools.votes ARCHIVE PIXELS VOTES TABLE
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances_argmin_min

from stages.datasets import fer2013
from stages.datasets.votes import BY_NAME, read_votes
from stages.files.images import BadPictureError
from stages.files.tables import write_table
from stages.resize import grey_square
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.runtime.limits import account

FARTHEST = 5.0  # grey levels, root mean square, between a JPEG (Kaggle's have quality 95) and what it was made from
NO_ROW, DIFFERING = "no row has its pixels", "identical rows, different votes"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.votes", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="FER2013 as files: archive.zip, or unpacked")
    parser.add_argument("pixels", type=Path, metavar="PIXELS", help="FER2013 as fer2013.csv")
    parser.add_argument("votes", type=Path, metavar="VOTES", help="FER+'s fer2013new.csv")
    parser.add_argument("table", type=Path, metavar="TABLE", help="a new file")
    arguments = parser.parse_args()
    if arguments.table.exists():
        raise UserError(f"{arguments.table} is there already; name a new file.")
    image = params.load().image
    rows, unread = read(arguments.pixels, image)
    votes = read_votes(arguments.votes, rows["id"], unread["path"].tolist())
    if votes is None:
        raise UserError(f"{arguments.votes} has no rows; name FER+'s fer2013new.csv.")
    files, unreadable = read(arguments.archive, image)
    row, reason = match(files, rows, votes)
    known = reason == ""
    if not known.any():
        raise UserError(f"{arguments.pixels} has none of the pictures in {arguments.archive}; name the same data set.")
    found = votes.loc[row[known]]
    found.insert(0, BY_NAME, files["id"][known].to_numpy())
    write_table(found, arguments.table)
    reasons = [*reason[~known], *unreadable["reason"]]
    account("pictures", len(files) + len(unreadable), len(found), reasons)


def read(root: Path, image: params.Image) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pictures of FER2013 at `root` (split, label, id, path, pixels: uint8 (size * size,)), and others (reason)."""
    kept, others = [], []
    for picture in fer2013.find_pictures(root):
        row = {"split": picture.split, "label": picture.label, "id": picture.id, "path": picture.path}
        try:
            kept.append(row | {"pixels": grey_square(picture.source, root, image).ravel()})
        except BadPictureError as error:
            others.append(row | {"reason": str(error)})
    found = pd.DataFrame(kept, columns=["split", "label", "id", "path", "pixels"])
    twice = found["id"].duplicated()  # an archive beside what was unpacked from it
    unused = pd.DataFrame(others, columns=["split", "label", "id", "path", "reason"])
    return found[~twice], pd.concat([unused, found[twice].drop(columns="pixels").assign(reason="found twice")])


def match(files: pd.DataFrame, rows: pd.DataFrame, votes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each of `files` the index of its row, and why its votes are not known ("" if they are); see `read`.

    `votes` are those of `rows`, by the same index.
    """
    row, reason = pd.Series(-1, files.index), pd.Series(NO_ROW, files.index, dtype=object)
    identical = [rows["split"], rows["label"], rows["pixels"].map(bytes)]
    differing = (votes.groupby(identical).transform("nunique") > 1).any(axis=1)
    for group, some in files.groupby(["split", "label"]):
        others = rows[(rows["split"] == group[0]) & (rows["label"] == group[1])]
        if others.empty:
            continue
        ours, theirs = (np.stack(list(part["pixels"])).astype(np.float32) for part in (some, others))
        nearest, distance = pairwise_distances_argmin_min(ours, theirs)
        row[some.index] = others.index[nearest]
        far = distance / np.sqrt(ours.shape[1]) > FARTHEST
        reason[some.index] = np.where(far, NO_ROW, np.where(differing[row[some.index]], DIFFERING, ""))
    return row.to_numpy(), reason.to_numpy()


if __name__ == "__main__":
    run(main)
