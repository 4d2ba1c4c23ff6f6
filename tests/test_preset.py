"""`python -m tools.preset NAME` merges the values of a network into params.yaml, and nothing else changes."""

import re
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
NAMES = sorted(path.stem for path in (ROOT / "weights").glob("*.yaml"))
Take = Callable[[str], str]


@pytest.fixture
def take(place: Path, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Run the command in a folder with the committed params.yaml and presets; returns what it stopped with."""
    (place / "params.yaml").write_text(MANUAL, encoding="utf-8")
    (place / "weights").symlink_to(ROOT / "weights")

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


def test_an_unknown_preset_is_one_sentence(take: Take) -> None:
    message = take("fer2031")
    assert "weights/fer2031.yaml" in message and "fer2013" in message
    assert Path("params.yaml").read_text(encoding="utf-8") == MANUAL
