"""The fused BatchNormalization against Keras's own."""

import numpy as np
import pytest

from stages.network.backend import keras, tf
from stages.network.normalization import FusedBatchNormalization


def answers(layer: keras.layers.Layer, x: np.ndarray, training: bool) -> list[np.ndarray]:
    """What `layer` makes of `x`, the gradients of a loss with respect to `x`, scale and shift, and its weights."""
    weight = tf.constant(np.random.default_rng(2).normal(size=x.shape), tf.float32)
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        outputs = tf.cast(layer(inputs, training=training), tf.float32)
        loss = tf.reduce_sum(outputs * weight)
    gradients = tape.gradient(loss, [inputs, layer.gamma, layer.beta])
    return [np.asarray(value) for value in (outputs, *gradients, *layer.get_weights())]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-3), ("mixed_bfloat16", 5e-2)])
def test_equal_to_keras_up_to_rounding(training: bool, trainable: bool, precision: str, limit: float) -> None:
    x = np.random.default_rng(1).normal(1, 2, (64, 9, 9, 8)).astype(np.float32)
    ours, theirs = (
        kind(momentum=0.9, dtype=precision, trainable=trainable)
        for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    )
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.set_weights([np.linspace(low, high, 8) for low, high in ((0.5, 2), (-1, 1), (0, 2), (1, 5))])
    for own, other in zip(answers(ours, x, training), answers(theirs, x, training), strict=True):
        np.testing.assert_allclose(own, other, rtol=limit, atol=limit * np.abs(other).max())
    moved = not np.array_equal(ours.get_weights()[2], np.linspace(0, 2, 8).astype(np.float32))
    assert moved == (training and trainable)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
def test_a_frozen_layer_in_training_has_a_gradient_everywhere(training: bool, trainable: bool) -> None:
    layer = FusedBatchNormalization(trainable=trainable)
    layer.build((2, 9, 9, 8))
    graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.zeros((2, 9, 9, 8))).graph
    fused = "FusedBatchNormV3" in {operation.type for operation in graph.get_operations()}
    assert fused == (trainable or not training)


@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="no GPU")
def test_a_gpu_does_not_shorten_numbers() -> None:
    first, second = np.random.default_rng(1).uniform(size=(2, 256, 256)).astype(np.float32)
    product = np.asarray(tf.matmul(first, second))
    np.testing.assert_allclose(product, first.astype(float) @ second.astype(float), rtol=1e-5)
