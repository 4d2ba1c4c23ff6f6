"""The batches of an epoch: which faces, in what order, with what labels and weights."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stages.network.inputs import Faces

Distort = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]  # pictures, labels, weights


def class_weights(label: np.ndarray, classes: int, power: float) -> np.ndarray:
    """A weight for each class, float32 (classes,): its inverse frequency to the `power`.

    0 weighs all images alike, 1 all classes alike. The mean over the images is 1; a class without images gets 0.
    """
    count = np.bincount(label, minlength=classes)
    weight = np.where(count > 0, np.maximum(count, 1.0) ** -power, 0.0)
    return np.asarray(weight * (count.sum() / (weight @ count)), np.float32)


def cyclic_order(count: int, start: int, stop: int, seed: int) -> np.ndarray:
    """Positions `start` to `stop` of an endless order of `count` items, int (stop - start,).

    The order is one random permutation after the other: each item comes once in a turn, and any piece of it can be had
    without what came before.
    """
    turns = range(start // count, (stop - 1) // count + 1)
    order = np.concatenate([np.random.default_rng([seed, turn]).permutation(count) for turn in turns])
    return order[start % count :][: stop - start]


@dataclass(frozen=True)
class Source:
    """Faces that fill `per_batch` places of each batch; `class_weight` is their weight in the loss, float32 (classes,).

    What the network is to say of them is their label or, if given, `target`, float32 (faces, classes); `teacher_share`
    of it, 0 to 1, is replaced by the teacher's answer.
    """

    faces: Faces
    per_batch: int
    class_weight: np.ndarray
    teacher_share: float = 0
    target: np.ndarray | None = None


def batches(
    sources: Sequence[Source], epoch: int, steps: int, seed: int, distort: Distort, mixup: float
) -> Iterator[Batch]:
    """The `steps` batches of `epoch`, a pure function of the arguments.

    Yields pictures uint8 (batch, size, size, 1), labels float32 (batch, classes), which are one-hot but for targets
    and `mixup` (see `mix`), and weights float32 (batch,).
    """
    orders = [
        cyclic_order(len(source.faces), epoch * steps * source.per_batch, (epoch + 1) * steps * source.per_batch, seed)
        for source in sources
    ]
    for step in range(steps):
        pictures, labels, weights = [], [], []
        for source, order in zip(sources, orders, strict=True):
            index = order[step * source.per_batch : (step + 1) * source.per_batch]
            label = source.faces.label[index]
            pictures.append(source.faces.pictures(index))
            one_hot = np.eye(len(source.class_weight), dtype=np.float32)[label]
            labels.append(one_hot if source.target is None else source.target[index])
            weights.append(source.class_weight[label])
        random = np.random.default_rng([seed, epoch, step])
        picture, label, weight = (np.concatenate(parts) for parts in (pictures, labels, weights))
        picture = distort(picture, random)
        if mixup:
            # Each source within itself: another share of the other's labels may be a teacher's.
            first = np.cumsum([0, *(source.per_batch for source in sources[:-1])])
            other = [at + random.permutation(source.per_batch) for at, source in zip(first, sources, strict=True)]
            share = random.beta(mixup, mixup, len(picture)).astype(np.float32)
            picture, label, weight = mix(picture, label, weight, np.concatenate(other), share)
        yield picture[..., np.newaxis], label, weight


def mix(pictures: np.ndarray, labels: np.ndarray, weights: np.ndarray, other: np.ndarray, share: np.ndarray) -> Batch:
    """Lay over each picture another of the batch, and mix labels and weights alike (mixup; Zhang et al., 2018).

    Picture i keeps `share[i]` of itself, float32 (batch,), and the rest is the picture `other[i]`, int (batch,). Other
    shapes and types are those of `batches`.
    """
    first, second = share[:, np.newaxis], 1 - share[:, np.newaxis]
    blend = pictures * first[..., np.newaxis] + pictures[other] * second[..., np.newaxis]
    return (
        np.rint(blend).astype(np.uint8),
        labels * first + labels[other] * second,
        weights * share + weights[other] * (1 - share),
    )
