"""The files for use: all forms answer alike, are the same bytes each time, and hold what is needed to use them."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import PARAMS
from networks import card, drawn_faces, random_network
from samples import noise

from demo.models import Model
from stages import export
from stages.deployment.model_card import ModelCard, from_texts, to_texts
from stages.deployment.onnx_export import write_keras, write_onnx
from stages.files.tables import read_table, write_table
from stages.network import model
from stages.network.backend import keras
from stages.network.model import save_weights
from stages.runtime import params
from stages.runtime.errors import UserError
from stages.training import shipped
from tools import ship

ROOT = Path(__file__).parent.parent
EMOTIONS = list(PARAMS["emotions"])


@pytest.fixture
def trained(place: Path, set_params: Callable[..., None]) -> Path:
    """A folder with what the export stage reads."""
    for seed, name in enumerate(("pretrain", "transfer")):
        save_weights(random_network(48, 3, seed), place / f"data/models/{name}.weights.h5")
    for dataset in ("fer2013", "korean"):
        (place / "data/arrays" / dataset).mkdir(parents=True)
        (place / "data/csvs" / dataset).mkdir(parents=True)
        np.save(place / f"data/arrays/{dataset}/train.npy", noise(len(dataset), 60, 48, 48))
        rows = [("train", n, f"T{n}", f"{n}.jpg", EMOTIONS[n % 3], ("validation", "test")[n % 2]) for n in range(60)]
        table = pd.DataFrame(rows, columns=["array", "row", "id", "path", "label", "split"])
        table.to_csv(place / f"data/csvs/{dataset}/merged.csv", index=False)
        (place / "data/sample" / dataset).mkdir(parents=True)
    for number in range(60):
        (place / f"data/sample/fer2013/{number}.jpg").touch()
    figures = {name: {"accuracy": 0.6} | dict.fromkeys(EMOTIONS, 0.5) for name in ("before", "after")}
    (place / "metrics").mkdir()
    (place / "metrics/evaluate.json").write_text(json.dumps({"fer2013": figures, "korean": figures}))
    return place


def test_stage(trained: Path, run_stage: Callable[..., str], set_params: Callable[..., None]) -> None:
    assert run_stage("export") == ""
    for name in ("before", "after"):
        card = Model(trained / f"data/export/{name}.onnx").card
        assert (card.name, card.emotions, card.size) == (name, PARAMS["emotions"], 48)
        assert card.drawn == (name == "before")
        assert 0.05 <= card.temperature <= 20
        assert (card.margin, card.search.side, card.unsure) == (0.1, 480, 0.4)
        # Error rates on drawn faces say nothing of a model of real ones.
        dataset = {"before": "fer2013", "after": "korean"}[name]
        assert card.recognised == {dataset: dict.fromkeys(EMOTIONS, 0.5)}
        assert card.provenance.keys() == {"params", "weights", "fer2013", "korean"}
    before = card.provenance
    set_params({"crop.margin": 0.2})
    np.save(trained / "data/arrays/korean/train.npy", noise(99, 60, 48, 48))
    assert run_stage("export") == ""
    after = Model(trained / "data/export/after.onnx").card.provenance
    assert {name for name in before if before[name] != after[name]} == {"params", "korean"}


def test_missing_results_are_one_sentence(trained: Path, run_stage: Callable[..., str]) -> None:
    (trained / "metrics/evaluate.json").unlink()
    assert run_stage("export").startswith("error: metrics/evaluate.json is missing")


@pytest.mark.parametrize("form", ["onnx", "keras"])
def test_forms_answer_alike(form: str, tmp_path: Path) -> None:
    network, path, pictures = random_network(48, 3, 1), tmp_path / f"after.{form}", drawn_faces(100)
    {"onnx": write_onnx, "keras": write_keras}[form](network, card("after"), path)
    expected = network.predict_on_batch(pictures[..., np.newaxis])
    assert np.ptp(expected, axis=0).min() > 0.3
    export.check(path, export.READ[form](path), pictures, expected)


def test_forms_that_differ_stop_the_stage() -> None:
    pictures = noise(1, 3, 48, 48)
    with pytest.raises(RuntimeError, match=r"after\.onnx and the network it was made from differ by 0\.001"):
        export.check(Path("after.onnx"), lambda pictures: np.full((3, 2), 0.501), pictures, np.full((3, 2), 0.5))


WRITE = """
from pathlib import Path
from networks import card, random_network
from stages.deployment.onnx_export import write_keras, write_onnx
network = random_network(48, 3, 2)
random_network(48, 3, 3)
write_onnx(network, card("after"), Path("after.onnx"))
write_keras(network, card("after"), Path("after.keras"))
"""


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    subprocess.run([sys.executable, "-c", WRITE], cwd=tmp_path, env=environment, check=True, capture_output=True)
    network = random_network(48, 3, 2)
    write_onnx(network, card("after"), tmp_path / "again.onnx")
    write_keras(network, card("after"), tmp_path / "again.keras")
    for form in ("onnx", "keras"):
        assert (tmp_path / f"again.{form}").read_bytes() == (tmp_path / f"after.{form}").read_bytes()


def test_keras_file_holds_the_card(tmp_path: Path) -> None:
    path = tmp_path / "after.keras"
    write_keras(random_network(48, 3, 1), card("after"), path)
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    assert from_texts(metadata, "after.keras") == card("after")
    assert metadata["keras_version"] == keras.__version__


def test_card_survives_as_texts() -> None:
    texts = to_texts(card("after"))
    assert from_texts(texts | {"author": "somebody"}, "x") == card("after")
    assert json.loads(texts["emotions"])["happy"] == "기쁨"
    for field in ModelCard._fields:
        with pytest.raises(UserError, match=r"model\.onnx lacks"):
            from_texts({name: text for name, text in texts.items() if name != field}, "model.onnx")


def test_a_shipped_model_can_be_used_and_names_its_commit(
    trained: Path, run_stage: Callable[..., str], set_params: Callable[..., None]
) -> None:
    with pytest.raises(UserError, match=r"before\.onnx or .* is missing; make them with `dvc repro export`"):
        ship.ship("mine", "before", "abc")
    assert run_stage("export") == ""
    with pytest.raises(UserError, match=r"before\.onnx was trained on drawn faces"):
        ship.ship("mine", "before", "abc")
    for path in Path("data/sample/fer2013").iterdir():
        path.unlink()
    assert run_stage("export") == ""
    files = ship.ship("mine", "before", "abc")
    assert files == [Path("weights/mine.onnx"), Path("weights/mine.weights.h5"), Path("weights/mine.yaml")]
    original, copy = Model(Path("data/export/before.onnx")), Model(files[0])
    assert copy.card.provenance == original.card.provenance | {"git": "abc"}
    assert copy.card.name == "mine"
    pictures = noise(1, 5, 48, 48)
    assert (copy.predict(pictures) == original.predict(pictures)).all()
    onnx.checker.check_model(onnx.load(files[0]))
    assert shipped.network("mine", 3).count_params() == model.for_training(48, 3).count_params()
    save_weights(random_network(48, 3, 7), Path("weights/other.weights.h5"))
    shutil.copy("weights/mine.yaml", "weights/other.yaml")
    middle = pictures[:, 2:46, 2:46, np.newaxis]
    one, other, both = (
        shipped.mean_of(names, 3).predict_on_batch(middle) for names in (["mine"], ["other"], ["mine", "other"])
    )
    assert (one == shipped.network("mine", 3).predict_on_batch(middle)).all()
    assert np.abs(one - other).max() > 0.01
    assert np.allclose(both, (one + other) / 2, atol=1e-6)
    csv = Path("data/csvs/fer2013/merged.csv")
    shipped.check("mine", list(params.emotions()), 48, shipped.ARCHITECTURE, csv)
    with pytest.raises(UserError, match=r"image\.size is 40, but weights/mine\.yaml has 48"):
        shipped.check("mine", list(params.emotions()), 40, [], csv)
    assert ship.describe("after")["data"] == {"fer2013": "files", "korean": True}
    assert ship.describe("after").keys() - ship.describe("before").keys() == {"finetune"}
    # The same pictures read from fer2013.csv have other ids, so that others of them are validation.
    table = read_table(csv).assign(id=[f"train/happy/{number:05}" for number in range(len(read_table(csv)))])
    write_table(table, Path("lines.csv"))
    with pytest.raises(UserError, match=r"mine\.yaml was made with FER2013 as Kaggle's folders .* point data\.fer2013"):
        shipped.check("mine", list(params.emotions()), 48, [], Path("lines.csv"))
    whole = Path("data/arrays/korean/train.npy").read_bytes()
    np.save("data/arrays/korean/train.npy", noise(99, 60, 48, 48))
    with pytest.raises(UserError, match="data/ is not as it was"):
        ship.ship("mine", "before", "abc")
    Path("data/arrays/korean/train.npy").write_bytes(whole)
    save_weights(random_network(48, 3, 9), Path("data/models/pretrain.weights.h5"))
    with pytest.raises(UserError, match="was made from other weights"):
        ship.ship("mine", "before", "abc")
    assert run_stage("export") == ""
    set_params({"model.view": 40})
    with pytest.raises(UserError, match=r"params\.yaml is not as it was"):
        ship.ship("mine", "before", "abc")


def test_a_changed_tree_ships_nothing(place: Path) -> None:
    with pytest.raises(UserError, match="git names no commit"):
        ship.revision()
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"], check=True
    )
    (place / "stages").mkdir()
    (place / "stages/changed.py").write_text("x")
    with pytest.raises(UserError, match="commit first"):
        ship.revision()
