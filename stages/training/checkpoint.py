"""The state of a training run after an epoch, in one file, so that a killed run goes on after its last whole epoch."""

import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.network.backend import keras
from stages.runtime.errors import UserError
from stages.runtime.replacing import replacing

Record = dict[str, float]  # the figures of an epoch, by name


def save(path: Path, network: keras.Model, history: Sequence[Record], best: Sequence[np.ndarray]) -> None:
    """Write the weights and optimizer of `network`, the records of all epochs, and the weights of the best of them."""
    now = [*network.get_weights(), *(np.asarray(variable) for variable in network.optimizer.variables)]
    arrays = {f"now{n}": array for n, array in enumerate(now)} | {f"best{n}": array for n, array in enumerate(best)}
    # A rename is all or nothing, so a kill leaves the old checkpoint or the new one.
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, history=np.array(json.dumps(list(history))), **arrays)
        file.flush()
        os.fsync(file.fileno())


def restore(path: Path, network: keras.Model) -> tuple[list[Record], list[np.ndarray]]:
    """Set `network` and its optimizer to what `save` wrote, and return the records and the best weights.

    Without a file nothing is set: there are no records, and the best weights are those that `network` has.

    Raises:
        UserError: the file is damaged.
    """
    best = network.get_weights()
    if not path.exists():
        return [], best
    try:
        with np.load(path) as arrays:
            for number, variable in enumerate([*network.weights, *network.optimizer.variables]):
                variable.assign(arrays[f"now{number}"])
            history: list[Record] = json.loads(str(arrays["history"]))
            best = [arrays[f"best{number}"] for number in range(len(best))]
    except (ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise UserError(f"{path} is damaged; remove it, and training starts from its first epoch.") from None
    print(f"going on after epoch {len(history)}, from {path}", flush=True)
    return history, best
