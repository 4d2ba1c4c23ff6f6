"""Which faces come when: splits, order, batches, weights, distortion."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from samples import changed

from stages.network.inputs import Faces, read_faces
from stages.runtime.errors import UserError
from stages.runtime.params import Augment
from stages.training.augment import distort
from stages.training.batches import Source, batches, class_weights, cyclic_order, mix

SIZE = 8
NONE = Augment(**dict.fromkeys(Augment.model_fields, 0))
STILL = partial(distort, augment=NONE, view=SIZE)
LIVELY = partial(
    distort,
    augment=Augment(
        rotation=20, shear=5, shift=0.1, zoom=0.1, flip=0.5, blur=2, light=0.2, noise=10, random_erasing=0.4
    ),
    view=SIZE,
)


def write_array(path: Path, values: list[int]) -> Path:
    """An array whose pictures are each of one value, by which they are told apart."""
    np.save(path, np.repeat(np.array(values, np.uint8), SIZE * SIZE).reshape(-1, SIZE, SIZE))
    return path


def one_value_faces(path: Path, values: list[int]) -> Faces:
    count = len(values)
    return Faces([write_array(path, values)], np.zeros(count, int), np.arange(count), np.arange(count) % 2)


def write_csv(path: Path, rows: list[str]) -> Path:
    path.write_text("array,row,id,path,label,person,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_split_may_span_arrays_and_opens_no_other(tmp_path: Path) -> None:
    write_array(tmp_path / "training.npy", [10, 11, 12])
    write_array(tmp_path / "validation.npy", [20, 21])
    rows = ["validation,1,a,,sad,p,train", "training,2,b,,happy,q,train", "test,0,c,,happy,r,test"]
    faces = read_faces(write_csv(tmp_path / "merged.csv", rows), tmp_path, "train", ["happy", "sad"])
    assert faces.pictures(np.array([0, 1, 0]))[:, 3, 3].tolist() == [21, 12, 21]
    assert faces.label.tolist() == [1, 0]
    assert all(isinstance(array, np.memmap) for array in faces.arrays)
    assert [path.stem for path in faces.files] == ["training", "validation"]


def test_bad_tables_end_in_a_sentence(tmp_path: Path) -> None:
    write_array(tmp_path / "train.npy", [10])
    csv = write_csv(tmp_path / "merged.csv", ["train,0,a,,happy,,train", "train,1,b,,bored,,test"])
    with pytest.raises(UserError, match="no image in the split `validation`"):
        read_faces(csv, tmp_path, "validation", ["happy"])
    with pytest.raises(UserError, match="label `bored`, which is not in `emotions:`"):
        read_faces(csv, tmp_path, "test", ["happy"])
    with pytest.raises(UserError, match="fewer rows than its CSV"):
        read_faces(csv, tmp_path, "test", ["bored"])


def test_cyclic_order_gives_each_item_once_a_turn_and_any_piece_of_it() -> None:
    whole = cyclic_order(7, 0, 35, seed=3)
    turns = whole.reshape(5, 7)
    assert (np.sort(turns, axis=1) == np.arange(7)).all()
    assert len({tuple(turn) for turn in turns.tolist()}) == 5
    for start, stop in ((0, 7), (3, 5), (6, 15), (14, 21), (20, 35)):
        assert cyclic_order(7, start, stop, seed=3).tolist() == whole[start:stop].tolist()
    assert cyclic_order(7, 0, 7, seed=4).tolist() != whole[:7].tolist()


def test_class_weights() -> None:
    label = np.array([0] * 90 + [1] * 10)
    assert class_weights(label, 2, 0).tolist() == [1, 1]
    full = class_weights(label, 2, 1)
    assert full[0] * 90 == pytest.approx(full[1] * 10)
    half = class_weights(label, 3, 0.5)
    assert half[1] / half[0] == pytest.approx(3)
    assert half[label].mean() == pytest.approx(1)
    assert half[2] == 0


def test_rehearsal_fills_its_share_of_every_batch(tmp_path: Path) -> None:
    korean = one_value_faces(tmp_path / "korean.npy", list(range(1, 13)))
    fer = one_value_faces(tmp_path / "fer.npy", list(range(101, 106)))
    sources = [Source(korean, 3, np.array([1, 2], np.float32)), Source(fer, 1, np.array([3, 4], np.float32))]
    values, rehearsed = [], []
    for epoch in range(5):
        for pictures, labels, weights in batches(sources, epoch, 4, 1, STILL, 0):
            assert pictures.shape == (4, SIZE, SIZE, 1)
            assert labels.shape == (4, 2)
            value = pictures[:, 0, 0, 0].astype(int)
            assert (value > 100).tolist() == [False, False, False, True]
            number = np.where(value > 100, value - 101, value - 1) % 2
            assert labels.argmax(axis=1).tolist() == number.tolist()
            assert weights.tolist() == (number + np.where(value > 100, 3, 1)).tolist()
            values += value[:3].tolist()
            rehearsed += value[3:].tolist()
    assert all(sorted(values[n : n + 12]) == list(range(1, 13)) for n in range(0, 60, 12))
    assert all(sorted(rehearsed[n : n + 5]) == list(range(101, 106)) for n in range(0, 20, 5))


def test_a_target_takes_the_place_of_the_label(tmp_path: Path) -> None:
    faces = one_value_faces(tmp_path / "faces.npy", [1, 2, 3, 4])
    target = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], np.float32)
    source = Source(faces, 4, np.array([1, 2], np.float32), target=target)
    ((pictures, labels, weights),) = batches([source], 0, 1, 1, STILL, 0)
    index = pictures[:, 0, 0, 0].astype(int) - 1
    assert np.array_equal(labels, target[index])
    assert weights.tolist() == (1 + index % 2).tolist(), "the weight is that of the label"


def test_batches_are_a_pure_function_of_seed_and_epoch(tmp_path: Path) -> None:
    path = tmp_path / "random.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE), np.uint8))
    sources = [Source(Faces([path], np.zeros(20, int), np.arange(20), np.arange(20) % 2), 5, np.ones(2, np.float32))]

    def epoch(number: int, seed: int) -> bytes:
        return b"".join(part.tobytes() for batch in batches(sources, number, 4, seed, LIVELY, 0.2) for part in batch)

    assert epoch(3, 1) == epoch(3, 1)
    assert len({epoch(0, 1), epoch(1, 1), epoch(0, 2)}) == 3


class Extreme(np.random.Generator):
    """Draws the upper end of every range, and never mirrors."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> np.ndarray:  # type: ignore[override]
        return np.full(size, high)

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.ones(size)


