"""Two models on the same faces: is the difference more than chance?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from stages.evaluation.bootstrap import Bootstrap
from stages.evaluation.scores import ALL


def differences(
    label: np.ndarray, before: np.ndarray, after: np.ndarray, bootstrap: Bootstrap, emotions: Sequence[str]
) -> pd.DataFrame:
    """A row for `all` and each emotion: accuracy (of an emotion its recall) before and after, and what lies between.

    `label` is int (n,), `before` and `after` are probabilities float (n, classes). The columns are those of
    differences.csv in docs/evaluation.md but for dataset; low and high end the paired 95 % interval of the difference.
    """
    right = [(probability.argmax(axis=1) == label) for probability in (before, after)]
    change = right[1].astype(int) - right[0]
    rows = []
    for number, emotion in enumerate((ALL, *emotions)):
        some = label == number - 1 if number else np.ones(len(label), bool)
        gained, lost = int((change[some] > 0).sum()), int((change[some] < 0).sum())
        figures = right[0][some].mean(), right[1][some].mean(), *bootstrap.mean(change, some)
        rows.append((emotion, some.sum(), *figures, gained, lost, mcnemar(gained, lost)))
    columns = ["emotion", "faces", "before", "after", "difference", "low", "high", "gained", "lost", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided p-value of the exact McNemar test (1947) for faces that one model alone has right.

    It takes the faces for independent; several of one person are not quite, which the interval by people does heed.
    """
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
