"""Drawn photos named and packed as AI-Hub 82 「한국인 감정인식을 위한 복합 영상」 arrives, faults included.

The layouts and shares are those of the real download, gathered from public code, notebooks and label samples of people
who have it. Who has which sessions is plain arithmetic on the numbers of people, so that nothing needs to be kept while
a delivery of any size is written.
"""

import codecs
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from stages.synthetic.annotations import label_record
from stages.synthetic.camera import LABEL, Shot, Sitter, korean_photo, sitter
from stages.synthetic.packing import jpeg, open_store

EMOTIONS = ("기쁨", "당황", "분노", "슬픔", "중립", "불안", "상처")
BACKGROUNDS = (
    "공공시설&종교&의료시설",
    "교통&이동수단(엘리베이터 포함)",
    "상업시설&점포&시장",
    "스포츠 관람 및 레저시설",
    "오락&공연시설",
    "행사&사무공간",
    "실외 자연환경",
    "도심 환경",
    "문화재 및 유적지",
    "숙박 및 거주공간",
)
TRAINING, VALIDATION = "Training", "Validation"
FIRST_SESSION = datetime(2020, 12, 1)
QUALITY = 85
WITH_MARK = (TRAINING, "분노")  # the one label file that begins with a byte order mark
HANDFUL = 4  # people who show an emotion that is not used
NOT_DELIVERED = 12  # one label record in so many has no photo

# EXIF orientations (None: no EXIF) and `.jpeg` names, with their shares.
ORIENTATIONS: Mapping[int | None, float] = {1: 0.597, 3: 0.252, 4: 0.058, 0: 0.043, None: 0.0414, 8: 0.0044, 2: 0.0042}
DOT_JPEG = 0.017

Quirk = Mapping[str, Any]
# What happens to single photos, spread evenly over the delivery.
QUIRKS: Sequence[Quirk] = (
    *({"orientation": orientation} for orientation in (5, 6, 7, 8, 0, None, 1, 2, 3, 4)),
    {"suffix": "jpeg"},
    {"truncated": True},
    {"faces": (1.0, 0.6)},
    {"faces": (1.0, 1.4)},
    {"faces": (), "boxes": dict.fromkeys("ABC", "missing")},
    {"boxes": dict.fromkeys("ABC", "missing")},
    *({"boxes": {"B": fault}} for fault in ("zero", "missing", "negative", "tiny", "off", "whole")),
)


@dataclass(frozen=True)
class Layout:
    """Where labels and photos of one emotion and split lie: zips, or folders for what was unpacked."""

    labels: str
    photos: Sequence[str]
    rename: Callable[[str], str] = str


@dataclass(frozen=True)
class Order:
    """One label record and, mostly, its photo: what to draw and where it goes."""

    split: str
    shot: Shot
    position: int  # in the session, from 1
    delivered: bool = True
    quirk: Quirk = field(default_factory=dict)

    @property
    def background(self) -> int:
        """Number of the place, 1 to 10."""
        return 1 + self.shot.session * 7 % len(BACKGROUNDS)


@dataclass(frozen=True)
class Delivery:
    """What an order adds to the download."""

    order: Order
    name: str
    photo: bytes | None
    record: dict[str, Any]


def layout(split: str, emotion: str) -> Layout:
    """Each emotion and split arrives in another of the ways in which people keep the download."""
    short = {TRAINING: "TRAIN", VALIDATION: "VALID"}[split]
    labels, photos = f"[라벨]EMOIMG_{emotion}_{short}", f"[원천]EMOIMG_{emotion}_{short}"
    usual = Layout(f"{split}/{labels}.zip", (f"{split}/{photos}{'_01' * (split == TRAINING)}.zip",))
    match emotion, split:
        case "기쁨", "Training":
            added = f"01.데이터/1.Training/원천데이터_0114_add/{photos}_03.zip"
            return replace(usual, photos=(*usual.photos, f"{split}/{photos}_02.zip", added))
        case "기쁨", "Validation":
            labels = f"01.데이터/2.Validation/라벨링데이터_231004_add/{labels}.zip"
            return Layout(labels, (f"01.데이터/2.Validation/원천데이터_0114_add/{photos}.zip",))
        case "당황", "Training":
            return replace(usual, rename=lambda name: f"EMOIMG_{emotion}_{short}_01/{name}")
        case "슬픔", "Validation":
            nfd = partial(unicodedata.normalize, "NFD")  # as macOS stores a name
            return Layout(nfd(f"{split}/라벨EMOIMG_슬픔_VALID"), (nfd(f"{split}/원천EMOIMG_슬픔_VALID"),), nfd)
        case "중립", "Validation":
            return replace(usual, photos=(f"{split}/{emotion}",), rename=lambda name: name.replace("&", "_"))
    return usual


