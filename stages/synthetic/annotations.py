"""Label records as AI-Hub 82 has them: three annotators who often disagree, and boxes that are sometimes wrong.

The shares were counted on some 4,000 public label records of the real data set.
"""

from typing import Any

import numpy as np

from stages.faces.box import Box
from stages.synthetic.camera import Sitter

UNSURE = "알수없음"
# What annotators saw who did not see the uploader's emotion.
VOTES = ("기쁨", "당황", "분노", "슬픔", "중립", "불안", "상처", UNSURE)
# How often the annotators' majority is the uploader's emotion, and how often a majority is unanimous.
MAJORITY = {"기쁨": 0.92, "당황": 0.72, "분노": 0.62, "슬픔": 0.56, "중립": 0.96, "불안": 0.5, "상처": 0.5}
UNANIMOUS = 0.6
# What is wrong with a box: in these shares its area is zero, or it is left out.
FAULTS = {"zero": 0.0002, "missing": 0.001, "": 0.9988}


def label_record(
    rng: np.random.Generator, filename: str, person: Sitter, emotion: str, place: str, box: Box, faults: dict[str, str]
) -> dict[str, Any]:
    """One record of a label file; `faults` names, by annotator, what is wrong with a box."""
    record: dict[str, Any] = {
        "filename": filename,
        "gender": person.gender,
        "age": person.age,
        "isProf": person.profession,
        "faceExp_uploader": emotion,
        "bg_uploader": place,
    }
    for annotator, vote in zip("ABC", _votes(rng, emotion), strict=True):
        fault = faults.get(annotator) or rng.choice(list(FAULTS), p=list(FAULTS.values()))
        boxes = _boxes(rng, box, fault)
        record[f"annot_{annotator}"] = ({"boxes": boxes} if boxes else {}) | {"faceExp": vote, "bg": place}
    return record


def _votes(rng: np.random.Generator, emotion: str) -> list[str]:
    """What annotators A, B and C chose."""
    others = rng.permutation([vote for vote in VOTES if vote != emotion]).tolist()
    if rng.random() < MAJORITY[emotion]:
        most, odd = emotion, others[0]
    elif rng.random() < 0.5:
        most, odd = others[0], emotion
    else:
        return [*others[:2], emotion]
    votes = [most, most, most if rng.random() < UNANIMOUS else odd]
    return [str(vote) for vote in rng.permutation(votes)]


def _boxes(rng: np.random.Generator, box: Box, fault: str) -> dict[str, float] | None:
    """The box as another annotator draws it: each side moved by about a fiftieth of the height.

    Pixels in the upright picture, in the order in which the real records have them.
    """
    left, top, right, bottom = np.array(box) + rng.normal(0, 0.02, 4) * (box.bottom - box.top)
    match fault:
        case "missing":
            return None
        case "zero":
            right, bottom = left, top
        case "tiny":
            right, bottom = left + 13, top + 19
        case "negative":
            left = -52.25
        case "off":
            left, top, right, bottom = 0.0, 0.0, (right - left) / 2, (bottom - top) / 2
    sides = {"maxX": right, "maxY": bottom, "minX": left, "minY": top}
    return {name: round(float(value), None if fault == "whole" else 4) for name, value in sides.items()}
