"""What most of the annotators of a Korean photo saw."""

from collections import Counter

import numpy as np


def majority(labels: np.ndarray) -> list[str]:
    """For each row of annotators' labels, the one that more than half of them chose, or ""."""
    winners = (Counter(row).most_common(1)[0] for row in labels)
    return [label if 2 * count > labels.shape[1] else "" for label, count in winners]
