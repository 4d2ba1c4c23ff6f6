"""Draw the face of an invented person, showing an expression, onto a picture: plain numpy and OpenCV.

All measures of a face are in units of half its width: the origin lies between the eyes, x points to the right of the
picture and y down, so that the cheeks are near x = -1 and 1 and the chin near y = 1.6. Colours are BGR, 0..255.

An expression is an array of 65 intensities from 0 (absent) to 1 (strongest), indexed by the number of the facial
action unit: P. Ekman, W. V. Friesen, J. C. Hager, Facial Action Coding System: The Manual (2002). Drawn are 1 and 2
inner and outer brow raiser, 4 brow lowerer, 5 upper lid raiser, 6 cheek raiser, 7 lid tightener, 9 nose wrinkler,
12 lip corner puller, 15 lip corner depressor, 17 chin raiser, 20 lip stretcher, 23 lip tightener, 25 lips part,
26 jaw drop, 43 eyes closed, 61 to 64 eyes to the left, right, up, down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

ACTION_UNITS = 65
SHIFT = 4  # fractional bits of the coordinates that OpenCV draws at

# The shading of a face is computed on a coarse grid over this part of the face, then stretched onto the picture.
GRID_DENSITY = 40  # grid points for each unit
GRID_X, GRID_Y = np.arange(-1.5, 1.5, 1 / GRID_DENSITY), np.arange(-1.5, 2.1, 1 / GRID_DENSITY)
GRID_START = GRID_X[0], GRID_Y[0]

Colour = Sequence[float]

BLACK: Colour = (28, 22, 20)
WHITE: Colour = (226, 232, 236)


@dataclass(frozen=True)
class Look:
    """What makes a person recognisable."""

    skin: Colour
    lip: Colour
    iris: Colour
    hair: Colour
    clothes: Colour
    jaw: float  # half width at the height of the mouth
    chin: float  # y
    hairline: float  # y
    eye_distance: float  # x of an eye
    eye_width: float  # half
    eye_open: float  # upper lid above the line through the corners
    eye_slant: float  # outer corner above the inner one
    lid_fold: float  # visibility of the crease above the eye
    brow_height: float  # above the eye
    brow_thickness: float
    brow_arch: float
    brow_tilt: float  # how much lower the inner end is than the outer, at rest
    nose_width: float  # half
    nose_length: float  # y of the tip
    mouth_height: float  # y
    mouth_width: float  # half
    mouth_curve: float  # how much lower the corners are than the middle, at rest
    lip_thickness: float
    relief: float  # depth of eye sockets and nose
    wrinkles: float
    beard: float
    glasses: float  # half height of the lenses; 0: none
    hair_volume: float
    hair_length: float  # y of its lower end
    fringe_middle: float  # y where the hair parts
    fringe_side: float  # y at the temples
    parting: float  # x


@dataclass(frozen=True)
class View:
    """Where a face lies in the picture (pixels) and how the head is turned (radians)."""

    x: float
    y: float
    scale: float  # pixels for each unit
    roll: float
    yaw: float
    pitch: float


@dataclass(frozen=True)
class Light:
    """Where the light comes from (right, down; -1..1), and how much of it has no direction (0..1)."""

    x: float
    y: float
    ambient: float


def project(points: np.ndarray, view: View) -> np.ndarray:
    """Points of a face, (n, 2) units, to pixels, (n, 2), as if they lay on an egg-shaped head."""
    x, y = points[:, 0], points[:, 1]
    depth = 0.8 * np.sqrt(np.clip(1 - (x / 1.1) ** 2 - ((y - 0.2) / 1.7) ** 2, 0, 1))
    turned_x = x * np.cos(view.yaw) + depth * np.sin(view.yaw)
    turned_y = y * np.cos(view.pitch) + depth * np.sin(view.pitch)
    sine, cosine = np.sin(view.roll), np.cos(view.roll)
    right = view.x + view.scale * (cosine * turned_x - sine * turned_y)
    down = view.y + view.scale * (sine * turned_x + cosine * turned_y)
    return np.stack([right, down], axis=1)


@dataclass(frozen=True)
class Pen:
    """Draws on one picture, uint8 (height, width, 3), in the units of one face."""

    picture: np.ndarray
    view: View

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points in units, (n, 2), as OpenCV's fixed-point pixels, int32 (n, 2)."""
        return np.asarray(np.rint(project(points, self.view) * (1 << SHIFT)), np.int32)

    def fill(self, points: np.ndarray, colour: Colour) -> None:
        """Fill the polygon through `points`, (n, 2) units."""
        cv2.fillPoly(self.picture, [self.pixels(points)], colour, cv2.LINE_AA, SHIFT)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """Draw a line through `points`, (n, 2) units, `width` units wide and at least one pixel."""
        thickness = max(1, round(width * self.view.scale))
        cv2.polylines(self.picture, [self.pixels(points)], False, colour, thickness, cv2.LINE_AA, SHIFT)

    def band(self, x: np.ndarray, top: np.ndarray, bottom: np.ndarray, colour: Colour) -> None:
        """Fill between two lines that have their points at the same `x`; each (n,) units."""
        self.fill(np.stack([np.r_[x, x[::-1]], np.r_[top, bottom[::-1]]], axis=1), colour)


