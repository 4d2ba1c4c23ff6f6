import encodings.aliases
import itertools
import unicodedata

import pytest
from samples import BACKGROUND, photo_name

from stages.datasets.aihub import BACKGROUNDS, Name, emotion_of, parse_key, parse_name, split_of
from stages.datasets.annotators import EMOTIONS

NAME = photo_name(emotion="분노")
PERSON = NAME.split("_")[0]
CP949 = NAME.encode("cp949")
DAMAGED = {
    "as it is": NAME,
    "nfd": unicodedata.normalize("NFD", NAME),
    "cp437": CP949.decode("cp437"),
    "cp850": CP949.decode("cp850"),
    "latin-1": CP949.decode("latin-1"),
    "cp1252": CP949.decode("cp1252"),
    "cp437, nfd": unicodedata.normalize("NFD", CP949.decode("cp437")),
    "latin-1, nfd": unicodedata.normalize("NFD", CP949.decode("latin-1")),
    "surrogates": CP949.decode("utf-8", "surrogateescape"),
    "cp866": CP949.decode("cp866"),
    "gbk": CP949.decode("gbk"),
    "UTF-8 as cp437": NAME.encode().decode("cp437"),
    "percent signs": "".join(chr(b) if b < 128 else f"%{b:02X}" for b in CP949),
    "as Info-ZIP escapes it": "".join(c if c.isascii() else f"#U{ord(c):04x}" for c in NAME),
    "png": NAME.replace(".jpg", ".png"),
    "jpeg": photo_name(emotion="분노", suffix="jpeg"),
    "upper case": NAME.replace(".jpg", ".JPG").replace(PERSON, PERSON.upper()),
    "_ for &": NAME.replace("&", "_"),
}


@pytest.mark.parametrize("name", DAMAGED.values(), ids=DAMAGED)
def test_damaged_names_are_understood(name: str) -> None:
    background = BACKGROUND.replace("&", "_") if "&" not in name else BACKGROUND
    session = "20201207001407-002"
    assert parse_name(name) == Name(f"{PERSON}_{session}-001", "female", 20, "분노", background)
    assert (parse_name(name).person, parse_name(name).session) == (PERSON, session)  # type: ignore[union-attr]


def test_the_id_depends_on_person_and_photo_only() -> None:
    ids = {parse_name(name).id for name in DAMAGED.values()}  # type: ignore[union-attr]
    # Written down once: an id never changes, on any machine.
    assert ids == {"1dec53d75e6885ed"}
    others = [photo_name(1), photo_name(number=2), photo_name(0).replace("-002-", "-003-")]
    assert len(ids | {parse_name(name).id for name in others}) == 4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "IMG_0001.jpg",
        NAME[1:],
        NAME.replace("_분노_", "_졸림_"),
        NAME + ".jpg.txt",
        NAME.replace("_20_", "_young_"),
        NAME.replace("_여_", "_x_"),
        "../" + NAME,
        "._" + NAME,
        "\ud800.jpg",
        "😀\n.jpg",
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert parse_name(name) is None


def test_men() -> None:
    assert parse_name(photo_name(gender="남")).gender == "male"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("Training/[원천]EMOIMG_기쁨_TRAIN_01.zip/a.jpg", "training"),
        ("Validation/[원천]EMOIMG_기쁨_VALID/a.jpg", "validation"),
        ("01.데이터/2.Validation/원천데이터_0114_add/기쁨/a.jpg", "validation"),
        ("EMOIMG_기쁨_VALID/a.jpg", "validation"),
        ("img_emotion_training_data(기쁨).json", "training"),
        ("training material/img_emotion_validation_data(기쁨).json", "validation"),
        ("기쁨/a.jpg", None),
        ("TS_기쁨/a.jpg", "training"),
        ("Validation/TS_기쁨.zip/a.jpg", "training"),
        ("01/[VL]/VL_기쁨.zip/a.json", "validation"),
        ("val/happy/a.jpg", "validation"),
        ("train/happy/a.jpg", "training"),
        ("ACTS_1/interval/a.jpg", None),
    ],
)
def test_split_of(path: str, split: str | None) -> None:
    assert split_of(path) == split


CODE_PAGES = sorted({*encodings.aliases.aliases.values(), "cp720", "cp737", "cp856", "cp866", "cp874", "cp1006"})
BYTES_ONLY = {
    "base64_codec",
    "bz2_codec",
    "hex_codec",
    "mbcs",
    "quopri_codec",
    "rot_13",
    "tactis",
    "uu_codec",
    "zlib_codec",
}


def all_names() -> list[str]:
    """Every gender, emotion and background that AI-Hub 82 has."""
    person, end = photo_name().split("_")[0], "20201207001407-002-001.jpg"
    parts = itertools.product("남여", EMOTIONS, BACKGROUNDS)
    return [f"{person}_{gender}_20_{emotion}_{background}_{end}" for gender, emotion, background in parts]


@pytest.mark.parametrize("written", ["cp949", "utf-8"])
def test_no_code_page_makes_another_name_of_a_name(written: str) -> None:
    right = dict.fromkeys(set(CODE_PAGES) - BYTES_ONLY, 0)
    for page, name in itertools.product(right, all_names()):
        try:
            misread = name.encode(written).decode(page)
        except UnicodeDecodeError:
            continue
        found = parse_name(misread)
        assert found in (None, parse_name(name)), page
        right[page] += found is not None
    if written == "cp949":
        # What unpackers take for it: pages of DOS and Windows in the West, the East and Russia, of macOS and China.
        pages = [
            "cp437",
            "cp850",
            "cp852",
            "cp855",
            "cp858",
            "cp866",
            "latin_1",
            "cp1250",
            "cp1251",
            "cp1252",
            "mac_roman",
        ]
        assert [right[page] for page in [*pages, "gbk"]] == [140] * 12


def test_what_is_left_of_a_name() -> None:
    key = parse_name(NAME).key  # type: ignore[union-attr]
    assert parse_key(NAME.encode("ascii", "replace").decode()) == key
    assert parse_key(NAME.replace(".jpg", " (1).jpg")) == key
    assert parse_key(CP949.decode("cp437")) == key
    assert parse_key(NAME[:100]) is None
    assert parse_key("IMG_20201207001407-002-001.jpg") is None


def test_emotion_of() -> None:
    assert emotion_of("01/" + unicodedata.normalize("NFD", "EMOIMG_슬픔_TRAIN_01/sad_001.jpg")) == "슬픔"
    assert emotion_of("기쁨/슬픔.jpg") == "슬픔"
    assert emotion_of("sad/1.jpg") is None
