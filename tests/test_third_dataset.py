"""A data set that is only added to the catalogue, with a reader, is taken like the others."""

import json
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import PARAMS
from networks import drawn_faces, random_network
from samples import noise

from stages.datasets import catalog
from stages.datasets.catalog import Dataset
from stages.datasets.picture import Picture
from stages.figures.results import read_evaluation
from stages.files import archives
from stages.files.tables import read_table, write_table
from stages.network.model import save_weights
from tools import table

DOCS = (Path(__file__).parent.parent / "docs/evaluation.md").read_text(encoding="utf-8")
EMOTIONS = list(PARAMS["emotions"])
SPLITS = ("train", "validation", "test")
MANIFEST = "id archive path gender age professional uploader label_A label_B label_C"
ROBUSTNESS = {"seed": 1, "faces": 9, **{name: [10, 20] for name in ("blur", "light", "noise", "jpeg", "rotation")}}


def write(name: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    write_table(pd.DataFrame(rows, columns=columns.split()), Path("data") / f"{name}.csv")


def write_faces(dataset: str, pictures: np.ndarray, people: bool) -> None:
    """Ninety faces, thirty of them in each split."""
    folder = Path("data/arrays") / dataset
    folder.mkdir(parents=True)
    np.save(folder / "train.npy", pictures)
    columns = "array row id path label person split"
    rows = [
        ("train", n, f"{dataset}{n}", f"{n}.jpg", EMOTIONS[n // 3 % 3], f"p{n % 30}" if people else "", SPLITS[n % 3])
        for n in range(90)
    ]
    if dataset == "fer2013":
        write(f"csvs/{dataset}/merged", f"{columns} people", [(*row, ("", row[4])[row[1] % 2]) for row in rows])
    else:
        write(f"csvs/{dataset}/merged", columns, rows)
    write(f"csvs/{dataset}/rejected", f"{columns} reason", [("", "", "", "x.jpg", "", "", "", "cut off")])


@pytest.fixture
def three(
    place: Path, set_params: Callable[..., None], run_stage: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What evaluate and report read, of three data sets."""
    monkeypatch.setitem(catalog.DATASETS, "toy", Dataset("Toy", "Toy faces", ("train",), unit="id"))
    evaluate = {"seed": 1, "resamples": 100, "group_people": 3}
    set_params({"evaluate": evaluate, "robustness": ROBUSTNESS | {"size": [50, 75]}})
    for seed, stage in enumerate(("pretrain", "transfer")):
        save_weights(random_network(48, 3, seed), place / f"data/models/{stage}.weights.h5")
        for what in ("accuracy", "loss"):
            for part in ("train", "validation"):
                path = Path(f"data/live/{stage}/plots/metrics/{part}/{what}.tsv")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("step\tvalue\n1\t0.5\n", encoding="utf-8")
        figures = {stage: {"best_epoch": 1, "validation": {"accuracy": 0.5, "loss": 1}}}
        Path("metrics").mkdir(exist_ok=True)
        Path(f"metrics/{stage}.json").write_text(json.dumps(figures), encoding="utf-8")
    pictures = drawn_faces(90)
    for dataset in catalog.DATASETS:
        write_faces(dataset, pictures, people=dataset == "korean")
    photos = [
        (f"korean{n}", "a.zip", f"{n}.jpg", ("male", "female")[n % 2], "20", "True", *[EMOTIONS[n // 3 % 3]] * 4)
        for n in range(90)
    ]
    write("manifest/training_happy", MANIFEST, photos)
    write("manifest/rejected", "archive path reason", [("a.zip", "b.jpg", "split unknown")])
    write("crops/training_happy", "id reason", [(f"korean{n}", "") for n in range(90)])
    assert run_stage("evaluate") == ""


def find_toy_pictures(root: Path, emotions: Sequence[str]) -> Iterator[Picture]:
    """The reader of a data set of `<split>-<emotion>-<number>.png` in one folder."""
    for entry in archives.walk(root):
        split, label, number = entry.path.removesuffix(".png").split("-")
        # Nothing but the array says which split a picture is of.
        yield Picture(split, label, f"toy_{number}", entry.path, entry)


def test_its_reader_and_entry_are_all_that_resize_and_index_need(
    place: Path, set_params: Callable[..., None], run_stage: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = types.ModuleType("stages.datasets.toy")
    monkeypatch.setattr(reader, "find_pictures", find_toy_pictures, raising=False)
    monkeypatch.setitem(sys.modules, reader.__name__, reader)
    monkeypatch.setitem(catalog.DATASETS, "toy", Dataset("Toy", "Toy faces", ("train", "test"), unit="id"))
    for stage in ("resize", "index"):
        assert run_stage(stage, "toy").startswith("error: params.yaml has no data.toy and no index.toy; ")
    classes = {emotion: emotion for emotion in EMOTIONS}
    keys = PARAMS["index"]["fer2013"].keys() - {"votes", "extra_classes"}
    settings = {key: PARAMS["index"]["fer2013"][key] for key in keys} | {"classes": classes}
    set_params({"data.toy": "toys", "index.toy": settings})
    Path("toys").mkdir()
    for number in range(120):
        name = f"{('train', 'test')[number % 4 == 0]}-{EMOTIONS[number % 3]}-{number}.png"
        cv2.imwrite(f"toys/{name}", noise(number, 60, 60))
    Path("toys/train-happy-broken.png").write_bytes(b"x")
    Path("data/exclude").mkdir(parents=True)
    Path("data/exclude/toy.txt").touch()
    assert run_stage("resize", "toy") == ""
    assert run_stage("index", "toy") == ""
    merged, rejected = (read_table(Path(f"data/csvs/toy/{name}.csv")) for name in ("merged", "rejected"))
    assert (len(merged), rejected["reason"].tolist()) == (120, ["not a picture"])
    assert merged["split"].value_counts()["test"] == 30
    assert set(merged["split"]) == set(SPLITS)
    counts = json.loads(Path("metrics/index/toy.json").read_text(encoding="utf-8"))
    assert counts == {"toy": {"found": 121, "kept": 120, "rejected": 1}}


def test_it_is_scored_and_shown(three: None, run_stage: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    metrics = json.loads(Path("metrics/evaluate.json").read_text(encoding="utf-8"))
    assert list(metrics) == [*catalog.DATASETS]
    assert metrics["toy"]["after"].keys() == {"accuracy", *EMOTIONS}
    assert metrics["fer2013"]["after"].keys() == {"accuracy", *EMOTIONS, "people", "people_balanced"}
    capsys.readouterr()
    table.main()
    printed = capsys.readouterr().out
    for line in ("Toy test faces ", "  Toy, index: used ", "  Toy validation "):
        assert f"\n{line}" in printed
    assert " toy after\n" in printed
    assert "\n  by what they see, all                  " in printed
    assert run_stage("report") == ""
    page = Path("data/report/index.html").read_text(encoding="utf-8")
    assert "Toy faces, 30 test faces</p>" in page
    assert "Korean faces, 30 test faces of 10 people</p>" in page
    for name in ("emotions", "confusion_before", "reliability", "robustness"):
        assert Path(f"data/report/figures/toy_{name}.png").exists()


def test_the_documentation_names_every_table_and_column(three: None) -> None:
    tables = read_evaluation()
    assert set(tables) == set(re.findall(r"(\w+)\.csv", DOCS))
    for name, found in tables.items():
        section = DOCS[DOCS.index(f"{name}.csv") :]
        section = section[: section.find(".csv", len(name) + 4)]
        assert set(found) <= set(re.findall(r"\w+", section)), name
    figures = set(tables["scores"]["figure"])
    assert figures <= set(re.findall(r"\w+", DOCS))
