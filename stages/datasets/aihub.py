"""File names of AI-Hub 82 「한국인 감정인식을 위한 복합 영상」: repaired and taken apart.

`<64 hex>_<남|여>_<age>_<감정>_<배경>_<YYYYMMDDhhmmss>-<bbb>-<nnn>.jpg`: the hash is the person, person + time + bbb one
session of near-duplicates, and person + time + bbb + nnn one photo.
"""

import codecs
import hashlib
import itertools
import re
import sys
import unicodedata
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from stages.datasets.annotators import EMOTIONS
from stages.files.archives import decodings

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
# A name that was written as CP949 or UTF-8 and read as one of these shows as mojibake; reading it back repairs it.
# First come those that unpackers are known to take. No name is read wrongly by any of them (tests/test_aihub.py).
MISREAD_AS = (
    *("cp437", "cp850", "cp866", "latin-1", "cp1252", "cp852", "mac_roman", "gbk", "big5hkscs", "cp932", "euc_jp"),
    *(f"cp{page}" for page in (737, 775, 855, 857, 858, 860, 861, 862, 863, 864, 865, 869, 874, 1125)),
    *(f"cp{page}" for page in range(1250, 1259) if page != 1252),
    *(f"iso8859_{part}" for part in range(2, 17) if part != 12),
    *("koi8_r", "koi8_u", "hp_roman8", "mac_cyrillic", "mac_greek", "mac_latin2", "mac_turkish"),
)
NAME = re.compile(
    rf"(?P<person>[0-9a-f]{{64}})_(?P<gender>남|여)_(?P<age>\d{{1,3}})_(?P<emotion>{'|'.join(EMOTIONS)})_"
    r"(?P<background>.+)_(?P<time>\d{14})-(?P<place>\d{3})-(?P<number>\d{3})\.[0-9a-z]+",
    re.IGNORECASE | re.DOTALL,  # a disk that allows line breaks in names may have one
)
# What is left of a name whose Hangul is lost, and of "name (1).jpg".
KEY = re.compile(
    r"(?P<person>[0-9a-f]{64})_.*(?P<time>\d{14})-(?P<place>\d{3})-(?P<number>\d{3})\D.*", re.IGNORECASE | re.DOTALL
)
SPLIT = re.compile(r"(?i:train|valid)|(?:^|(?<=[/\[]))(?:[TV][SL]_|[Vv]al(?=/))")
GENDERS = {"남": "male", "여": "female"}


@dataclass(frozen=True, slots=True)
class Name:
    """What a file name of AI-Hub 82 says about its photo."""

    key: str  # person_YYYYMMDDhhmmss-bbb-nnn, the same in a photo's and a label record's name
    gender: str  # male, female
    age: int  # decade: 20 is 20 to 29
    emotion: str  # the uploader's, in Korean
    background: str  # in Korean

    @property
    def person(self) -> str:
        """64 hex digits."""
        return self.key.partition("_")[0]

    @property
    def session(self) -> str:
        """YYYYMMDDhhmmss-bbb."""
        return self.key.partition("_")[2].rpartition("-")[0]

    @property
    def id(self) -> str:
        """16 hex digits that stand for the photo on every machine, however its name was damaged on the way."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def parse_name(name: str) -> Name | None:
    """Take a file name apart, after undoing NFD and mojibake; `None` if it is not a name of AI-Hub 82."""
    for candidate in _candidates(name):
        match = NAME.fullmatch(unicodedata.normalize("NFC", candidate))
        # Two code pages may agree in the short words and not in the long one.
        if match and (candidate == name or re.sub("[/_]", "&", match["background"]) in BACKGROUNDS):
            # The same few words, hundreds of thousands of times.
            emotion, background = map(sys.intern, match.group("emotion", "background"))
            return Name(_key(match), GENDERS[match["gender"]], int(match["age"]), emotion, background)
    return None


def parse_key(name: str) -> str | None:
    """`Name.key` of a file name whose Hangul is past repair: the rest is ASCII; `None` if that is damaged, too."""
    match = KEY.fullmatch(name)
    return match and _key(match)


def _key(match: re.Match[str]) -> str:
    return f"{match['person'].lower()}_{match['time']}-{match['place']}-{match['number']}"


def _candidates(name: str) -> Iterator[str]:
    yield name
    if name.isascii():
        # As browsers write it, %B1%E2, and as Info-ZIP does, #Uae30.
        yield re.sub(r"#U([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), name, flags=re.IGNORECASE)
        yield from decodings(urllib.parse.unquote_to_bytes(name), "cp949", "utf-8")
        return
    # Bytes that are not UTF-8 reach Python as lone surrogates. macOS takes mojibake apart as well: "é" becomes "e" and
    # an accent.
    readings = [("utf-8", "surrogateescape"), *((encoding, "as byte") for encoding in MISREAD_AS)]
    for (encoding, errors), form in itertools.product(
        readings, dict.fromkeys((name, unicodedata.normalize("NFC", name)))
    ):
        with suppress(UnicodeError):
            yield from decodings(form.encode(encoding, errors), "cp949", "utf-8")


def _as_byte(error: UnicodeError) -> tuple[bytes, int]:
    """What a code page does not define is mostly read as the control character of the same number."""
    if isinstance(error, UnicodeEncodeError) and ord(error.object[error.start]) < 256:
        return bytes([ord(error.object[error.start])]), error.start + 1
    raise error


codecs.register_error("as byte", _as_byte)


def split_of(path: str) -> str | None:
    """The official split that a path names (`1.Training/...`, `..._VALID.zip`, `TS_...`): training, validation, `None`.

    AI-Hub calls the archives of other data sets TS_, TL_ (Training, source and label), VS_ and VL_; so do some of this.
    """
    found = SPLIT.findall(unicodedata.normalize("NFC", path))
    return None if not found else "training" if found[-1].strip("/[_").lower()[0] == "t" else "validation"


def emotion_of(path: str) -> str | None:
    """The last emotion that a path names (`[원천]EMOIMG_슬픔_TRAIN_01.zip`, `슬픔/...`), in Korean, or `None`."""
    found = re.findall("|".join(EMOTIONS), unicodedata.normalize("NFC", path))
    return found[-1] if found else None