def draw_face(
    picture: np.ndarray, look: Look, action: np.ndarray, view: View, light: Light, rng: np.random.Generator
) -> None:
    """Draw head and shoulders onto `picture`, uint8 (height, width, 3); `rng` only lays the strands of hair."""
    pen = Pen(picture, view)
    if look.hair_length > 0.5:
        _draw_hair_behind(pen, look)
    _draw_shoulders(pen, look)
    _draw_skin(pen, look, action, light)
    for side in (-1, 1):
        _draw_eye(pen, look, action, side)
        _draw_brow(pen, look, action, side)
    _draw_nose(pen, look, action)
    _draw_mouth(pen, look, action)
    _draw_hair(pen, look, rng)
    if look.glasses:
        _draw_glasses(pen, look)


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (factor below 1) or lighter."""
    return [min(255.0, channel * factor) for channel in colour]


def _curve(points: list[tuple[float, float]]) -> np.ndarray:
    """A closed smooth curve (Catmull-Rom) through `points`: (len(points) * 6, 2)."""
    t = (np.arange(6) / 6)[None, :, None]
    k0, k1, k2, k3 = (np.roll(points, shift, axis=0)[:, None] for shift in (1, 0, -1, -2))
    bend = 2 * k1 + (k2 - k0) * t + (2 * k0 - 5 * k1 + 4 * k2 - k3) * t**2 + (3 * k1 - k0 - 3 * k2 + k3) * t**3
    return np.asarray(bend / 2).reshape(-1, 2)


def _bend(start: np.ndarray, pull: np.ndarray, end: np.ndarray) -> np.ndarray:
    """A curve (Bézier) from `start` to `end`, drawn towards `pull`; each (2,). Returns (8, 2)."""
    t = np.linspace(0, 1, 8)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * pull + t**2 * end)


def _ellipse(x: float, y: float, width: float, height: float, steps: int = 20) -> np.ndarray:
    """An ellipse with these half axes: (steps, 2)."""
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def _mirrored(right_half: list[tuple[float, float]]) -> np.ndarray:
    """The smooth closed curve whose right half runs from top to bottom through these points."""
    return _curve([*right_half, *[(-x, y) for x, y in reversed(right_half) if x]])


def _face_outline(look: Look, action: np.ndarray) -> np.ndarray:
    chin = look.chin + 0.16 * float(action[26]) - 0.03 * float(action[17])
    top, jaw = look.hairline - 0.15, look.jaw
    skull = [(0, top), (0.6, top + 0.15), (0.94, -0.55), (1, 0), (0.97, 0.45)]
    return _mirrored([*skull, (jaw, 0.98), (jaw * 0.62, chin - 0.2), (0.16, chin), (0, chin + 0.01)])


def _draw_hair_behind(pen: Pen, look: Look) -> None:
    wide, end = 1.1 * look.hair_volume, look.hair_length
    outline = [(0, look.hairline - 0.3), (wide, -0.25), (wide, (end - 0.25) / 2), (wide - 0.12, end)]
    pen.fill(_mirrored([*outline, (0.5, end + 0.05), (0, end)]), shade(look.hair, 0.7))


def _draw_shoulders(pen: Pen, look: Look) -> None:
    chin, half = look.chin, 0.55 * look.jaw
    neck = [(-half, 0.9), (half, 0.9), (half + 0.08, chin + 0.6), (-half - 0.08, chin + 0.6)]
    pen.fill(np.array(neck), shade(look.skin, 0.66))
    collar = [(-half, chin + 0.32), (0, chin + 0.55), (half, chin + 0.32)]
    shoulders = [(1.9, chin + 0.75), (2.3, chin + 3), (-2.3, chin + 3), (-1.9, chin + 0.75)]
    pen.fill(_curve([*collar, *shoulders]), look.clothes)


def _draw_skin(pen: Pen, look: Look, action: np.ndarray, light: Light) -> None:
    """Ears and face in the colour of the skin times the shading."""
    outlines = [_face_outline(look, action), *(_ellipse(side * 1.02, 0.15, 0.13, 0.26) for side in (-1, 1))]
    polygons = [pen.pixels(outline) for outline in outlines]
    left, top, width, height = cv2.boundingRect(np.concatenate(polygons) >> SHIFT)
    left, top, right, bottom = max(left, 0), max(top, 0), left + width + 1, top + height + 1
    area = pen.picture[top:bottom, left:right]
    if not area.size:  # the face lies beside the picture
        return
    mask = np.zeros(area.shape[:2], np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, SHIFT, (-left << SHIFT, -top << SHIFT))
    shading = _stretch(_shading(look, action, light), pen.view, left, top, area.shape[:2])
    skin = cv2.merge([shading * channel for channel in look.skin])
    cover = cv2.merge([mask.astype(np.float32) / 255] * 3)
    area[:] = np.clip(area + cover * (skin - area), 0, 255)


def _stretch(grid: np.ndarray, view: View, left: int, top: int, shape: tuple[int, ...]) -> np.ndarray:
    """The part of the picture at (left, top) of this shape, filled from the shading grid: float32."""
    corners = np.array([(-0.6, 0), (0.6, 0), (0, 1)], np.float32)
    on_grid = (corners - np.array(GRID_START, np.float32)) * GRID_DENSITY
    on_picture = (project(corners, view) - (left, top)).astype(np.float32)
    matrix = cv2.getAffineTransform(on_grid.astype(np.float32), on_picture)
    return cv2.warpAffine(grid, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _shading(look: Look, action: np.ndarray, light: Light) -> np.ndarray:
    """How bright each point of the shading grid is, around 1: float32 (rows, columns)."""
    normal_x, normal_y = np.clip(GRID_X / 1.25, -0.9, 0.9), np.clip((GRID_Y[:, None] - 0.15) / 2.1, -0.8, 0.8)
    normal_z = np.sqrt(np.maximum(1 - normal_x**2 - normal_y**2, 0.02))
    lambert = np.maximum(normal_x * light.x + normal_y * light.y + normal_z, 0) / np.sqrt(1 + light.x**2 + light.y**2)
    blobs = np.array(_blobs(look, action)).T
    across = np.exp(-(((GRID_X[:, None] - blobs[0]) / blobs[2]) ** 2))
    down = np.exp(-(((GRID_Y[:, None] - blobs[1]) / blobs[3]) ** 2))
    relief = (down * blobs[4]) @ across.T
    creases = _creases(look, action).astype(np.float64) / 255
    grid = (light.ambient + (1.12 - light.ambient) * lambert) * (1 + relief) * (1 - 0.55 * creases)
    return np.asarray(grid, np.float32)


def _blobs(look: Look, action: np.ndarray) -> list[tuple[float, float, float, float, float]]:
    """Soft light and dark places: x, y, width, height (units), and what they add to the brightness."""
    deep, tip, mouth, eye = look.relief, look.nose_length, look.mouth_height, look.eye_distance
    cheek = 0.42 - 0.1 * action[6]
    blobs: list[tuple[float, float, float, float, float]] = [
        (0, -0.75, 0.6, 0.3, 0.07),
        (0, 0.2, 0.08, 0.4, 0.16 * deep),
        (0, tip - 0.06, 0.11, 0.1, 0.16 * deep),
        (0, tip + 0.16, 0.2, 0.07, -0.22 * deep),
        (0, mouth + 0.27, 0.22, 0.07, -0.16 - 0.1 * action[17]),
        (0, look.chin - 0.17, 0.18, 0.12, 0.1),
        (0, -0.27, 0.1, 0.12, -0.22 * action[4] - 0.1 * action[9]),
        (0, mouth + 0.05, 0.62, 0.42, -0.3 * look.beard),
    ]
    for side in (-1, 1):
        blobs += [
            (side * eye, -0.08, 0.29, 0.16, -0.2 * deep),
            (side * 0.2, 0.02, 0.09, 0.14, -0.22 * deep),
            (side * 0.16, tip - 0.3, 0.07, 0.25, -0.12 * deep),
            (side * 0.55, cheek, 0.25, 0.2, 0.1 + 0.12 * action[6]),
            (side * eye, 0.2, 0.2, 0.06, -0.07 - 0.12 * look.wrinkles - 0.08 * action[6]),
            (side * (look.mouth_width + 0.1), mouth, 0.1, 0.16, -0.1 - 0.12 * action[12] - 0.1 * action[15]),
            (side * 0.95, 0.5, 0.2, 0.8, -0.14),
            (side * 0.55, mouth + 0.25, 0.3, 0.3, -0.22 * look.beard),
        ]
    return blobs


def _creases(look: Look, action: np.ndarray) -> np.ndarray:
    """The folds of the skin on the shading grid: uint8 (rows, columns), 255 for the deepest."""
    grid = np.zeros((len(GRID_Y), len(GRID_X)), np.uint8)
    for points, depth in _fold_lines(look, action):
        pixels = (np.array(points) - GRID_START) * GRID_DENSITY * (1 << SHIFT)
        level = 255 * min(1.0, max(0.0, depth))
        cv2.polylines(grid, [np.rint(pixels).astype(np.int32)], False, level, 2, cv2.LINE_AA, SHIFT)
    return cv2.GaussianBlur(grid, (3, 3), 0)


def _fold_lines(look: Look, action: np.ndarray) -> list[tuple[list[tuple[float, float]], float]]:
    """Wrinkles of age and of expression: the points of a line, and its depth 0..1."""
    tip, mouth, age = look.nose_length, look.mouth_height, look.wrinkles
    raised = 0.25 * age + 0.8 * min(action[1], action[2]) + 0.25 * action[1]
    wing, corner = look.nose_width + 0.06, look.mouth_width + 0.14
    lines = [([(-0.5, y + 0.04), (-0.2, y), (0.2, y), (0.5, y + 0.04)], raised) for y in (-0.86, -0.72)]
    lines += [([(-0.1, y), (0.1, y)], 0.9 * action[9]) for y in (0.06, 0.14)]
    for side in (-1, 1):
        cheek = [(side * wing, tip - 0.06), (side * (wing + 0.13), tip + 0.14), (side * corner, mouth - 0.06)]
        below = [(side * (corner - 0.1), mouth + 0.1), (side * (corner - 0.06), mouth + 0.24)]
        lines += [
            ([(side * 0.07, -0.38), (side * 0.06, -0.2)], 0.2 * age + 0.9 * action[4]),
            (cheek, 0.12 + 0.35 * age + 0.55 * action[12] + 0.6 * action[9]),
            ([(side * 0.74, -0.02), (side * 0.86, -0.08)], 0.3 * age + 0.6 * action[6]),
            ([(side * 0.74, 0.05), (side * 0.87, 0.06)], 0.25 * age + 0.6 * action[6]),
            (below, 0.3 * age + 0.5 * action[15]),
        ]
    return lines


def _draw_eye(pen: Pen, look: Look, action: np.ndarray, side: int) -> None:
    """The white, then iris, pupil and glint, cut off where the lids cover them, then the edges of the lids."""
    shut = 1 - action[43]
    upper = look.eye_open * (1 + 0.75 * action[5] - 0.4 * action[7] - 0.28 * action[6] - 0.3 * action[64]) * shut
    lower = look.eye_open * (0.75 + 0.15 * action[5] - 0.35 * action[7] - 0.45 * action[6]) * shut
    t = np.linspace(-1, 1, 17)
    x = side * (look.eye_distance + look.eye_width * t)
    corners = -look.eye_slant * t
    lid, rim = corners - upper * (1 - t**2), corners + lower * (1 - np.abs(t) ** 2.5)
    pen.band(x, lid, rim, WHITE)
    iris_x = side * look.eye_distance + 0.1 * float(action[62] - action[61])
    iris_y = -0.015 + 0.06 * float(action[64] - action[63])
    order = np.argsort(x)
    for radius, colour in ((0.115, shade(look.iris, 0.6)), (0.1, look.iris), (0.05, BLACK)):
        disc = _ellipse(iris_x, iris_y, radius, radius)
        above, below = (np.interp(disc[:, 0], x[order], edge[order]) for edge in (lid, rim))
        disc[:, 1] = np.clip(disc[:, 1], above, np.maximum(above, below))
        pen.fill(disc, colour)
    if action[43] < 0.5:
        pen.fill(_ellipse(iris_x + 0.03, iris_y - 0.035, 0.02, 0.02, 8), WHITE)
    pen.line(np.stack([x, rim], axis=1), shade(look.skin, 0.55), 0.014)
    pen.line(np.stack([x, lid], axis=1), BLACK, 0.036)
    fold = corners - 0.06 - (upper + 0.02 * action[5]) * (1 - t**2)
    pen.line(np.stack([x, fold], axis=1)[2:], shade(look.skin, 0.9 - 0.35 * look.lid_fold), 0.016)


def _draw_brow(pen: Pen, look: Look, action: np.ndarray, side: int) -> None:
    t = np.linspace(0, 1, 10)  # from the nose outwards
    x = look.eye_distance - 0.27 - 0.06 * action[4] + (0.58 + 0.04 * action[4]) * t
    inner = -0.15 * action[1] + 0.14 * action[4] + 0.05 * action[9]
    outer = -0.15 * action[2] + 0.03 * action[4]
    rest = -look.brow_height - look.brow_tilt * (t - 0.5) - look.brow_arch * np.sin(np.pi * t**1.3)
    y = rest + inner * (1 - t) ** 1.4 + outer * t
    half = look.brow_thickness / 2 * np.minimum(1 - 0.75 * t**2, 0.5 + 4 * t)
    pen.band(x * side, y - half, y + half, shade(look.hair, 0.75))


def _draw_nose(pen: Pen, look: Look, action: np.ndarray) -> None:
    tip, wide = look.nose_length - 0.05 * action[9], look.nose_width
    dark = shade(look.skin, 0.5)
    for side in (-1, 1):
        pen.fill(_ellipse(side * wide * 0.5, tip + 0.09, wide * 0.24, 0.026, 10), dark)
        wing = [(0.92, -0.1), (1.12, -0.02), (1.1, 0.07), (0.85, 0.1)]
        pen.line(np.array([(side * wide * x, tip + y) for x, y in wing]), shade(look.skin, 0.66), 0.02)
    under = [(-0.4, 0.1), (-0.15, 0.125), (0.15, 0.125), (0.4, 0.1)]
    pen.line(np.array([(wide * x, tip + y) for x, y in under]), dark, 0.018)


def _draw_mouth(pen: Pen, look: Look, action: np.ndarray) -> None:
    """Lips as four curves from corner to corner; teeth and dark between the inner two when the lips part."""
    wide = look.mouth_width * (1 + 0.28 * action[12] + 0.3 * action[20] - 0.16 * action[23] - 0.1 * action[26])
    middle = look.mouth_height - 0.04 * action[17] + 0.02 * action[12]
    corner = middle + look.mouth_curve - 0.2 * action[12] + 0.15 * action[15] + 0.03 * action[20]
    gap = 0.07 * action[25] + 0.34 * action[26] * action[25]
    thick = look.lip_thickness * (1 - 0.55 * action[23] - 0.25 * action[12] - 0.3 * action[20])
    t = np.linspace(-1, 1, 21)
    bow = 1 - t**2
    line = corner + (middle - corner) * bow
    upper = line - gap * 0.3 * bow
    lower = line + gap * 0.7 * np.sqrt(bow)
    cupid = 0.85 + 0.35 * np.abs(t) * (np.abs(t) < 0.45)
    top, bottom = upper - thick * 0.8 * bow * cupid, lower + thick * 1.1 * bow**0.8
    x = wide * t
    pen.band(x, top, upper, shade(look.lip, 0.85))
    pen.band(x, lower, bottom, look.lip)
    if gap > 0.03:
        pen.band(x, upper, lower, (45, 32, 70))
        pen.band(x * 0.88, upper, np.minimum(upper + 0.1 * bow, lower), WHITE)
    pen.line(np.stack([x, upper], axis=1), shade(look.lip, 0.42), 0.022)


def _draw_hair(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """The hair in front of the skull: from its outline down to the fringe, with lighter and darker strands."""
    angle = np.linspace(np.pi, 0, 25)
    top = look.hairline - 0.42 * look.hair_volume
    outer = np.stack([1.1 * look.hair_volume * np.cos(angle), -0.2 + (top + 0.2) * np.sin(angle)], axis=1)
    x = 0.97 * np.cos(angle)
    away = np.abs(x - look.parting)
    y = look.fringe_middle + (look.fringe_side - look.fringe_middle) * np.minimum(away / 0.9, 1) ** 1.6
    inner = np.stack([x, y + rng.uniform(-0.03, 0.03, len(x))], axis=1)
    inner[0], inner[-1] = (-0.98, 0.12), (0.98, 0.12)
    pen.fill(np.concatenate([outer, inner[::-1]]), look.hair)
    crown = np.array([look.parting * 0.8, top + 0.1])
    for strand in rng.integers(1, len(x) - 1, 22):
        pen.line(_bend(crown, outer[strand], inner[strand]), shade(look.hair, rng.uniform(0.75, 1.3)), 0.02)


def _draw_glasses(pen: Pen, look: Look) -> None:
    frame = (40, 36, 34)
    for side in (-1, 1):
        rim = _ellipse(side * look.eye_distance, 0.02, 0.33, look.glasses)
        pen.line(np.concatenate([rim, rim[:1]]), frame, 0.03)
        pen.line(np.array([(side * (look.eye_distance + 0.33), 0), (side * 1.02, -0.02)]), frame, 0.03)
    pen.line(np.array([(0.33 - look.eye_distance, 0), (look.eye_distance - 0.33, 0)]), frame, 0.03)
