"""What the annotators saw beside what the uploader meant: how far a model can be expected to get."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stages.common.bootstrap import Bootstrap, interval
from stages.common.scores import ALL


def ceilings(
    uploader: np.ndarray, majority: np.ndarray, annotated: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """On how many faces most annotators see what the uploader meant, for `all` and each label of the uploader.

    A face on which no two of them agree counts as one on which it is not; one that nobody looked at does not count.

    `uploader` and `majority` ("" for none) are texts (n,), `annotated` is bool (n,). The columns are those of
    ceilings.csv in `stages.evaluate`.
    """
    rows = []
    for emotion in (ALL, *emotions):
        some = annotated & (np.isin(uploader, emotions) if emotion == ALL else uploader == emotion)
        agree, decided = majority == uploader, majority != ""
        agreement = agree[some].mean() if some.any() else np.nan
        rows.append((emotion, some.sum(), decided[some].sum(), agreement, *interval(bootstrap.means(agree, some))))
    return pd.DataFrame(rows, columns=["emotion", "faces", "decided", "agreement", "low", "high"])


def by_label(
    uploader: np.ndarray, majority: np.ndarray, predicted: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """The accuracy of a model's answers `predicted`, texts (n,), held against the uploader's label and the majority's.

    On the same faces: those for which both are among `emotions`. The columns are those of labels.csv in
    `stages.evaluate` but for model.
    """
    both = np.isin(uploader, emotions) & np.isin(majority, emotions)
    rows = []
    for name, label in (("uploader", uploader), ("majority", majority)):
        for emotion in (ALL, *emotions):
            some = both if emotion == ALL else both & (label == emotion)
            right = predicted == label
            accuracy = right[some].mean() if some.any() else np.nan
            rows.append((name, emotion, some.sum(), accuracy, *interval(bootstrap.means(right, some))))
    return pd.DataFrame(rows, columns=["label", "emotion", "faces", "accuracy", "low", "high"])
