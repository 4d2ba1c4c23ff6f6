"""`python -m tools.preset NAME` merges the values of a network into params.yaml, and nothing else changes."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from stages.runtime import errors, params
from stages.training import presets
from tools import preset

MANUAL = (ROOT / "params.yaml").read_text(encoding="utf-8")
EMOTIONS = "  embarrassed: 당황\n  happy: 기쁨\n  sad: 슬픔\n  neutral: 중립\n"
NAMES = sorted(path.stem for path in (ROOT / "weights").glob("*.yaml"))
Take = Callable[[str], str]


@pytest.fixture
def take(place: Path, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Run the command in a folder with the committed params.yaml and presets; returns what it stopped with."""
    (place / "params.yaml").write_text(MANUAL, encoding="utf-8")
    (place / "weights").mkdir()
    for name in NAMES:
        shutil.copy(ROOT / f"weights/{name}.yaml", place / "weights")

    def run(name: str) -> str:
        monkeypatch.setattr(sys, "argv", ["preset", name])
        try:
            errors.run(preset.main)
        except SystemExit as stop:
            return str(stop.code)
        return ""

    return run


def test_there_is_a_preset_for_each_network_and_for_the_original() -> None:
    networks = {path.name.removesuffix(".weights.h5") for path in (ROOT / "weights").glob("*.weights.h5")}
    assert set(NAMES) == networks | {"original"}


@pytest.mark.parametrize("name", NAMES)
def test_the_values_of_a_preset_are_taken_and_the_others_stay(take: Take, name: str) -> None:
    assert take(name) == ""
    taken, own = params.load(), params.Params.model_validate(YAML(typ="safe", pure=True).load(MANUAL))
    wanted = presets.preset_of(name)
    for section in ("emotions", "image", "model", "augment", "pretrain"):
        assert getattr(taken, section) == getattr(wanted, section)
    assert taken.index.fer2013 == wanted.index.fer2013
    assert taken.index.korean == (wanted.index.korean or own.index.korean)
    assert taken.finetune == (wanted.finetune or own.finetune)
    for section in ("data", "runtime", "limits", "sample", "rename", "crop", "evaluate", "robustness", "export"):
        assert getattr(taken, section) == getattr(own, section)
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert re.findall("#.*", text) == re.findall("#.*", MANUAL), "comments stay"
    assert take(name) == ""
    assert Path("params.yaml").read_text(encoding="utf-8") == text


def write_preset(name: str, old: str, new: str) -> None:
    """The original's preset with one piece changed."""
    text = (ROOT / "weights/original.yaml").read_text(encoding="utf-8")
    assert old in text
    Path(f"weights/{name}.yaml").write_text(text.replace(old, new), encoding="utf-8")


def test_values_that_do_not_fit_leave_the_file_as_it_is(take: Take) -> None:
    write_preset("mine", "frozen_blocks: 0", "frozen_blocks: 8")
    assert "params.yaml with weights/mine.yaml: finetune.frozen_blocks is 8, but model.blocks has 4" in take("mine")
    assert Path("params.yaml").read_text(encoding="utf-8") == MANUAL


def test_a_file_that_is_wrong_before_is_one_sentence(take: Take) -> None:
    for text in ("a: [\n", MANUAL.replace("\nfinetune:", "\nfinetun:")):
        Path("params.yaml").write_text(text, encoding="utf-8")
        assert take("original").startswith("error: params.yaml")
        assert Path("params.yaml").read_text(encoding="utf-8") == text


def test_the_emotions_are_those_of_the_preset_in_its_order(take: Take) -> None:
    neutral = "  neutral: 중립\n"
    fewer = MANUAL.replace(neutral, "").replace("neutral: neutral", "neutral:")
    Path("params.yaml").write_text(fewer, encoding="utf-8")
    assert take("original") == ""
    assert list(params.load().emotions.items()) == list(presets.preset_of("original").emotions.items())
    write_preset("mine", f"emotions:\n  angry: 분노\n{EMOTIONS}", f"emotions:\n{EMOTIONS}  angry: 분노\n")
    assert take("mine") == ""
    assert list(params.load().emotions) == ["embarrassed", "happy", "sad", "neutral", "angry"]
    assert re.findall("#.*", Path("params.yaml").read_text(encoding="utf-8")) == re.findall("#.*", MANUAL)


def test_a_class_that_the_preset_lacks_goes(take: Take) -> None:
    write_preset("mine", "      neutral: neutral\n", "")
    assert take("mine") == ""
    assert "neutral" not in params.load().index.fer2013.classes
    assert re.findall("#.*", Path("params.yaml").read_text(encoding="utf-8")) == re.findall("#.*", MANUAL)


def test_an_unknown_preset_is_one_sentence(take: Take) -> None:
    message = take("fer2031")
    assert "weights/fer2031.yaml" in message and "fer2013" in message
    assert Path("params.yaml").read_text(encoding="utf-8") == MANUAL