def test_distort_does_what_its_values_say() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE), np.uint8)
    assert (distort(pictures, np.random.default_rng(1), NONE, SIZE) == pictures).all()
    assert (distort(pictures, np.random.default_rng(1), changed(NONE, flip=1), SIZE) == pictures[:, :, ::-1]).all()
    turned = distort(pictures, Extreme(), changed(NONE, rotation=90), SIZE)
    assert (turned == np.rot90(pictures, -1, axes=(1, 2))).all()
    moved = distort(pictures, Extreme(), changed(NONE, shift=0.25), SIZE)
    assert (moved[:, 2:, 2:] == pictures[:, :-2, :-2]).all()
    assert (moved[:, 0, 2:] == pictures[:, 0, :-2]).all(), "the border is repeated outwards"
    lively = LIVELY(pictures, np.random.default_rng(1))
    assert lively.shape == pictures.shape
    assert lively.dtype == np.uint8
    assert (lively != pictures).any(axis=(1, 2)).all()


def test_what_comes_out_is_the_middle() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE), np.uint8)
    middle = distort(pictures, np.random.default_rng(1), NONE, 4)
    assert (middle == pictures[:, 2:6, 2:6]).all()
    mirrored = distort(pictures, np.random.default_rng(1), changed(NONE, flip=1), 4)
    assert (mirrored == middle[:, :, ::-1]).all()


def test_light_changes_contrast_around_the_middle_grey_and_brightness() -> None:
    pictures = np.repeat(np.array([128, 100, 250], np.uint8), SIZE * SIZE).reshape(3, SIZE, SIZE)
    lit = distort(pictures, Extreme(), changed(NONE, light=0.25), SIZE)  # contrast * 1.25, brightness + 32
    assert [set(picture.ravel()) for picture in lit] == [{160}, {125}, {255}]


