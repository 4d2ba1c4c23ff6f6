"""The pipeline as its users use it, on a tiny sample: what it writes, and real dvc commands in copies of it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from pipeline import (
    CROPS,
    EMOTIONS,
    KOREAN,
    changed_stages,
    edit_module,
    edit_params,
    evaluation,
    index_of,
    metrics,
    run,
    sentence_in,
    stages_run,
)
from playwright.sync_api import sync_playwright
from ruamel.yaml import YAML
from sentences import says
from sklearn.metrics import log_loss, precision_recall_fscore_support

from demo.models import Model
from stages.datasets.catalog import DATASETS
from stages.datasets.counts import counts, splits
from stages.evaluation.bootstrap import Bootstrap, interval

# `built` takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)


def test_a_second_repro_runs_nothing(repository: Path) -> None:
    assert not stages_run(run(repository, "dvc", "repro"))
    assert not changed_stages(repository)
    assert not run(repository, "git", "status", "--short")


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("stages/evaluation/scores.py", {"evaluate"}),
        ("stages/datasets/aihub.py", {"rename"}),
        ("stages/datasets/cleaning.py", {f"index@{dataset}" for dataset in DATASETS}),
        ("stages/faces/detection.py", CROPS),
        ("stages/figures/contact_sheet.py", {"sheets"}),
        ("stages/figures/page.html", {"report"}),
    ],
)
def test_editing_a_module_changes_the_stages_that_import_it(repository: Path, module: str, stages: set[str]) -> None:
    edit_module(repository / module)
    assert changed_stages(repository) == stages


def test_an_edit_that_changes_no_output_ends_with_the_stages_that_import_it(repository: Path) -> None:
    edit_module(repository / "stages/datasets/cleaning.py")
    assert stages_run(run(repository, "dvc", "repro")) == {f"index@{dataset}" for dataset in DATASETS}


def test_a_second_clone_pulls_and_has_nothing_left_to_run(built: Path, tmp_path: Path) -> None:
    first = Path(shutil.copytree(built, tmp_path / "first", symlinks=True))
    run(first, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(first, "git", "commit", "-qam", "remote")
    run(first, "dvc", "push")
    run(tmp_path, "git", "clone", "-q", str(first), "second")
    second = tmp_path / "second"
    assert not stages_run(run(second, "dvc", "repro", "--dry", "--allow-missing"))
    run(second, "dvc", "pull")
    assert not stages_run(run(second, "dvc", "repro"))
    assert not run(second, "git", "status", "--short")


def test_a_registered_model_is_fetched_by_its_name(repository: Path, tmp_path: Path) -> None:
    run(repository, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(repository, "git", "commit", "-qam", "remote")
    run(repository, "dvc", "push", "export")
    run(repository, "gto", "register", "after", "--version", "v1.0.0")
    run(tmp_path, "dvc", "artifacts", "get", str(repository), "after", "--out", "got.onnx")
    assert (tmp_path / "got.onnx").read_bytes() == (repository / "data/export/after.onnx").read_bytes()


@pytest.mark.parametrize(("dataset", "site"), [("korean", "aihub.or.kr"), ("fer2013", "kaggle.com")])
def test_an_empty_folder_of_raw_data_is_one_sentence(repository: Path, dataset: str, site: str) -> None:
    (repository / "nothing").mkdir()
    edit_params(repository, "data", **{dataset: "nothing"})
    output = run(repository, "dvc", "repro", ok=False)
    says(sentence_in(output), str(repository / "nothing"), f"data.{dataset}", "params.yaml", site)


def test_a_typo_in_params_is_one_sentence(repository: Path) -> None:
    path = repository / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  margin:", "  margins:"), encoding="utf-8")
    output = run(repository, "dvc", "repro", ok=False)
    says(sentence_in(output), "params.yaml", "crop.margins", "crop.margin")


def test_stages_open_only_the_files_that_dvc_yaml_declares(built: Path) -> None:
    lock = YAML(typ="safe").load((built / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    opened: dict[str, set[str]] = {}
    for line in (built.parent / "opened.txt").read_text(encoding="utf-8").splitlines():
        command, path = line.split("\t")
        # What Python has compiled stands for its source.
        path = re.sub(r"__pycache__/(\w+)\.[\w.-]+$", r"\1.py", path)
        # An output has another name until it is whole (stages/runtime/replacing.py).
        path = path.replace("/.part.", "/")
        if path.split("/")[0] in ("data", "docs", "metrics", "stages", "tools", "weights"):
            opened.setdefault(f"python -m {command}", set()).add(path)
    assert opened.keys() == {stage["cmd"] for stage in lock.values()}
    for name, stage in lock.items():
        declared = [entry["path"] for part in ("deps", "outs") for entry in stage.get(part, [])]
        # It changes no byte of an output (tests/test_runtime.py).
        declared.append("stages/runtime")
        if name.startswith("crop") or name in ("rename", "sheets"):
            # The fingerprint and the manifest's CRC-32 column stand for the photos.
            declared.append("data/sample/korean")
        undeclared = {
            path
            for path in opened[stage["cmd"]]
            if not path.endswith("__init__.py")
            if not any(path == place or path.startswith(f"{place}/") for place in declared)
        }
        assert not undeclared, name
        assert f"stages/{name.partition('@')[0]}.py" in opened[stage["cmd"]]


@pytest.mark.parametrize("dataset", ["fer2013", "korean"])
def test_index_holds_what_it_promises(built: Path, dataset: str) -> None:
    index = index_of(built, dataset)
    assert list(index.columns) == ["array", "row", "id", "path", "label", "person", "split"]
    assert index["id"].is_unique
    assert set(index["label"]) == set(EMOTIONS)
    assert set(index["split"]) == {"train", "validation", "test"}
    parts = [pd.read_csv(built / "data/csvs" / dataset / f"{emotion}.csv", dtype={"id": str}) for emotion in EMOTIONS]
    assert sorted(pd.concat(parts)["id"]) == sorted(index["id"])
    for array, rows in index.groupby("array"):
        pictures = np.load(built / "data/arrays" / dataset / f"{array}.npy", mmap_mode="r")
        assert pictures.shape[1:] == (48, 48)
        assert rows["row"].is_unique
        assert rows["row"].between(0, len(pictures) - 1).all()
        assert all(np.ptp(pictures[row]) > 0 for row in rows["row"])


@pytest.mark.parametrize("dataset", ["fer2013", "korean"])
def test_no_duplicates_are_left(built: Path, dataset: str) -> None:
    index = index_of(built, dataset)
    arrays = {array: np.load(built / "data/arrays" / dataset / f"{array}.npy") for array in index["array"].unique()}
    pictures = [arrays[array][row].tobytes() for array, row in zip(index["array"], index["row"], strict=True)]
    assert len(set(pictures)) == len(pictures)


def test_no_person_is_in_two_splits(built: Path) -> None:
    index = index_of(built, "korean")
    assert (index.groupby("person")["split"].nunique() == 1).all()
    assert index["person"].nunique() == 30


def test_counts_add_up_from_stage_to_stage(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)
    renamed, cropped, resized, indexed = counts("korean")
    assert (renamed.kept, cropped.kept, resized.kept) == (cropped.found, resized.found, indexed.found)
    assert indexed.kept == len(index_of(built, "korean"))
    raw = metrics(built, "index/korean.json")["korean"]
    reasons = [count for stage in (renamed, cropped, resized, indexed) for _, count in stage.rejected]
    assert raw == {"found": renamed.found, "kept": indexed.kept, "rejected": sum(reasons)}
    scores = evaluation(built, "scores").query("emotion == 'all'")
    for dataset in ("fer2013", "korean"):
        tested = splits(dataset, EMOTIONS)["test"]["faces"]
        assert set(scores.loc[scores["dataset"] == dataset, "faces"]) == {tested}


def test_the_tracked_metrics_are_few(built: Path) -> None:
    """`dvc metrics diff` and `dvc exp show` stay readable only then."""
    shown = json.loads(run(built, "dvc", "metrics", "show", "--json"))
    files = {path: file["data"] for path, file in shown[""]["data"].items()}
    assert sum(map(leaves, files.values())) <= 60
    assert {path.name for path in (built / "metrics").rglob("*.json")} == {Path(path).name for path in files}


def leaves(tree: Any) -> int:
    return sum(map(leaves, tree.values())) if isinstance(tree, dict) else 1


def test_predictions_give_the_metrics(built: Path) -> None:
    """Recomputed by hand from the table of single faces."""
    for dataset, by_model in metrics(built, "evaluate.json").items():
        faces = pd.read_csv(built / "data/predictions" / f"{dataset}.csv", keep_default_na=False)
        for model, expected in by_model.items():
            right = faces[model] == faces["label"]
            assert right.mean() == pytest.approx(expected["accuracy"], abs=1e-6)
            for emotion in EMOTIONS:
                assert right[faces["label"] == emotion].mean() == pytest.approx(expected[emotion], abs=1e-6)
            probabilities = faces[[f"{model}_{emotion}" for emotion in EMOTIONS]]
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)


def test_tables_of_the_evaluation_follow_from_the_predictions(built: Path) -> None:
    """Recomputed with scikit-learn or by hand, and each with an interval around it."""
    found = evaluation(built, "scores").set_index(["dataset", "model", "emotion", "figure"]).sort_index()
    assert found["value"].notna().all()
    for dataset in ("fer2013", "korean"):
        faces = pd.read_csv(built / "data/predictions" / f"{dataset}.csv", keep_default_na=False)
        for model in ("before", "after"):
            here = found.loc[dataset, model]
            by_class = precision_recall_fscore_support(faces["label"], faces[model], labels=EMOTIONS, zero_division=0)
            for name, values in zip(("precision", "recall", "f1"), by_class, strict=False):
                assert [here.loc[(e, name), "value"] for e in EMOTIONS] == pytest.approx(list(values), abs=1e-6)
            order = sorted(EMOTIONS)  # scikit-learn's
            probability = faces[[f"{model}_{emotion}" for emotion in order]].to_numpy()
            loss = log_loss(faces["label"], probability / probability.sum(axis=1, keepdims=True), labels=order)
            assert here.loc[("all", "log_loss"), "value"] == pytest.approx(loss, abs=1e-4)
            confidence, hit = probability.max(axis=1), faces[model] == faces["label"]
            bins = pd.cut(confidence, np.arange(16) / 15)
            ece = (hit - confidence).groupby(bins, observed=True).sum().abs().sum() / len(faces)
            # The probabilities have six digits, so one may lie in the next bin.
            assert here.loc[("all", "ece"), "value"] == pytest.approx(ece, abs=2 / len(faces))
        change = evaluation(built, "differences").set_index(["dataset", "emotion"]).loc[(dataset, "all")]
        right = {model: faces[model] == faces["label"] for model in ("before", "after")}
        assert change["gained"] == (right["after"] & ~right["before"]).sum()
        assert change["lost"] == (right["before"] & ~right["after"]).sum()
    ends = found.drop(index=["temperature", "ece_chance"], level="figure")
    assert (ends["low"] <= ends["value"] + 1e-6).all() and (ends["value"] <= ends["high"] + 1e-6).all()
    groups = evaluation(built, "groups").set_index(["attribute", "group", "model"])
    known = groups[groups["enough"]]
    assert len(known) and known["accuracy"].notna().all()
    assert groups.loc[~groups["enough"], "accuracy"].isna().all()
    for (attribute, group, model), row in known.iterrows():
        part = faces[faces[attribute] == group]
        assert row["accuracy"] == pytest.approx((part[model] == part["label"]).mean(), abs=1e-6)
        assert row["people"] == part["person"].nunique()
    undistorted = evaluation(built, "robustness").query("distortion == 'none'")
    assert undistorted["accuracy"].tolist() == pytest.approx(
        [found.loc[(d, m, "all", "accuracy"), "value"] for d in ("fer2013", "korean") for m in ("before", "after")]
    )


def test_a_temperature_is_of_validation_faces_and_an_interval_of_people(built: Path) -> None:
    scored = evaluation(built, "scores").set_index(["dataset", "model", "emotion", "figure"])
    # `export` fits it, too, and cannot read a test row.
    for dataset, model in (("fer2013", "before"), ("korean", "after")):
        temperature = Model(built / f"data/export/{model}.onnx").card.temperature
        assert scored.loc[(dataset, model, "all", "temperature"), "value"] == pytest.approx(temperature, abs=1e-4)
    settings = YAML(typ="safe").load((built / "params.yaml").read_text(encoding="utf-8"))["evaluate"]
    for dataset, unit in (("korean", "person"), ("fer2013", "id")):
        faces = pd.read_csv(built / "data/predictions" / f"{dataset}.csv", keep_default_na=False)
        right = (faces["after"] == faces["label"]).to_numpy()
        bootstrap = Bootstrap(faces[unit].to_numpy(), settings["resamples"], settings["seed"])
        low, high = interval(bootstrap.means(right, np.ones(len(right), bool)))
        expected = scored.loc[(dataset, "after", "all", "accuracy")]
        assert (low, high) == pytest.approx((expected["low"], expected["high"]), abs=1e-6)


def test_the_table_leads_to_the_report(built: Path) -> None:
    table = run(built, "python", "-m", "tools.table")
    for emotion in EMOTIONS:
        assert re.search(rf"^  {emotion} +\d+( +[-+]?[\d.]+ \[[^]]+\]){{3}} +<?[\d.]+$", table, re.MULTILINE)
    page = built / re.findall(r"data/report/\S+", table)[0]
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    pictures = list((page.parent / "figures").iterdir())
    assert pictures
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_report_says_that_faces_are_drawn(built: Path) -> None:
    page = (built / "data/report/index.html").read_text(encoding="utf-8")
    assert "Korean faces and FER2013: every face is drawn." in page
    assert "do not publish" not in page


def test_the_report_shows_the_figures_of_evaluate(built: Path) -> None:
    """The headline figures, each with its interval, and a face for each mistake and each look."""
    page = (built / "data/report/index.html").read_text(encoding="utf-8")
    differences = pd.read_csv(built / "data/evaluation/differences.csv")
    for row in differences.itertuples():
        for share in (row.before, row.after):
            assert f"<td>{100 * share:.1f}</td>" in page
        assert f"{100 * row.low:+.1f} to {100 * row.high:+.1f}".replace("-", "−") in page
    for emotion, korean in KOREAN.items():
        assert f'{emotion} <span lang="ko">{korean}</span>' in page
    kinds = pd.concat([pd.read_csv(built / "data/examples" / f"{dataset}.csv") for dataset in ("korean", "fer2013")])
    assert page.count("labelled ") == len(kinds)
    assert page.count("contact sheet data/sheets/") == 10
    assert "every value at its default" not in page and "<code>sample.people: " in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; of this module, as a process can have one at a time and the tests of the page have their own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if (chromium := next(filter(None, map(shutil.which, names)), None)) is None:
        pytest.skip("no Chromium to open the report in; on Debian and Ubuntu: apt install chromium")
    with sync_playwright() as playwright:
        # In a container there is only root, for whom Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (768, "dark"), (1280, "light")])
def test_the_report_in_a_browser_without_a_network(built: Path, browser: Any, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page, asked, wrong = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((built / "data/report/index.html").as_uri())
    assert not wrong
    assert [scheme for scheme in asked if scheme != "data"] == ["file"]
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert Axe().run(page).response["violations"] == []
    pictures = "[...document.images].map(image => [image.complete, image.naturalWidth > 0, image.alt !== ''])"
    assert set(map(tuple, page.evaluate(pictures))) == {(True, True, True)}
    assert page.evaluate("[...document.querySelectorAll('main svg')].every(svg => svg.clientWidth > 200)")
    # A name stands for one thing, though two charts may both define it; and every link leads somewhere.
    parts = page.evaluate("[...document.querySelectorAll('[id]')].map(part => [part.id, part.outerHTML])")
    names = {name for name, _ in parts}
    assert len({(name, text) for name, text in parts}) == len(names)
    links = page.evaluate("[...document.querySelectorAll('a')].map(link => link.getAttribute('href').slice(1))")
    assert set(links) <= names
    context.close()


def test_dvc_shows_the_charts_without_a_network(repository: Path, browser: Any) -> None:
    """Of DVC's own page only the interactive charts are missing, whose scripts it loads from elsewhere."""
    run(repository, "dvc", "plots", "show")
    context = browser.new_context(offline=True)
    page, wrong = context.new_page(), []
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.goto((repository / "dvc_plots/index.html").as_uri())
    assert all("/npm/vega" in url for url in wrong)
    shown = page.evaluate("[...document.images].filter(image => image.naturalWidth > 0).map(image => image.src)")
    charts = [name.rpartition("report_figures_")[2] for name in shown if "report_figures_" in name]
    assert sorted(charts) == sorted(path.name for path in (repository / "data/report/figures").iterdir())
    context.close()
