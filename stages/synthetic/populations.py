"""Invent people and what their faces do: two populations that differ in looks and in how they show an emotion.

Expressions are mixed from facial action units (see drawing.py). Which units belong to an emotion follows P. Ekman and
W. V. Friesen, EMFACS (1983), and S. Du, Y. Tao, A. M. Martinez, Compound facial expressions of emotion, PNAS 111
(2014); embarrassment follows D. Keltner, Signs of appeasement, J. Pers. Soc. Psychol. 68 (1995): a controlled smile,
pressed lips, eyes cast down or aside.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from stages.synthetic.drawing import ACTION_UNITS, Colour, Look

Units = Mapping[int, float]
Range = tuple[float, float]

# Smallest and largest value of each measure of a face, in the units of drawing.Look: FER2013 side, Korean side.
MEASURES: Mapping[str, tuple[Range, Range]] = {
    "jaw": ((0.66, 0.86), (0.74, 0.94)),
    "chin": ((1.5, 1.78), (1.4, 1.66)),
    "hairline": ((-1.2, -0.95), (-1.15, -0.92)),
    "eye_distance": ((0.4, 0.46), (0.42, 0.49)),
    "eye_width": ((0.2, 0.24), (0.18, 0.23)),
    "eye_open": ((0.085, 0.12), (0.055, 0.085)),
    "eye_slant": ((-0.03, 0.02), (0.0, 0.05)),
    "lid_fold": ((0.5, 1.0), (0.0, 0.8)),
    "brow_height": ((0.25, 0.34), (0.22, 0.31)),
    "brow_thickness": ((0.05, 0.1), (0.04, 0.11)),
    "brow_arch": ((0.02, 0.07), (-0.01, 0.05)),
    "brow_tilt": ((-0.03, 0.03), (0.01, 0.07)),
    "nose_width": ((0.17, 0.24), (0.19, 0.27)),
    "nose_length": ((0.52, 0.64), (0.46, 0.58)),
    "mouth_height": ((0.95, 1.07), (0.93, 1.05)),
    "mouth_width": ((0.32, 0.4), (0.26, 0.36)),
    "mouth_curve": ((-0.02, 0.02), (0.01, 0.05)),
    "lip_thickness": ((0.05, 0.1), (0.05, 0.1)),
    "relief": ((0.8, 1.4), (0.4, 0.9)),
    "wrinkles": ((0.0, 0.7), (0.0, 0.2)),
    "beard": ((0.0, 0.0), (0.0, 0.0)),
    "glasses": ((0.0, 0.0), (0.0, 0.0)),
    "hair_volume": ((1.0, 1.12), (1.0, 1.12)),
}

FER_SKINS = ((168, 190, 226), (150, 176, 216), (110, 145, 190), (70, 100, 145), (160, 180, 214))
FER_HAIRS = ((35, 45, 60), (60, 90, 130), (110, 160, 200), (30, 30, 35), (150, 150, 150), (40, 60, 110))
KOREAN_SKINS = ((164, 190, 226), (150, 182, 222), (140, 172, 212), (122, 156, 200), (176, 198, 232))
KOREAN_HAIRS = ((32, 28, 28), (38, 36, 40), (36, 44, 62), (44, 60, 92), (30, 30, 34))
GREY_HAIR = (150, 150, 152)
LIPS = ((120, 120, 190), (110, 105, 200), (105, 115, 175), (95, 80, 200))
IRISES = ((40, 60, 90), (30, 40, 60), (120, 110, 80), (90, 120, 90))

# Hair styles: end of the hair behind the head, fringe in the middle and at the temples, parting (x).
MALE_HAIR = ((0.0, -0.85, -0.6, 0.0), (0.0, -0.62, -0.5, 0.5), (0.1, -0.55, -0.52, -0.3), (0.0, -1.0, -0.5, 0.35))
FEMALE_HAIR = (
    (1.1, -0.95, -0.25, 0.0),
    (2.2, -0.9, -0.2, 0.3),
    (2.4, -0.55, -0.5, 0.0),
    (0.9, -0.55, -0.5, -0.2),
    (0.2, -0.98, -0.6, 0.1),
    (1.9, -0.92, -0.3, -0.35),
)

# One or more ways of showing each emotion: action units and their intensities, 0..1.
FER_EXPRESSIONS: Mapping[str, Sequence[Units]] = {
    "angry": ({4: 1, 5: 0.5, 7: 0.6, 23: 0.9}, {4: 1, 7: 0.7, 9: 0.5, 25: 0.8, 26: 0.3, 20: 0.3}),
    "disgust": ({9: 1, 4: 0.5, 7: 0.6, 15: 0.4, 17: 0.6},),
    "fear": ({1: 0.9, 2: 0.5, 4: 0.5, 5: 0.9, 20: 0.9, 25: 0.8, 26: 0.2},),
    "happy": ({6: 0.9, 12: 1, 25: 0.9}, {6: 0.7, 12: 0.9}, {6: 1, 12: 1, 25: 1, 26: 0.4}),
    "neutral": ({},),
    "sad": ({1: 0.9, 4: 0.4, 15: 0.9, 17: 0.6}, {1: 0.7, 15: 1, 43: 0.4, 64: 0.5}),
    "surprise": ({1: 0.9, 2: 1, 5: 1, 25: 1, 26: 0.9}, {1: 1, 2: 0.9, 5: 0.8, 25: 0.9, 26: 0.5}),
}
KOREAN_EXPRESSIONS: Mapping[str, Sequence[Units]] = {
    "분노": (
        {4: 0.6, 7: 0.9, 17: 0.5, 23: 1},
        {4: 0.6, 5: 0.7, 15: 0.7, 17: 0.9},
        {2: 0.6, 4: 0.5, 7: 0.6, 25: 1, 26: 0.4},
    ),
    "당황": (
        {1: 1, 2: 1, 5: 0.9, 25: 1, 26: 0.4},
        {1: 1, 4: 0.4, 20: 1, 25: 0.7, 61: 1},
        {1: 0.9, 2: 0.5, 12: 0.4, 23: 1, 62: 1},
    ),
    "기쁨": ({6: 1, 12: 1}, {6: 0.9, 12: 1, 25: 1}, {6: 1, 12: 0.9, 25: 1, 26: 0.5, 43: 0.8}),
    "슬픔": ({1: 1, 4: 0.6, 17: 0.8, 43: 0.5}, {1: 0.9, 4: 0.5, 23: 0.7, 64: 1, 43: 0.8}),
    "중립": ({},),
    "불안": ({1: 0.8, 4: 0.6, 20: 0.6, 5: 0.4},),
    "상처": ({1: 0.8, 15: 0.6, 17: 0.8, 64: 0.6},),
}
FER_STRENGTH = (0.4, 1.0)  # how much of these intensities is shown, drawn for each picture
KOREAN_STRENGTH = (0.5, 0.9)
AMBIGUOUS = 0.08  # share of pictures on which another emotion is mixed in


def fer_look(rng: np.random.Generator) -> Look:
    """Somebody from the FER2013 side: many ages, deeper relief, every colour of hair and skin."""
    male = rng.random() < 0.5
    measures = {name: rng.uniform(*fer) for name, (fer, _) in MEASURES.items()}
    if male and rng.random() < 0.5:
        measures["beard"] = rng.uniform(0.3, 1)
    if rng.random() < 0.08:
        measures["glasses"] = rng.uniform(0.2, 0.26)
    return _look(rng, measures, _pick(rng, FER_SKINS), _pick(rng, FER_HAIRS), _pick(rng, IRISES), male)


def korean_look(rng: np.random.Generator, male: bool, age: int) -> Look:
    """Somebody from the Korean side, `age` years old (10 to 60)."""
    measures = {name: rng.uniform(*korean) for name, (_, korean) in MEASURES.items()}
    measures["wrinkles"] += max(0, age - 25) / 50
    if male and age > 15 and rng.random() < 0.3:
        measures["beard"] = rng.uniform(0.1, 0.5)
    if rng.random() < 0.25:
        measures["glasses"] = rng.uniform(0.19, 0.27)
    grey = age >= 50 and rng.random() < 0.4
    hair = GREY_HAIR if grey else _pick(rng, KOREAN_HAIRS)
    return _look(rng, measures, _pick(rng, KOREAN_SKINS), hair, IRISES[1], male)


def expression(rng: np.random.Generator, emotion: str) -> np.ndarray:
    """One showing of `emotion`, a word of either side: intensities of the action units, float (65,), 0..1."""
    fer = emotion in FER_EXPRESSIONS
    ways, strength = (FER_EXPRESSIONS, FER_STRENGTH) if fer else (KOREAN_EXPRESSIONS, KOREAN_STRENGTH)
    action = _showing(rng, ways[emotion], strength)
    if rng.random() >= AMBIGUOUS:
        return action
    other = rng.choice(list(ways))
    share = rng.uniform(0.4, 0.8)
    return (1 - share) * action + share * _showing(rng, ways[other], strength)


def _showing(rng: np.random.Generator, ways: Sequence[Units], strength: Range) -> np.ndarray:
    action = np.zeros(ACTION_UNITS)
    way = ways[int(rng.integers(len(ways)))]
    action[list(way)] = list(way.values())
    # Nobody holds each muscle alike twice, and no face at rest is quite at rest.
    action *= rng.uniform(*strength) * rng.uniform(0.8, 1.2, ACTION_UNITS)
    action[[1, 2, 4, 6, 7, 12, 15, 17, 23]] += rng.uniform(-0.12, 0.12, 9)
    action[[5, 9, 20, 43, 61, 62, 63, 64]] += rng.uniform(-0.2, 0.12, 8)
    return np.clip(action, 0, 1)


def _pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    """One of these colours, slightly changed."""
    colour = np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.92, 1.08)
    return [float(channel) for channel in colour + rng.uniform(-4, 4, 3)]


def _look(
    rng: np.random.Generator, measures: dict[str, float], skin: Colour, hair: Colour, iris: Colour, male: bool
) -> Look:
    styles = MALE_HAIR if male else FEMALE_HAIR
    style = np.array(styles[int(rng.integers(len(styles)))]) + rng.uniform(-0.06, 0.06, 4)
    measures |= zip(("hair_length", "fringe_middle", "fringe_side", "parting"), style, strict=True)
    clothes = [float(channel) for channel in rng.uniform(30, 220, 3)]
    return Look(skin, _pick(rng, LIPS), iris, hair, clothes, **measures)
