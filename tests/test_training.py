"""The training loop: what stays frozen, when it stops, and that a killed run ends as if it had not been killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, params_with
from samples import changed
from sentences import says

from stages import pretrain, transfer
from stages.files.tables import read_table, write_table
from stages.network import model
from stages.network.backend import deterministic, keras
from stages.network.inputs import Faces, read_faces
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.training import loop
from stages.training.augment import distort
from stages.training.batches import Source
from stages.training.checkpoint import Record
from stages.training.loop import TrainingData

Run = Callable[..., str]
RECIPE = {"seed": 1, "batch_size": 8, "warmup": 1, "weight_decay": 0.01, "label_smoothing": 0.1, "mixup": 0.2}
# What differs from params.yaml: two emotions, a small network, short trainings that use all there is.
SMALL: dict[str, Any] = {
    "emotions": {"happy": "기쁨", "sad": "슬픔"},
    "image.size": 16,
    "index.fer2013.classes": {"happy": "happy", "sad": "sad"},
    "index.fer2013.near_duplicate": 0.93,
    "index.fer2013.validation": 0.2,
    "model": {
        "input_size": 12,
        "blocks": [[4], [6]],
        "first_padding": "same",
        "dropout_odd": 0.2,
        "dropout_even": 0,
        "dropout_head": 0.2,
        "head": "average",
        "dense": [],
        "norm_momentum": 0.9,
        "threads": 2,
        "precision": "float32",
        "mirror": True,
    },
    "augment": {"rotation": 15, "shear": 5, "shift": 0.1, "zoom": 0.1, "flip": 0.5}
    | {"blur": 1, "light": 0.2, "noise": 5, "random_erasing": 0.3},
    "pretrain": RECIPE
    | {"epochs": 12, "patience": 12, "lr": 0.01, "class_weight_power": 0.5, "teacher_share": 0.5}
    | {"weights": None, "teachers": []},
    "finetune": RECIPE
    | {"epochs": 8, "patience": 8, "lr": 0.001, "class_weight_power": 0.5, "teacher_share": 0}
    | {"start": "pretrain", "wise_ft": 0, "rehearsal": 0.5, "frozen_blocks": 1, "frozen_batchnorm": True},
}
ONE_EPOCH = {"pretrain.epochs": 1, "finetune.epochs": 1}
NETWORK = params.Model(
    **SMALL["model"] | {"input_size": 16, "dropout_odd": 0.1, "dropout_even": 0.1, "dropout_head": 0.1}
)
STILL = params.Augment(rotation=0, shear=0, shift=0, zoom=0, flip=0, blur=0, light=0, noise=0, random_erasing=0)
BRIEF = params.Pretrain(
    **SMALL["pretrain"] | {"epochs": 3, "patience": 3, "warmup": 0, "label_smoothing": 0, "mixup": 0}
)
still = partial(distort, augment=STILL, view=16)


def write_pictures(path: Path, count: int) -> None:
    """Pictures of noise, brighter above in the odd ones and brighter below in the even ones."""
    pictures = np.random.default_rng(count).integers(0, 128, (count, 16, 16), np.uint8)
    pictures[::2, 8:] += 64
    pictures[1::2, :8] += 64
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, pictures)


def some_faces(path: Path, count: int) -> Faces:
    write_pictures(path, count)
    return Faces([path], np.zeros(count, int), np.arange(count), np.arange(count) % 2)


def network() -> keras.Model:
    deterministic(1)
    return model.for_training(NETWORK, 2)


def train(folder: Path, net: keras.Model, **changes: float) -> list[Record]:
    source = Source(some_faces(folder / "train.npy", 24), 8, np.ones(2, np.float32))
    data = TrainingData([source], some_faces(folder / "validation.npy", 11), still)
    return loop.fit(net, data, changed(BRIEF, **changes), folder / "checkpoint.npz", folder / "live")


def weights_of(net: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in net.weights}


def test_frozen_blocks_do_not_change(tmp_path: Path) -> None:
    net = network()
    before = weights_of(net)
    model.freeze(net, 1, batchnorm=False)
    train(tmp_path, net)
    moved = {path for path, weight in weights_of(net).items() if (weight != before[path]).any()}
    assert moved == {path for path in before if not path.startswith("block1")}


def test_frozen_batchnorm_does_not_change(tmp_path: Path) -> None:
    net = network()
    before = weights_of(net)
    model.freeze(net, 0, batchnorm=True)
    train(tmp_path, net)
    moved = {path for path, weight in weights_of(net).items() if (weight != before[path]).any()}
    assert moved == {path for path in before if "norm" not in path}


def test_stops_early_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    net = network()
    model.freeze(net, 0, batchnorm=True)
    history = train(tmp_path, net, epochs=50, patience=2, lr=0.0, weight_decay=0.0)
    assert len(history) == 3, "without a rate nothing gets better after the first epoch"
    assert loop.best_epoch(history) == 1


def test_ends_with_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    net = network()
    history = train(tmp_path, net, epochs=8, patience=8, lr=0.05)
    best = history[loop.best_epoch(history) - 1]
    assert best["validation/accuracy"] == max(record["validation/accuracy"] for record in history) > 0.6
    validation = some_faces(tmp_path / "validation.npy", 11)
    accuracy = (model.predict(net, validation).argmax(axis=1) == validation.label).mean()
    assert accuracy == pytest.approx(best["validation/accuracy"])


def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    train(tmp_path, network())
    checkpoint = tmp_path / "checkpoint.npz"
    whole = checkpoint.read_bytes()
    for damaged in (b"", whole[:100], whole[: len(whole) // 2], whole[:200] + bytes(5000) + whole[5200:]):
        checkpoint.write_bytes(damaged)
        with pytest.raises(UserError) as error:
            train(tmp_path, network())
        says(error, "checkpoint.npz", "remove it")


def test_best_epoch_is_the_first_of_equals() -> None:
    assert loop.best_epoch([{"validation/accuracy": value} for value in (0.5, 0.7, 0.7, 0.6)]) == 2
    assert loop.best_epoch([]) == 0


def test_divergence_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        train(tmp_path, network(), lr=1e30, epochs=10, patience=10)
    says(error, "lr", "warmup", "epoch")


def set_values(folder: Path, values: dict[str, Any]) -> None:
    """Write params.yaml with these values in place of those of `SMALL`."""
    text = json.dumps(params_with(SMALL | values), ensure_ascii=False)  # JSON is YAML
    (folder / "params.yaml").write_text(text, encoding="utf-8")


def workplace(folder: Path, values: dict[str, Any]) -> Path:
    """A folder with parameters and both data sets; neither has a test array."""
    (folder / "data").mkdir(parents=True)
    set_values(folder, values)
    for dataset, array in (("fer2013", "train"), ("korean", "training")):
        write_pictures(folder / f"data/arrays/{dataset}/{array}.npy", 60)
        rows = [f"{array},{n},x,x,{('happy', 'sad')[n % 2]},,{'train' if n < 48 else 'validation'}" for n in range(60)]
        csv = folder / f"data/csvs/{dataset}/merged.csv"
        csv.parent.mkdir(parents=True)
        csv.write_text("array,row,id,path,label,person,split\n" + "\n".join([*rows, "test,0,x,x,sad,,test"]) + "\n")
    return folder


# Runs a stage that dies in its second epoch, before the checkpoint of that is written: `python -c KILLED MODULE`.
# With alter_sys the stage is __main__, as with `python -m`: the name of its work folder depends on it.
KILLED = """
import os, runpy, signal, sys
from stages.training import checkpoint
save = checkpoint.save
def save_the_first(path, network, history, best):
    if len(history) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    save(path, network, history, best)
