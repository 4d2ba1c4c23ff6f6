"""Shipped networks as teachers, alone or several as one."""

from collections.abc import Sequence

from stages.network import model
from stages.network.backend import keras
from stages.runtime import params
from stages.training.presets import preset_of, weights_of


def network(name: str, settings: params.Model, classes: int) -> keras.Model:
    """The network `name`, for what it looks at; of our own `settings` only the precision matters."""
    own = preset_of(name).model.model_copy(update={"precision": settings.precision})
    result = model.for_training(own, classes)
    model.load_weights(result, weights_of(name))
    return result


def ensemble(names: Sequence[str], settings: params.Model, classes: int) -> keras.Model:
    """The networks `names`, which look at pictures of one size, as one: it answers with the mean of their answers."""
    networks = [network(name, settings, classes) for name in names]
    for name, one in zip(names, networks, strict=True):
        one.name = name  # Keras wants them different
    inputs = keras.Input(networks[0].input_shape[1:])
    return keras.Model(inputs, sum(one(inputs) for one in networks) / len(networks))
