"""The network: the original's size, freezing, weights that do not fit."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import PARAMS, ROOT
from ruamel.yaml import YAML
from samples import changed

from stages.network import model
from stages.network.backend import keras
from stages.runtime import params
from stages.runtime.errors import UserError
from stages.training.presets import preset_of

SMALL = params.Model(**PARAMS["model"] | {"input_size": 16, "blocks": [[4], [6, 6]], "mirror": False})


def small(size: int = 16, training: bool = True, **changes: Any) -> keras.Model:
    return model.vgg(changed(SMALL, **changes), size, 3, training)


def originals() -> dict[str, dict[str, Any]]:
    """The values of the `# original:` lines of params.yaml, by section and by the key right below."""
    found: dict[str, dict[str, Any]] = {}
    section = value = ""
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\w+):", line):
            section = match[1]
        elif match := re.match(r"  # original: (.+)", line):
            value = match[1]
        elif match := re.match(r"  (\w+):(?:.*# .*original: (.+))?", line):
            if value := match[2] or value:
                found.setdefault(section, {})[match[1]] = YAML(typ="safe", pure=True).load(value)
            value = ""
    return found


def test_original_network_has_its_parameters() -> None:
    network = model.for_training(preset_of("original").model, 5)
    assert network.count_params() == 93_561_285
    assert sum(weight.shape.num_elements() for weight in network.trainable_weights) == 93_557_445
    assert network.get_layer("block1_conv1").output.shape[1:] == (222, 222, 64)


def test_the_preset_of_the_original_has_the_values_that_the_manual_names() -> None:
    preset = preset_of("original").model_dump()
    for section in ("image", "model", "augment", "pretrain", "finetune"):
        named = originals()[section]
        assert named
        assert {key: preset[section][key] for key in named} == named


def test_default_network_is_small() -> None:
    assert model.for_training(params.load().model, 5).count_params() == 590_245  # as the documents say


def test_as_many_blocks_as_the_picture_can_be_halved() -> None:
    assert small(blocks=[[2]] * 4).get_layer("block4_pool").output.shape[1:] == (1, 1, 2)
    for wrong in ({"blocks": [[2]] * 5}, {"blocks": [[2]] * 4, "first_padding": "valid"}):
        with pytest.raises(ValueError, match="each of which halves the picture"):
            params.Model(**SMALL.model_dump() | wrong)


def test_freeze() -> None:
    network = small()
    model.freeze(network, 1, batchnorm=False)
    frozen = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
    assert frozen == {"block1_conv1", "block1_norm1"}
    model.freeze(network, 1, batchnorm=True)
    frozen = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
    assert frozen == {"block1_conv1", "block1_norm1", "block2_norm1", "block2_norm2"}


def test_without_its_last_classes_a_network_answers_among_the_others() -> None:
    network = small()
    random = np.random.default_rng(0)
    network.set_weights([random.normal(size=array.shape) ** 2 / 10 for array in network.get_weights()])
    pictures = random.integers(0, 256, (7, 16, 16, 1)).astype(np.float32)
    first = network.predict_on_batch(pictures)[:, :2]
    fewer = model.without_last(network, SMALL, 1).predict_on_batch(pictures)
    assert fewer.shape == (7, 2)
    assert np.abs(fewer - first / first.sum(axis=1, keepdims=True)).max() < 1e-6


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
    plain, mirror = small(training=False), small(training=False, mirror=True)
    random = np.random.default_rng(0)
    plain.set_weights([random.normal(size=array.shape) ** 2 / 10 for array in plain.get_weights()])
    mirror.set_weights(plain.get_weights())
    pictures = random.integers(0, 256, (7, 16, 16, 1)).astype(np.float32)
    expected = (plain.predict_on_batch(pictures) + plain.predict_on_batch(pictures[:, :, ::-1])) / 2
    assert np.abs(mirror.predict_on_batch(pictures) - expected).max() < 1e-6
    assert np.abs(plain.predict_on_batch(pictures) - expected).max() > 1e-3


def test_the_network_looks_at_the_middle() -> None:
    plain, part = small(16), small(21)
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
