"""A working folder for each test, with a small params.yaml, and a way to run a stage in it."""

import copy
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.files import archives
from stages.runtime import errors

PARAMS: dict[str, Any] = {
    "emotions": {"angry": "분노", "happy": "기쁨", "sad": "슬픔"},
    "data": {"fer2013": "fer", "korean": "korean"},
    "runtime": {"engine": "serial", "workers": 2, "address": None},
    "limits": {"rejected": 1, "without_photo": 1, "fall": 0.1},
    "rename": {"max_megabytes": 20, "differing_records": "stop"},
    "crop": {
        "input": "photo",
        "detect_side": 480,
        "detector": "haar",
        "cascade": "haarcascade_frontalface_default.xml",
        "scale_step": 1.1,
        "neighbors": 5,
        "confidence": 0.6,
        "smallest_face": 0.1,
        "min_overlap": 0.3,
        "margin": 0.1,
        "size": 96,
        "quality": 95,
        "max_megapixels": 20,
    },
    "image": {"size": 48, "max_megapixels": 20, "max_megabytes": 20},
    "index": {
        "fer2013": {
            "classes": {"angry": "angry", "disgust": None, "happy": "happy", "sad": "sad", "surprise": "sad"},
            "twins": "remove",
            "near_twin": 1,
            "validation": 0.3,
            "seed": 1,
        },
        "korean": {"label": "uploader", "split": "person", "validation": 0.3, "test": 0.3, "seed": 1} | {"people": 1},
    },
    "model": {
        "view": 44,
        "blocks": [[4], [8]],
        "first_padding": "same",
        "dropout_odd": 0.1,
        "dropout_even": 0,
        "dropout_head": 0.1,
        "norm_momentum": 0.9,
        "head": "average",
        "dense": [],
        "mirror": True,
        "precision": "float32",
        "threads": 2,
    },
    "augment": {},
    "pretrain": {"weights": None},
    "finetune": {},
    "export": {"compared": 50, "unsure": 0.4, "smoothing": 0.3, "same_face": 0.3, "forget": 0.5},
}


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
        params = copy.deepcopy(PARAMS)
        for path, value in (changes or {}).items():
            *parts, last = path.split(".")
            section = params
            for part in parts:
                section = section[part]
            section[last] = value
        # JSON is YAML.
        Path("params.yaml").write_text(json.dumps(params, ensure_ascii=False, indent=1), encoding="utf-8")

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
