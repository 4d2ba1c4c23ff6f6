"""Keras and the library that computes for it: TensorFlow or, where KERAS_BACKEND=jax says so, JAX.

Imported in one place: without start-up noise, with float32 that is float32, and deterministic on request.
"""

import os
from typing import Any

# A machine without a GPU is no error; what does go wrong comes as a Python exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow greets from C++ before its log level counts, so the stream itself is turned away.
stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 2)
try:
    import keras
finally:
    os.dup2(stderr, 2)
    os.close(stderr)
    os.close(nowhere)
    del stderr, nowhere

# A GPU from Ampere on would multiply with 10 bits after the point: the forms of a model would differ by more than 1e-4.
tf: Any = None
if keras.config.backend() == "tensorflow":
    import tensorflow as tf  # type: ignore[no-redef]

    # It also warns of compiling the network again for the last, smaller batch, which is meant.
    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_tensor_float_32_execution(False)
elif keras.config.backend() == "jax":
    import jax

    # What `deterministic` tells TensorFlow, JAX wants to hear before it computes anything.
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    jax.config.update("jax_default_matmul_precision", "float32")  # type: ignore[no-untyped-call]

__all__ = ["deterministic", "keras", "tf", "use_threads"]


def use_threads(count: int) -> None:
    """Divide each operation among `count` threads, on however many cores: another division rounds otherwise.

    It comes before the first network; afterwards TensorFlow takes no other number.
    """
    if tf:
        tf.config.threading.set_intra_op_parallelism_threads(count)


def deterministic(seed: int) -> None:
    """Seed Python, numpy and Keras, and let TensorFlow use no operation whose result depends on timing."""
    keras.utils.set_random_seed(seed)
    if tf:
        tf.config.experimental.enable_op_determinism()