def test_blur_takes_from_edges_and_noise_adds_grain() -> None:
    random = np.random.default_rng
    edge = np.zeros((400, SIZE, SIZE), np.uint8)
    edge[:, :, SIZE // 2 :] = 200
    blurred = distort(edge, random(1), changed(NONE, blur=2), SIZE).astype(float)
    step = (blurred[:, :, SIZE // 2] - blurred[:, :, SIZE // 2 - 1]).mean(axis=1)
    # Where the standard deviation is s, erf(0.5 / (s * sqrt(2))) of the step is left between the two middle pixels.
    assert step.max() == 200
    assert 0.19 * 200 < step.min() < 0.25 * 200
    assert np.median(step) > 0.6 * 200, "half of them have less than a quarter of the largest"
    grainy = distort(np.full((400, SIZE, SIZE), 128, np.uint8), random(1), changed(NONE, noise=16), SIZE).astype(float)
    grain = grainy.std(axis=(1, 2))
    assert 13 < grain.max() < 20
    assert 3 < np.median(grain) < 5
    assert grainy.mean() == pytest.approx(128, abs=0.2)


def test_erase_hides_a_rectangle_under_the_mean() -> None:
    picture = np.arange(1, 2 * SIZE * SIZE, 2, dtype=np.uint8).reshape(1, SIZE, SIZE)  # odd values, the mean is even
    erased = np.concatenate(
        [distort(picture, np.random.default_rng(n), changed(NONE, random_erasing=0.5), SIZE) for n in range(200)]
    )
    hidden = erased != picture
    assert set(erased[hidden]) == {int(picture.mean())}
    rows, columns = hidden.any(axis=2), hidden.any(axis=1)
    assert rows.sum(axis=1).max() == columns.sum(axis=1).max() == SIZE / 2
    assert hidden.any(axis=0).all(), "any place may be hidden"
    assert not hidden.all(axis=0).any()


def test_mixup_mixes_pictures_labels_and_weights_in_the_same_shares() -> None:
    value = np.arange(0, 200, 2, dtype=np.uint8)  # tells the pictures apart, and is label and weight too
    pictures = np.repeat(value, SIZE * SIZE).reshape(-1, SIZE, SIZE)
    labels, weights = np.stack([value, 200 - value], axis=1).astype(np.float32), value.astype(np.float32)
    random = np.random.default_rng(0)
    share = random.beta(0.2, 0.2, len(value)).astype(np.float32)
    other = random.permutation(len(value))
    mixed, label, weight = mix(pictures, labels, weights, other, share)
    assert np.allclose(weight, share * value + (1 - share) * value[other], atol=1e-3)
    assert mixed.dtype == np.uint8
    assert label.dtype == weight.dtype == np.float32
    assert np.abs(mixed[:, 0, 0] - weight).max() <= 0.5001
    assert np.allclose(label[:, 0], weight, atol=1e-3)
    assert np.allclose(label.sum(axis=1), 200, atol=1e-3)
    assert (mixed == mixed[:, :1, :1]).all()


def test_mixup_stays_within_a_source(tmp_path: Path) -> None:
    sources = []
    for places, value in ((3, 10), (5, 200)):
        path = tmp_path / f"{value}.npy"
        np.save(path, np.full((20, SIZE, SIZE), value, np.uint8))
        faces = Faces([path], np.zeros(20, int), np.arange(20), np.arange(20) % 2)
        sources.append(Source(faces, places, np.ones(2, np.float32)))
    mixed = 0
    for picture, label, _ in batches(sources, 0, 4, 1, STILL, 1):
        assert (picture[:3] == 10).all()
        assert (picture[3:] == 200).all()
        mixed += int(((label > 0.01) & (label < 0.99)).any(axis=1).sum())
    assert mixed > 5


def test_shares_of_mixup_are_drawn_from_beta(tmp_path: Path) -> None:
    count = 200
    np.save(tmp_path / "a.npy", np.zeros((count, SIZE, SIZE), np.uint8))
    # Each face is a class of its own, so that its label shows its share.
    faces = Faces([tmp_path / "a.npy"], np.zeros(count, int), np.arange(count), np.arange(count))
    sources = [Source(faces, count, np.ones(count, np.float32))]
    untouched = {}
    for mixup in (0.2, 1):
        ((_, label, _),) = batches(sources, 0, 1, 1, STILL, mixup)
        untouched[mixup] = (label.max(axis=1) > 0.99).mean()
    assert 0.2 < untouched[0.2] < 0.8, "Beta(0.2, 0.2) draws mostly shares near 0 and 1"
    assert untouched[1] < 0.1, "Beta(1, 1) draws any share alike"
