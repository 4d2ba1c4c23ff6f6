import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.runtime import errors, params
from stages.runtime.errors import UserError

TEXT = """
finetune: {lr: 1e-05, epochs: 3, on: true, name: 기쁨, none: null, nan: .nan, names: [기쁨, b],
  numbers: [1], twice: [b, b]}
model: {blocks: [[16], [32, 32]], dense: []}
index:
  fer2013: {classes: {no: happy, fear: null}}
emotions: {angry: 분노, happy: 기쁨}
"""


@pytest.fixture(autouse=True)
def params_file(place: Path) -> Path:
    (place / "params.yaml").write_text(TEXT, encoding="utf-8")
    return place / "params.yaml"


def test_values() -> None:
    finetune = params.section("finetune")
    assert finetune.number("lr", 0, 1) == 0.00001
    assert finetune.integer("epochs", 1, 3) == 3
    assert finetune.number("epochs", 3, 3) == 3.0
    assert finetune.flag("on") is True
    assert (finetune.optional_text("none"), finetune.optional_text("name")) == ("", "기쁨")
    assert finetune.text("name") == finetune.choice("name", ["기쁨", "분노"]) == "기쁨"
    assert (finetune.texts("names"), params.section("model").texts("dense")) == (["기쁨", "b"], [])
    assert params.section("model").integer_lists("blocks", 1, 32) == [[16], [32, 32]]
    assert params.section("model").integers("dense", 1, 9) == []
    assert params.section("index.fer2013").table("classes") == {"no": "happy", "fear": None}
    assert params.emotions() == {"angry": "분노", "happy": "기쁨"}
    assert list(params.emotions()) == ["angry", "happy"]


Reader = Callable[[params.Section], object]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda s: s.number("gone", 0, 1), "finetune.gone is missing; it must be a number from 0 to 1"),
        (lambda s: s.number("on", 0, 1), "finetune.on is True, but must be a number from 0 to 1"),
        (lambda s: s.number("name", 0, 1), "finetune.name is '기쁨', but must be a number from 0 to 1"),
        (lambda s: s.number("nan", 0, 1), "finetune.nan is nan, but must be a number from 0 to 1"),
        (lambda s: s.number("lr", 0.1, 1), "finetune.lr is 1e-05, but must be a number from 0.1 to 1"),
        (lambda s: s.number("epochs", 0, 2), "finetune.epochs is 3, but must be a number from 0 to 2"),
        (lambda s: s.integer("lr", 0, 1), "finetune.lr is 1e-05, but must be a whole number from 0 to 1"),
        (lambda s: s.integer("on", 0, 1), "finetune.on is True, but must be a whole number from 0 to 1"),
        (lambda s: s.integer("epochs", 4, 9), "finetune.epochs is 3, but must be a whole number from 4 to 9"),
        (lambda s: s.integer("none", 4, 9), "finetune.none is None, but must be a whole number from 4 to 9"),
        (lambda s: s.flag("epochs"), "finetune.epochs is 3, but must be true or false"),
        (lambda s: s.text("epochs"), "finetune.epochs is 3, but must be a text"),
        (lambda s: s.optional_text("gone"), "finetune.gone is missing; it must be a text"),
        (lambda s: s.optional_text("epochs"), "finetune.epochs is 3, but must be a text"),
        (lambda s: s.choice("name", ["a", "b"]), "finetune.name is '기쁨', but must be one of a, b"),
        (lambda s: s.integers("epochs", 0, 9), "finetune.epochs is 3, but must be a list of whole numbers from 0 to 9"),
        (lambda s: s.texts("name"), "finetune.name is '기쁨', but must be a list of different texts"),
        (lambda s: s.texts("numbers"), "finetune.numbers is [1], but must be a list of different texts"),
        (lambda s: s.texts("twice"), "finetune.twice is ['b', 'b'], but must be a list of different texts"),
        (lambda s: s.table("name"), "finetune.name is '기쁨', but must be a table"),
    ],
)
def test_bad_value_is_one_sentence_with_its_key(read: Reader, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(params.section("finetune"))
    assert str(caught.value).startswith(f"params.yaml: {message}")


@pytest.mark.parametrize("blocks", ["[]", "[[]]", "[16]", "[[16, true]]", "[[0]]", "[[33]]", "[[1.0]]", "x"])
def test_bad_lists(params_file: Path, blocks: str) -> None:
    params_file.write_text(f"model: {{blocks: {blocks}}}")
    with pytest.raises(UserError, match=r"model\.blocks is .* a list of lists of whole numbers from 1 to 32"):
        params.section("model").integer_lists("blocks", 1, 32)


@pytest.mark.parametrize("name", ["gone", "index.gone", "finetune.lr", "finetune.lr.deep", "finetune.none"])
def test_unknown_section(name: str) -> None:
    with pytest.raises(UserError, match=rf"^params\.yaml has no section `{name}`"):
        params.section(name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", "is not valid YAML near line 3"),
        (b"a: 1\na: 2\n", "is not valid YAML near line 2"),
        (b"a: {b: \xff\xfe}\n", "is not valid YAML"),
        (b"a: 2020-13-45\n", "is not valid YAML"),
        (b"a: \x01\n", "is not valid YAML"),
        (b"", "has no section `a`"),
        (b"- 1\n", "has no section `a`"),
        (b"a:\n", "has no section `a`"),
    ],
)
def test_broken_file(params_file: Path, data: bytes, message: str) -> None:
    params_file.write_bytes(data)
    with pytest.raises(UserError, match=rf"^params\.yaml {message}"):
        params.section("a")


def test_byte_order_mark(params_file: Path) -> None:
    params_file.write_text(TEXT, encoding="utf-8-sig")
    assert params.section("finetune").integer("epochs", 1, 3) == 3


@pytest.mark.parametrize("lines", ["{angry: 분노}", "{angry: 분노, sad: null}", "{angry: 분노, 1: 기쁨}"])
def test_bad_emotions(params_file: Path, lines: str) -> None:
    params_file.write_text(f"emotions: {lines}", encoding="utf-8")
    with pytest.raises(UserError, match=r"emotions must be at least two lines of `english: korean`"):
        params.emotions()


def test_one_word_for_two_emotions(params_file: Path) -> None:
    params_file.write_text("emotions: {angry: 분노, cross: 분노}", encoding="utf-8")
    with pytest.raises(UserError, match="names a Korean word twice"):
        params.emotions()


def stop(error: BaseException) -> str:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        errors.run(main)
    return str(caught.value.code)


def test_errors_are_one_sentence() -> None:
    assert stop(UserError("기쁨 is missing.")) == "error: 기쁨 is missing."
    put_right = "Put this right and run the same command again."
    assert stop(FileNotFoundError(2, "No such file", "a.zip")) == f"error: a.zip: No such file. {put_right}"
    assert stop(OSError(28, "No space left on device")) == f"error: No space left on device. {put_right}"
    assert stop(OSError("Invalid data stream")) == f"error: Invalid data stream. {put_right}"


def test_faults_of_ours_keep_their_traceback() -> None:
    def main() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        errors.run(main)


def test_hangul_on_any_console() -> None:
    errors.run(lambda: print("기쁨"))
    assert sys.stdout.encoding.lower() == "utf-8"
    assert sys.stdout.errors == "replace"


def test_missing_params_file(params_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params_file.unlink()
    with pytest.raises(SystemExit, match=r"^error: params\.yaml: No such file or directory\. Put this right"):
        errors.run(lambda: print(params.section("a")))
    assert "Traceback" not in capsys.readouterr().err
