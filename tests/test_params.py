"""params.yaml and its schema: one sentence for each mistake, and code, manual and dvc.yaml hold together."""

import hashlib
import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CHANGES, PARAMS, ROOT, params_with
from dvc.utils.hydra import apply_overrides
from params_read import CLASSES, modules, read_in, section_of, sections_read_by
from pydantic import BaseModel
from ruamel.yaml import YAML

from stages.runtime import errors, params
from stages.runtime.errors import UserError
from stages.training.presets import Preset

SetParams = Callable[..., None]
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")
UNTRACKED = {"data", "runtime", "limits"}
MANUAL = (ROOT / "params.yaml").read_text(encoding="utf-8")


def wrong(set_params: SetParams, changes: dict[str, Any]) -> str:
    """The sentence with which params.yaml is refused."""
    set_params(changes)
    with pytest.raises(UserError) as caught:
        params.load()
    message = str(caught.value)
    assert message.startswith("params.yaml: ") and message.endswith((".", "?")) and "\n" not in message
    return message.removeprefix("params.yaml: ")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("finetune.lr", 1.5, "1.5, but must be a number from 0 to 1"),
        ("finetune.lr", "1e-4", '"1e-4", but must be a number from 0 to 1'),
        ("finetune.lr", True, "true, but must be a number from 0 to 1"),
        ("finetune.lr", None, "null, but must be a number from 0 to 1"),
        ("finetune.lr", float("nan"), "NaN, but must be a number from 0 to 1"),
        ("finetune.lr", float("inf"), "Infinity, but must be a number from 0 to 1"),
        ("crop.margin", -0.41, "-0.41, but must be a number from -0.4 to 2"),
        ("finetune.epochs", 3.0, "3.0, but must be a whole number from 1 to 10000"),
        ("finetune.epochs", True, "true, but must be a whole number from 1 to 10000"),
        ("finetune.epochs", 0, "0, but must be a whole number from 1 to 10000"),
        ("pretrain.seed", 2**32, "4294967296, but must be a whole number from 0 to 4294967295"),
        ("model.mirror", 1, "1, but must be true or false"),
        ("model.mirror", "true", '"true", but must be true or false'),
        ("crop.cascade", "", '"", but must be a text'),
        ("crop.detector", "mtcnn", '"mtcnn", but must be one of haar, yunet'),
        ("runtime.address", 8786, "8786, but must be a text or null"),
        ("model.dense", [0], "0, but must be a list, each a whole number from 1 to 8192"),
        ("model.dense", 5, "5, but must be a list, each a whole number from 1 to 8192"),
        ("model.blocks", [], "[], but must be a list of at least 1, each a list of at least 1, each a whole number"),
        ("model.blocks", [[]], "[], but must be a list of at least 1, each a list of at least 1, each a whole number"),
        (
            "model.blocks",
            [[16, True]],
            "true, but must be a list of at least 1, each a list of at least 1, each a whole",
        ),
        ("pretrain.teachers", [1], "1, but must be a list, each a text"),
        ("finetune", None, "null, but must be a section with"),
        ("emotions", {"angry": "분노"}, "but must be a table of at least 2 lines"),
    ],
)
def test_wrong_value(set_params: SetParams, key: str, value: object, expected: str) -> None:
    message = wrong(set_params, {key: value})
    assert message.startswith(f"{key} is ") and expected in message


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1" + 400 * "0", ".nan"])
def test_a_number_that_no_computer_holds(set_params: SetParams, text: str) -> None:
    lr = f'"lr": {params.load().finetune.lr}'
    file = Path("params.yaml")
    file.write_text(file.read_text(encoding="utf-8").replace(lr, f'"lr": {text}'), encoding="utf-8")
    with pytest.raises(UserError, match=r"^params\.yaml: finetune\.lr is .*, but must be a number from 0 to 1\.$"):
        params.load()


def test_a_number_as_dvc_writes_it(set_params: SetParams) -> None:
    set_params()
    text = Path("params.yaml").read_text(encoding="utf-8")
    lr = re.search(r'"finetune":.*?"lr": ([^,]+)', text, re.DOTALL)
    assert lr
    # `dvc exp run -S finetune.lr=1e-5` writes this; a YAML 1.1 reader takes it for a text.
    Path("params.yaml").write_text(text[: lr.start(1)] + "1e-05" + text[lr.end(1) :], encoding="utf-8")
    assert params.load().finetune.lr == 0.00001
    set_params({"finetune.lr": 1})
    assert params.load().finetune.lr == 1


