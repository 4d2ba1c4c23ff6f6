"""Names of emotions as people write them on folders and into tables: `Angry`, `0_angry`, `anger`, `분노`, `suprise`."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

# Other words for an emotion, those of FER2013's copies, FER+, AffectNet and AI-Hub among them.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "angry": ("anger", "분노", "화남"),
    "disgust": ("disgusted", "disgusting", "혐오"),
    "embarrassed": ("embarrassment", "embarrased", "embarassed", "당황"),
    "fear": ("fearful", "afraid", "scared", "공포", "두려움"),
    "happy": ("happiness", "joy", "joyful", "기쁨", "행복"),
    "sad": ("sadness", "슬픔"),
    "surprise": ("surprised", "suprise", "suprised", "놀람"),
    "neutral": ("neutrality", "중립", "무표정"),
    "anxious": ("anxiety", "불안"),
    "hurt": ("상처",),
    "contempt": ("contemptuous", "경멸"),
}
ALIKE = 0.75  # from this ratio of difflib on, an unknown word is taken for a misspelt one


def as_typed(value: object) -> str:
    """A word as it would be typed: whole syllables, no blanks around it, small letters; "" for none."""
    return unicodedata.normalize("NFC", str(value or "")).strip().lower()


def plain(word: str) -> str:
    """A word without what is written around it: numbers, brackets, blanks, capitals; "" if nothing else is there."""
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", unicodedata.normalize("NFC", word)).lower()


def recognise(word: str, names: Iterable[str]) -> str | None:
    """The one of the emotions `names` that a word means, or `None`."""
    wanted = plain(word)
    for name in names:
        if wanted and wanted in (plain(name), *SYNONYMS.get(name, ())):
            return name
    return None


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The one of `names` that a word was meant for if it is misspelt, or `None`."""
    known = {spelling: name for name in names for spelling in (plain(name), *SYNONYMS.get(name, ()))}
    found = difflib.get_close_matches(plain(word), known, 1, ALIKE)
    return known[found[0]] if found else None
