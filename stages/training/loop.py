"""The training loop of both training stages: epoch by epoch, deterministic, and resumed after a kill.

All that happens in an epoch is a pure function of the seed, the epoch's number and the state after the epoch before:
the order of the images, their distortion, and the masks of dropout. That state is kept in one checkpoint file.
"""

import json
import os
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dvclive.live import Live

from stages.network.backend import keras, tf
from stages.network.inputs import Faces
from stages.network.model import predict
from stages.runtime.errors import UserError
from stages.runtime.params import Section
from stages.training.batches import Augment, Source, batches

Record = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """How to train: those values of `pretrain:` and `finetune:` that mean the same in both, as params.yaml explains."""

    seed: int
    epochs: int
    patience: int
    lr: float
    warmup: float
    weight_decay: float
    label_smoothing: float
    mixup: float


def read_recipe(section: Section) -> Recipe:
    """The recipe in the section `pretrain:` or `finetune:`."""
    return Recipe(
        seed=section.integer("seed", 0, 2**31 - 1),
        epochs=section.integer("epochs", 1, 10_000),
        patience=section.integer("patience", 1, 10_000),
        lr=section.number("lr", 0, 1),
        warmup=section.number("warmup", 0, 100),
        weight_decay=section.number("weight_decay", 0, 1),
        label_smoothing=section.number("label_smoothing", 0, 0.5),
        mixup=section.number("mixup", 0, 10),
    )


