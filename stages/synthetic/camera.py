"""Take the pictures: one invented face before a background, in some light, as a camera would show it.

Each picture is a pure function of its arguments: they seed a generator of their own for everything drawn at random.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stages.faces.box import Box
from stages.synthetic.drawing import Light, Look, View, draw_face, project
from stages.synthetic.populations import expression, fer_look, korean_look

FER_SIZE = 48
FER_OVERSAMPLING = 3
FER, PERSON, LOOK, SESSION, PHOTO, LABEL = range(6)  # second word of a seed: what is drawn at random
STRANGERS = 10_000_000  # people from this number on have no photos of their own


def fer_picture(seed: int, number: int, emotion: str) -> np.ndarray:
    """A face that fills its picture, as in FER2013: grey, uint8 (48, 48)."""
    rng = np.random.default_rng([seed, FER, number])
    size = FER_SIZE * FER_OVERSAMPLING
    picture = np.full((size, size, 3), rng.uniform(20, 235), np.uint8)
    picture[:, rng.integers(size) :] = rng.uniform(20, 235)
    view = View(
        x=size * rng.uniform(0.46, 0.54),
        y=size * rng.uniform(0.36, 0.43),
        scale=size * rng.uniform(0.35, 0.44),
        roll=rng.normal(0, 0.1),
        yaw=rng.normal(0, 0.15),
        pitch=rng.normal(0, 0.08),
    )
    light = Light(rng.normal(0, 0.5), rng.uniform(-0.6, 0.1), rng.uniform(0.35, 0.75))
    draw_face(picture, fer_look(rng), expression(rng, emotion), view, light, rng)
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (FER_SIZE, FER_SIZE), interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 0.8))
    bright = (grey - 128.0) * rng.uniform(0.7, 1.15) + rng.uniform(95, 150)
    return np.asarray(np.clip(bright + rng.normal(0, 4, grey.shape), 0, 255), np.uint8)


@dataclass(frozen=True)
class Shot:
    """What a Korean photo shows; the numbers of session and photo seed what is drawn at random."""

    person: int
    session: int  # fixes place and light
    number: int  # fixes the moment
    emotion: str


@dataclass(frozen=True)
class Sitter:
    """The person in a Korean photo, as AI-Hub 82 describes people."""

    number: int
    code: str  # 64 hexadecimal digits
    gender: str
    age: int
    profession: str


def sitter(seed: int, number: int) -> Sitter:
    """Who the person with this number is."""
    rng = np.random.default_rng([seed, PERSON, number])
    code = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()
    age = rng.choice([10, 20, 30, 40, 50, 60], p=[0.06, 0.34, 0.28, 0.17, 0.1, 0.05])
    return Sitter(number, code, str(rng.choice(["여", "남"])), int(age), str(rng.choice(["전문인", "일반인"])))


def sitter_look(seed: int, person: Sitter) -> Look:
    """What this person looks like, in every photo."""
    rng = np.random.default_rng([seed, LOOK, person.number])
    return korean_look(rng, person.gender == "남", person.age)


def korean_photo(
    seed: int, shot: Shot, faces: Sequence[float], megapixels: tuple[float, float]
) -> tuple[np.ndarray, Box]:
    """A colour photo, uint8 (height, width, 3), and the box around the face from hairline to chin.

    `faces` holds the sizes of the faces to draw, relative to usual: the person's, then those of strangers.
    """
    scene = np.random.default_rng([seed, SESSION, shot.session])
    rng = np.random.default_rng([seed, PHOTO, shot.number])
    width, height = _frame(scene, megapixels)
    picture = _background(scene, width, height)
    light = Light(scene.normal(0, 0.6), scene.uniform(-0.8, 0.3), scene.uniform(0.4, 0.75))
    tone = _tone(scene)
    box = Box(0, 0, 0, 0)
    # Strangers first: they stand behind the person.
    for place, size in reversed(list(enumerate(faces))):
        look = sitter_look(seed, sitter(seed, STRANGERS + shot.number if place else shot.person))
        action = expression(rng, shot.emotion)
        view = _selfie(rng, width, height, size, place, len(faces))
        draw_face(picture, look, action, view, light, rng)
        box = face_box(look, view)
    # A sensor's noise, alike in the three colours.
    noise = cv2.merge([rng.integers(0, 9, (height, width), dtype=np.uint8)] * 3)
    return cv2.subtract(cv2.add(cv2.LUT(picture, tone), noise), np.full(3, 4.0)), box


def face_box(look: Look, view: View) -> Box:
    """The box from hairline to chin as AI-Hub's annotators draw it: 0.74 times as wide as high."""
    forehead, chin = project(np.array([(0, look.hairline), (0, look.chin)]), view)
    middle, half = (forehead + chin) / 2, np.hypot(*(chin - forehead)) / 2
    return Box(middle[0] - 0.74 * half, middle[1] - half, middle[0] + 0.74 * half, middle[1] + half)


def _frame(rng: np.random.Generator, megapixels: tuple[float, float]) -> tuple[int, int]:
    """Width and height of a photo; the smaller sizes are the more frequent, and four in five are upright."""
    low, high = megapixels
    pixels = 1e6 * low * (high / low) ** (rng.random() ** 3)
    aspect = 0.75 if rng.random() < 0.8 else 4 / 3
    return round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)


def _selfie(rng: np.random.Generator, width: int, height: int, size: float, place: int, faces: int) -> View:
    """Where the face lies: in the middle, or side by side with others."""
    across = 0.5 if faces == 1 else (place + 0.6) / (faces + 0.2)
    return View(
        x=width * (across + rng.uniform(-0.06, 0.06) / faces),
        y=height * rng.uniform(0.36, 0.48),
        scale=min(width, height) * rng.uniform(0.2, 0.26) * size / faces**0.5,
        roll=rng.normal(0, 0.07),
        yaw=rng.normal(0, 0.14),
        pitch=rng.normal(0.03, 0.08),
    )


def _background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A wall that grows darker or lighter downwards, with some blurred things before it: uint8 (height, width, 3)."""
    small = np.empty((96, 96, 3), np.uint8)
    top, bottom = _muted(rng), _muted(rng)
    small[:] = (top + (bottom - top) * np.linspace(0, 1, 96)[:, None])[:, None]
    for _ in range(rng.integers(4, 12)):
        colour = _muted(rng).tolist()
        left, up, wide, high = (int(value) for value in rng.uniform((-20, -20, 6, 6), (96, 96, 40, 60)))
        if rng.random() < 0.7:
            cv2.rectangle(small, (left, up), (left + wide, up + high), colour, -1)
        else:
            cv2.ellipse(small, (left, up), (wide // 2, high // 2), 0, 0, 360, colour, -1)
    blurred = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.6, 1.6))
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC)


def _muted(rng: np.random.Generator) -> np.ndarray:
    """A colour of walls and furniture: float (3,)."""
    return rng.uniform(50, 225) + rng.uniform(-25, 25, 3)


def _tone(rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast and tint of a session, as a look-up table: uint8 (1, 256, 3)."""
    levels = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.8, 1.35)
    tint = rng.uniform(0.75, 1.0) * rng.uniform(0.92, 1.06, 3)
    return np.clip(255 * levels * tint + rng.uniform(0, 25), 0, 255).astype(np.uint8)[None]
