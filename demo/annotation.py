"""Draw what was read onto a picture: for each face a box, the label and a bar for each emotion."""

from collections.abc import Sequence

import cv2
import numpy as np

from demo.reading import UNSURE, Face, label
from stages.deployment.model_card import ModelCard
from stages.figures.colours import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, bgr

COLOURS = [bgr(colour) for colour in (VERMILLION, ORANGE, GREEN, BLUE, PURPLE, SKY, YELLOW)]
GREY, WHITE, BLACK = (130, 130, 130), (255, 255, 255), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(picture: np.ndarray, faces: Sequence[Face], card: ModelCard) -> None:
    """Draw onto uint8 (height, width, 3) BGR what the last model, that of the card, says."""
    side = min(picture.shape[:2])
    # Words of a picture of 400 to 800 pixels can just be read; they grow in larger ones and fit into smaller ones.
    scale = float(np.median((side / 400, 1, side / 800)))
    # The large ones last: they are in front.
    for face in reversed(faces):
        _draw_face(picture, face, card, scale)


def _draw_face(picture: np.ndarray, face: Face, card: ModelCard, scale: float) -> None:
    left, top, right, bottom = (round(side) for side in face.box)
    probability = face.probability[-1]
    name = label(probability, card)
    colour = GREY if name == UNSURE else COLOURS[int(probability.argmax()) % len(COLOURS)]
    cv2.rectangle(picture, (left, top), (right, bottom), colour, max(1, round(2 * scale)), cv2.LINE_AA)
    line = round(24 * scale)
    percent = "" if name == UNSURE else f" {probability.max():.0%}"
    _write(picture, f"{name}{percent}", (left, max(0, top - line)), scale, colour)
    width = max(1, right - left)
    below = min(bottom, picture.shape[0] - line * len(probability) * 2 // 3)
    for number, (emotion, share) in enumerate(zip(card.emotions, probability, strict=True)):
        y = below + number * line * 2 // 3
        bar = slice(max(0, y + 1), y + line * 2 // 3), slice(max(0, left), max(0, right))
        # Half of what lies below shines through.
        picture[bar] //= 2
        end = left + round(width * share)
        cv2.rectangle(picture, (left, y + 1), (end, y + line * 2 // 3 - 1), COLOURS[number % len(COLOURS)], -1)
        place = left + round(4 * scale), y + round(12 * scale)
        cv2.putText(
            picture, f"{emotion} {share:.0%}", place, FONT, 0.42 * scale, WHITE, max(1, round(scale)), cv2.LINE_AA
        )


def _write(picture: np.ndarray, text: str, place: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    """Text on a ground of a colour; `place` is its upper left corner."""
    thickness = max(1, round(1.5 * scale))
    (width, height), _ = cv2.getTextSize(text, FONT, 0.7 * scale, thickness)
    x, y = min(place[0], max(0, picture.shape[1] - width)), place[1]
    border = round(4 * scale)
    cv2.rectangle(picture, (x, y), (x + width + 2 * border, y + height + 2 * border), colour, -1)
    ink = BLACK if colour[1] + colour[2] > 150 else WHITE  # on blue alone black is read less well
    cv2.putText(picture, text, (x + border, y + border + height), FONT, 0.7 * scale, ink, thickness, cv2.LINE_AA)
