"""The files for use: all forms answer alike, are the same bytes each time, and hold what is needed to use them."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import PARAMS
from networks import card, default_network, drawn_faces, random_network
from samples import noise
from sentences import says

from demo.models import Model
from stages import export
from stages.deployment.model_card import ModelCard, from_texts, to_texts
from stages.deployment.onnx_export import canonical, write_onnx
from stages.evaluation.calibration import LEAST
from stages.faces.box import Box
from stages.faces.cutting import square_around
from stages.faces.framing import FER2013_SIDE
from stages.network.model import for_training, load_weights, save_weights
from stages.pretrain import ensemble
from stages.runtime import params
from stages.runtime.errors import UserError
from stages.training import presets
from tools import ship
from tools.preset import main as take_preset

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
        table["person"] = [f"person {n % 9}" for n in range(60)]
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
        assert (card.crop.margin, card.crop.detect_side, card.export.unsure) == (0, 480, 0.4)
        assert card.square == FER2013_SIDE["haar"]
        # Error rates on drawn faces say nothing of a model of real ones.
        dataset = {"before": "fer2013", "after": "korean"}[name]
        assert card.recognised == {dataset: dict.fromkeys(EMOTIONS, 0.5)}
        assert card.provenance.keys() == {"params", "population", "weights", "fer2013", "korean"}
        assert card.provenance["population"] == "Korean"
    before = card.provenance
    set_params({"crop.margin": 0.2})
    np.save(trained / "data/arrays/korean/train.npy", noise(99, 60, 48, 48))
    table = pd.read_csv(trained / "data/csvs/korean/merged.csv").assign(person="~T0")
    table.to_csv(trained / "data/csvs/korean/merged.csv", index=False)
    assert run_stage("export") == ""
    card = Model(trained / "data/export/after.onnx").card
    assert card.square == pytest.approx(1.4 * FER2013_SIDE["haar"])
    after = card.provenance
    assert {name for name in before if before[name] != after[name]} == {"params", "korean"}
    assert after["korean people"].startswith("people unknown: ")


def test_drawn_faces_do_not_calibrate_a_shipped_network(
    trained: Path, run_stage: Callable[..., str], set_params: Callable[..., None]
) -> None:
    set_params({"pretrain.weights": "fer2013"})
    assert run_stage("export") == ""
    before, after = (Model(trained / f"data/export/{name}.onnx").card for name in ("before", "after"))
    assert (before.drawn, before.temperature) == (False, 1)
    assert after.temperature != 1


def test_missing_results_are_one_sentence(trained: Path, run_stage: Callable[..., str]) -> None:
    (trained / "metrics/evaluate.json").unlink()
    says(run_stage("export"), "metrics/evaluate.json", "dvc repro")


def test_a_file_answers_as_its_network(tmp_path: Path) -> None:
    network, path, pictures = random_network(48, 3, 1), tmp_path / "after.onnx", drawn_faces(100)
    write_onnx(network, card("after"), path)
    assert np.ptp(network.predict_on_batch(pictures[..., np.newaxis]), axis=0).min() > 0.3
    export.check_answers(path, network, pictures)
    with pytest.raises(RuntimeError, match=r"after\.onnx differs from its network"):
        export.check_answers(path, random_network(48, 3, 2), pictures)


WRITE = """
from pathlib import Path
from networks import card, default_network
from stages.deployment.onnx_export import write_onnx
write_onnx(default_network(), card("after"), Path("after.onnx"))
"""


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Of the default network: tf2onnx alone writes other bytes of it each time, and not of smaller ones."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    subprocess.run([sys.executable, "-c", WRITE], cwd=tmp_path, env=environment, check=True, capture_output=True)
    write_onnx(default_network(), card("after"), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "after.onnx").read_bytes()


def test_a_network_of_more_nodes_than_python_calls() -> None:
    names = [f"v{n}" for n in range(1500)]
    nodes = [onnx.helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1]) for name in (names[0], names[-1])
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "long", ends[:1], ends[1:]))
    assert len(canonical(model).graph.node) == len(nodes)


def test_card_survives_as_texts() -> None:
    texts = to_texts(card("after"))
    assert from_texts(texts | {"author": "somebody"}, "x") == card("after")
    assert json.loads(texts["emotions"])["happy"] == "기쁨"
    for field in ModelCard.model_fields.keys() - {"square"}:
        with pytest.raises(UserError, match=r"model\.onnx lacks"):
            from_texts({name: text for name, text in texts.items() if name != field}, "model.onnx")


def test_the_instructions_say_what_the_code_does() -> None:
    """Of every number that a foreign program needs; docs/use.md is such a program, held against ours in test_use.py."""
    own = card("before")
    use = " ".join(json.loads(to_texts(own)["use"]))
    left, top, side = square_around(Box(100, 100, 200, 200), own.square)
    assert f"{side / 100:g} x the width" in use and (left + side / 2, top + side / 2) == (150, 150)
    assert f"max(p, {LEAST:g}) ** (1 / {own.temperature:g})" in use
    assert f"(n, {own.size}, {own.size}, 1)" in use and f"(n, {len(own.emotions)})" in use
    for name in ("detect_side", "cascade", "scale_factor", "min_neighbors", "smallest_face", "size", "quality"):
        assert str(getattr(own.crop, name)) in use
    yunet = own.model_copy(update={"crop": own.crop.model_copy(update={"detector": "yunet"})})
    assert "FaceDetectorYN" in to_texts(yunet)["use"]


def test_what_a_model_has_learned_from(set_params: Callable[..., None]) -> None:
    set_params()
    settings = params.load()
    assert export.trained_on("before", settings).keys() == {"fer2013"}
    assert export.trained_on("before", settings)["fer2013"]["happy"] == ["happy"]
    assert export.trained_on("after", settings).keys() == {"fer2013", "korean"}
    set_params({"finetune.start": "scratch", "finetune.rehearsal": 0, "finetune.teacher_share": 0})
    assert export.trained_on("after", params.load()) == {
        "korean": {emotion: [word] for emotion, word in settings.emotions.items()}
    }


@pytest.mark.parametrize("name", ["fer2013", "fer2013_small"])
def test_shipped_models_say_what_this_version_says(name: str) -> None:
    texts = {entry.key: entry.value for entry in onnx.load(ROOT / f"weights/{name}.onnx").metadata_props}
    assert texts == to_texts(from_texts(texts, name)), f"run `python -m tools.ship {name}`"
    assert from_texts(texts, name).trained_on["fer2013"]["embarrassed"] == ["surprise"]


def test_a_card_from_before_a_value_was_added() -> None:
    texts = to_texts(card("after"))
    crop = json.loads(texts["crop"])
    assert crop.pop("input") == "photo"
    assert from_texts(texts | {"crop": json.dumps(crop)}, "x") == card("after")
    # The margin was one around the detector's box then.
    del texts["square"]
    texts["crop"] = json.dumps(crop | {"margin": 0.1})
    assert from_texts(texts, "x").square == 1.2
    for damaged in ("[]", "null", json.dumps(crop | {"input": "drawing"})):
        with pytest.raises(UserError, match=r"model\.onnx lacks"):
            from_texts(texts | {"crop": damaged}, "model.onnx")


@pytest.mark.parametrize("name", ["fer2013", "fer2013_small"])
def test_a_shipped_model_sees_as_much_as_it_was_trained_on(name: str) -> None:
    card = Model(ROOT / f"weights/{name}.onnx").card
    assert (card.crop.detector, card.crop.margin, card.square) == ("haar", 0, FER2013_SIDE["haar"])


def test_a_shipped_model_can_be_used_and_names_its_commit(
    trained: Path, run_stage: Callable[..., str], set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch
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
    assert copy.card.provenance == original.card.provenance | {"git": "abc", "model": "before"}
    assert copy.card.name == "mine"
    shipped = files[0].read_bytes()
    content = onnx.load(files[0])
    texts = {entry.key: entry.value for entry in content.metadata_props}
    onnx.helper.set_model_props(content, {key: texts[key] for key in texts.keys() - {"trained_on", "use"}})
    onnx.save(content, files[0])
    assert ship.renew("mine").read_bytes() == shipped
    pictures = noise(1, 5, 48, 48)
    assert (copy.predict(pictures) == original.predict(pictures)).all()
    onnx.checker.check_model(onnx.load(files[0]))
    with pytest.raises(UserError, match=r"weights/mine\.onnx, .* would be overwritten; take another name"):
        ship.ship("mine", "before", "abc")
    settings = params.load()
    preset = presets.preset_of("mine")
    assert preset.trained_on == presets.TrainedOn(fer2013="files", korean=False)
    assert (preset.model, preset.pretrain, preset.finetune) == (settings.model, settings.pretrain, None)
    csv = Path("data/csvs/fer2013/merged.csv")
    presets.check("mine", preset, settings, presets.ARCHITECTURE, 48, presets.form_of(csv))
    monkeypatch.setattr(sys, "argv", ["preset", "mine"])
    take_preset()
    assert params.load() == settings
    after = ship.preset("after", settings)
    assert after.trained_on == presets.TrainedOn(fer2013="files", korean=True)
    assert after.finetune == settings.finetune
    whole = Path("data/arrays/korean/train.npy").read_bytes()
    np.save("data/arrays/korean/train.npy", noise(99, 60, 48, 48))
    with pytest.raises(UserError, match="data/ is not as it was"):
        ship.ship("mine", "before", "abc")
    Path("data/arrays/korean/train.npy").write_bytes(whole)
    save_weights(random_network(48, 3, 9), Path("data/models/pretrain.weights.h5"))
    with pytest.raises(UserError, match="was made from other weights"):
        ship.ship("mine", "before", "abc")
    assert run_stage("export") == ""
    set_params({"model.input_size": 40})
    with pytest.raises(UserError, match=r"params\.yaml is not as it was"):
        ship.ship("mine", "before", "abc")


def test_teachers_answer_with_their_mean(place: Path) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        save_weights(random_network(48, 3, seed), Path(f"weights/{name}.weights.h5"))
        values = {key: PARAMS[key] for key in ("emotions", "image", "model", "augment", "pretrain")}
        values["index"] = {"fer2013": PARAMS["index"]["fer2013"]}
        Path(f"weights/{name}.yaml").write_text(json.dumps(values), encoding="utf-8")
    settings, middle = params.Model(**PARAMS["model"]), noise(1, 5, 44, 44, 1)
    one, other, both = (
        ensemble(names, settings, 3).predict_on_batch(middle) for names in (["one"], ["other"], ["one", "other"])
    )
    alone = for_training(settings, 3)
    load_weights(alone, Path("weights/one.weights.h5"))
    assert (one == alone.predict_on_batch(middle)).all()
    assert np.abs(one - other).max() > 0.01
    assert np.allclose(both, (one + other) / 2, atol=1e-6)


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
