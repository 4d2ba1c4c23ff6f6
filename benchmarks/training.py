"""Whether pictures reach the network as fast as it learns, in constant memory, and what an epoch costs.

Training as the stages do it is compared, in turns, with the same loop on one batch that is made once, and with the
original's way: all pictures in memory, distorted by Keras's ImageDataGenerator. Then epochs of several lengths, and the
memory of an epoch over ten times as many pictures as FER2013 has. All on noise, with the network of params.yaml.
Run: python -m benchmarks.training; about ten minutes
"""

import tempfile
import threading
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.measuring import command_line, in_turns
from stages.files.arrays import ArrayWriter
from stages.network import model
from stages.network.backend import deterministic, keras, tf, use_threads
from stages.network.inputs import Faces
from stages.runtime import params
from stages.runtime.engine import ordered_map
from stages.runtime.errors import run
from stages.training import loop
from stages.training.augment import distort
from stages.training.batches import Source, batches
from stages.training.loop import TrainingData

IMAGES = 4096  # in each of the epochs that are compared
LENGTHS = (2048, 4096, 8192, 16384)  # images in the epochs that the line is drawn through
AIHUB = 290_000  # images
FER2013 = 28_709  # images in its train folder
TURNS = 3


def main() -> None:
    """Print the three results."""
    command_line("training", __doc__).parse_args()
    use_threads(params.load().model.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare(folder)
        draw_line(folder)
        for images in (FER2013, 10 * FER2013):
            memory = peak_memory(folder, images)
            print(f"{images:>8,} images: {memory / 1e6:,.0f} MB at most, pages of the mapped file aside")


def compare(folder: Path) -> None:
    """Feed the same network in three ways, in turns: the shortest time of each."""
    faces = noise(folder, IMAGES)
    network = compiled()
    ours = "as the stages do"
    ways = {
        ours: as_the_stages_do(network, faces),
        "one batch, again and again": one_batch(network, faces),
        "the original's way": image_data_generator(network, faces),
    }
    seconds = in_turns(ways, TURNS, time.perf_counter).min()
    for name, value in seconds.items():
        print(f"{name:28}{IMAGES / value:>8.0f} images/s, {seconds[ours] / value:.2f} times the stages' speed")


def draw_line(folder: Path) -> None:
    """Time epochs of several lengths; print how far they are from a straight line, and what it says of AI-Hub 82."""
    network = compiled()
    as_the_stages_do(network, noise(folder, LENGTHS[0]))()
    epochs = [as_the_stages_do(network, noise(folder, images)) for images in LENGTHS]
    seconds = [min(timeit.repeat(epoch, number=1, repeat=TURNS)) for epoch in epochs]
    slope, start = np.polyfit(LENGTHS, seconds, 1)
    for images, value in zip(LENGTHS, seconds, strict=True):
        print(f"{images:>8,} images: {value:.1f} s an epoch; the straight line says {start + slope * images:.1f} s")
    print(f"{AIHUB:>8,} images: {(start + slope * AIHUB) / 60:.1f} minutes, {1e3 * slope:.2f} ms an image")


def noise(folder: Path, images: int) -> Faces:
    """Faces of noise, `images` of them, in an array on disk."""
    settings, path, random = params.load(), folder / f"{images}.npy", np.random.default_rng(1)
    if not path.exists():
        with ArrayWriter(path, settings.image.size) as array:
            for _ in range(images):
                array.append(random.integers(0, 256, (settings.image.size,) * 2, np.uint8))
    row = np.arange(images)
    return Faces([path], np.zeros(images, int), row, row % len(settings.emotions))


def compiled() -> keras.Model:
    """The network of params.yaml, ready to learn as pretrain does."""
    deterministic(1)
    settings = params.load()
    network = model.for_training(settings.model, len(settings.emotions))
    loop.prepare(network, 1000, settings.pretrain)
    return network


def training_data(faces: Faces) -> TrainingData:
    """These faces in batches and with the distortion of params.yaml."""
    settings = params.load()
    source = Source(faces, settings.pretrain.batch_size, np.ones(len(settings.emotions), np.float32))
    augment = partial(distort, augment=settings.augment, view=settings.model.input_size)
    return TrainingData([source], faces, augment)


def as_the_stages_do(network: keras.Model, faces: Faces) -> Callable[[], object]:
    """An epoch of `loop.fit`, without validation and checkpoint."""
    data, recipe = training_data(faces), params.load().pretrain
    return lambda: network.fit(
        loop.epoch_batches(data, recipe, 0), steps_per_epoch=data.steps, shuffle=False, verbose=0
    )


def one_batch(network: keras.Model, faces: Faces) -> Callable[[], object]:
    """As many steps, all of them with the same batch."""
    data = training_data(faces)
    first = next(batches(data.sources, 0, 1, 1, data.distort, 0))
    data_set = tf.data.Dataset.from_tensors(first).repeat(data.steps)
    return partial(network.fit, data_set, shuffle=False, verbose=0)


def image_data_generator(network: keras.Model, faces: Faces) -> Callable[[], object]:
    """As many steps with the original's distortion: ImageDataGenerator over all pictures in memory."""
    settings = params.load()
    view, batch_size = settings.model.input_size, settings.pretrain.batch_size
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rotation_range=30,
        shear_range=0.2,
        width_shift_range=0.2,
        height_shift_range=0.2,
        zoom_range=0.1,
        horizontal_flip=True,
    )
    pictures = faces.pictures(np.arange(len(faces)))[:, :view, :view, np.newaxis].astype(np.float32)
    labels = np.eye(len(settings.emotions), dtype=np.float32)[faces.label]
    flow = generator.flow(pictures, labels, batch_size=batch_size, seed=1)
    return partial(network.fit, flow, steps_per_epoch=len(faces) // batch_size, verbose=0)


def peak_memory(folder: Path, images: int) -> int:
    """Most bytes of its own, pages of mapped files aside, that a process has while it trains for one epoch."""
    noise(folder, images)
    alone = params.load().runtime.model_copy(update={"engine": "processes", "workers": 1})
    return next(ordered_map(partial(train_and_watch, folder), [images], alone))


def train_and_watch(folder: Path, images: int) -> int:
    """What `peak_memory` does, in a process of its own; Linux only."""
    most = 0

    def watch() -> None:
        nonlocal most
        while True:
            memory = psutil.Process().memory_info()
            most = max(most, memory.rss - memory.shared)
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
    faces = noise(folder, images)
    as_the_stages_do(compiled(), faces)()
    return most


if __name__ == "__main__":
    run(main)