def test_missing_and_unknown_keys(set_params: SetParams) -> None:
    values = params_with(CHANGES)
    del values["crop"]["margin"]
    message = wrong(lambda _: Path("params.yaml").write_text(json.dumps(values), encoding="utf-8"), {})
    assert message == "crop.margin is missing; it must be a number from -0.4 to 2."
    values["crop"]["margins"] = 0.1
    message = wrong(lambda _: Path("params.yaml").write_text(json.dumps(values), encoding="utf-8"), {})
    assert message == "crop.margins is unknown; did you mean crop.margin?"
    assert "finetune" in wrong(set_params, {"fintune": {}})


def test_a_key_of_a_third_data_set(set_params: SetParams) -> None:
    fer2013 = PARAMS["index"]["fer2013"]
    third = {key: value for key, value in fer2013.items() if key not in ("votes", "extra_classes")}
    message = wrong(set_params, {"index.third": third | {"sed": 1}})
    assert message == "index.third.sed is unknown; did you mean index.third.seed?"
    message = wrong(set_params, {"index": {"fer2013": fer2013, "korea": PARAMS["index"]["korean"]}})
    assert message.startswith("index.korean is missing; it must be a section with label, split, ")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["happy"], "names happy, which must be a class of FER2013 that is null under"),
        (["contempt"], "names contempt, which must be a class of FER2013 that is null under"),
        (["disgust", "disgust"], "names a class twice"),
    ],
)
def test_extra_classes_are_unused_classes_of_fer2013(set_params: SetParams, classes: list[str], words: str) -> None:
    assert words in wrong(set_params, {"index.fer2013.extra_classes": classes})


def test_extra_classes_are_no_emotions_and_have_no_teacher(set_params: SetParams) -> None:
    extra = {"index.fer2013.extra_classes": ["disgust"]}
    emotions = {"emotions": PARAMS["emotions"] | {"disgust": "혐오"}}
    assert "disgust, which is one of `emotions:`" in wrong(set_params, extra | emotions)
    assert "pretrain.teachers know nothing" in wrong(set_params, extra | {"pretrain.teachers": ["fer2013"]})


def test_the_place_of_the_votes_is_named(set_params: SetParams) -> None:
    message = wrong(set_params, {"data": {"fer2013": "fer", "korean": "korean"}})
    assert message == "data.ferplus is missing; set it to data/no_votes.csv for none."


def test_a_key_that_is_not_a_text(set_params: SetParams) -> None:
    def sentence(old: str, new: str) -> str:
        text = MANUAL.replace(old, f"{old}\n{new}", 1)
        return wrong(lambda _: Path("params.yaml").write_text(text, encoding="utf-8"), {})

    set_params()
    assert sentence("\ncrop:", "  1: 2") == "crop has the key 1, but each key must be a text."
    assert sentence("\nemotions:", "  1: 기타") == "emotions has the key 1, but each key must be a text."
    assert sentence("\ndata:", "  1: 2") == "data has the key 1, but each key must be a text."
    assert sentence("no such comment here.", "1: 2") == "the file has the key 1, but each key must be a text."


def test_a_section_that_may_be_left_out(place: Path) -> None:
    assert params.describe(Preset, "finetune", "lr") == "a number from 0 to 1"
    assert params.describe(Preset, "finetune").startswith("a section with teacher_share, seed, ")
    text = (ROOT / "weights/original.yaml").read_text(encoding="utf-8").replace("rehearsal:", "rehearsel:")
    (place / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^mine\.yaml: finetune\.rehearsel is unknown; did you mean finetune\.rehearsal\?"
    ):
        params.read(Path("mine.yaml"), Preset)


