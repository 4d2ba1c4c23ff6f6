"""The networks in weights/, which are shipped: NAME.weights.h5, and NAME.yaml with the params that they go with."""

from collections.abc import Sequence
from pathlib import Path

from stages.files.tables import read_table
from stages.network import model
from stages.network.backend import keras
from stages.runtime import params
from stages.runtime.errors import UserError

FOLDER = Path("weights")
ARCHITECTURE = (
    "view",
    "blocks",
    "first_padding",
    "head",
    "dense",
)  # the rest matters in training alone, or not to weights
FORMS = {"files": "Kaggle's folders of .jpg files (archive.zip)", "lines": "fer2013.csv"}


def files(name: str) -> tuple[Path, Path]:
    """The weights of the network `name`, and their description."""
    weights, description = FOLDER / f"{name}.weights.h5", FOLDER / f"{name}.yaml"
    for path in (weights, description):
        if not path.exists():
            known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml"))) or "none"
            raise UserError(f"{path} is missing; the networks in {FOLDER}/ are: {known}.")
    return weights, description


def network(name: str, classes: int) -> keras.Model:
    """The network `name`, for what it looks at; of `model:` in params.yaml only the precision matters."""
    weights, description = files(name)
    section = params.section("model", description)
    view = section.integer("view", 8, 1024)
    # It teaches inside tf.data, which runs on the processor, GPU or not.
    with keras.device("cpu:0"):
        result = model.from_section(section, view, view, classes, False, model.precision_from_params(), fused=True)
    model.load_weights(result, weights)
    return result


def mean_of(names: Sequence[str], classes: int) -> keras.Model:
    """The ensemble of the networks `names`, which look at pictures of one size: it answers with their mean."""
    networks = [network(name, classes) for name in names]
    for name, one in zip(names, networks, strict=True):
        one.name = name  # Keras wants them different
    inputs = keras.Input(networks[0].input_shape[1:])
    return keras.Model(inputs, sum(one(inputs) for one in networks) / len(networks))


def ids_of(csv: Path) -> str:
    """What the ids in FER2013's merged.csv are made of: one of FORMS; they decide which pictures are validation."""
    names = read_table(csv)["id"].str.rpartition("/")[2]
    return "lines" if names.str.isdigit().all() else "files"


def check(name: str, emotions: Sequence[str], size: int, keys: Sequence[str], csv: Path) -> None:
    """Stop if the network `name` does not go with params.yaml.

    It must be for these emotions and pictures of `size` pixels, have what `model:` has at these keys, and must not have
    been trained on what params.yaml makes validation or test pictures, of those in `csv` or of Korean people.
    """
    description = files(name)[1]
    data = params.section("data", description)
    if data.flag("korean"):
        raise UserError(
            f"{description}: this network has seen Korean people, who could come up again as test people; "
            "name one that was shipped before transfer."
        )
    form = data.choice("fer2013", tuple(FORMS))
    if form != ids_of(csv):
        raise UserError(
            f"{description} was made with FER2013 as {FORMS[form]}, and the names there decide which pictures are "
            "validation; point data.fer2013 in params.yaml at that form of it."
        )
    own, other = params.section("model"), params.section("model", description)
    index, its_index = params.section("index.fer2013"), params.section("index.fer2013", description)
    pairs = [(f"model.{key}", own.value(key), other.value(key)) for key in keys]
    # In another order the same emotions would be other classes.
    pairs.append(("emotions", ", ".join(emotions), ", ".join(params.section("emotions", description).values)))
    pairs.append(("image.size", size, params.section("image", description).integer("size", 8, 1024)))
    pairs += [(f"index.fer2013.{key}", index.value(key), its_index.value(key)) for key in ("classes", "seed")]
    # Whoever is in a small share is in a larger one, too, and a lower correlation leaves fewer near twins.
    share, its_share = (section.number("validation", 0.001, 0.9) for section in (index, its_index))
    twin, its_twin = (section.number("near_twin", 0.5, 1) for section in (index, its_index))
    twins, its_twins = (section.choice("twins", ("remove", "keep")) for section in (index, its_index))
    pairs += [("index.fer2013.validation", share, its_share)] if share > its_share else []
    pairs += [("index.fer2013.near_twin", twin, its_twin)] if twin < its_twin else []
    pairs += [("index.fer2013.twins", twins, its_twins)] if (twins, its_twins) == ("remove", "keep") else []
    for key, mine, its in pairs:
        if mine != its:
            raise UserError(f"params.yaml: {key} is {mine}, but {description} has {its}; set it as there.")
