"""The training loop: what stays frozen, when it stops, and that a killed run ends as if it had not been killed."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.network import model
from stages.network.backend import deterministic, keras
from stages.network.inputs import Faces
from stages.runtime.errors import UserError
from stages.training import loop
from stages.training.augment import distort
from stages.training.batches import Source
from stages.transfer import rehearsed_images

ROOT = Path(__file__).parent.parent
PARAMS = """
emotions: {happy: 기쁨, sad: 슬픔}
index: {fer2013: {classes: {happy: happy, sad: sad}, twins: remove, near_twin: 0.93, validation: 0.2, seed: 1}}
model:
  view: 12
  blocks: [[4], [6]]
  first_padding: same
  dropout_odd: 0.2
  dropout_even: 0
  dropout_head: 0.2
  norm_momentum: 0.9
  head: average
  dense: []
  mirror: true
  precision: float32
  threads: 2
augment: {rotation: 15, shear: 5, shift: 0.1, zoom: 0.1, flip: 0.5, light: 0.2, erase: 0.3}
pretrain:
  {weights: null, teachers: [], taught: 0.5, seed: 1, batch_size: 8, epochs: 25, patience: 25, lr: 0.01, warmup: 1,
   weight_decay: 0.01, label_smoothing: 0.1, mixup: 0.2, balance: 0.5}
finetune:
  {start: pretrain, kept_weights: 0, taught: 0, seed: 1, batch_size: 8, epochs: 12, patience: 12, lr: 1e-03, warmup: 1,
   weight_decay: 0.01, label_smoothing: 0.1, mixup: 0.2, balance: 0.5, rehearsal: 0.5,
   frozen_blocks: 1, frozen_batchnorm: true}
