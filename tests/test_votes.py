"""People's votes on FER2013: how the tables tie to the pictures, and what becomes of the votes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from samples import jpeg, noise
from sentences import says
from test_index import check, csv, metrics, write_array, write_rest

from stages.datasets import votes
from stages.datasets.cleaning import share_of
from stages.network.inputs import read_targets
from stages.runtime import errors
from stages.runtime.errors import UserError
from tools import votes as by_file

Run = Callable[..., str]
BLANK = dict.fromkeys(votes.VOTED, 0)
EMOTIONS = ["angry", "happy", "sad"]


def write_votes(path: str, rows: list[dict[str, Any]]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return Path(path)


def named(path: str, **counts: int) -> dict[str, Any]:
    return {"path": path, **BLANK, **counts}


def published(usage: str, **counts: int) -> dict[str, Any]:
    name = "" if counts.get("NF", 0) == 10 else "fer.png"
    return {"Usage": usage, "Image name": name, **BLANK, **counts}


FILES = pd.Series(["train/angry/a", "train/sad/a", "test/happy/b"], index=[5, 6, 7])
LINES = pd.Series(["train/angry/00002", "train/happy/00004", "test/sad/00006"])


def test_votes_go_to_the_picture_of_the_class_and_name(place: Path) -> None:
    file = write_votes("v.csv", [named("test\\happy\\B.jpg", happiness=9), named("train/sad/a.jpg", fear=2, NF=1)])
    found = votes.read_votes(file, FILES, [])
    assert found is not None
    assert list(found.index) == [5, 6, 7]
    assert found.sum(axis=1).tolist() == [0, 3, 9], "without a row, a picture has no votes"
    assert found.loc[6, "fear"] == 2


def test_rows_are_those_of_the_table_of_pixels_damaged_ones_among_them(place: Path) -> None:
    rows = [published(usage, anger=n) for n, usage in enumerate(["Training", "Training", "Training", "PublicTest"])]
    file = write_votes("v.csv", rows)
    # Line 5 is blank, and the picture in line 3 is damaged.
    found = votes.read_votes(file, LINES, ["fer2013.csv:00003", "beside.png"])
    assert found is not None
    assert found["anger"].tolist() == [0, 2, 3]
    with pytest.raises(UserError, match=r"v\.csv has 4 rows, but FER2013 3; set data\.ferplus"):
        votes.read_votes(file, LINES, [])
    file = write_votes("v.csv", [rows[0], rows[3], rows[1], rows[2]])
    with pytest.raises(UserError, match=r"v\.csv, line 5: Usage is not that of the same row"):
        votes.read_votes(file, LINES, ["fer2013.csv:00003"])


def test_a_table_by_file_name_does_not_go_with_the_table_of_pixels(place: Path) -> None:
    file = write_votes("v.csv", [named("train/sad/a.jpg"), named("train/sad/b.jpg")])
    with pytest.raises(UserError, match=r"`train/sad/a\.jpg` \(as do 1 others\) names no picture .* fer2013new\.csv"):
        votes.read_votes(file, LINES, [])


def test_a_table_without_rows_means_no_votes(place: Path) -> None:
    Path("v.csv").write_text(f"path,{','.join(votes.VOTED)}\n")
    assert votes.read_votes(Path("v.csv"), FILES, []) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["is no file", "data/no_votes.csv"]),
        ("", ["not a table"]),
        ("a;b\n1;2\n", ["no column Usage, Image name, neutral"]),
        ("path,neutral\nx,1\n", ["no column happiness, surprise"]),
        (f"path,{','.join(votes.VOTED)}\ntrain/sad/a{',1' * 9},many\n", ["line 2", "NF"]),
        (f"path,{','.join(votes.VOTED)}\ntrain/sad/a{',1' * 9},-1\n", ["line 2", "NF"]),
        (
            f"path,{','.join(votes.VOTED)}\ntrain/sad/c.jpg{',1' * 10}\n",
            ["`train/sad/c.jpg` names no picture", "<class>"],
        ),
        (f"path,{','.join(votes.VOTED)}\n" + f"train/sad/a{',1' * 10}\n" * 2, ["train/sad/a twice"]),
        (f"Usage,Image name,{','.join(votes.VOTED)}\nTraining,x{',1' * 10}\n", ["rows of fer2013.csv", "by file name"]),
    ],
)
def test_a_wrong_table_is_one_sentence(place: Path, text: str | None, words: list[str]) -> None:
    if text is not None:
        Path("v.csv").write_text(text)
    with pytest.raises(UserError) as error:
        votes.read_votes(Path("v.csv"), FILES, [])
    says(error, "v.csv", *words)


def test_a_name_may_be_that_of_an_unreadable_picture(place: Path) -> None:
    file = write_votes("v.csv", [named("train/sad/c.jpg", sadness=9)])
    assert votes.read_votes(file, FILES, ["archive.zip/train/sad/c.jpg"]) is not None


def test_targets_mix_the_label_with_the_votes_for_the_classes_in_use() -> None:
    seen = pd.DataFrame([BLANK | {"anger": 3, "surprise": 1, "sadness": 2, "fear": 4}, BLANK | {"unknown": 9, "NF": 1}])
    classes = {"angry": "angry", "happy": "happy", "sad": "sad", "surprise": "sad", "fear": None}
    counts = votes.by_class(seen, classes, EMOTIONS)
    assert counts.tolist() == [[3, 0, 3], [0, 0, 0]]
    label = np.array([1, 2])
    assert votes.targets(counts, label, 0.5).tolist() == [[0.25, 0.5, 0.25], [0, 0, 1]], "nothing left: the label alone"
    assert votes.targets(counts, label, 0).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert votes.targets(counts, label, 1)[0].tolist() == [0.5, 0, 0.5]
    more = votes.by_class(seen, classes | {"fear": "fear"}, [*EMOTIONS, "fear"])
    assert votes.targets(more, label, 1)[0].tolist() == [0.3, 0, 0.3, 0.4]


def test_the_majority_is_of_all_voters() -> None:
    counts, voters = np.array([[6, 0, 1], [5, 0, 0], [3, 3, 0], [0, 0, 2]]), pd.Series([10, 10, 6, 3])
    assert votes.majority(counts, voters, EMOTIONS).tolist() == ["angry", "", "", "sad"]


def write_faces() -> None:
    """Thirty training and six test faces of each class; a fear on train is nearly a disgust on test."""
    labels = ["angry", "disgust", "fear", "happy", "sad"]
    number = iter(range(10_000))
    for split, count in (("train", 30), ("test", 6)):
        faces = [(f"{split}/{e}/{n}", e, noise(next(number), 8, 8)) for e in labels for n in range(count)]
        if split == "train":
            faces += [("train/fear/near", "fear", noise(150 + 6 + 2, 8, 8) // 2 + 20)]
            faces += [("train/happy/near", "happy", noise(150 + 6 + 3, 8, 8) // 2 + 20)]
        write_array("fer2013", split, faces)
    write_rest("fer2013")


CLASSES = {"angry": "angry", "disgust": None, "fear": None, "happy": "happy", "sad": "sad"}
WITH_VOTES = {"data.ferplus": "v.csv", "index.fer2013.classes": CLASSES, "index.fer2013.votes": 0.5} | {
    "index.fer2013.near_duplicate": 0.93
}


@pytest.fixture
def planted(run_stage: Run, set_params: Any) -> Callable[..., None]:
    """Write faces and votes for each, and index them with some params."""

    def plant(changes: dict[str, Any]) -> None:
        write_faces()
        sizes = {"train": 30, "test": 6}
        ids = [f"{split}/{label}/{n}" for split, count in sizes.items() for label in CLASSES for n in range(count)]
        votes_on = {id_: named(f"{id_}.jpg", sadness=7, fear=2, unknown=1) for id_ in ids}
        votes_on["train/happy/9"] = named("train/happy/9.jpg", happiness=4, NF=6)
        votes_on["test/happy/1"] = named("test/happy/1.jpg", NF=10)
        votes_on["train/happy/8"] = named("train/happy/8.jpg", happiness=5, NF=5)
        write_votes("v.csv", list(votes_on.values()))
        set_params(WITH_VOTES | changes)
        assert run_stage("index", "fer2013") == ""

    return plant


def test_index_with_votes(planted: Callable[..., None]) -> None:
    planted({})
    rejected = csv("fer2013", "rejected").set_index("id")["reason"]
    assert rejected[rejected == "not a face"].index.tolist() == ["train/happy/9", "test/happy/1"]
    assert metrics("fer2013")["rejected"] == len(rejected)
    # What people saw on the first would tell of a test face that has another label, and is not used.
    assert rejected["train/happy/near"] == "near twin in test"
    merged = csv("fer2013", "merged").set_index("id")
    targets = [f"target_{emotion}" for emotion in EMOTIONS]
    assert list(merged)[-4:] == ["people", *targets]
    train = merged["split"] == "train"
    assert (merged.loc[~train, targets] == "").all(axis=None), "nobody is taught by the votes on other faces"
    one = merged[train & (merged["label"] == "angry")].iloc[0]
    assert [float(one[target]) for target in targets] == [0.5, 0, 0.5]
    assert set(merged.loc[merged["split"] == "test", "people"]) == {"sad"}
    assert "happy" not in set(merged["people"]), "half of the voters are no majority"


def test_extra_classes_are_training_faces_in_a_split_of_their_own(planted: Callable[..., None]) -> None:
    planted({"index.fer2013.extra_classes": ["fear", "disgust"]})
    merged = csv("fer2013", "merged").set_index("id")
    rejected = csv("fer2013", "rejected").set_index("id")["reason"]
    extra = merged[merged["split"] == "extra"]
    assert set(extra["label"]) == {"fear", "disgust"} == set(merged["label"]) - set(EMOTIONS)
    drawn = {id_ for id_ in extra.index if share_of(id_, 1) < 0.3}
    assert not drawn, "nobody is judged by those that would be validation"
    assert len(extra) + (rejected.loc[rejected.index.str.contains("disgust|fear")] != "").sum() == 2 * 36 + 1
    assert rejected["train/fear/near"] == "near twin in test"
    names = [f"target_{name}" for name in (*EMOTIONS, "fear", "disgust")]
    fear = extra[extra["label"] == "fear"].iloc[0]
    assert [float(fear[name]) for name in names] == pytest.approx([0, 0, 0.3889, 0.6111, 0])


def test_votes_that_are_asked_for_must_be_there(run_stage: Run, set_params: Any) -> None:
    write_faces()
    set_params({"index.fer2013.votes": 0.5, "index.fer2013.classes": CLASSES})
    says(run_stage("index", "fer2013"), "index.fer2013.votes is 0.5", "no_votes.csv has no votes", "data.ferplus")


def test_without_votes_the_index_has_no_further_columns(run_stage: Run, set_params: Any) -> None:
    write_faces()
    set_params({"index.fer2013.classes": CLASSES})
    assert run_stage("index", "fer2013") == ""
    check("fer2013")


def test_targets_of_some_of_the_classes(tmp_path: Path) -> None:
    lines = "split,label,row,target_a,target_b,target_fear"
    rows = ["train,a,0,0.5,0.1,0.4", "test,b,1,,,", "train,b,2,0.0,0.0,1.0", "extra,fear,3,0.0,0.4,0.6"]
    (tmp_path / "m.csv").write_text("\n".join([lines, *rows, ""]))
    found = read_targets(tmp_path / "m.csv", "train", ["b", "a"])
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[1 / 6, 5 / 6], [1, 0]])), "where nothing is left, the label"
    more = read_targets(tmp_path / "m.csv", "train", ["a", "b", "fear"], "extra")
    assert more == pytest.approx(np.array([[0.5, 0.1, 0.4], [0, 0, 1], [0, 0.4, 0.6]]))
    (tmp_path / "m.csv").write_text("split,label,row\ntrain,b,0\ntrain,a,1\n")
    assert read_targets(tmp_path / "m.csv", "train", ["a", "b"]).tolist() == [[0, 1], [1, 0]]


SHAPE = (48, 48)
PICTURES = {  # file: (fer2013.csv's Usage, class number, pixels)
    "train/angry/Training_9.jpg": ("Training", 0, noise(1, *SHAPE)),
    "train/angry/Training_7.jpg": ("Training", 0, noise(2, *SHAPE)),
    "train/sad/Training_8.jpg": ("Training", 4, noise(2, *SHAPE)),
    "train/sad/Training_5.jpg": ("Training", 4, noise(3, *SHAPE)),
    "train/sad/Training_6.jpg": ("Training", 4, noise(3, *SHAPE)),
    "test/sad/PrivateTest_1.jpg": ("PrivateTest", 4, noise(3, *SHAPE)),
    "test/sad/PrivateTest_2.jpg": ("PrivateTest", 4, noise(4, *SHAPE)),
    "test/sad/PrivateTest_3.jpg": ("PrivateTest", 4, noise(4, *SHAPE)),
}


def write_both_forms(counts: list[int]) -> None:
    """FER2013 as files, two more than in fer2013.csv, of which row i has `counts[i]` votes for sadness."""
    for name, (_, _, pixels) in PICTURES.items():
        Path("files", name).parent.mkdir(parents=True, exist_ok=True)
        Path("files", name).write_bytes(jpeg(pixels, quality=95))
    Path("files/test/sad/PrivateTest_4.jpg").write_bytes(jpeg(noise(5, *SHAPE), quality=95))
    Path("files/test/sad/PrivateTest_5.jpg").write_bytes(jpeg(noise(6, *SHAPE))[:600])
    rows = [
        {"emotion": number, "pixels": " ".join(map(str, pixels.ravel())), "Usage": usage}
        for usage, number, pixels in PICTURES.values()
    ]
    pd.DataFrame(rows).to_csv("fer2013.csv", index=False)
    write_votes("published.csv", [published(row["Usage"], sadness=n) for row, n in zip(rows, counts, strict=True)])


def by_name(monkeypatch: pytest.MonkeyPatch, pixels: str = "fer2013.csv") -> str:
    """Run tools.votes; returns what it stopped with."""
    monkeypatch.setattr(sys, "argv", ["votes", "files", pixels, "published.csv", "table.csv"])
    try:
        errors.run(by_file.main)
    except SystemExit as stop:
        return str(stop.code)
    return ""


def test_a_file_gets_the_votes_of_the_row_with_its_pixels(
    set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_both_forms([1, 2, 3, 4, 4, 5, 6, 7])
    assert by_name(monkeypatch) == ""
    found = pd.read_csv("table.csv").set_index("path")["sadness"].to_dict()
    # The same pixels have other votes in another class or split; of two rows that differ in votes alone none counts.
    assert found == {
        "train/angry/Training_9": 1,
        "train/angry/Training_7": 2,
        "train/sad/Training_8": 3,
        "train/sad/Training_5": 4,
        "train/sad/Training_6": 4,
        "test/sad/PrivateTest_1": 5,
    }
    assert capsys.readouterr().out.splitlines() == [
        "pictures: 10 found = 6 kept + 4 rejected",
        "  1 cut off",
        "  2 identical rows, different votes",
        "  1 no row has its pixels",
    ]
    ids = pd.Series([name.removesuffix(".jpg") for name in PICTURES])
    read = votes.read_votes(Path("table.csv"), ids, [])
    assert read is not None
    assert read["sadness"].tolist() == [1, 2, 3, 4, 4, 5, 0, 0], "index reads the table"


def test_votes_by_name_end_with_a_sentence_where_there_is_nothing_to_match(
    set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_both_forms([1] * len(PICTURES))
    table = pd.read_csv("fer2013.csv")
    table.assign(pixels=" ".join(["0"] * 48 * 48)).to_csv("others.csv", index=False)
    Path("others").mkdir()
    Path("others.csv").rename("others/fer2013.csv")
    says(by_name(monkeypatch, "others"), "others has none of the pictures in files", "name the same data set")
    assert not Path("table.csv").exists()
    Path("table.csv").write_text("mine")
    says(by_name(monkeypatch), "table.csv is there already; name a new file")
    assert Path("table.csv").read_text() == "mine"