@pytest.mark.parametrize(("old", "new"), params.RENAMED.items())
def test_an_old_name_is_told_the_new_one(set_params: SetParams, old: str, new: str) -> None:
    assert params.describe(params.Params, *new.split(".")), f"{new} does not exist"
    assert not params.describe(params.Params, *old.split(".")), f"{old} exists"
    message = wrong(set_params, {old: 1})
    assert old in message and new in message


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"sample.megapixels_low": 3.0}, ["sample.megapixels_low", "sample.megapixels_high"]),
        ({"emotions": {"angry": "분노", "cross": "분노"}}, ["emotions"]),
        *(({"emotions": {"angry": "분노", name: "기쁨"}}, [repr(name)]) for name in ("a/b", "a b", "all", "merged")),
        ({"index.fer2013.classes": {"angry": "furious"}}, ["index.fer2013.classes", "furious"]),
        ({"data.kroean": "x"}, ["kroean", "data", "index"]),
        ({"data.korean": "~/aihub82"}, ["data.korean", "~/aihub82", "whole path"]),
        ({"data.fer2013": "$HOME/archive.zip"}, ["data.fer2013", "$HOME/archive.zip", "whole path"]),
        ({"model.input_size": 49}, ["model.input_size", "image.size"]),
        ({"model.blocks": [[4]] * 6}, ["model.blocks", "model.input_size"]),
        ({"finetune.frozen_blocks": 3}, ["finetune.frozen_blocks", "model.blocks"]),
        ({"finetune.rehearsal": 0.99, "finetune.batch_size": 2}, ["finetune.rehearsal", "lower"]),
        ({"finetune.rehearsal": 0.1, "finetune.batch_size": 2}, ["finetune.rehearsal", "raise"]),
        ({"finetune.start": "scratch"}, ["finetune.start", "finetune.teacher_share"]),
        ({"pretrain.teachers": ["a", "a"]}, ["pretrain.teachers"]),
    ],
)
def test_values_that_do_not_fit_together(set_params: SetParams, changes: dict[str, Any], keys: list[str]) -> None:
    message = wrong(set_params, changes)
    assert all(key in message for key in keys)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", "is not valid YAML near line 3"),
        (b"a: 1\na: 2\n", "is not valid YAML near line 2"),
        (b"a: {b: \xff\xfe}\n", "is not valid YAML"),
        (b"a: 2020-13-45\n", "is not valid YAML"),
        (b"a: \x01\n", "is not valid YAML"),
        (b"", ": the file is null"),
        (b"- 1\n", ": the file is [1]"),
        (b"a:\n", ": a is unknown"),
    ],
)
def test_broken_file(place: Path, data: bytes, message: str) -> None:
    (place / "params.yaml").write_bytes(data)
    with pytest.raises(UserError, match=rf"^params\.yaml ?{re.escape(message)}"):
        params.load()


def test_missing_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        SystemExit, match=r"^error: params\.yaml is missing; run the command in the folder of the project\.$"
    ):
        errors.run(lambda: print(params.load()))
    assert "Traceback" not in capsys.readouterr().err


def test_byte_order_mark(set_params: SetParams) -> None:
    set_params()
    path = Path("params.yaml")
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert params.load().crop.size == CHANGES["crop.size"]


