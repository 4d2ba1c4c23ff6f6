"""What the annotators saw beside what the uploader meant: how far a model can be expected to get."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stages.common.bootstrap import Bootstrap, interval
from stages.common.scores import ALL


def ceilings(uploader: np.ndarray, seen: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]) -> pd.DataFrame:
    """How often the majority of the annotators is the uploader's label, for `all` and each label of the uploader.

    `uploader` and `seen` (the majority, or "") are texts (n,). The columns are those of ceilings.csv in
    `stages.evaluate`.
    """
    rows = []
    for emotion in (ALL, *emotions):
        some = np.isin(uploader, emotions) if emotion == ALL else uploader == emotion
        decided = some & (seen != "")
        agree = decided & (seen == uploader)
        low, high = interval(bootstrap.means(agree, decided))
        agreement = agree.sum() / decided.sum() if decided.any() else np.nan
        rows.append((emotion, some.sum(), decided.sum(), agreement, low, high))
    return pd.DataFrame(rows, columns=["emotion", "faces", "decided", "agreement", "low", "high"])


def by_label(
    uploader: np.ndarray, seen: np.ndarray, predicted: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """The accuracy of a model's answers `predicted`, texts (n,), held against the uploader's label and the majority's.

    On the same faces: those for which both are among `emotions`. The columns are those of labels.csv in
    `stages.evaluate` but for model.
    """
    both = np.isin(uploader, emotions) & np.isin(seen, emotions)
    rows = []
    for name, label in (("uploader", uploader), ("majority", seen)):
        for emotion in (ALL, *emotions):
            some = both if emotion == ALL else both & (label == emotion)
            right = predicted == label
            accuracy = right[some].mean() if some.any() else np.nan
            rows.append((name, emotion, some.sum(), accuracy, *interval(bootstrap.means(right, some))))
    return pd.DataFrame(rows, columns=["label", "emotion", "faces", "accuracy", "low", "high"])
