"""The network, a VGG: built from the section `model:`, loaded, frozen block by block, asked for probabilities."""

from collections.abc import Sequence
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from stages.common import params
from stages.common.backend import keras
from stages.common.dataset import Faces
from stages.common.errors import UserError

PREDICT_BATCH = 256  # fixed: the last bits of a result depend on it


def vgg(
    size: int,
    classes: int,
    blocks: Sequence[Sequence[int]],
    first_padding: str,
    dropout_odd: float,
    dropout_even: float,
    dropout_head: float,
    head: str,
    dense: Sequence[int],
) -> keras.Model:
    """A VGG (Simonyan and Zisserman, 2015) with BatchNormalization (Ioffe and Szegedy, 2015).

    Pictures (n, size, size, 1) of values 0 to 255 go in, probabilities (n, classes) come out.
    `blocks` lists the filters of each block's 3x3 convolutions (bias, ReLU, he_normal, then BatchNormalization); 2x2
    max-pooling and dropout end a block, with `dropout_odd` after blocks 1, 3, ... and `dropout_even` after 2, 4, ....
    `head` is `flatten` or `average` (global average pooling); `dense` lists the ReLU layers after it, and
    `dropout_head` applies after the first of them (without any: before the output).
    """
    layers = keras.layers
    _check_size(size, len(blocks), first_padding)
    inputs = keras.Input((size, size, 1), name="picture")
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    for block, filters in enumerate(blocks, 1):
        for number, width in enumerate(filters, 1):
            x = layers.Conv2D(
                width,
                3,
                padding=first_padding if block == number == 1 else "same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"block{block}_conv{number}",
            )(x)
            # Keras's own momentum of 0.99 lags behind in a run of a few hundred steps.
            x = layers.BatchNormalization(momentum=0.9, name=f"block{block}_norm{number}")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
        x = layers.Dropout(dropout_odd if block % 2 else dropout_even, seed=block, name=f"block{block}_dropout")(x)
    x = layers.Flatten(name="flatten")(x) if head == "flatten" else layers.GlobalAveragePooling2D(name="average")(x)
    for number, width in enumerate(dense, 1):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal", name=f"dense{number}")(x)
        if number == 1:
            x = layers.Dropout(dropout_head, seed=0, name="head_dropout")(x)
    if not dense:
        x = layers.Dropout(dropout_head, seed=0, name="head_dropout")(x)
    # Equal probabilities at first: random ones start so wrong that a short run does not recover.
    outputs = layers.Dense(classes, activation="softmax", kernel_initializer="zeros", name="emotion")(x)
    return keras.Model(inputs, outputs, name="vgg")


def _check_size(size: int, blocks: int, first_padding: str) -> None:
    left = size - 2 if first_padding == "valid" else size
    if left < 2**blocks:
        raise UserError(
            f"params.yaml: model.blocks has {blocks} blocks, each of which halves the picture, "
            f"and {size} pixels are too few for that; use fewer blocks or a larger image.size."
        )


def from_params(size: int, classes: int) -> keras.Model:
    """The network that the section `model:` of params.yaml describes, with fresh weights."""
    section = params.section("model")
    return vgg(
        size,
        classes,
        blocks=section.integer_lists("blocks", 1, 4096),
        first_padding=section.choice("first_padding", ("same", "valid")),
        dropout_odd=section.number("dropout_odd", 0, 0.9),
        dropout_even=section.number("dropout_even", 0, 0.9),
        dropout_head=section.number("dropout_head", 0, 0.9),
        head=section.choice("head", ("flatten", "average")),
        dense=section.integers("dense", 1, 8192),
    )


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights alone (no optimizer, no dropout seeds) to `path`, a .weights.h5, the same bytes each time."""
    bare = _bare(model)
    bare.set_weights(model.get_weights())
    path.parent.mkdir(parents=True, exist_ok=True)
    bare.save_weights(path)


def load_weights(model: keras.Model, path: Path) -> None:
    """Load `path`, which `save_weights` wrote for a network of the same layers; rates of dropout may differ."""
    if not path.exists():
        raise UserError(f"{path} is missing; run `dvc repro` to make it, or `dvc pull` to fetch it.")
    bare = _bare(model)
    try:
        # Keras itself is silent about a file that has more layers than the network.
        if _count_arrays(path) != len(bare.weights):
            raise ValueError
        bare.load_weights(path)
    except ValueError:
        raise UserError(
            f"{path} does not fit the network that `model:`, image.size and `emotions:` in params.yaml describe; "
            f"re-run pretrain (dvc repro)."
        ) from None
    model.set_weights(bare.get_weights())


def _bare(model: keras.Model) -> keras.Model:
    """The same network with neither optimizer nor dropout, which keeps its seeds among the variables."""
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Dropout":
            layer["config"]["rate"] = 0.0
    return type(model).from_config(config)


def _count_arrays(path: Path) -> int:
    arrays: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
    return len(arrays)


def freeze(model: keras.Model, blocks: int, batchnorm: bool) -> None:
    """Keep the first `blocks` blocks as they are, and with `batchnorm` every BatchNormalization of the others too.

    A frozen BatchNormalization keeps its scale and shift and works with its running statistics, as in inference.
    """
    names = {layer.name.partition("_")[0] for layer in model.layers if layer.name.endswith("_pool")}
    if blocks > len(names):
        raise UserError(f"params.yaml: finetune.frozen_blocks is {blocks}, but `model:` has {len(names)} blocks.")
    frozen = {f"block{number}" for number in range(1, blocks + 1)}
    for layer in model.layers:
        norm = batchnorm and isinstance(layer, keras.layers.BatchNormalization)
        if norm or layer.name.partition("_")[0] in frozen:
            layer.trainable = False


def predict(model: keras.Model, faces: Faces) -> np.ndarray:
    """Probabilities of all faces in their order, float32 (n, classes)."""
    index = np.array_split(np.arange(len(faces)), range(PREDICT_BATCH, len(faces), PREDICT_BATCH))
    return np.concatenate([model.predict_on_batch(faces.pictures(part)[..., np.newaxis]) for part in index])
