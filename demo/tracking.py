"""Follow faces from frame to frame of a video, and smooth what is said of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from demo.reading import Face
from stages.deployment.model_card import ModelCard
from stages.faces.box import overlap


@dataclass
class Track:
    """A face that is being followed: as it was last seen, its probabilities smoothed."""

    number: int
    face: Face
    seen: float  # seconds


class Tracker:
    """The faces of one video; a face that is not seen for a while is forgotten, so memory does not grow."""

    def __init__(self, card: ModelCard) -> None:
        """Start with no face; `card` says how much faces must overlap, how much is smoothed and what is forgotten."""
        self.card = card
        self.tracks: list[Track] = []
        self.count = 0

    def update(self, faces: Sequence[Face], time: float) -> list[tuple[int, Face]]:
        """The faces of the frame at `time`, seconds: in their order, each with its number and smoothed probabilities.

        Faces and tracks are paired so that the sum of their overlaps is largest (Kuhn, 1955).
        """
        self.tracks = [track for track in self.tracks if time - track.seen <= self.card.export.forget]
        overlaps = np.array([[overlap(face.box, track.face.box) for track in self.tracks] for face in faces])
        pairs = {}
        if overlaps.size:
            for number, place in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
                if overlaps[number, place] >= self.card.export.same_face:
                    pairs[int(number)] = self.tracks[place]
        return [self._follow(face, pairs.get(number), time) for number, face in enumerate(faces)]

    def _follow(self, face: Face, track: Track | None, time: float) -> tuple[int, Face]:
        if track is None:
            self.count += 1
            track = Track(self.count, face, time)
            self.tracks.append(track)
        else:
            kept = math.exp((track.seen - time) / self.card.export.smoothing) if self.card.export.smoothing else 0.0
            probability = kept * track.face.probability + (1 - kept) * face.probability
            track.face, track.seen = face._replace(probability=probability), time
        return track.number, track.face
