"""The network, a VGG: built from the section `model:`, loaded, frozen block by block, asked for probabilities."""

from collections.abc import Sequence
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from stages.files.replacing import replacing
from stages.network.backend import keras
from stages.network.inputs import Faces
from stages.network.normalization import FusedBatchNormalization, plain
from stages.runtime import params
from stages.runtime.errors import UserError, require

PREDICT_BATCH = 256  # fixed: the last bits of a result depend on it


def vgg(
    size: int,
    view: int,
    classes: int,
    blocks: Sequence[Sequence[int]],
    first_padding: str,
    dropout_odd: float,
    dropout_even: float,
    dropout_head: float,
    norm_momentum: float,
    head: str,
    dense: Sequence[int],
    mirror: bool,
    precision: str,
    fused: bool,
) -> keras.Model:
    """A VGG (Simonyan and Zisserman, 2015) with BatchNormalization (Ioffe and Szegedy, 2015).

    Pictures (n, size, size, 1) of values 0 to 255 go in, probabilities (n, classes) come out; the network looks at the
    middle, `view` pixels wide. `blocks` lists the filters of each block's 3x3 convolutions (bias, ReLU, he_normal, then
    BatchNormalization); 2x2 max-pooling and dropout end a block, with `dropout_odd` after blocks 1, 3, ... and
    `dropout_even` after 2, 4, .... A BatchNormalization's running statistics keep `norm_momentum` of themselves in each
    step. `head` is `flatten` or `average` (global average pooling); `dense` lists the ReLU
    layers after it, and `dropout_head` applies after the first of them (without any: before the output).
    With `mirror` the network sees each picture and its mirror image, and answers with the mean of both probabilities;
    not meant for training. `precision` is float32 or mixed_bfloat16, in which all but the weights and the last layer
    has 16 bits (Micikevicius et al., 2018). `fused` takes the faster BatchNormalization, which Keras alone cannot load.
    """
    layers = keras.layers
    normalization = FusedBatchNormalization if fused else layers.BatchNormalization
    _check_view(view, len(blocks), first_padding)
    inputs = keras.Input((size, size, 1), name="picture")
    x = keras.ops.concatenate([inputs, keras.ops.flip(inputs, axis=2)], axis=0) if mirror else inputs
    border = (size - view) // 2, size - view - (size - view) // 2
    # Not CenterCrop: behind it, Keras exports a BatchNormalization as in training.
    x = layers.Cropping2D((border, border), name="view")(x)
    x = layers.Rescaling(1 / 255, dtype=precision, name="rescaling")(x)
    for block, filters in enumerate(blocks, 1):
        for number, width in enumerate(filters, 1):
            x = layers.Conv2D(
                width,
                3,
                padding=first_padding if block == number == 1 else "same",
                activation="relu",
                kernel_initializer="he_normal",
                dtype=precision,
                name=f"block{block}_conv{number}",
            )(x)
            x = normalization(momentum=norm_momentum, dtype=precision, name=f"block{block}_norm{number}")(x)
        x = layers.MaxPooling2D(dtype=precision, name=f"block{block}_pool")(x)
        rate = dropout_odd if block % 2 else dropout_even
        x = layers.Dropout(rate, seed=block, dtype=precision, name=f"block{block}_dropout")(x)
    x = layers.Flatten(name="flatten")(x) if head == "flatten" else layers.GlobalAveragePooling2D(name="average")(x)
    for number, width in enumerate(dense, 1):
        x = layers.Dense(
            width, activation="relu", kernel_initializer="he_normal", dtype=precision, name=f"dense{number}"
        )(x)
        if number == 1:
            x = layers.Dropout(dropout_head, seed=0, dtype=precision, name="head_dropout")(x)
    if not dense:
        x = layers.Dropout(dropout_head, seed=0, dtype=precision, name="head_dropout")(x)
    # Equal probabilities at first: random ones start so wrong that a short run does not recover.
    outputs = layers.Dense(classes, activation="softmax", kernel_initializer="zeros", name="emotion")(x)
    if mirror:
        outputs = keras.ops.mean(keras.ops.reshape(outputs, (2, -1, classes)), axis=0)
    return keras.Model(inputs, outputs, name="vgg")


