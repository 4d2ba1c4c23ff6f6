"""Ship a trained network in weights/: for the demo of every clone, as a start for the transfer, and as a teacher.

In: what the pipeline wrote: data/export/<before|after>.onnx and the weights it was made from; params.yaml.
Out: weights/NAME.onnx, with the name and the git revision in its model card; weights/NAME.weights.h5 and NAME.yaml,
with all values that the weights follow from.
Run: python -m tools.ship NAME before; or python -m tools.ship NAME, after a change of the model card: it writes the
metadata of weights/NAME.onnx anew, with what NAME.yaml tells of it.

The pipeline itself leaves the revision out: the same input must give the same bytes after each commit.
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import onnx
from ruamel.yaml import YAML

from demo.models import Model
from stages.deployment.model_card import from_texts, learned, to_texts
from stages.export import EXPORT, ORIGINS, digest_of_data, digest_of_params, faces_of
from stages.files.digests import digest
from stages.pretrain import CSV
from stages.runtime import params
from stages.runtime.errors import UserError, run
from stages.runtime.replacing import replacing
from stages.training.presets import FOLDER, Preset, Splits, TrainedOn, form_of, preset_of


def main() -> None:
    """Ship the model that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tools.ship", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", metavar="NAME", help="of the files in weights/")
    parser.add_argument("model", nargs="?", choices=list(ORIGINS), help="before or after transfer; none: its metadata")
    arguments = parser.parse_args()
    if arguments.model is None:
        print(renew(arguments.name))
        return
    for path in ship(arguments.name, arguments.model, revision()):
        print(path)
    print("pretrain reads weights/: if it did not use them, `dvc commit -f pretrain` saves training again")


def revision() -> str:
    """The commit that is checked out.

    Raises:
        UserError: the code differs from it, so that nobody could make the models again; or there is no git repository.
    """
    try:
        changed, head = (
            subprocess.run(["git", *command], capture_output=True, check=True, encoding="utf-8").stdout.strip()
            for command in (["status", "--porcelain", "stages"], ["rev-parse", "HEAD"])
        )
    except subprocess.CalledProcessError as error:
        raise UserError(f"git names no commit to write into the model: {error.stderr.strip()}") from None
    if changed:
        raise UserError("stages/ differs from the last commit; commit first, as the commit is written into the model.")
    return head


def ship(name: str, model: str, commit: str) -> list[Path]:
    """Write the three files of one model, with `commit` in its provenance; returns their paths.

    Raises:
        UserError: the model is missing, was trained on drawn faces, or was made from other weights, data or params.
    """
    source, weights = EXPORT / f"{model}.onnx", ORIGINS[model].weights
    if not source.exists() or not weights.exists():
        raise UserError(f"{source} or {weights} is missing; make them with `dvc repro export`.")
    card, settings = Model(source).card, params.load()
    if card.provenance["weights"] != digest(weights):
        raise UserError(f"{source} was made from other weights than {weights}; make it again with `dvc repro export`.")
    if card.provenance["params"] != digest_of_params(settings):
        raise UserError(f"params.yaml is not as it was when {source} was made; make it again with `dvc repro export`.")
    emotions = list(settings.emotions)
    datasets = [origin.dataset for origin in ORIGINS.values()]
    if any(card.provenance[name] != digest_of_data(name, faces_of(name, emotions).files) for name in datasets):
        raise UserError(f"data/ is not as it was when {source} was made; make it again with `dvc repro export`.")
    if card.drawn:
        raise UserError(
            f"{source} was trained on drawn faces, which say nothing of real ones; set data: in params.yaml."
        )
    FOLDER.mkdir(exist_ok=True)
    copies = [FOLDER / f"{name}.{ending}" for ending in ("onnx", "weights.h5", "yaml")]
    if taken := [str(path) for path in copies if path.exists()]:
        raise UserError(f"{', '.join(taken)} would be overwritten; take another name, or remove it first.")
    content = onnx.load_model_from_string(source.read_bytes())
    card = card.model_copy(update={"name": name, "provenance": card.provenance | {"git": commit, "model": model}})
    onnx.helper.set_model_props(content, to_texts(card))
    try:
        copies[0].write_bytes(content.SerializeToString(deterministic=True))
        shutil.copyfile(weights, copies[1])
        with open(copies[2], "w", encoding="utf-8") as file:
            file.write(f"# What {copies[1].name} was made with; what it is: docs/models.md.\n")
            YAML().dump(preset(model, settings).model_dump(exclude_unset=True), file)
    except BaseException:
        for path in copies:  # some of three files would only be in the way of the next try
            path.unlink(missing_ok=True)
        raise
    return copies


def renew(name: str) -> Path:
    """Write the metadata of a shipped model anew, as this version has it; its graph stays as it is.

    Raises:
        UserError: there is no such model, or its metadata lacks what its preset does not say.
    """
    path, made = FOLDER / f"{name}.onnx", preset_of(name)
    if not path.exists() or made.trained_on is None:
        raise UserError(f"{path} is not there or was not trained; ship it with `python -m tools.ship {name} before`.")
    content = onnx.load_model_from_string(path.read_bytes())
    classes = made.index.fer2013.classes
    lacking = {"trained_on": learned(made.emotions, classes, fer2013=True, korean=made.trained_on.korean)}
    texts = {key: json.dumps(value) for key, value in lacking.items()}
    card = from_texts(texts | {entry.key: entry.value for entry in content.metadata_props}, str(path))
    onnx.helper.set_model_props(content, to_texts(card))
    with replacing(path) as file:
        file.write_bytes(content.SerializeToString(deterministic=True))
    return path


def preset(model: str, settings: params.Params) -> Preset:
    """All values that the weights of `model` follow from, and what they were trained on; none of what is not."""
    korean = model == "after"
    return Preset(
        trained_on=TrainedOn(fer2013=form_of(CSV), korean=korean),
        emotions=settings.emotions,
        index=Splits(fer2013=settings.index.fer2013, **({"korean": settings.index.korean} if korean else {})),
        image=settings.image,
        model=settings.model,
        augment=settings.augment,
        pretrain=settings.pretrain,
        **({"finetune": settings.finetune} if korean else {}),
    )


if __name__ == "__main__":
    run(main)
