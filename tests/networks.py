"""A small network of random weights whose answers differ from picture to picture, and a model card for it."""

import numpy as np
from conftest import PARAMS

from stages.deployment.model_card import ModelCard
from stages.faces.detection import Search
from stages.network.backend import keras
from stages.network.model import vgg
from stages.synthetic.camera import fer_picture

SEARCH = Search("haar", 320, 0.1, "haarcascade_frontalface_default.xml", 1.1, 5, 0.6)


def drawn_faces(count: int) -> np.ndarray:
    """Pictures uint8 (count, 48, 48)."""
    return np.stack([fer_picture(1, number, ("happy", "sad")[number % 2]) for number in range(count)])


def random_network(size: int, classes: int, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    architecture = {name: value for name, value in PARAMS["model"].items() if name != "threads"}
    network = vgg(size, classes=classes, fused=False, **architecture)
    # The head sees features of mean 0 and deviation 1 over drawn faces: no class wins everywhere.
    head = network.get_layer("emotion")
    features = keras.Model(network.input, head.input).predict_on_batch(drawn_faces(30)[..., np.newaxis])
    kernel = np.random.default_rng(seed).normal(0, 1.5, (features.shape[1], classes))
    kernel /= np.maximum(features.std(axis=0), 1e-3)[:, np.newaxis] * features.shape[1] ** 0.5
    head.set_weights([kernel, -features.mean(axis=0) @ kernel])
    return network


def card(name: str) -> ModelCard:
    return ModelCard(
        name=name,
        drawn=False,
        emotions=PARAMS["emotions"],
        size=48,
        search=SEARCH,
        margin=0.1,
        crop_size=224,
        quality=95,
        max_megapixels=20,
        temperature=1.3,
        unsure=0.4,
        smoothing=0.3,
        same_face=0.3,
        forget=5,
        recognised={dataset: dict.fromkeys(PARAMS["emotions"], 0.5) for dataset in ("fer2013", "korean")},
        provenance={"weights": "0" * 64},
    )
