"""The network: the original's size, freezing, weights that do not fit."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.network import model
from stages.network.backend import keras
from stages.runtime import params
from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent
SMALL: dict[str, Any] = {
    "blocks": [[4], [6, 6]],
    "first_padding": "same",
    "dropout_odd": 0.1,
    "dropout_even": 0.0,
    "dropout_head": 0.1,
    "norm_momentum": 0.9,
    "head": "average",
    "dense": [],
    "mirror": False,
    "precision": "float32",
    "fused": True,
}


def small(**changes: Any) -> keras.Model:
    return model.vgg(**{"size": 16, "view": 16, "classes": 3} | SMALL | changes)


def originals() -> dict[str, dict[str, Any]]:
    """The values of the `# original:` lines of params.yaml, by section and by the key right below."""
    found: dict[str, dict[str, Any]] = {}
    section = value = ""
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\w+):", line):
            section = match[1]
        elif match := re.match(r"  # original: (.+)", line):
            value = match[1]
        elif match := re.match(r"  (\w+):", line):
            if value:
                found.setdefault(section, {})[match[1]] = YAML(typ="safe", pure=True).load(value)
            value = ""
    return found


def original_params() -> dict[str, dict[str, Any]]:
    """params.yaml with these values."""
    document: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(
        (ROOT / "params.yaml").read_text(encoding="utf-8")
    )
    for section, values in originals().items():
        document[section] |= values
    return document


def test_original_network_has_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = original_params()
    YAML().dump(document, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    network = model.for_training(224, 5)
    assert network.count_params() == 93_561_285
    assert sum(weight.shape.num_elements() for weight in network.trainable_weights) == 93_557_445
    assert network.get_layer("block1_conv1").output.shape[1:] == (222, 222, 64)
    assert document["pretrain"]["batch_size"] == 8
    assert document["augment"]["rotation"] == 30


def test_the_command_for_the_original_sets_its_values() -> None:
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    command = text[text.index("-S image.size=224") :].partition("```")[0]
    named: dict[str, dict[str, Any]] = {}
    for section, key, value in re.findall(r"-S '?(\w+)\.([\w.]+)=([^\s']+)", command):
        named.setdefault(section, {})[key] = YAML(typ="safe", pure=True).load(value)
    for section in ("image", "model", "augment", "pretrain"):
        assert named[section] == originals()[section]


def test_default_network_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert model.for_training(48, 5).count_params() == 590_245  # as the documents say


def test_rate_as_dvc_writes_it_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("finetune:\n  lr: 1e-05\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert params.section("finetune").number("lr", 0, 1) == 1e-5


def test_blocks_are_lists_of_whole_numbers() -> None:
    for wrong in ([], [[]], [16], [[16], [0]], [[True]], "16"):
        with pytest.raises(UserError, match=r"model\.blocks is .* a list of lists of whole numbers from 1 to 64"):
            params.Section("model", {"blocks": wrong}).integer_lists("blocks", 1, 64)


def test_too_many_blocks_for_the_picture() -> None:
    assert small(blocks=[[2]] * 4).get_layer("block4_pool").output.shape[1:] == (1, 1, 2)
    with pytest.raises(UserError, match="5 blocks, each of which halves the picture, and 16 pixels are too few"):
        small(blocks=[[2]] * 5)
    with pytest.raises(UserError, match="too few"):
        small(blocks=[[2]] * 4, first_padding="valid")


def test_freeze() -> None:
    network = small()
    model.freeze(network, 1, batchnorm=False)
    frozen = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
    assert frozen == {"block1_conv1", "block1_norm1"}
    model.freeze(network, 1, batchnorm=True)
    frozen = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
    assert frozen == {"block1_conv1", "block1_norm1", "block2_norm1", "block2_norm2"}
    with pytest.raises(UserError, match="frozen_blocks is 3, but `model:` has 2 blocks"):
        model.freeze(network, 3, batchnorm=False)


def test_weights_go_from_network_to_network(tmp_path: Path) -> None:
    network, path = small(), tmp_path / "models/a.weights.h5"
    network.compile("adam", "categorical_crossentropy")
    network.fit(np.zeros((2, 16, 16, 1)), np.eye(3)[:2], verbose=0)
    model.save_weights(network, path)
    with h5py.File(path) as file:
        assert "optimizer" not in file
    other = small(dropout_odd=0.0, dropout_even=0.5)
    model.load_weights(other, path)
    assert all((a == b).all() for a, b in zip(network.get_weights(), other.get_weights(), strict=True))
    model.save_weights(network, tmp_path / "b.weights.h5")
    assert path.read_bytes() == (tmp_path / "b.weights.h5").read_bytes()


@pytest.mark.parametrize("blocks", [[[4], [6]], [[4], [6, 8]], [[4], [6, 6], [6]], [[4, 4], [6, 6]]])
def test_weights_that_do_not_fit_end_in_a_sentence(tmp_path: Path, blocks: list[list[int]]) -> None:
    path = tmp_path / "a.weights.h5"
    model.save_weights(small(), path)
    with pytest.raises(UserError, match=r"does not fit .* make it again"):
        model.load_weights(small(blocks=blocks), path)
    with pytest.raises(UserError, match="is missing"):
        model.load_weights(small(), tmp_path / "none.weights.h5")


def test_mirror_is_the_mean_over_the_picture_and_its_mirror_image() -> None:
    plain, mirror = small(), small(mirror=True)
    random = np.random.default_rng(0)
    plain.set_weights([random.normal(size=array.shape) ** 2 / 10 for array in plain.get_weights()])
    mirror.set_weights(plain.get_weights())
    pictures = random.integers(0, 256, (7, 16, 16, 1)).astype(np.float32)
    expected = (plain.predict_on_batch(pictures) + plain.predict_on_batch(pictures[:, :, ::-1])) / 2
    assert np.abs(mirror.predict_on_batch(pictures) - expected).max() < 1e-6
    assert np.abs(plain.predict_on_batch(pictures) - expected).max() > 1e-3


def test_the_network_looks_at_the_middle() -> None:
    plain, part = small(size=16, view=16), small(size=21, view=16)
    random = np.random.default_rng(0)
    plain.set_weights([random.normal(size=array.shape) ** 2 / 10 for array in plain.get_weights()])
    part.set_weights(plain.get_weights())
    pictures = random.integers(0, 256, (3, 21, 21, 1)).astype(np.float32)
    assert np.array_equal(part.predict_on_batch(pictures), plain.predict_on_batch(pictures[:, 2:18, 2:18]))


def test_mixed_precision_keeps_weights_and_probabilities_in_32_bits() -> None:
    network = small(precision="mixed_bfloat16")
    assert {weight.dtype for weight in network.weights if "seed" not in weight.path} == {"float32"}
    assert network.get_layer("block1_conv1").compute_dtype == "bfloat16"
    assert network.output.dtype == "float32"


def test_view_may_not_be_larger_than_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    YAML().dump(original_params(), tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"model\.view is 224, but the pictures are 48 pixels wide"):
        model.for_training(48, 5)
