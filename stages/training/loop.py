"""The training loop of both training stages: epoch by epoch, deterministic, and resumed after a kill.

All that happens in an epoch is a pure function of the seed, the epoch's number and the state after the epoch before:
the order of the images, their distortion, and the masks of dropout. That state is kept in one checkpoint file.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dvclive.live import Live

from stages.network.backend import keras
from stages.network.inputs import Faces
from stages.network.model import predict
from stages.runtime.errors import UserError
from stages.runtime.params import Recipe
from stages.training import checkpoint
from stages.training.batches import Batch, Distort, Source, batches
from stages.training.checkpoint import Record


@dataclass(frozen=True)
class TrainingData:
    """What a network is trained on, and what it is judged by."""

    sources: Sequence[Source]  # each gives its part of a batch; an epoch has as many places as the first has faces
    validation: Faces  # the accuracy on these decides which epoch is the best
    distort: Distort  # what happens to training pictures
    teacher: keras.Model | None = None  # sees the same distorted pictures
    extra_classes: int = 0  # last classes of the network that it learns, but among which it is not judged

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.sources[0].faces) // self.sources[0].per_batch)


def fit(network: keras.Model, data: TrainingData, recipe: Recipe, state: Path, curves: Path) -> list[Record]:
    """Train `network` and leave it with the weights of its best epoch; returns a record for each epoch.

    The optimizer is AdamW (Loshchilov and Hutter, 2019); its rate rises for `recipe.warmup` epochs from 0 to
    `recipe.lr` and falls along a cosine to 0 at the end of `recipe.epochs`. Training ends early after `recipe.patience`
    epochs without a higher accuracy on the validation faces. With a teacher, its probabilities take the place of a part
    of the labels (distillation; Hinton et al., 2015). `state` is the checkpoint, which is written after each epoch and
    read at the start; `curves` is DVCLive's folder.
    """
    prepare(network, data.steps, recipe)
    history, best = checkpoint.restore(state, network)
    began, resumed = time.monotonic(), len(history)
    with Live(str(curves), dvcyaml=False, save_dvc_exp=False) as live:
        for epoch, record in enumerate(history, 1):
            _log(live, epoch, record)
        while len(history) < recipe.epochs and len(history) - best_epoch(history) < recipe.patience:
            history.append(_epoch(network, data, recipe, len(history)))
            if best_epoch(history) == len(history):
                best = network.get_weights()
            checkpoint.save(state, network, history, best)
            _log(live, len(history), history[-1])
            _print(history, recipe.epochs, (time.monotonic() - began) / (len(history) - resumed))
    network.set_weights(best)
    return history


def _epoch(network: keras.Model, data: TrainingData, recipe: Recipe, epoch: int) -> Record:
    _seed_dropout(network, recipe.seed, epoch)
    logs = network.fit(epoch_batches(data, recipe, epoch), steps_per_epoch=data.steps, shuffle=False, verbose=0).history
    probability = predict(network, data.validation)
    if data.extra_classes:
        probability = probability[:, : -data.extra_classes]
        probability /= probability.sum(axis=1, keepdims=True)
    accuracy, loss = _scores(probability, data.validation.label)
    if not np.isfinite([logs["loss"][0], loss]).all():
        raise UserError(f"the loss is no longer a number in epoch {epoch + 1}; use a lower lr or a longer warmup.")
    train = {f"train/{name}": float(logs[name][0]) for name in ("loss", "accuracy")}
    return train | {"validation/loss": loss, "validation/accuracy": accuracy}


def epoch_batches(data: TrainingData, recipe: Recipe, epoch: int) -> Iterator[Batch]:
    """The batches of one epoch (see `batches`); a teacher's answers are in the labels."""
    shares = [source.teacher_share for source in data.sources for _ in range(source.per_batch)]
    share = np.array(shares, np.float32)[:, np.newaxis]
    for picture, label, weight in batches(data.sources, epoch, data.steps, recipe.seed, data.distort, recipe.mixup):
        if data.teacher is not None:
            label = (1 - share) * label + share * data.teacher.predict_on_batch(picture)
        yield picture, label, weight


def prepare(network: keras.Model, steps: int, recipe: Recipe) -> None:
    """Give `network` its loss and optimizer, with the schedule that `fit` describes; an epoch has `steps` batches."""
    warm = round(recipe.warmup * steps)
    first, target = (0.0, recipe.lr) if warm else (recipe.lr, None)
    decay_steps = max(recipe.epochs * steps - warm, 1)
    schedule = keras.optimizers.schedules.CosineDecay(first, decay_steps, warmup_target=target, warmup_steps=warm)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    network.compile(optimizer, loss, metrics=["accuracy"])


def validate(network: keras.Model, faces: Faces) -> Record:
    """Accuracy and loss of `network` on these faces, six digits."""
    accuracy, loss = _scores(predict(network, faces), faces.label)
    return {"accuracy": round(accuracy, 6), "loss": round(loss, 6)}


def best_epoch(history: Sequence[Record]) -> int:
    """The number, from 1, of the first epoch with the highest validation accuracy; 0 before the first."""
    accuracy = [record["validation/accuracy"] for record in history]
    return accuracy.index(max(accuracy)) + 1 if accuracy else 0


def log_start(record: Record, curves: Path) -> None:
    """Log `record` as step 0 of the curves, for a network that is used as shipped."""
    with Live(str(curves), dvcyaml=False, save_dvc_exp=False) as live:
        _log(live, 0, record)


def _seed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    for number, layer in enumerate(network.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign(np.random.SeedSequence([seed, epoch, number]).generate_state(2))


def _scores(probability: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean cross-entropy (nats) of probabilities float (n, classes) for class numbers int (n,)."""
    right = np.take_along_axis(probability, label[:, np.newaxis], axis=1)
    # np.maximum keeps a NaN, so that a diverged network is noticed.
    return float((probability.argmax(axis=1) == label).mean()), float(-np.log(np.maximum(right, 1e-7)).mean())


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