def _check_view(view: int, blocks: int, first_padding: str) -> None:
    left = view - 2 if first_padding == "valid" else view
    if left < 2**blocks:
        raise UserError(
            f"params.yaml: model.blocks has {blocks} blocks, each of which halves the picture, "
            f"and {view} pixels are too few for that; use fewer blocks or a larger model.view."
        )


def view_from_params(size: int) -> int:
    """The side, in pixels, of what the network looks at in pictures of `size` pixels."""
    view = params.section("model").integer("view", 8, 1024)
    if view > size:
        raise UserError(f"params.yaml: model.view is {view}, but the pictures are {size} pixels wide; lower it.")
    return view


def for_training(size: int, classes: int) -> keras.Model:
    """The network that the section `model:` of params.yaml describes, with fresh weights, for what it looks at."""
    section = params.section("model")
    view = view_from_params(size)
    return from_section(section, view, view, classes, mirror=False, precision=precision_from_params(), fused=True)


def for_prediction(size: int, classes: int, weights: Path) -> keras.Model:
    """The same network as it is used: with `weights` that `save_weights` wrote, for whole pictures, in float32."""
    section = params.section("model")
    view, mirror = view_from_params(size), section.flag("mirror")
    network = from_section(section, size, view, classes, mirror, precision="float32", fused=False)
    load_weights(network, weights)
    return network


def threads_from_params() -> int:
    """How many threads an operation is divided among."""
    return params.section("model").integer("threads", 1, 256)


def precision_from_params() -> str:
    """The numbers in training: float32 or mixed_bfloat16."""
    return params.section("model").choice("precision", ("float32", "mixed_bfloat16"))


def from_section(
    section: params.Section, size: int, view: int, classes: int, mirror: bool, precision: str, fused: bool
) -> keras.Model:
    """The network that a section `model:` describes, with fresh weights; the other arguments are those of `vgg`."""
    return vgg(
        size,
        view,
        classes,
        blocks=section.integer_lists("blocks", 1, 4096),
        first_padding=section.choice("first_padding", ("same", "valid")),
        dropout_odd=section.number("dropout_odd", 0, 0.9),
        dropout_even=section.number("dropout_even", 0, 0.9),
        dropout_head=section.number("dropout_head", 0, 0.9),
        norm_momentum=section.number("norm_momentum", 0, 0.9999),
        head=section.choice("head", ("flatten", "average")),
        dense=section.integers("dense", 1, 8192),
        mirror=mirror,
        precision=precision,
        fused=fused,
    )


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights alone (no optimizer, no dropout seeds) to `path`, a .weights.h5, the same bytes each time."""
    bare = _bare(model)
    bare.set_weights(model.get_weights())
    with replacing(path) as file:
        bare.save_weights(file)


def load_weights(model: keras.Model, path: Path) -> None:
    """Load `path`, which `save_weights` wrote for a network of the same layers; rates of dropout may differ."""
    require(path)
    bare = _bare(model)
    try:
        # Keras itself is silent about a file that has more layers than the network.
        if _count_arrays(path) != len(bare.weights):
            raise ValueError
        bare.load_weights(path)
    except ValueError:
        raise UserError(
            f"{path} does not fit the network that `model:`, image.size and `emotions:` in params.yaml describe; "
            f"set them as they were when it was made, or make it again (dvc repro)."
        ) from None
    model.set_weights(bare.get_weights())


def _bare(model: keras.Model) -> keras.Model:
    """The same network with neither optimizer nor dropout, which keeps its seeds among the variables."""
    config = model.get_config()
    config["layers"] = [plain(layer) for layer in config["layers"]]
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


def blend(model: keras.Model, others: Sequence[np.ndarray], share: float) -> None:
    """Set each weight to `share` of that in `others` and the rest of its own (WiSE-FT; Wortsman et al., 2022)."""
    pairs = zip(others, model.get_weights(), strict=True)
    model.set_weights([share * other + (1 - share) * own for other, own in pairs])


def predict(model: keras.Model, faces: Faces) -> np.ndarray:
    """Probabilities of all faces in their order, float32 (n, classes); `model` gets the middle of the pictures."""
    side = model.input_shape[1]
    border = (faces.size - side) // 2
    middle = slice(border, border + side)
    index = np.array_split(np.arange(len(faces)), range(PREDICT_BATCH, len(faces), PREDICT_BATCH))
    parts = (faces.pictures(part)[:, middle, middle, np.newaxis] for part in index)
    return np.concatenate([model.predict_on_batch(part) for part in parts])
