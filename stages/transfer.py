"""Go on training the FER2013 network on Korean faces (korean-transfer), with FER2013 images rehearsed in each batch.

In: the weights of `pretrain`, `data/csvs/korean/merged.csv` and `data/csvs/fer2013/merged.csv` with their arrays.
Out: the weights of the epoch that did best on the Korean validation split, mixed with `finetune.kept_weights` of those
before, `data/models/transfer.weights.h5`; its figures `metrics/transfer.json`, among them what it has forgotten of the
FER2013 validation split; and the learning curves `data/live/transfer`. Run again after a kill, it goes on.
Run: python -m stages.transfer
"""

from pathlib import Path

from stages.files.metrics import write_metrics
from stages.network import model
from stages.network.backend import deterministic, keras, use_threads
from stages.network.inputs import read_faces
from stages.runtime import params, resume
from stages.runtime.errors import UserError, run
from stages.training import augment, loop
from stages.training.batches import Source, balance_weights

CSV = Path("data/csvs/korean/merged.csv")
ARRAYS = Path("data/arrays/korean")
FER_CSV = Path("data/csvs/fer2013/merged.csv")
FER_ARRAYS = Path("data/arrays/fer2013")
PRETRAINED = Path("data/models/pretrain.weights.h5")
WEIGHTS = Path("data/models/transfer.weights.h5")
METRICS = Path("metrics/transfer.json")
CURVES = Path("data/live/transfer")


def main() -> None:
    """Read the section `finetune:`, train, and write weights, figures and curves."""
    use_threads(model.threads_from_params())
    section = params.section("finetune")
    emotions = list(params.emotions())
    recipe = loop.read_recipe(section)
    balance = section.number("balance", 0, 1)
    fresh = section.choice("start", ("pretrain", "scratch")) == "scratch"
    kept, taught = section.number("kept_weights", 0, 1), section.number("taught", 0, 1)
    frozen_blocks, frozen_batchnorm = section.integer("frozen_blocks", 0, 20), section.flag("frozen_batchnorm")
    if fresh and (kept or taught or frozen_blocks or frozen_batchnorm):
        raise UserError(
            "params.yaml: with finetune.start scratch set finetune.kept_weights, finetune.taught and "
            "finetune.frozen_blocks to 0 and finetune.frozen_batchnorm to false."
        )
    rehearsed = rehearsed_images(section.integer("batch_size", 1, 4096), section.number("rehearsal", 0, 0.99))
    faces = read_faces(CSV, ARRAYS, "train", emotions)
    validation = read_faces(CSV, ARRAYS, "validation", emotions)
    fer_validation = read_faces(FER_CSV, FER_ARRAYS, "validation", emotions)
    own = section.integer("batch_size", 1, 4096) - rehearsed
    sources = [Source(faces, own, balance_weights(faces.label, len(emotions), balance))]
    if rehearsed:
        fer = read_faces(FER_CSV, FER_ARRAYS, "train", emotions)
        sources.append(Source(fer, rehearsed, balance_weights(fer.label, len(emotions), balance), taught))

    deterministic(recipe.seed)
    network = model.for_training(faces.size, len(emotions))
    if not fresh:
        model.load_weights(network, PRETRAINED)
    before = network.get_weights()
    teacher = None
    if taught and rehearsed:
        # It answers inside tf.data, which runs on the processor, GPU or not.
        with keras.device("cpu:0"):
            teacher = model.for_training(faces.size, len(emotions))
        teacher.set_weights(before)
    model.freeze(network, frozen_blocks, frozen_batchnorm)
    files = [file for source in sources for file in source.faces.files]
    place = resume.folder(
        "transfer",
        [CSV, FER_CSV, PRETRAINED, *files],
        {
            "emotions": emotions,
            "finetune": section.values,
            "model": params.section("model").values,
            "augment": params.section("augment").values,
        },
    )
    history = loop.fit(
        network,
        teacher,
        sources,
        validation,
        augment.from_params(model.view_from_params(faces.size)),
        recipe,
        place / "checkpoint.npz",
        CURVES,
    )
    model.blend(network, before, kept)
    model.save_weights(network, WEIGHTS)
    kept_of_fer2013 = {"fer2013_validation": {"accuracy": loop.validate(network, fer_validation)["accuracy"]}}
    write_metrics({"transfer": loop.summary(history, network, validation) | kept_of_fer2013}, METRICS)
    resume.done(place)


def rehearsed_images(batch_size: int, rehearsal: float) -> int:
    """How many of `batch_size` images come from FER2013 when their share is to be `rehearsal`, to the nearest image."""
    rehearsed = round(batch_size * rehearsal)
    if rehearsed == batch_size:
        raise UserError("params.yaml: finetune.rehearsal leaves no Korean image in a batch; lower it.")
    if rehearsal and not rehearsed:
        raise UserError(
            "params.yaml: finetune.rehearsal is too little for one image in a batch; raise it, or set it to 0."
        )
    return rehearsed


if __name__ == "__main__":
    run(main)
