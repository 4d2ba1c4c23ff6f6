"""weights/: of a shipped network NAME.weights.h5, and NAME.yaml, its preset, with all values that it follows from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import UserError

FOLDER = Path("weights")
# The rest of `model:` matters in training alone, or not to weights.
ARCHITECTURE = ("input_size", "blocks", "first_padding", "head", "dense")
Form = Literal["files", "lines"]
FORMS: dict[Form, str] = {"files": "Kaggle's folders of .jpg files (archive.zip)", "lines": "fer2013.csv"}


class TrainedOn(params.Section):
    """What a shipped network has seen: the form of FER2013, and whether Korean people."""

    fer2013: Form
    korean: bool


class Splits(params.Section):
    """`index:` of the data sets that it was trained on."""

    fer2013: params.Fer2013
    korean: params.People | None = None


class Preset(params.Section):
    """weights/NAME.yaml: all values that a network follows from; `trained_on` once it is trained."""

    trained_on: TrainedOn | None = None
    emotions: dict[str, str]
    index: Splits
    image: params.Image
    model: params.Model
    augment: params.Augment
    pretrain: params.Pretrain
    finetune: params.Finetune | None = None


def preset_of(name: str) -> Preset:
    """The preset `name`."""
    return params.read(file_of(name, ".yaml"), Preset)


def file_of(name: str, ending: str) -> Path:
    """The file of the network `name` with this ending, .weights.h5 or .yaml; it must be there."""
    path = FOLDER / f"{name}{ending}"
    if not path.exists():
        known = ", ".join(sorted(other.name.removesuffix(ending) for other in FOLDER.glob(f"*{ending}"))) or "none"
        raise UserError(f"{path} is missing; {FOLDER}/ has {ending} files of: {known}.")
    return path


def form_of(csv: Path) -> Form:
    """What the ids in FER2013's merged.csv are made of: one of FORMS; they decide which pictures are validation."""
    names = read_table(csv)["id"].str.rpartition("/")[2]
    return "lines" if names.str.isdigit().all() else "files"


def check(name: str, preset: Preset, settings: params.Params, keys: Sequence[str], size: int, form: Form) -> None:
    """Stop if the network `name` with this `preset` does not go with params.yaml, of which `settings` are the values.

    It must be for the same emotions and pictures of `size` pixels, and have what `model:` has at these `keys`. It must
    not have been trained on what params.yaml makes validation or test pictures, of FER2013 in this `form`, or on Korean
    people.

    Raises:
        UserError: it does not go with them.
    """
    file = FOLDER / f"{name}.yaml"
    if preset.trained_on is None:
        raise UserError(f"{file} has no `trained_on:`; it describes a network that nobody has trained.")
    if preset.trained_on.korean:
        raise UserError(
            f"{file}: this network has seen Korean people, who could come up again as test people; "
            "name one that was shipped before transfer."
        )
    if form != preset.trained_on.fer2013:
        raise UserError(
            f"{file} was made with FER2013 as {FORMS[preset.trained_on.fer2013]}, and the names there decide which "
            "pictures are validation; point data.fer2013 in params.yaml at that form of it."
        )
    ours, its = settings.index.fer2013, preset.index.fer2013
    pairs = [(f"model.{key}", getattr(settings.model, key), getattr(preset.model, key)) for key in keys]
    pairs += [
        # In another order the same emotions would be other classes.
        ("emotions", list(settings.emotions.items()), list(preset.emotions.items())),
        ("image.size", size, preset.image.size),
    ]
    # A smaller validation share is a subset of a larger one, and a lower correlation leaves fewer near duplicates.
    fits = {
        "classes": ours.classes == its.classes,
        "seed": ours.seed == its.seed,
        "validation": ours.validation <= its.validation,
        "near_duplicate": ours.near_duplicate >= its.near_duplicate,
        "duplicates": (ours.duplicates, its.duplicates) != ("remove", "keep"),
    }
    pairs += [(f"index.fer2013.{key}", getattr(ours, key), getattr(its, key)) for key in fits if not fits[key]]
    for key, mine, other in pairs:
        if mine != other:
            raise UserError(f"params.yaml: {key} is {mine}, but {file} has {other}; set it to that.")
