"""The network, a VGG: built from the section `model:`, loaded, frozen block by block, asked for probabilities."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
from tqdm import tqdm

from stages.network.backend import keras, tf
from stages.network.inputs import Faces
from stages.network.normalization import FusedBatchNormalization
from stages.runtime.errors import UserError, reading
from stages.runtime.params import Model
from stages.runtime.replacing import replacing

PREDICT_BATCH = 256  # fixed: the last bits of a result depend on it
PATIENCE = 2  # seconds until predictions show how far they are


def for_training(settings: Model, classes: int) -> keras.Model:
    """The network that `model:` in params.yaml describes, with fresh weights; its input is what it looks at."""
    return vgg(settings, settings.input_size, classes, training=True)


def for_prediction(settings: Model, size: int, classes: int, weights: Path) -> keras.Model:
    """The same network as it is used: for whole pictures of `size` pixels, with `weights` from `save_weights`."""
    network = vgg(settings, size, classes, training=False)
    load_weights(network, weights)
    return network


def vgg(settings: Model, size: int, classes: int, training: bool) -> keras.Model:
    """A VGG (Simonyan and Zisserman, 2015) with BatchNormalization (Ioffe and Szegedy, 2015).

    Pictures (n, size, size, 1) of values 0 to 255 go in, probabilities (n, classes) come out; the network looks at the
    middle, `input_size` pixels wide. `blocks` lists the filters of each block's 3x3 convolutions (bias, ReLU,
    he_normal, then BatchNormalization); 2x2 max-pooling and dropout end a block. params.yaml explains the settings.

    With `training` the precision is the one that the settings name (mixed_bfloat16: Micikevicius et al., 2018) and the
    BatchNormalization the faster, fused one, which Keras alone cannot load. Without, it is float32, and with
    `settings.mirror` the answer is the mean of the probabilities for the picture and its mirror image.
    """
    layers = keras.layers
    normalization = FusedBatchNormalization if training and tf else layers.BatchNormalization
    precision = settings.precision if training else "float32"
    mirror = settings.mirror and not training
    inputs = keras.Input((size, size, 1), name="picture")
    x = keras.ops.concatenate([inputs, keras.ops.flip(inputs, axis=2)], axis=0) if mirror else inputs
    spare = size - settings.input_size
    border = spare // 2, spare - spare // 2
    # Not CenterCrop: behind it, Keras exports a BatchNormalization as in training.
    x = layers.Cropping2D((border, border), name="view")(x)
    x = layers.Rescaling(1 / 255, dtype=precision, name="rescaling")(x)
    for block, filters in enumerate(settings.blocks, 1):
        for number, width in enumerate(filters, 1):
            x = layers.Conv2D(
                width,
                3,
                padding=settings.first_padding if block == number == 1 else "same",
                activation="relu",
                kernel_initializer="he_normal",
                dtype=precision,
                name=f"block{block}_conv{number}",
            )(x)
            x = normalization(momentum=settings.norm_momentum, dtype=precision, name=f"block{block}_norm{number}")(x)
        x = layers.MaxPooling2D(dtype=precision, name=f"block{block}_pool")(x)
        rate = settings.dropout_odd if block % 2 else settings.dropout_even
        x = layers.Dropout(rate, seed=block, dtype=precision, name=f"block{block}_dropout")(x)
    flat = settings.head == "flatten"
    x = (layers.Flatten(name="flatten") if flat else layers.GlobalAveragePooling2D(name="average"))(x)
    head = [
        layers.Dense(width, activation="relu", kernel_initializer="he_normal", dtype=precision, name=f"dense{number}")
        for number, width in enumerate(settings.dense, 1)
    ]
    # After the first dense layer, if there is one.
    head.insert(1, layers.Dropout(settings.dropout_head, seed=0, dtype=precision, name="head_dropout"))
    for layer in head:
        x = layer(x)
    # Equal probabilities at first: random ones start so wrong that a short run does not recover.
    outputs = layers.Dense(classes, activation="softmax", kernel_initializer="zeros", name="emotion")(x)
    if mirror:
        outputs = keras.ops.mean(keras.ops.reshape(outputs, (2, -1, classes)), axis=0)
    return keras.Model(inputs, outputs, name="vgg")


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights alone (no optimizer, no dropout seeds) to `path`, a .weights.h5, the same bytes each time."""
    bare = _bare(model)
    bare.set_weights(model.get_weights())
    with replacing(path) as file:
        bare.save_weights(file)


def load_weights(model: keras.Model, path: Path) -> None:
    """Load `path`, which `save_weights` wrote for a network of the same layers; rates of dropout may differ."""
    bare = _bare(model)
    with reading(path, OSError, RuntimeError, KeyError), warnings.catch_warnings():
        # Keras only warns of a layer that the file lacks, and says nothing of one that the network lacks.
        warnings.filterwarnings("error", "Skipping", UserWarning)
        try:
            arrays: list[str] = []
            with h5py.File(path) as file:
                file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
            if len(arrays) != len(bare.weights):
                raise ValueError
            bare.load_weights(path)
        except (ValueError, UserWarning):
            raise UserError(
                f"{path} does not fit the network that `model:`, image.size and `emotions:` in params.yaml describe; "
                "set them as they were when it was made, or make it again (dvc repro)."
            ) from None
    model.set_weights(bare.get_weights())


def _bare(model: keras.Model) -> keras.Model:
    """The same network of Keras's own layers, without optimizer and dropout, which keeps its seeds as variables."""
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Dropout":
            layer["config"]["rate"] = 0.0
        if layer["class_name"] == FusedBatchNormalization.__name__:
            layer |= {"class_name": "BatchNormalization", "module": "keras.layers", "registered_name": None}
    return type(model).from_config(config)


def without_last(model: keras.Model, settings: Model, count: int) -> keras.Model:
    """The network, which `for_training` built, without its last `count` classes: a softmax over the others."""
    *rest, kernel, bias = model.get_weights()
    result = for_training(settings, len(bias) - count)
    result.set_weights([*rest, kernel[:, :-count], bias[:-count]])
    return result


def freeze(model: keras.Model, blocks: int, batchnorm: bool) -> None:
    """Keep the first `blocks` blocks as they are, and with `batchnorm` every BatchNormalization of the others too.

    A frozen BatchNormalization keeps its scale and shift and works with its running statistics, as in inference.
    """
    frozen = tuple(f"block{number}_" for number in range(1, blocks + 1))
    for layer in model.layers:
        if layer.name.startswith(frozen) or (batchnorm and isinstance(layer, keras.layers.BatchNormalization)):
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
    shown = tqdm(parts, "reading faces", len(index), leave=False, unit="batch", mininterval=1, delay=PATIENCE)
    return np.concatenate([model.predict_on_batch(part) for part in shown])
