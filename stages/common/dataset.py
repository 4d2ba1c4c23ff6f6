"""Labelled faces for training: which rows of which arrays, in what order, in what batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common.arrays import open_array
from stages.common.errors import UserError
from stages.common.tables import read_table

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Faces:
    """The faces of one split, in the order of its CSV; the pictures stay on disk until they are asked for."""

    def __init__(self, files: Sequence[Path], file: np.ndarray, row: np.ndarray, label: np.ndarray) -> None:
        """`file[i]` is the index in `files` of the array that holds face i, `row[i]` its row there.

        `label[i]` is its class number; all three are int (n,).
        """
        self.files = list(files)
        self.arrays = [open_array(path) for path in files]
        self.file = file
        self.row = row
        self.label = label
        if len({array.shape[1:] for array in self.arrays}) > 1:
            raise UserError(f"{files[0].parent} holds arrays of different sizes; run `dvc repro resize` again.")
        for number, array in enumerate(self.arrays):
            if row[file == number].max(initial=-1) >= len(array):
                raise UserError(f"{files[number]} has fewer rows than its CSV; run `dvc repro` again.")

    def __len__(self) -> int:
        """How many faces."""
        return len(self.label)

    @property
    def size(self) -> int:
        """Width and height of a picture in pixels."""
        return int(self.arrays[0].shape[1])

    def pictures(self, index: np.ndarray) -> np.ndarray:
        """The pictures of the faces `index`, uint8 (len(index), size, size)."""
        result = np.empty((len(index), self.size, self.size), np.uint8)
        for number, array in enumerate(self.arrays):
            here = self.file[index] == number
            result[here] = array[self.row[index[here]]]
        return result


def read_faces(csv: Path, arrays: Path, split: str, emotions: Sequence[str]) -> Faces:
    """The faces of `split` in `csv`; opens only the .npy files in the folder `arrays` that this split needs.

    A label's class number is its position in `emotions`.
    """
    table = read_table(csv, "row")
    table = table[table["split"] == split]
    if table.empty:
        raise UserError(f"{csv} has no image in the split `{split}`; check the data and the section `index:`.")
    unknown = sorted(set(table["label"]) - set(emotions))
    if unknown:
        raise UserError(f"{csv} has the label `{unknown[0]}`, which is not in `emotions:` ({', '.join(emotions)}).")
    stems = sorted(set(table["array"]))
    return Faces(
        [arrays / f"{stem}.npy" for stem in stems],
        np.array([stems.index(stem) for stem in table["array"]]),
        table["row"].to_numpy(),
        np.array([emotions.index(label) for label in table["label"]]),
    )


def balance_weights(label: np.ndarray, classes: int, balance: float) -> np.ndarray:
    """A weight for each class, float32 (classes,): its inverse frequency to the power `balance`.

    0 weighs all images alike, 1 all classes alike. The mean over the images is 1; a class without images gets 0.
    """
    count = np.bincount(label, minlength=classes)
    weight = np.where(count > 0, np.maximum(count, 1.0) ** -balance, 0.0)
    return np.asarray(weight * (count.sum() / (weight @ count)), np.float32)


def cyclic_order(count: int, start: int, stop: int, seed: int) -> np.ndarray:
    """Positions `start` to `stop` of an endless order of `count` items, int (stop - start,).

    The order is one random permutation after the other: each item comes once in a turn, and any piece of it can be had
    without what came before.
    """
    turns = [
        np.random.default_rng([seed, turn]).permutation(count)
        for turn in range(start // count, (stop - 1) // count + 1)
    ]
    first = start // count * count
    return np.concatenate(turns)[start - first : stop - first]


@dataclass(frozen=True)
class Source:
    """Faces that fill `places` places of each batch; `weight` is a class's weight in the loss, float32 (classes,).

    `taught` is the share of the teacher's answer in what the network is to say of these faces, 0 to 1.
    """

    faces: Faces
    places: int
    weight: np.ndarray
    taught: float = 0


def batches(
    sources: Sequence[Source], epoch: int, steps: int, seed: int, augment: Augment, mixup: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The `steps` batches of `epoch`, a pure function of the arguments.

    Yields pictures uint8 (batch, size, size, 1), labels float32 (batch, classes), which are one-hot but for `mixup`
    (see `mix`), and weights float32 (batch,).
    """
    orders = [
        cyclic_order(len(source.faces), epoch * steps * source.places, (epoch + 1) * steps * source.places, seed)
        for source in sources
    ]
    for step in range(steps):
        pictures, labels, weights = [], [], []
        for source, order in zip(sources, orders, strict=True):
            index = order[step * source.places : (step + 1) * source.places]
            label = source.faces.label[index]
            pictures.append(source.faces.pictures(index))
            labels.append(np.eye(len(source.weight), dtype=np.float32)[label])
            weights.append(source.weight[label])
        random = np.random.default_rng([seed, epoch, step])
        picture, label, weight = (np.concatenate(parts) for parts in (pictures, labels, weights))
        picture = augment(picture, random)
        if mixup:
            # Each source within itself: another share of the other's labels may be a teacher's.
            first = np.cumsum([0, *(source.places for source in sources[:-1])])
            other = [at + random.permutation(source.places) for at, source in zip(first, sources, strict=True)]
            share = random.beta(mixup, mixup, len(picture)).astype(np.float32)
            picture, label, weight = mix(picture, label, weight, np.concatenate(other), share)
        yield picture[..., np.newaxis], label, weight


def mix(
    pictures: np.ndarray, labels: np.ndarray, weights: np.ndarray, other: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
