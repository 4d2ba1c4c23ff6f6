"""What the three annotators of AI-Hub 82 say of a photo: an emotion, and the four sides of a box around the face."""

from collections import Counter

import numpy as np

ANNOTATORS = ("A", "B", "C")
SIDES = ("minX", "minY", "maxX", "maxY")
EMOTIONS = ("기쁨", "당황", "분노", "불안", "상처", "슬픔", "중립")
UNDECIDED = "알수없음"  # what an annotator says who sees none of them


def understood(word: str) -> bool:
    """Whether a label, normalised, is one that AI-Hub 82 has; none at all is."""
    return not word or word == UNDECIDED or word in EMOTIONS


def majority(labels: np.ndarray) -> list[str]:
    """For each row of annotators' labels, the one that more than half of them chose, or ""."""
    winners = (Counter(row).most_common(1)[0] for row in labels)
    return [label if 2 * count > labels.shape[1] else "" for label, count in winners]
