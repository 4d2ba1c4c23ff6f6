"""Networks of random weights: a small one whose answers differ from picture to picture, and the default one; a card."""

import numpy as np
from conftest import PARAMS, params_with

from stages.deployment.model_card import ModelCard, learned
from stages.faces.framing import square_side
from stages.network.backend import keras
from stages.network.model import vgg
from stages.runtime import params
from stages.synthetic.camera import fer_picture

CROP = params.Crop(**PARAMS["crop"] | {"detect_side": 320, "size": 224})


def drawn_faces(count: int) -> np.ndarray:
    """Pictures uint8 (count, 48, 48)."""
    return np.stack([fer_picture(1, number, ("happy", "sad")[number % 2]) for number in range(count)])


def random_network(size: int, classes: int, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    network = vgg(params.Model(**PARAMS["model"]), size, classes, training=False)
    # The head sees features of mean 0 and deviation 1 over drawn faces: no class wins everywhere.
    head = network.get_layer("emotion")
    features = keras.Model(network.input, head.input).predict_on_batch(drawn_faces(30)[..., np.newaxis])
    kernel = np.random.default_rng(seed).normal(0, 1.5, (features.shape[1], classes))
    kernel /= np.maximum(features.std(axis=0), 1e-3)[:, np.newaxis] * features.shape[1] ** 0.5
    head.set_weights([kernel, -features.mean(axis=0) @ kernel])
    return network


def default_network() -> keras.Model:
    """The network of the committed params.yaml, untrained."""
    keras.utils.set_random_seed(2)
    values = params_with({})
    settings = params.Model(**values["model"])
    return vgg(settings, values["image"]["size"], len(values["emotions"]), training=False)


def card(name: str) -> ModelCard:
    return ModelCard(
        name=name,
        drawn=False,
        emotions=PARAMS["emotions"],
        trained_on=learned(PARAMS["emotions"], PARAMS["index"]["fer2013"]["classes"], True, name == "after"),
        size=48,
        crop=CROP,
        square=square_side(CROP.detector, CROP.margin),
        export=params.Export(**PARAMS["export"] | {"forget": 5}),
        temperature=1.3,
        recognised={dataset: dict.fromkeys(PARAMS["emotions"], 0.5) for dataset in ("fer2013", "korean")},
        provenance={"weights": "0" * 64},
    )