def fit(
    model: keras.Model,
    teacher: keras.Model | None,
    sources: Sequence[Source],
    validation: Faces,
    augment: Augment,
    recipe: Recipe,
    checkpoint: Path,
    curves: Path,
) -> list[Record]:
    """Train `model` and leave it with the weights of its best epoch; returns a record for each epoch.

    An epoch shows as many batches as it takes to see each face of `sources[0]` once. The optimizer is AdamW
    (Loshchilov and Hutter, 2019); its rate rises for `recipe.warmup` epochs from 0 to `recipe.lr` and falls along a
    cosine to 0 at the end of `recipe.epochs`. Training ends early after `recipe.patience` epochs without a higher
    accuracy on `validation`. With a `teacher`, which sees the same distorted pictures, its probabilities take the
    place of a part of the labels (distillation; Hinton et al., 2015). `checkpoint` is a file that is written after
    each epoch and read at the start; `curves` is DVCLive's folder.
    """
    steps = -(-len(sources[0].faces) // sources[0].places)
    prepare(model, steps, recipe)
    history, best = _restore(model, checkpoint)
    began, resumed = time.monotonic(), len(history)
    with Live(str(curves), dvcyaml=False, save_dvc_exp=False) as live:
        for epoch, record in enumerate(history, 1):
            _log(live, epoch, record)
        while len(history) < recipe.epochs and len(history) - best_epoch(history) < recipe.patience:
            history.append(_epoch(model, teacher, sources, validation, augment, recipe, len(history), steps))
            if best_epoch(history) == len(history):
                best = model.get_weights()
            _save(model, history, best, checkpoint)
            _log(live, len(history), history[-1])
            _print(history, recipe.epochs, (time.monotonic() - began) / (len(history) - resumed))
    model.set_weights(best)
    return history


def log_start(record: Record, curves: Path) -> None:
    """Make `record` step 0 of the curves, the only one: of a network that is not trained."""
    with Live(str(curves), dvcyaml=False, save_dvc_exp=False) as live:
        _log(live, 0, record)


def validate(model: keras.Model, validation: Faces) -> Record:
    """Accuracy and loss of `model` on the validation split, six digits."""
    accuracy, loss = _scores(predict(model, validation), validation.label)
    return {"accuracy": round(accuracy, 6), "loss": round(loss, 6)}


def best_epoch(history: Sequence[Record]) -> int:
    """The number, from 1, of the first epoch with the highest validation accuracy; 0 before the first."""
    accuracy = [record["validation/accuracy"] for record in history]
    return accuracy.index(max(accuracy)) + 1 if accuracy else 0


def summary(history: Sequence[Record], model: keras.Model, validation: Faces) -> dict[str, Any]:
    """The figures by which a training is judged: its best epoch, and how `model` does on validation."""
    return {"best_epoch": best_epoch(history), "validation": validate(model, validation)}


def prepare(model: keras.Model, steps: int, recipe: Recipe) -> None:
    """Give `model` its loss and optimizer, with the schedule that `fit` describes; an epoch has `steps` batches."""
    warm = round(recipe.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warm else recipe.lr,
        max(recipe.epochs * steps - warm, 1),
        warmup_target=recipe.lr if warm else None,
        warmup_steps=warm,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(model.trainable_variables)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    model.compile(optimizer, loss, metrics=["accuracy"])


def epoch_data(
    model: keras.Model,
    teacher: keras.Model | None,
    sources: Sequence[Source],
    augment: Augment,
    recipe: Recipe,
    epoch: int,
    steps: int,
) -> tf.data.Dataset:
    """The batches of one epoch (see `batches`), made by a thread beside the one in which `model` learns."""
    batch_size = sum(source.places for source in sources)
    signature = (
        tf.TensorSpec((batch_size, *model.input_shape[1:]), tf.uint8),
        tf.TensorSpec((batch_size, len(sources[0].weight)), tf.float32),
        tf.TensorSpec((batch_size,), tf.float32),
    )

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return batches(sources, epoch, steps, recipe.seed, augment, recipe.mixup)

    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    if teacher is not None:
        taught = np.repeat([source.taught for source in sources], [source.places for source in sources])
        share = tf.constant(taught[:, np.newaxis], tf.float32)
        data = data.map(
            lambda picture, label, weight: (
                picture,
                (1 - share) * label + share * teacher(picture, training=False),
                weight,
            )
        )
    return data.prefetch(4).apply(tf.data.experimental.assert_cardinality(steps))


def _epoch(
    model: keras.Model,
    teacher: keras.Model | None,
    sources: Sequence[Source],
    validation: Faces,
    augment: Augment,
    recipe: Recipe,
    epoch: int,
    steps: int,
) -> Record:
    _seed_dropout(model, recipe.seed, epoch)
    data = epoch_data(model, teacher, sources, augment, recipe, epoch, steps)
    logs = model.fit(data, shuffle=False, verbose=0).history
    accuracy, loss = _scores(predict(model, validation), validation.label)
    record = {
        "train/loss": logs["loss"][0],
        "train/accuracy": logs["accuracy"][0],
        "validation/loss": loss,
        "validation/accuracy": accuracy,
    }
    if not np.isfinite([record["train/loss"], loss]).all():
        raise UserError(f"the loss is no longer a number in epoch {epoch + 1}; use a lower lr or a longer warmup.")
    return {key: float(value) for key, value in record.items()}


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    for number, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign(np.random.SeedSequence([seed, epoch, number]).generate_state(2))


def _scores(probability: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean cross-entropy (nats) of probabilities float (n, classes) for class numbers int (n,)."""
    right = np.take_along_axis(probability, label[:, np.newaxis], axis=1)
    # np.maximum keeps a NaN, so that a diverged network is noticed.
    return float((probability.argmax(axis=1) == label).mean()), float(-np.log(np.maximum(right, 1e-7)).mean())


def _save(model: keras.Model, history: list[Record], best: list[np.ndarray], checkpoint: Path) -> None:
    now = [*model.get_weights(), *(np.asarray(variable) for variable in model.optimizer.variables)]
    arrays = {f"now{n}": array for n, array in enumerate(now)} | {f"best{n}": array for n, array in enumerate(best)}
    part = checkpoint.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(file, history=np.array(json.dumps(history)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    # A rename is all or nothing, so a kill leaves the old checkpoint or the new one.
    part.replace(checkpoint)


def _restore(model: keras.Model, checkpoint: Path) -> tuple[list[Record], list[np.ndarray]]:
    best = model.get_weights()
    if not checkpoint.exists():
        return [], best
    try:
        with np.load(checkpoint) as arrays:
            for number, variable in enumerate([*model.weights, *model.optimizer.variables]):
                variable.assign(arrays[f"now{number}"])
            history: list[Record] = json.loads(str(arrays["history"]))
            best = [arrays[f"best{number}"] for number in range(len(best))]
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        raise UserError(f"{checkpoint} is damaged; remove it, and training starts from its first epoch.") from None
    print(f"going on after epoch {len(history)}, from {checkpoint}", flush=True)
    return history, best


def _log(live: Live, epoch: int, record: Record) -> None:
    live.step = epoch
    for name, value in record.items():
        live.log_metric(name, value)


def _print(history: list[Record], epochs: int, seconds: float) -> None:
    record = history[-1]
    left = round((epochs - len(history)) * seconds)
    print(
        f"epoch {len(history):{len(str(epochs))}}/{epochs}"
        f"  train loss {record['train/loss']:.4f} accuracy {record['train/accuracy']:.4f}"
        f"  validation loss {record['validation/loss']:.4f} accuracy {record['validation/accuracy']:.4f}"
        f" {'*' if best_epoch(history) == len(history) else ' '}"
        f"  {seconds:.1f} s/epoch, at most {left // 60}:{left % 60:02} left",
        flush=True,
    )