"""


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


def still(pictures: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return distort(pictures, random, rotation=0, shear=0, shift=0, zoom=0, flip=0, light=0, erase=0, view=16)


def network() -> keras.Model:
    deterministic(1)
    return model.vgg(16, 16, 2, [[4], [6]], "same", 0.1, 0.1, 0.1, 0.9, "average", [], False, "float32", True)


RECIPE = loop.Recipe(seed=1, epochs=3, patience=3, lr=0.01, warmup=0, weight_decay=0.01, label_smoothing=0, mixup=0)


def train(folder: Path, net: keras.Model, **changes: float) -> list[loop.Record]:
    return loop.fit(
        net,
        None,
        [Source(some_faces(folder / "train.npy", 24), 8, np.ones(2, np.float32))],
        some_faces(folder / "validation.npy", 11),
        still,
        dataclasses.replace(RECIPE, **changes),
        folder / "checkpoint.npz",
        folder / "live",
    )


def weights_of(net: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in net.weights}


def test_frozen_blocks_do_not_change(tmp_path: Path) -> None:
    net = network()
    before = weights_of(net)
    model.freeze(net, 1, batchnorm=False)
    train(tmp_path, net)
    changed = {path for path, weight in weights_of(net).items() if (weight != before[path]).any()}
    assert changed == {path for path in before if not path.startswith("block1")}


def test_frozen_batchnorm_does_not_change(tmp_path: Path) -> None:
    net = network()
    before = weights_of(net)
    model.freeze(net, 0, batchnorm=True)
    train(tmp_path, net)
    changed = {path for path, weight in weights_of(net).items() if (weight != before[path]).any()}
    assert changed == {path for path in before if "norm" not in path}


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
        with pytest.raises(UserError, match=r"checkpoint\.npz is damaged; remove it"):
            train(tmp_path, network())


def test_best_epoch_is_the_first_of_equals() -> None:
    assert loop.best_epoch([{"validation/accuracy": value} for value in (0.5, 0.7, 0.7, 0.6)]) == 2
    assert loop.best_epoch([]) == 0


def test_divergence_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no longer a number in epoch .* lower lr"):
        train(tmp_path, network(), lr=1e30, epochs=10, patience=10)


def test_rehearsed_images() -> None:
    assert rehearsed_images(64, 0.5) == 32
    assert rehearsed_images(64, 0) == 0
    with pytest.raises(UserError, match="too little for one image"):
        rehearsed_images(8, 0.0625)
    with pytest.raises(UserError, match="leaves no Korean image"):
        rehearsed_images(8, 0.99)


def workplace(folder: Path) -> Path:
    """A folder with parameters and both data sets; neither has a test array."""
    (folder / "data").mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    for dataset, array in (("fer2013", "train"), ("korean", "training")):
        write_pictures(folder / f"data/arrays/{dataset}/{array}.npy", 60)
        rows = [f"{array},{n},x,x,{('happy', 'sad')[n % 2]},,{'train' if n < 48 else 'validation'}" for n in range(60)]
        csv = folder / f"data/csvs/{dataset}/merged.csv"
        csv.parent.mkdir(parents=True)
        csv.write_text("array,row,id,path,label,person,split\n" + "\n".join([*rows, "test,0,x,x,sad,,test"]) + "\n")
    return folder


def start(stage: str, folder: Path, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", f"stages.{stage}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def outputs(folder: Path) -> dict[str, bytes]:
    files = [path for name in ("data/models", "data/live", "metrics") for path in (folder / name).rglob("*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.is_file()}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = workplace(tmp_path / "whole"), workplace(tmp_path / "broken")
    for folder in (whole, broken):
        change(folder, "kept_weights: 0, taught: 0", "kept_weights: 0.1, taught: 0.5")
    # The run that is killed has one core, the other all: neither changes a byte.
    one_core = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))) if shutil.which("taskset") else ()
    for stage, epochs in (("pretrain", 25), ("transfer", 12)):
        first = start(stage, broken, one_core)
        while first.poll() is None and not list(broken.glob(f".work/{stage}/*/checkpoint.npz")):
            time.sleep(0.01)
        first.kill()
        assert f"epoch {epochs}/{epochs}" not in first.communicate()[0]
        assert first.returncode == -signal.SIGKILL
        other = start(stage, whole)
        assert "going on after epoch" in finish(start(stage, broken, one_core))
        log = finish(other)
        # One line for each epoch, and none of TensorFlow's.
        assert len(log.splitlines()) == epochs, log
        assert outputs(broken) == outputs(whole)
        assert not list(broken.glob(f".work/{stage}")), "the work folder is gone once the outputs are written"
    figures = [json.loads((whole / f"metrics/{stage}.json").read_text())[stage] for stage in ("pretrain", "transfer")]
    assert [sorted(keys) for keys in figures] == [
        ["best_epoch", "validation"],
        ["best_epoch", "fer2013_validation", "validation"],
    ]
    assert "data/live/pretrain/plots/metrics/validation/accuracy.tsv" in outputs(whole)
    pretrained, transferred = (whole / f"data/models/{name}.weights.h5" for name in ("pretrain", "transfer"))
    assert pretrained.read_bytes() != transferred.read_bytes()


def ship(folder: Path, name: str) -> bytes:
    """Make what pretrain wrote a network of the folder weights/."""
    (folder / "weights").mkdir()
    values = YAML(typ="safe", pure=True).load((folder / "params.yaml").read_text(encoding="utf-8"))
    values["data"] = {"fer2013": "files", "korean": False}
    description = {key: values[key] for key in ("data", "emotions", "index", "model")} | {"image": {"size": 16}}
    (folder / f"weights/{name}.yaml").write_text(json.dumps(description), encoding="utf-8")
    return (folder / "data/models/pretrain.weights.h5").rename(folder / f"weights/{name}.weights.h5").read_bytes()


def short_workplace(tmp_path: Path) -> Path:
    folder = workplace(tmp_path)
    change(folder, "epochs: 25, patience: 25", "epochs: 1, patience: 1")
    change(folder, "epochs: 12, patience: 12", "epochs: 1, patience: 1")
    return folder


def test_shipped_weights_are_taken_as_they_are_or_teach(tmp_path: Path) -> None:
    folder = short_workplace(tmp_path)
    finish(start("pretrain", folder))
    trained = ship(folder, "small")
    before = json.loads((folder / "metrics/pretrain.json").read_text())["pretrain"]
    change(folder, "weights: null", "weights: small")
    shutil.rmtree(folder / "data/live")
    assert finish(start("pretrain", folder)) == ""
    assert (folder / "data/models/pretrain.weights.h5").read_bytes() == trained
    after = json.loads((folder / "metrics/pretrain.json").read_text())["pretrain"]
    assert after == {"validation": before["validation"]}
    for curve in ("train/accuracy", "train/loss", "validation/accuracy", "validation/loss"):
        assert (folder / f"data/live/pretrain/plots/metrics/{curve}.tsv").exists()
    for old, new, refused in (
        (
            "blocks: [[4], [6]]",
            "blocks: [[4], [8]]",
            "model.blocks is [[4], [8]], but weights/small.yaml has [[4], [6]]",
        ),
        (
            "{happy: 기쁨, sad: 슬픔}",
            "{sad: 슬픔, happy: 기쁨}",
            "emotions is sad, happy, but weights/small.yaml has happy, sad",
        ),
        (
            "validation: 0.2",
            "validation: 0.3",
            "index.fer2013.validation is 0.3, but weights/small.yaml has 0.2",
        ),
        (
            "near_twin: 0.93",
            "near_twin: 0.9",
            "index.fer2013.near_twin is 0.9, but weights/small.yaml has 0.93",
        ),
    ):
        change(folder, old, new)
        assert fail(start("pretrain", folder)) == f"error: params.yaml: {refused}; set it as there.\n"
        change(folder, new, old)
    description = folder / "weights/small.yaml"
    for old, new, refused in (
        ('"remove"', '"keep"', "params.yaml: index.fer2013.twins is remove, but weights/small.yaml has keep; set it"),
        ('"korean": false', '"korean": true', "weights/small.yaml: this network has seen Korean people, who could"),
        ('"near_twin": 0.93', '"near_twin": 7', "weights/small.yaml: index.fer2013.near_twin is 7, but must be a"),
        ('"near_twin": 0.93, ', "", "weights/small.yaml: index.fer2013.near_twin is missing; it must be a number"),
        ('"view": 12, ', "", "weights/small.yaml: model.view is missing"),
    ):
        text = description.read_text(encoding="utf-8")
        assert text.count(old) == 1
        description.write_text(text.replace(old, new), encoding="utf-8")
        assert fail(start("pretrain", folder)).startswith(f"error: {refused}")
        description.write_text(text, encoding="utf-8")
    change(folder, "validation: 0.2", "validation: 0.1")
    change(folder, "weights: small", "weights: nothing")
    assert fail(start("pretrain", folder)) == (
        "error: weights/nothing.weights.h5 is missing; the networks in weights/ are: small.\n"
    )
    change(folder, "blocks: [[4], [6]]", "blocks: [[4], [8]]")
    change(folder, "weights: nothing, teachers: [], taught: 0.5", "weights: null, teachers: [small], taught: 0")
    taught = []
    for share in ("0", "1"):
        change(folder, "teachers: [small], taught: 0,", f"teachers: [small], taught: {share},")
        finish(start("pretrain", folder))
        taught.append((folder / "data/models/pretrain.weights.h5").read_bytes())
    assert taught[0] != taught[1]


def test_the_teacher_speaks_for_its_share_of_each_source(tmp_path: Path) -> None:
    faces = some_faces(tmp_path / "train.npy", 24)
    sources = [Source(faces, 3, np.ones(2, np.float32)), Source(faces, 5, np.ones(2, np.float32), 0.75)]
    net = network()
    net.get_layer("emotion").set_weights([np.zeros((6, 2)), np.log([0.9, 0.1])])  # says so of each picture
    ((_, alone, _),) = loop.epoch_data(net, None, sources, still, RECIPE, 0, 1)
    ((_, told, _),) = loop.epoch_data(net, net, sources, still, RECIPE, 0, 1)
    assert np.array_equal(told[:3], alone[:3])
    assert np.allclose(told[3:], 0.25 * alone[3:] + 0.75 * np.array([0.9, 0.1]), atol=1e-6)


def test_transfer_from_scratch_with_kept_weights_and_with_a_teacher(tmp_path: Path) -> None:
    folder = short_workplace(tmp_path)
    finish(start("pretrain", folder))

    def transfer(old: str, new: str) -> dict[str, np.ndarray]:
        change(folder, old, new)
        finish(start("transfer", folder))
        return arrays(folder / "data/models/transfer.weights.h5")

    pretrained = arrays(folder / "data/models/pretrain.weights.h5")
    after = transfer("frozen_blocks: 1, frozen_batchnorm: true", "frozen_blocks: 0, frozen_batchnorm: false")
    blended = transfer("kept_weights: 0", "kept_weights: 0.25")
    assert all(np.allclose(blended[name], 0.25 * pretrained[name] + 0.75 * after[name], atol=1e-6) for name in after)

    def accuracy(stage: str, name: str) -> float:
        return float(json.loads((folder / f"metrics/{stage}.json").read_text())[stage][name]["accuracy"])

    kept = transfer("kept_weights: 0.25", "kept_weights: 1")
    assert all(np.array_equal(kept[name], pretrained[name]) for name in kept)
    assert accuracy("transfer", "fer2013_validation") == accuracy("pretrain", "validation"), "nothing is forgotten"
    change(folder, "start: pretrain", "start: scratch")
    refused = (
        "error: params.yaml: with finetune.start scratch set finetune.kept_weights, finetune.taught and "
        "finetune.frozen_blocks to 0 and finetune.frozen_batchnorm to false.\n"
    )
    assert fail(start("transfer", folder)) == refused
    change(folder, "kept_weights: 1, taught: 0", "kept_weights: 0, taught: 0")
    for right, wrong in (
        ("frozen_blocks: 0", "frozen_blocks: 1"),
        ("frozen_batchnorm: false", "frozen_batchnorm: true"),
    ):
        change(folder, right, wrong)
        assert fail(start("transfer", folder)) == refused
        change(folder, wrong, right)
    (folder / "data/models/pretrain.weights.h5").write_bytes(b"")
    finish(start("transfer", folder))
    fresh = arrays(folder / "data/models/transfer.weights.h5")
    assert any((fresh[name] != after[name]).any() for name in after)


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new), encoding="utf-8")


def fail(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    return output


def arrays(path: Path) -> dict[str, np.ndarray]:
    result: dict[str, np.ndarray] = {}

    def add(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            result[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(add)
    return result