checkpoint.save = save_the_first
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def start(stage: str, folder: Path, *python: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*python, f"stages.{stage}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def outputs(folder: Path) -> dict[str, bytes]:
    files = [path for name in ("data/models", "data/live", "metrics") for path in (folder / name).rglob("*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.is_file()}


def figures_of(folder: Path, stage: str) -> Any:
    return json.loads((folder / f"metrics/{stage}.json").read_text(encoding="utf-8"))[stage]


@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_run_ends_like_an_uninterrupted_one(
    tmp_path: Path, run_stage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"finetune.wise_ft": 0.1, "finetune.teacher_share": 0.5}
    whole, broken = workplace(tmp_path / "whole", values), workplace(tmp_path / "broken", values)
    monkeypatch.chdir(whole)
    # The run that is killed has one core, the other all: neither changes a byte.
    one_core = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))) if shutil.which("taskset") else ()
    python = (*one_core, sys.executable)
    for stage, epochs in (("pretrain", 12), ("transfer", 8)):
        first = start(stage, broken, *python, "-c", KILLED)
        assert len(first.communicate()[0].splitlines()) == 1
        assert first.returncode == -signal.SIGKILL
        resumed, *log = finish(start(stage, broken, *python, "-m")).splitlines()
        # One line for each epoch, and none of TensorFlow's.
        assert resumed.startswith("going on after epoch 1,") and len(log) == epochs - 1, log
        assert run_stage(stage) == ""
        assert outputs(broken) == outputs(whole)
        assert not list(broken.glob(f".work/{stage}")), "the work folder is gone once the outputs are written"
    assert figures_of(whole, "pretrain").keys() == {"best_epoch", "validation"}
    assert figures_of(whole, "transfer").keys() == {"best_epoch", "validation", "fer2013_validation"}
    assert "data/live/pretrain/plots/metrics/validation/accuracy.tsv" in outputs(whole)
    pretrained, transferred = (whole / f"data/models/{name}.weights.h5" for name in ("pretrain", "transfer"))
    assert pretrained.read_bytes() != transferred.read_bytes()


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workplace with a network of one epoch. Tests only read it."""
    folder = workplace(tmp_path_factory.mktemp("pretrained") / "work", ONE_EPOCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["pretrain"])
        run(pretrain.main)
    return folder


@pytest.fixture
def short(place: Path, run_stage: Run, pretrained: Path) -> Path:
    """A copy of it as the working folder."""
    shutil.copytree(pretrained, place, dirs_exist_ok=True)
    return place


TAKEN = ONE_EPOCH | {"pretrain.weights": "small"}


@pytest.fixture
def small(short: Path) -> Path:
    """The same, but what pretrain wrote is the network `small` of weights/, and pretrain is to take it."""
    (short / "weights").mkdir()
    values = params_with(SMALL)
    preset = {key: values[key] for key in ("emotions", "image", "model", "augment", "pretrain")}
    preset |= {"index": {"fer2013": values["index"]["fer2013"]}, "trained_on": {"fer2013": "files", "korean": False}}
    (short / "weights/small.yaml").write_text(json.dumps(preset), encoding="utf-8")
    (short / "data/models/pretrain.weights.h5").rename(short / "weights/small.weights.h5")
    set_values(short, TAKEN)
    return short


def test_shipped_weights_are_taken_as_they_are(small: Path, run_stage: Run, capfd: pytest.CaptureFixture[str]) -> None:
    before = figures_of(small, "pretrain")
    shutil.rmtree(small / "data/live")
    capfd.readouterr()
    assert run_stage("pretrain") == ""
    right = before["validation"]["accuracy"]
    assert capfd.readouterr().out == f"small is taken from weights/ as it is: {right:.1%} right on validation\n"
    trained = (small / "weights/small.weights.h5").read_bytes()
    assert (small / "data/models/pretrain.weights.h5").read_bytes() == trained
    assert figures_of(small, "pretrain") == {"validation": before["validation"]}
    for curve in ("train/accuracy", "train/loss", "validation/accuracy", "validation/loss"):
        assert (small / f"data/live/pretrain/plots/metrics/{curve}.tsv").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.blocks", [[4], [8]]),
        ("emotions", {"sad": "슬픔", "happy": "기쁨"}),
        ("index.fer2013.validation", 0.3),
        ("index.fer2013.near_duplicate", 0.9),
    ],
)
def test_params_that_do_not_go_with_a_shipped_network_are_refused(
    small: Path, run_stage: Run, key: str, value: Any
) -> None:
    set_values(small, TAKEN | {key: value})
    says(run_stage("pretrain"), "params.yaml", key, "weights/small.yaml", "set it")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"remove"', '"keep"', ("params.yaml", "index.fer2013.duplicates", "weights/small.yaml", "keep")),
        ('"korean": false', '"korean": true', ("weights/small.yaml", "Korean people", "before transfer")),
        ('"near_duplicate": 0.93', '"near_duplicate": 7', ("weights/small.yaml", "index.fer2013.near_duplicate", "7")),
        ('"near_duplicate": 0.93, ', "", ("weights/small.yaml", "index.fer2013.near_duplicate", "missing")),
        ('"input_size": 12, ', "", ("weights/small.yaml", "model.input_size", "missing")),
        (', "trained_on": {"fer2013": "files", "korean": false}', "", ("weights/small.yaml", "trained_on")),
    ],
)
def test_a_preset_that_does_not_go_with_params_is_refused(
    small: Path, run_stage: Run, old: str, new: str, words: Sequence[str]
) -> None:
    preset = small / "weights/small.yaml"
    text = preset.read_text(encoding="utf-8")
    assert text.count(old) == 1
    preset.write_text(text.replace(old, new), encoding="utf-8")
    says(run_stage("pretrain"), *words)


def test_a_network_that_is_not_shipped_is_refused(small: Path, run_stage: Run) -> None:
    set_values(small, TAKEN | {"pretrain.weights": "nothing"})
    says(run_stage("pretrain"), "weights/nothing.", "small")


def test_a_shipped_network_teaches_one_of_another_shape(small: Path, run_stage: Run) -> None:
    taught = []
    for share in (0, 1):
        values = {"index.fer2013.validation": 0.1, "model.blocks": [[4], [8]], "pretrain.teachers": ["small"]}
        set_values(small, ONE_EPOCH | values | {"pretrain.teacher_share": share})
        assert run_stage("pretrain") == ""
        taught.append((small / "data/models/pretrain.weights.h5").read_bytes())
    assert taught[0] != taught[1]


def test_extra_classes_are_learned_and_then_dropped(short: Path, run_stage: Run) -> None:
    csv = Path("data/csvs/fer2013/merged.csv")
    table = read_table(csv)
    extra = table[table["split"] == "train"].head(9)
    rows = extra.assign(label="fear", split="extra", id="train/fear/" + extra["id"].str.rpartition("/")[2])
    write_table(pd.concat([table, rows]), csv)
    classes = {"happy": "happy", "sad": "sad", "fear": None}
    set_values(short, ONE_EPOCH | {"index.fer2013.classes": classes, "index.fer2013.extra_classes": ["fear"]})
    assert run_stage("pretrain") == ""
    kernels = [array.shape for array in arrays(short / "data/models/pretrain.weights.h5").values() if array.ndim == 2]
    assert kernels == [(6, 2)]
    curve = pd.read_csv(short / "data/live/pretrain/plots/metrics/validation/loss.tsv", sep="\t")["loss"]
    loss = figures_of(short, "pretrain")["validation"]["loss"]
    assert curve.iloc[-1] == pytest.approx(loss, abs=1e-5), "in training, too, it was judged among the emotions"
    assert run_stage("transfer") == ""


def test_jax_trains_on_what_tensorflow_made_and_the_other_way_round(short: Path) -> None:
    set_values(short, ONE_EPOCH | {"finetune.teacher_share": 0.5})
    assert "epoch 1/1" in finish(start("transfer", short, sys.executable, "-m", KERAS_BACKEND="jax"))
    net = model.for_training(params.Model(**SMALL["model"]), 2)
    model.load_weights(net, short / "data/models/transfer.weights.h5")
    csv, arrays = short / "data/csvs/korean/merged.csv", short / "data/arrays/korean"
    loss = loop.validate(net, read_faces(csv, arrays, "validation", ["happy", "sad"]))["loss"]
    assert loss == pytest.approx(figures_of(short, "transfer")["validation"]["loss"], abs=1e-5)


def test_the_teacher_speaks_for_its_share_of_each_source(tmp_path: Path) -> None:
    faces = some_faces(tmp_path / "train.npy", 24)
    sources = [Source(faces, 3, np.ones(2, np.float32)), Source(faces, 5, np.ones(2, np.float32), 0.75)]
    net = network()
    net.get_layer("emotion").set_weights([np.zeros((6, 2)), np.log([0.9, 0.1])])  # says so of each picture
    _, alone, _ = next(loop.epoch_batches(TrainingData(sources, faces, still), BRIEF, 0))
    _, told, _ = next(loop.epoch_batches(TrainingData(sources, faces, still, net), BRIEF, 0))
    assert np.array_equal(told[:3], alone[:3])
    assert np.allclose(told[3:], 0.25 * alone[3:] + 0.75 * np.array([0.9, 0.1]), atol=1e-6)


def test_transfer_with_wise_ft_and_from_scratch(short: Path, run_stage: Run) -> None:
    def run_transfer(**values: Any) -> dict[str, np.ndarray]:
        adapts = {"frozen_blocks": 0, "frozen_batchnorm": False}
        set_values(short, ONE_EPOCH | {f"finetune.{key}": value for key, value in (adapts | values).items()})
        assert run_stage("transfer") == ""
        return arrays(short / "data/models/transfer.weights.h5")

    old = arrays(short / "data/models/pretrain.weights.h5")
    validation = figures_of(short, "pretrain")["validation"]["accuracy"]
    after = run_transfer()
    blended = run_transfer(wise_ft=0.25)
    assert all(np.allclose(blended[name], 0.25 * old[name] + 0.75 * after[name], atol=1e-6) for name in after)
    kept = run_transfer(wise_ft=1)
    assert all(np.array_equal(kept[name], old[name]) for name in kept)
    assert figures_of(short, "transfer")["fer2013_validation"]["accuracy"] == validation, "nothing is forgotten"
    (short / "data/models/pretrain.weights.h5").write_bytes(b"")
    fresh = run_transfer(start="scratch")
    assert any((fresh[name] != after[name]).any() for name in after)


@pytest.mark.parametrize(
    ("key", "value"), [("wise_ft", 0.25), ("teacher_share", 0.5), ("frozen_blocks", 1), ("frozen_batchnorm", True)]
)
def test_from_scratch_there_is_nothing_to_keep(short: Path, run_stage: Run, key: str, value: Any) -> None:
    nothing = {"wise_ft": 0, "teacher_share": 0, "frozen_blocks": 0, "frozen_batchnorm": False}
    values = nothing | {"start": "scratch", key: value}
    set_values(short, {f"finetune.{name}": setting for name, setting in values.items()})
    says(run_stage("transfer"), "params.yaml", "finetune.start", f"finetune.{key}")


def test_an_emotion_that_collapses_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = np.array([0.8, 0.8, 0.3, np.nan]), np.array([0.4, 0.39, 0, 0])
    transfer.warn_of_collapse("fer2013", ["angry", "happy", "sad", "neutral"], before, after)
    warnings = capsys.readouterr().out.splitlines()
    assert len(warnings) == 2
    says(warnings[0], "warning: happy", "fer2013", "80% before", "39% after", "finetune.lr")
    says(warnings[1], "warning: sad")


def test_recall_of_each_emotion(tmp_path: Path) -> None:
    faces = some_faces(tmp_path / "faces.npy", 9)
    one = network()
    recall = transfer.recalls(one, faces)
    assert recall @ np.bincount(faces.label) / 9 == pytest.approx(loop.validate(one, faces)["accuracy"], abs=1e-6)
    faces.label[:] = 0
    assert np.isnan(transfer.recalls(one, faces)[1])


def arrays(path: Path) -> dict[str, np.ndarray]:
    result: dict[str, np.ndarray] = {}

    def add(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            result[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(add)
    return result