def orders(emotions: Sequence[str], people: int, sessions: int, shots: int) -> Iterator[Order]:
    """Everything that is delivered, in order; the quirks are spread over it.

    Each person has `sessions` sessions of `shots` photos, one emotion each. Of ten people one is in Validation only,
    three are in both splits, six in Training only. An emotion that is not in `emotions` gets a handful.
    """
    step = max(1, people * sessions * shots // len(QUIRKS))
    for count, order in enumerate(_plain_orders(emotions, people, sessions, shots)):
        index, rest = divmod(count, step)
        if rest == 0 and index < len(QUIRKS):
            yield replace(order, quirk=QUIRKS[index])
        else:
            yield replace(order, delivered=count % NOT_DELIVERED != NOT_DELIVERED - 1)


def _plain_orders(emotions: Sequence[str], people: int, sessions: int, shots: int) -> Iterator[Order]:
    most = sessions + len(EMOTIONS)
    for split, emotion, person in product((TRAINING, VALIDATION), EMOTIONS, range(people)):
        for session in _sessions(split, emotion, emotions, person, sessions):
            for position in range(1, shots + 1):
                serial = person * most + session
                yield Order(split, Shot(person, serial, serial * shots + position - 1, emotion), position)


def _sessions(split: str, emotion: str, used: Sequence[str], person: int, sessions: int) -> Iterable[int]:
    """The person's sessions, counted from 0, that show this emotion and went into this split."""
    if emotion not in used:
        return [sessions + EMOTIONS.index(emotion)] if person < HANDFUL and split == TRAINING else []
    shared = [sessions - 1] if 0 < person % 10 <= 3 else []
    in_validation = range(sessions) if person % 10 == 0 else shared
    first = (used.index(emotion) - person - person // 10) % len(used)
    return [
        session for session in range(first, sessions, len(used)) if (session in in_validation) == (split == VALIDATION)
    ]


def draw_orders(seed: int, megapixels: tuple[float, float], batch: Sequence[Order]) -> list[Delivery]:
    """Draw, name and label these photos."""
    cv2.setNumThreads(1)
    return [_deliver(seed, megapixels, order) for order in batch]


def _deliver(seed: int, megapixels: tuple[float, float], order: Order) -> Delivery:
    rng = np.random.default_rng([seed, LABEL, order.shot.number])
    drawn = list(ORIENTATIONS)[rng.choice(len(ORIENTATIONS), p=list(ORIENTATIONS.values()))]
    suffix = "jpeg" if rng.random() < DOT_JPEG else "jpg"
    person = sitter(seed, order.shot.person)
    name = f"{stem(person, order)}.{order.quirk.get('suffix', suffix)}"
    picture, box = korean_photo(seed, order.shot, order.quirk.get("faces", (1.0,)), megapixels)
    photo = jpeg(picture, order.quirk.get("orientation", drawn), QUALITY)
    if order.quirk.get("truncated"):
        photo = photo[: len(photo) // 2]
    place = BACKGROUNDS[order.background - 1].replace("&", "/")
    record = label_record(rng, name, person, order.shot.emotion, place, box, order.quirk.get("boxes", {}))
    return Delivery(order, name, photo if order.delivered else None, record)


def stem(person: Sitter, order: Order) -> str:
    """The name of a photo: who, which emotion, where, when, number of the place, position in the session."""
    time = FIRST_SESSION + timedelta(seconds=397 * order.shot.session)
    return (
        f"{person.code}_{person.gender}_{person.age}_{order.shot.emotion}_{BACKGROUNDS[order.background - 1]}_"
        f"{time:%Y%m%d%H%M%S}-{order.background:03}-{order.position:03}"
    )


def write_deliveries(folder: Path, deliveries: Iterable[Delivery], people: int) -> None:
    """Write the whole download into `folder`, one emotion and split after the other."""
    for (split, emotion), group in groupby(deliveries, key=lambda d: (d.order.split, d.order.shot.emotion)):
        _write_group(folder, split, emotion, group, people)


def _write_group(folder: Path, split: str, emotion: str, group: Iterable[Delivery], people: int) -> None:
    """Write the labels and photos of one emotion and split; the first photo lies in each of its archives."""
    where = layout(split, emotion)
    label_file = where.rename(f"img_emotion_{split.lower()}_data({emotion}).json")
    first = None
    separator = codecs.BOM_UTF8 + b"[" if (split, emotion) == WITH_MARK else b"["
    with open_store(folder / where.labels) as open_labels, open_labels(label_file) as labels:
        for part, deliveries in groupby(group, key=lambda d: d.order.shot.person * len(where.photos) // people):
            with open_store(folder / where.photos[part]) as open_photo:
                if first:
                    _write_photo(open_photo, where, first)
                for delivery in deliveries:
                    labels.write(separator + json.dumps(delivery.record).encode())
                    separator = b", "
                    if delivery.photo:
                        first = first or delivery
                        _write_photo(open_photo, where, delivery)
        labels.write(b"]")


def _write_photo(open_photo: Callable[[str], IO[bytes]], where: Layout, delivery: Delivery) -> None:
    with open_photo(where.rename(delivery.name)) as file:
        file.write(delivery.photo or b"")
