"""BatchNormalization by TensorFlow's fused kernel: one pass over memory where Keras takes several."""

from typing import Any

from stages.network.backend import keras, tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's BatchNormalization over the last axis of (n, height, width, channels), with the same weights.

    What it answers is equal up to rounding; the moving variance is of n - 1 values (Bessel), not of n. It is for
    training: a network that others load is built with Keras's own layer.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: None = None) -> Any:
        """Normalize `inputs` and, in training, follow their mean and variance."""
        learning = bool(training) and self.trainable
        if training and not learning:
            # With op determinism a GPU has no gradient for the fused kernel of a frozen layer.
            return super().call(inputs, training=training, mask=mask)
        nothing = tf.zeros([0])
        result = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=nothing if learning else tf.convert_to_tensor(self.moving_mean),
            variance=nothing if learning else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            averages, now = (self.moving_mean, self.moving_variance), (result.batch_mean, result.batch_variance)
            for average, value in zip(averages, now, strict=True):
                average.assign(average * self.momentum + value * (1 - self.momentum))
        return result.y