def leaves(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    """Dotted name, class and key of each value."""
    for name in schema.model_fields:
        section = section_of(schema, name)
        yield from leaves(section, f"{prefix}{name}.") if section else [(f"{prefix}{name}", schema, name)]


LEAVES = {name: (schema, key) for name, schema, key in leaves(params.Params)}


def test_checking_changes_no_value() -> None:
    """So the schema need not be among a stage's deps: DVC compares the values."""
    values = YAML(typ="safe", pure=True).load(MANUAL)
    checked = params.Params.model_validate(values).model_dump()
    assert checked == values


def test_the_order_of_the_schema_stays() -> None:
    """Model cards and the digest of the settings list the values in this order, and no stage's deps show it.

    A new parameter changes the digest here; nothing else may.
    """
    assert (
        hashlib.sha256(" ".join(LEAVES).encode()).hexdigest()
        == "57b2f9248987bd5159a9ad65692a0e2314ca34599c09278f345e221ca7bfc2f0"
    )


def is_read(schema: type[BaseModel], key: str) -> bool:
    """Whether a stage, a tool or the demo reads the value."""
    roots = [path.relative_to(ROOT) for folder in ("stages", "tools", "demo") for path in (ROOT / folder).glob("*.py")]
    files = {module for root in roots for module in modules(root)}
    read = set().union(*map(read_in, files))
    return any((kind, key) in read for kind in schema.__mro__ if kind in CLASSES.values())


@pytest.mark.parametrize("name", LEAVES)
def test_every_value_is_read(name: str) -> None:
    assert is_read(*LEAVES[name])


@pytest.mark.parametrize(
    ("section", "key"), [("Evaluate", "light"), ("Finetune", "input_size"), ("Pretrain", "shear"), ("Export", "seed")]
)
def test_a_value_that_only_another_section_has_is_not_read(section: str, key: str) -> None:
    assert not is_read(CLASSES[section], key)


def definitions(stage: str) -> list[dict[str, Any]]:
    """A stage's definition in dvc.yaml, with `${key}` replaced by each key if it is a group."""
    definition = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    if "foreach" not in definition:
        return [definition]
    text = json.dumps(definition["do"])
    return [json.loads(text.replace("${key}", key)) for key in definition["foreach"]]


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_tracks_exactly_the_sections_that_a_stage_reads(stage: str) -> None:
    declared = set().union(*(definition.get("params", []) for definition in definitions(stage)))
    assert declared == sections_read_by(Path(f"stages/{stage}.py")) - UNTRACKED


def comment_of(name: str) -> str:
    """What the manual says of a value: the comment above it and behind it, or a line `# key: ...` of its section."""
    *sections, key = name.split(".")
    lines, start = MANUAL.splitlines(), 0
    for depth, section in enumerate(sections):
        start = next(n for n in range(start, len(lines)) if lines[n] == f"{'  ' * depth}{section}:") + 1
    indent = "  " * len(sections)
    place = next(n for n in range(start, len(lines)) if re.match(rf"{indent}{key}:", lines[n]))
    first = place
    while lines[first - 1].startswith(f"{indent}#"):
        first -= 1
    comments = [*(line.strip(" #") for line in lines[first:place]), lines[place].partition("#")[2]]
    own = [line for line in comments if line.startswith(f"{key}: ")]
    return " ".join(own or [line for line in comments if line] or [line for line in lines if f"# {key}: " in line])


@pytest.mark.parametrize("name", [name for name in LEAVES if name.split(".")[0] not in ("emotions", "data")])
def test_the_manual_gives_each_range(name: str) -> None:
    allowed = params.describe(params.Params, *name.split("."))
    comment = comment_of(name)
    if numbers := re.search(r"from (\S+ to \S+)$", allowed):
        assert re.search(rf"(?<![\d.]){re.escape(numbers[1])}(?![\d.]\d|\d)", comment)
    for option in allowed.removeprefix("one of ").split(", ") if allowed.startswith("one of ") else ():
        assert option in comment


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (["finetune.lr=1e-4"], ["finetune.lr=0.001"]),
        (
            ["pretrain.weights=fer2013", "runtime.address=tcp://10.0.0.5:8786"],
            ["pretrain.weights=null", "runtime.address=null"],
        ),
        (["robustness.blur=[3]", "pretrain.teachers=[fer2013]"], ["robustness.blur=[1,2,4]", "pretrain.teachers=[]"]),
        (["model.blocks=[[8],[16,16]]"], ["model.blocks=[[16],[32,32],[64,64],[128,128],[256]]"]),
    ],
)
def test_an_experiment_leaves_the_rest_of_the_manual_as_it_is(place: Path, there: list[str], back: list[str]) -> None:
    """`dvc exp run -S` writes params.yaml with this function."""
    (place / "params.yaml").write_text(MANUAL, encoding="utf-8")
    apply_overrides("params.yaml", there)
    changed = (place / "params.yaml").read_text(encoding="utf-8")
    assert [line for line in MANUAL.splitlines() if "#" in line and line not in changed] == []
    params.load()
    apply_overrides("params.yaml", back)
    assert (place / "params.yaml").read_text(encoding="utf-8") == MANUAL


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
    assert stop(sqlite3.OperationalError("disk I/O error")) == f"error: DVC's database: disk I/O error. {put_right}"


def test_faults_of_ours_keep_their_traceback() -> None:
    def main() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        errors.run(main)


def test_hangul_on_any_console() -> None:
    errors.run(lambda: print("기쁨"))
    assert sys.stdout.encoding.lower() == "utf-8"
    assert sys.stdout.errors == "replace"
