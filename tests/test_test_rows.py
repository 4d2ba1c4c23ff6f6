"""The test sets are looked at by `evaluate` alone: no other stage reads a test row, and training does not feel one."""

import ast
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from samples import noise

from stages.files.arrays import ArrayWriter
from stages.files.tables import read_table, write_table

ROOT = Path(__file__).parent.parent
EMOTIONS = ["angry", "happy", "sad"]
SPLITS = ("train", "validation", "test")
SIZE = 48


def splits_read() -> dict[str, set[str]]:
    """The splits that each file of ours asks `read_faces` for."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "stages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "read_faces":
                split = node.args[2]
                assert isinstance(split, ast.Constant), f"{path}: name the split literally, so it can be checked"
                found.setdefault(path.name, set()).add(str(split.value))
    return found


def test_only_evaluate_asks_for_the_test_split() -> None:
    asked = splits_read()
    assert {"train", "validation"} <= asked["pretrain.py"] & asked["transfer.py"]
    assert [name for name, splits in asked.items() if "test" in splits] == ["evaluate.py"]


def test_only_index_and_evaluate_depend_on_the_test_pictures_of_fer2013() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    pictures = {"data/arrays/fer2013", "data/arrays/fer2013/test.npy", "data/arrays/${key}"}
    readers = {name for name, stage in stages.items() if pictures & set(stage.get("do", stage)["deps"])}
    assert readers == {"index", "evaluate"}


def write_data() -> None:
    """Both data sets, each with faces of every emotion in every split; Korean test rows lie among training rows."""
    for dataset in ("fer2013", "korean"):
        folder = Path("data/arrays") / dataset
        folder.mkdir(parents=True)
        rows = []
        with ArrayWriter(folder / "train.npy", SIZE) as train, ArrayWriter(folder / "test.npy", SIZE) as test:
            for number in range(90):
                split, label = SPLITS[number % 3], EMOTIONS[number // 3 % 3]
                apart = dataset == "fer2013" and split == "test"
                row = (test if apart else train).append(noise(number, SIZE, SIZE))
                name = f"{dataset}{number}"
                rows.append(("test" if apart else "train", row, name, f"{name}.jpg", label, name, split))
        columns = ["array", "row", "id", "path", "label", "person", "split"]
        write_table(pd.DataFrame(rows, columns=columns), Path("data/csvs") / dataset / "merged.csv")


def poison() -> None:
    """Other pictures and labels in the test rows, and only a few of these rows left."""
    for dataset in ("fer2013", "korean"):
        csv = Path("data/csvs") / dataset / "merged.csv"
        table = read_table(csv, "row")
        for name in ("train", "test"):
            path = Path("data/arrays") / dataset / f"{name}.npy"
            rows = table.loc[(table["split"] == "test") & (table["array"] == name), "row"]
            if len(rows):
                np.load(path, mmap_mode="r+")[rows] = 255 * (np.arange(SIZE) % 2)
        table.loc[table["split"] == "test", "label"] = "happy"
        write_table(table[(table["split"] != "test") | (table["row"] % 7 == 0)], csv)


@pytest.fixture
def tiny(place: Path) -> Path:
    """The committed params.yaml, with a network and trainings so small that they take seconds."""
    document: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    document["emotions"] = {"angry": "분노", "happy": "기쁨", "sad": "슬픔"}
    document["index"]["fer2013"]["classes"] = {"angry": "angry", "happy": "happy", "sad": "sad"}
    document["model"] |= {"input_size": SIZE, "blocks": [[4], [6]]}
    for section in ("pretrain", "finetune"):
        document[section] |= {"epochs": 1, "batch_size": 8}
    document["pretrain"] |= {"weights": None, "teachers": []}  # it is to train, and by itself
    with open(place / "params.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(document, file)
    write_data()
    return place


def train(run_stage: Callable[..., str], tiny: Path, *stages: str) -> dict[str, bytes]:
    for stage in stages:
        assert run_stage(stage) == ""
    weights = {path.name: path.read_bytes() for path in (tiny / "data/models").iterdir()}
    for folder in ("data/models", "data/live", ".work"):
        shutil.rmtree(tiny / folder, ignore_errors=True)
    return weights


def test_training_does_not_feel_the_test_rows(run_stage: Callable[..., str], tiny: Path) -> None:
    clean = train(run_stage, tiny, "pretrain", "transfer")
    assert set(clean) == {"pretrain.weights.h5", "transfer.weights.h5"}
    poison()
    assert train(run_stage, tiny, "pretrain", "transfer") == clean
    # Were they the training rows, they would be felt: this test can fail.
    csv = Path("data/csvs/fer2013/merged.csv")
    table = read_table(csv)
    table["split"] = table["split"].replace({"train": "test", "test": "train"})
    write_table(table, csv)
    assert train(run_stage, tiny, "pretrain")["pretrain.weights.h5"] != clean["pretrain.weights.h5"]
