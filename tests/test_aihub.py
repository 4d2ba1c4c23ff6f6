import unicodedata

import pytest
from samples import BACKGROUND, photo_name

from stages.datasets.aihub import Name, parse_name, split_of

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
    "jpeg": photo_name(emotion="분노", suffix="jpeg"),
    "upper case": NAME.replace(".jpg", ".JPG").replace(PERSON, PERSON.upper()),
    "_ for &": NAME.replace("&", "_"),
}


@pytest.mark.parametrize("name", DAMAGED.values(), ids=DAMAGED)
def test_damaged_names_are_understood(name: str) -> None:
    background = BACKGROUND.replace("&", "_") if "&" not in name else BACKGROUND
    session = "20201207001407-002"
    assert parse_name(name) == Name(PERSON, "female", 20, "분노", background, session, f"{PERSON}_{session}-001")


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
        NAME.replace(".jpg", ".png"),
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
    ],
)
def test_split_of(path: str, split: str | None) -> None:
    assert split_of(path) == split
