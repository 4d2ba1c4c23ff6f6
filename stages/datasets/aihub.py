"""File names of AI-Hub 82 「한국인 감정인식을 위한 복합 영상」: repaired and taken apart.

`<64 hex>_<남|여>_<age>_<감정>_<배경>_<YYYYMMDDhhmmss>-<bbb>-<nnn>.jpg`: the hash is the person, person + time + bbb one
session of near-duplicates, and person + time + bbb + nnn one photo.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# A name that was written as CP949 and read as one of these shows as mojibake; reading it back repairs it.
MISREAD_AS = ("cp437", "cp850", "latin-1", "cp1252")
NAME = re.compile(
    r"(?P<person>[0-9a-f]{64})_(?P<gender>남|여)_(?P<age>\d{1,3})_(?P<emotion>[^_]+)_(?P<background>.+)_"
    r"(?P<time>\d{14})-(?P<place>\d{3})-(?P<number>\d{3})\.jpe?g",
    re.IGNORECASE | re.DOTALL,  # a disk that allows line breaks in names may have one
)
GENDERS = {"남": "male", "여": "female"}
SPLITS = ("training", "validation")  # the official ones


@dataclass(frozen=True, slots=True)
class Name:
    """What a file name of AI-Hub 82 says about its photo."""

    person: str  # 64 hex digits
    gender: str  # male, female
    age: int  # decade: 20 is 20 to 29
    emotion: str  # the uploader's, in Korean
    background: str  # in Korean
    session: str  # YYYYMMDDhhmmss-bbb
    key: str  # person_YYYYMMDDhhmmss-bbb-nnn, the same in a photo's and a label record's name

    @property
    def id(self) -> str:
        """16 hex digits that stand for the photo on every machine, however its name was damaged on the way."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def parse_name(name: str) -> Name | None:
    """Take a file name apart, after undoing NFD and mojibake; `None` if it is not a name of AI-Hub 82."""
    for candidate in _candidates(name):
        if match := NAME.fullmatch(unicodedata.normalize("NFC", candidate)):
            person, session = match["person"].lower(), f"{match['time']}-{match['place']}"
            return Name(
                person,
                GENDERS[match["gender"]],
                int(match["age"]),
                match["emotion"],
                match["background"],
                session,
                f"{person}_{session}-{match['number']}",
            )
    return None


def _candidates(name: str) -> Iterator[str]:
    # macOS takes mojibake apart as well: "é" becomes "e" and an accent.
    name = unicodedata.normalize("NFC", name)
    yield name
    # Bytes that are no UTF-8 reach Python as lone surrogates.
    for encoding, errors in [("utf-8", "surrogateescape"), *((encoding, "replace") for encoding in MISREAD_AS)]:
        try:
            repaired = name.encode(encoding, errors).decode("cp949")
        except UnicodeError:
            continue
        yield repaired


def split_of(path: str) -> str | None:
    """The official split that a path names (`1.Training/...`, `..._VALID.zip`): training, validation, or `None`."""
    found = re.findall(r"train|valid", unicodedata.normalize("NFC", path).lower())
    return None if not found else next(split for split in SPLITS if split.startswith(found[-1]))
