"""A working folder for each test, with a small params.yaml, and a way to run a stage in it."""

import copy
import functools
import importlib
import json
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest
from pipeline import built, repository  # noqa: F401  fixtures for all
from ruamel.yaml import YAML

from stages.files import archives
from stages.runtime import errors, params

ROOT = Path(__file__).parent.parent

# What differs from params.yaml: small pictures, three emotions, a small network.
CHANGES: dict[str, Any] = {
    "emotions": {"angry": "분노", "happy": "기쁨", "sad": "슬픔"},
    "data": {"fer2013": "fer", "ferplus": str(ROOT / "data/no_votes.csv"), "korean": "korean"},
    "runtime.engine": "serial",
    "runtime.workers": 2,
    "limits.max_rejected": 1,
    "limits.max_without_photo": 1,
    "rename.max_megabytes": 20,
    "crop.detect_side": 480,
    "crop.size": 96,
    "crop.max_megapixels": 20,
    "image.max_megapixels": 20,
    "image.max_megabytes": 20,
    "index.fer2013.classes": {"angry": "angry", "disgust": None, "happy": "happy", "sad": "sad", "surprise": "sad"},
    "index.fer2013.near_duplicate": 1,
    "index.fer2013.validation": 0.3,
    "index.korean.validation": 0.3,
    "index.korean.test": 0.3,
    "model.blocks": [[4], [8]],
    "model.dropout_even": 0,
    "model.dropout_head": 0.1,
    "export.unsure": 0.4,
}


COMMITTED: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# Most tests have the same parameters, and to read YAML takes longer than the rest of many of them.
params.parse = functools.cache(params.parse)


def params_with(changes: dict[str, Any]) -> dict[str, Any]:
    """The values of params.yaml with single ones changed: {"crop.size": 32}."""
    values = copy.deepcopy(COMMITTED)
    # The tests are of these two, whatever further ones params.yaml names.
    values["index"] = {name: values["index"][name] for name in ("fer2013", "korean")}
    for path, value in changes.items():
        *parts, last = path.split(".")
        section = values
        for part in parts:
            section = section[part]
        section[last] = copy.deepcopy(value)
    return values


PARAMS = params_with(CHANGES)


# The files that take longest, so that no worker is left alone with one of them in the end. The first builds the tiny
# pipeline; the next two keep the other workers busy until test_experiments.py, too, can have it.
FIRST = ("test_pipeline.py", "test_dask.py", "test_training.py", "test_experiments.py", "test_page.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files in FIRST."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, object, object]:
    """A test that runs out of time takes the processes with it that it has started, and theirs, then fails."""
    done = yield
    if hasattr(signal, "SIGALRM"):
        fail = signal.getsignal(signal.SIGALRM)

        def stop(number: int, frame: FrameType | None) -> None:
            for process in psutil.Process().children(recursive=True):
                process.kill()
            fail(number, frame)

        signal.signal(signal.SIGALRM, stop)
    return done


@pytest.fixture(scope="session", autouse=True)
def threads() -> None:
    """What each stage says first must be said before any network of a test is built."""
    # Whoever needs TensorFlow has imported it by now; it takes seconds.
    if backend := sys.modules.get("stages.network.backend"):
        backend.use_threads(PARAMS["model"]["threads"])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def set_params(place: Path) -> Callable[..., None]:
    """Write params.yaml; `set_params({"crop.size": 32})` changes single values."""

    def write(changes: dict[str, Any] | None = None) -> None:
        # JSON is YAML.
        text = json.dumps(params_with(CHANGES | (changes or {})), ensure_ascii=False, indent=1)
        text = text.replace(" NaN", " .nan").replace(" Infinity", " .inf")
        Path("params.yaml").write_text(text, encoding="utf-8")

    write()
    return write


@pytest.fixture
def run_stage(set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a stage as its command line does; returns what it stopped with, "" if it went well."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        # A stage is a process of its own, in which no archive is open yet.
        archives._opened.cache_clear()
        try:
            errors.run(importlib.import_module(f"stages.{name}").main)
        except SystemExit as stop:
            return str(stop.code)
        return ""

    return run


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models of random weights, as the export stage writes them, for three emotions."""
    # TensorFlow takes seconds to start.
    from networks import card, random_network

    from stages.deployment.onnx_export import write_onnx

    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("before", "after"), 1):
        write_onnx(random_network(48, 3, seed), card(name), folder / f"{name}.onnx")
    return folder
