import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from samples import noise
from sentences import says

from stages import index
from stages.datasets.catalog import DATASETS
from stages.datasets.cleaning import share_of
from stages.datasets.labelling import check_splits
from stages.files.arrays import ArrayWriter
from stages.files.tables import read_table, write_table
from stages.runtime.errors import UserError

Run = Callable[..., str]


def csv(dataset: str, name: str) -> pd.DataFrame:
    return read_table(Path(f"data/csvs/{dataset}/{name}.csv"))


def write_array(dataset: str, split: str, faces: list[tuple[str, str, np.ndarray]]) -> None:
    """Faces of (id, label, picture)."""
    folder = Path("data/arrays") / dataset
    folder.mkdir(parents=True, exist_ok=True)
    with ArrayWriter(folder / f"{split}.npy", 8) as array:
        rows = [(array.append(picture), id_, f"{id_}.jpg", label) for id_, label, picture in faces]
    write_table(pd.DataFrame(rows, columns=["row", "id", "path", "label"]), folder / f"{split}.csv")


def write_rest(dataset: str, excluded: str = "", rejected: tuple[tuple[str, str, str], ...] = ()) -> None:
    table = pd.DataFrame(rejected, columns=["path", "label", "reason"])
    write_table(table, Path("data/arrays") / dataset / "rejected.csv")
    Path("data/exclude").mkdir(exist_ok=True)
    Path(f"data/exclude/{dataset}.txt").write_text(excluded, encoding="utf-8")


def metrics(dataset: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(Path(f"metrics/index/{dataset}.json").read_text(encoding="utf-8"))[dataset]
    assert found["found"] == found["kept"] + found["rejected"]
    return found


def check(dataset: str) -> dict[str, int]:
    """Counts add up, and the tables say the same; returns how often each reason for rejection occurs."""
    merged = csv(dataset, "merged")
    assert metrics(dataset)["kept"] == len(merged)
    assert set(merged["split"]) == set(index.SPLITS)
    parts = pd.concat([csv(dataset, emotion) for emotion in ("angry", "happy", "sad")])
    assert sorted(parts["id"]) == sorted(merged["id"])
    assert list(merged) == ["array", "row", "id", "path", "label", "person", "split"]
    for emotion in ("angry", "happy", "sad"):
        assert set(csv(dataset, emotion)["label"]) == {emotion}
    reasons: dict[str, int] = csv(dataset, "rejected")["reason"].value_counts().to_dict()
    return reasons


def write_fer(excluded: str = "", rejected: tuple[tuple[str, str, str], ...] = ()) -> None:
    number = iter(range(10_000))
    for split, count in (("train", 30), ("test", 6)):
        labels = ["angry", "disgust", "happy", "sad", "surprise"]
        faces = [(f"{split}/{e}/{n}", e, noise(next(number), 8, 8)) for e in labels for n in range(count)]
        if split == "train":
            test_happy = noise(30 * 5 + 2 * 6 + 3, 8, 8)  # test/happy/3
            faces += [("train/happy/twin", "happy", test_happy), ("train/sad/blank", "sad", np.zeros((8, 8), np.uint8))]
            faces += [
                ("train/sad/0conflict", "sad", noise(0, 8, 8)),
                ("train/sad/twin", "sad", noise(95, 8, 8)),
                ("train/happy/near", "happy", test_happy // 2 + 20),
            ]  # as 5
        write_array("fer2013", split, faces)
    write_rest("fer2013", excluded, rejected)


def test_fer2013(run_stage: Run, set_params: Any) -> None:
    write_fer(
        "train\\Happy\\7.jpg  # a drawing\ntest/sad/2\ntrain/sad/x.jpg\n",
        (("train/sad/x.jpg", "sad", "not a picture"),),
    )
    assert run_stage("index", "fer2013") == ""
    assert check("fer2013")["emotion not used"] == 36
    assert metrics("fer2013")["found"] == len(csv("fer2013", "merged")) + len(csv("fer2013", "rejected"))
    rejected = csv("fer2013", "rejected").set_index("path")["reason"].to_dict()
    reasons = {path: reason for path, reason in rejected.items() if reason != "emotion not used"}
    (gone,) = reasons.keys() & {"train/sad/twin.jpg", "train/sad/5.jpg"}  # whose splits are drawn
    assert reasons.pop(gone) in ("twin in validation", "twin in the same split")
    assert reasons == {
        "train/happy/7.jpg": "removed by hand",
        "test/sad/2.jpg": "removed by hand",
        "train/happy/twin.jpg": "twin in test",
        "train/sad/blank.jpg": "constant picture",
        "train/sad/0conflict.jpg": "twin with another label",
        "train/angry/0.jpg": "twin with another label",
        "train/sad/x.jpg": "not a picture",
    }
    merged = csv("fer2013", "merged")
    assert (merged.loc[merged["array"] == "test", "split"] == "test").all()
    assert set(merged.loc[merged["array"] == "train", "split"]) == {"train", "validation"}
    assert (merged.loc[merged["id"].str.contains("surprise"), "label"] == "sad").all()
    row = csv("fer2013", "rejected").set_index("path").loc["train/sad/x.jpg"]
    assert (row["row"], row["array"]) == ("", "")

    set_params({"index.fer2013.seed": 2})
    assert run_stage("index", "fer2013") == ""
    moved = csv("fer2013", "merged").set_index("id")["split"]
    before = merged.set_index("id")["split"]
    both = moved.index.intersection(before.index)
    assert (moved[both] != before[both]).any()


def test_fer2013_duplicates_may_stay(run_stage: Run, set_params: Any) -> None:
    write_fer()
    set_params({"index.fer2013.duplicates": "keep"})
    assert run_stage("index", "fer2013") == ""
    assert check("fer2013") == {"emotion not used": 36, "constant picture": 1}


def test_fer2013_near_duplicates(run_stage: Run, set_params: Any) -> None:
    write_fer()
    set_params({"index.fer2013.near_duplicate": 0.93})
    assert run_stage("index", "fer2013") == ""
    reasons = check("fer2013")
    assert (reasons["twin in test"], reasons["near twin in test"]) == (1, 1)
    rejected = csv("fer2013", "rejected").set_index("id")["reason"]
    assert rejected["train/happy/near"] == "near twin in test"


def test_duplicates_are_no_damage(run_stage: Run, set_params: Any) -> None:
    write_fer()
    set_params({"index.fer2013.near_duplicate": 0.93, "limits.max_rejected": 0})
    message = run_stage("index", "fer2013")
    says(message, "fer2013: 1 of ", "'constant picture'", "limits.max_rejected")
    reasons = csv("fer2013", "rejected")["reason"]
    assert {reason for reason in reasons if "twin" in reason} == {
        "near twin in test",
        "twin in test",
        "twin in the same split",
        "twin with another label",
    }


def test_validation_share(run_stage: Run, set_params: Any) -> None:
    write_fer()
    shares = []
    for share in (0.1, 0.6):
        set_params({"index.fer2013.validation": share})
        assert run_stage("index", "fer2013") == ""
        merged = csv("fer2013", "merged")
        shares.append((merged.loc[merged["array"] == "train", "split"] == "validation").mean())
    assert shares == pytest.approx([0.1, 0.6], abs=0.09)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"angry": "angry"}, ["index.fer2013.classes", "disgust, happy, sad, surprise"]),
        ({"angry": "angyr"}, ["index.fer2013.classes", "angyr", "emotions"]),
        ({"angry": 3}, ["index.fer2013.classes.angry", "3", "text"]),
    ],
)
def test_class_table(run_stage: Run, set_params: Any, classes: dict[str, Any], words: list[str]) -> None:
    write_fer()
    set_params({"index.fer2013.classes": classes})
    says(run_stage("index", "fer2013"), "params.yaml", *words)


def test_split_left_empty(run_stage: Run, set_params: Any) -> None:
    write_fer("\n".join(f"test/happy/{n}" for n in range(6)))
    says(run_stage("index", "fer2013"), "fer2013", "happy", "test", "data/csvs/fer2013/rejected.csv")
    assert (csv("fer2013", "rejected")["reason"] == "removed by hand").sum() == 6  # which it tells one to read


def test_missing_inputs(run_stage: Run) -> None:
    assert "train.csv is missing; run `dvc repro`" in run_stage("index", "fer2013")
    write_fer()
    Path("data/exclude/fer2013.txt").unlink()
    assert "fer2013.txt is missing; an empty file means" in run_stage("index", "fer2013")


PEOPLE = 40
EMOTIONS = ["angry", "happy", "sad"]


def write_korean(
    labels: Callable[[int, str], tuple[str, ...]] = lambda n, e: (e,) * 4,
    excluded: str = "",
    unknown_split: Collection[int] = (),
) -> None:
    """Two photos of each person and emotion; ten people are in both official sets, ten in Validation only.

    `labels` gives uploader's and annotators' labels for a photo's number and its file name's emotion.
    """
    manifests: dict[str, list[tuple[str, ...]]] = {}
    faces: dict[str, list[tuple[str, str, np.ndarray]]] = {"training": [], "validation": []}
    number = 0
    for person in range(PEOPLE):
        for emotion in EMOTIONS:
            for shot in range(2):
                number += 1
                split = "validation" if 10 <= person < 20 or (person < 10 and shot) else "training"
                id_ = f"{number * 7919 % 1000:04}"
                faces[split].append((id_, emotion, noise(number, 8, 8)))
                official = "" if number in unknown_split else split
                row = (id_, "TRAIN.zip", f"{id_}.jpg", official, f"person{person}", *labels(number, emotion))
                manifests.setdefault(f"{split}_{emotion}", []).append(row)
    columns = ["id", "archive", "path", "official", "person", "uploader", "label_A", "label_B", "label_C"]
    for name, rows in manifests.items():
        write_table(pd.DataFrame(rows, columns=columns), Path(f"data/manifest/{name}.csv"))
    rows = [("TRAIN.zip", "IMG_1.jpg", "not a file name of AI-Hub 82")]
    write_table(pd.DataFrame(rows, columns=["archive", "path", "reason"]), Path("data/manifest/rejected.csv"))
    for split, items in faces.items():
        write_array("korean", split, sorted(items, key=lambda face: face[0]))
    write_rest("korean", excluded)


def test_korean_people_are_in_one_split_only(run_stage: Run, set_params: Any) -> None:
    write_korean(excluded=f"{7919 % 1000:04}.jpg\n")
    assert run_stage("index", "korean") == ""
    assert check("korean") == {"removed by hand": 1}
    merged = csv("korean", "merged")
    assert merged.groupby("person")["split"].nunique().max() == 1
    counts = merged.groupby("split")["person"].nunique().to_dict()
    assert sum(counts.values()) == PEOPLE
    assert counts["test"] == pytest.approx(12, abs=6)
    assert counts["validation"] == pytest.approx(12, abs=6)
    assert set(merged.loc[merged["split"] == "test", "array"]) == {
        "training",
        "validation",
    }  # both official sets, pooled
    # Row and id still belong together.
    table = read_table(Path("data/arrays/korean/training.csv")).set_index("id")["row"]
    training = merged[merged["array"] == "training"].set_index("id")["row"]
    assert (table[training.index] == training).all()


def test_a_raw_photo_counts_once_whichever_stage_rejected_it(
    run_stage: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    write_korean(excluded=f"{7919 % 1000:04}.jpg\n")
    path = Path("data/manifest/training_happy.csv")
    photos = read_table(path)
    more = photos.iloc[:2].assign(id=["no_face", "not_square"], path=["no_face.jpg", "not_square.jpg"])
    write_table(pd.concat([photos, more]), path)
    unreadable = pd.DataFrame(
        [("TRAIN.zip/not_square.jpg", "happy", "not square")], columns=["path", "label", "reason"]
    )
    write_table(unreadable, Path("data/arrays/korean/rejected.csv"))
    assert run_stage("index", "korean") == ""
    raw = PEOPLE * len(EMOTIONS) * 2 + 3
    assert metrics("korean") == {"found": raw, "kept": raw - 4, "rejected": 4}
    assert capsys.readouterr().out.endswith(
        f"korean from the raw pictures on: {raw} found = {raw - 4} kept + 4 rejected\n"
        "  1 by crop\n  1 by index\n  1 by rename\n  1 by resize\n"
    )


def test_a_picture_that_no_manifest_knows_is_a_fault(run_stage: Run) -> None:
    write_korean()
    unreadable = pd.DataFrame([("other.zip/1.jpg", "happy", "not square")], columns=["path", "label", "reason"])
    write_table(unreadable, Path("data/arrays/korean/rejected.csv"))
    with pytest.raises(RuntimeError, match="korean from the raw pictures on: 241 found, but 240 kept and 2 rejected"):
        run_stage("index", "korean")


def test_korean_official_split(run_stage: Run, set_params: Any) -> None:
    write_korean()
    set_params({"index.korean.split": "official"})
    assert run_stage("index", "korean") == ""
    merged = csv("korean", "merged")
    assert (merged["split"] == "test").tolist() == (merged["array"] == "validation").tolist()
    training = merged[merged["array"] == "training"]
    assert training.groupby("person")["split"].nunique().max() == 1
    assert set(training["split"]) == {"train", "validation"}
    assert training.groupby("person")["split"].first().eq("validation").mean() == pytest.approx(0.3, abs=0.2)


def test_official_split_that_is_not_known(run_stage: Run, set_params: Any) -> None:
    write_korean(unknown_split=(1, 2, 3))
    assert run_stage("index", "korean") == ""
    assert check("korean") == {}
    set_params({"index.korean.split": "official"})
    assert run_stage("index", "korean") == ""
    assert check("korean") == {"official split not known": 3}


def test_labels_that_are_no_emotion_count_as_damage(run_stage: Run, set_params: Any) -> None:
    write_korean(lambda n, e: (("기븜" if n < 8 else "불안" if n < 12 else e), "", "", ""))
    set_params({"limits.max_rejected": 0.01})
    message = run_stage("index", "korean")
    assert message.startswith(
        "error: korean: 7 of 236 rejected, 7 of them for the reason 'not an emotion of AI-Hub 82'; "
    )


def test_a_class_cannot_vanish(run_stage: Run, set_params: Any) -> None:
    write_fer(rejected=tuple((f"train/happy/lost{n}.jpg", "happy", "cut off") for n in range(40)))
    set_params({"limits.max_rejected": 0.4})
    message = run_stage("index", "fer2013")
    assert message.startswith("error: fer2013 happy: 40 of ")
    assert " rejected, 40 of them for the reason 'cut off'; " in message


@pytest.mark.parametrize(("split", "change"), [("train", "lower"), ("validation", "raise"), ("test", "raise")])
def test_a_split_without_an_emotion(split: str, change: str) -> None:
    rows = [(name, "happy") for name in ("train", "validation", "test") if name != split]
    with pytest.raises(UserError) as error:
        check_splits(pd.DataFrame(rows, columns=["split", "label"]), ["happy"], "korean", 1)
    says(error, "happy", f"in {split};", "data/csvs/korean/rejected.csv", f"{change} the shares under index.korean")


def test_a_damaged_table_is_named_itself(run_stage: Run) -> None:
    write_fer()
    Path("data/arrays/fer2013/rejected.csv").write_bytes(b"")
    says(run_stage("index", "fer2013"), "error: data/arrays/fer2013/rejected.csv")


def test_without_the_manifest(place: Path) -> None:
    with pytest.raises(UserError) as error:
        DATASETS["korean"].photos("id")
    says(error, "data/manifest", "dvc repro rename")


def test_an_exclusion_that_names_nothing(run_stage: Run) -> None:
    write_fer("train/happy/none1\n")
    message = run_stage("index", "fer2013")
    assert message.startswith("error: data")
    assert "fer2013.txt: `train/happy/none1` names no picture; is train/happy/1" in message


def test_validation_folder(run_stage: Run) -> None:
    labels = ["angry", "happy", "sad"]
    faces = [
        (f"{s}/{e}/{n}", e, noise(97 * n + 7 * i + j, 8, 8))
        for i, s in enumerate(("train", "validation", "test"))
        for j, e in enumerate(labels)
        for n in range(6)
    ]
    for array in ("train", "test"):
        write_array("fer2013", array, [face for face in faces if (face[0][:4] == "test") == (array == "test")])
    write_rest("fer2013")
    assert run_stage("index", "fer2013") == ""
    merged = csv("fer2013", "merged")
    assert (merged["id"].str.partition("/")[0] == merged["split"]).all()
    assert set(merged["split"]) == {"train", "validation", "test"}
    assert (merged["array"] == "train").sum() == 36


def test_korean_labels(run_stage: Run, set_params: Any) -> None:
    def labels(number: int, emotion: str) -> tuple[str, ...]:
        other = EMOTIONS[(EMOTIONS.index(emotion) + 1) % 3]
        return {
            1: (emotion, other, other, emotion),  # a majority against the uploader
            2: (emotion, emotion, other, "불안"),  # none
            3: (emotion, "알수없음", "알수없음", emotion),
            4: (emotion, "", "", ""),  # no label record
            5: (emotion, "", "", emotion),
            6: ("상처", emotion, emotion, emotion),
        }.get(number, (emotion,) * 4)

    ids = {n: f"{n * 7919 % 1000:04}" for n in range(1, 7)}
    write_korean(labels)
    assert run_stage("index", "korean") == ""
    check("korean")
    rejected = csv("korean", "rejected").set_index("id")
    assert rejected["reason"].to_dict() == {ids[6]: "emotion not used"}
    assert csv("korean", "merged").set_index("id").loc[ids[1], "label"] == "angry"
    set_params({"index.korean.label": "majority"})
    assert run_stage("index", "korean") == ""
    check("korean")
    rejected = csv("korean", "rejected").set_index("id")
    assert rejected["reason"].to_dict() == {
        ids[2]: "no majority of annotators",
        ids[3]: "emotion not used",
        ids[4]: "no majority of annotators",
        ids[5]: "no majority of annotators",
    }
    assert rejected.loc[ids[3], "label"] == "알수없음"
    merged = csv("korean", "merged").set_index("id")
    assert merged.loc[ids[1], "label"] == "happy"
    assert merged.loc[ids[6], "label"] == "sad"


def test_majority_of_annotators_who_saw_nothing(run_stage: Run, set_params: Any) -> None:
    write_korean(lambda number, emotion: (emotion, *("" if emotion == "sad" else emotion,) * 3))
    assert run_stage("index", "korean") == ""
    set_params({"index.korean.label": "majority"})
    assert run_stage("index", "korean").startswith(
        "error: data.korean has no label records for sad, and index.korean.label is majority: fetch its label archives "
    )


def test_korean_without_any_face(run_stage: Run) -> None:
    write_korean()
    for split in ("training", "validation"):
        write_array("korean", split, [])
    says(run_stage("index", "korean"), "korean", "angry", "train")


@pytest.mark.parametrize("key", ["label", "split", "validation", "test", "seed", "people"])
def test_korean_settings_are_checked(run_stage: Run, set_params: Any, key: str) -> None:
    write_korean()
    set_params({f"index.korean.{key}": "wrong"})
    says(run_stage("index", "korean"), "params.yaml", f"index.korean.{key}", "wrong")


def test_same_bytes_again(run_stage: Run) -> None:
    write_korean()
    results = []
    for _ in range(2):
        assert run_stage("index", "korean") == ""
        results.append({str(p): p.read_bytes() for p in Path("data/csvs").rglob("*.csv")})
    assert results[0] == results[1]


def test_a_share_of_the_training_people(run_stage: Run, set_params: Any) -> None:
    write_korean()
    used: list[set[str]] = []
    others: list[pd.DataFrame] = []
    for people in (0, 0.1, 0.3, 1):
        set_params({"index.korean.people": people})
        assert run_stage("index", "korean") == ""
        check("korean")
        merged = csv("korean", "merged")
        used.append(set(merged.loc[merged["split"] == "train", "person"]))
        others.append(merged[merged["split"] != "train"].reset_index(drop=True))
        rejected = csv("korean", "rejected")
        assert set(rejected["reason"]) == ({"person not used"} if people < 1 else set())
        assert set(rejected["split"]) <= {"train"}
        assert not set(rejected["person"]) & used[-1], "people are used whole or not at all"
    everybody = len(used[-1])
    assert [len(people) for people in used] == [1, round(0.1 * everybody), round(0.3 * everybody), everybody]
    assert used[0] < used[1] < used[2] < used[3]
    assert all(other.equals(others[0]) for other in others), "the other splits must stay as they are"
    shares = [share_of(person, 1) for person in used[2]]
    assert np.mean(shares) == pytest.approx(0.8, abs=0.12), "not those next to the border of the validation split"


def test_few_people_need_not_show_each_emotion(run_stage: Run, set_params: Any) -> None:
    """The first person used shows only one emotion; the splits that are scored must still show all."""
    write_korean(lambda number, emotion: ("happy" if (number - 1) // 6 % 4 else emotion,) * 4)
    set_params({"index.korean.people": 0})
    stopped = run_stage("index", "korean")
    merged = csv("korean", "merged")
    assert stopped == ""
    assert merged.loc[merged["split"] == "train", "person"].nunique() == 1
    assert merged.loc[merged["split"] == "train", "label"].unique().tolist() == ["happy"]
    for split in ("validation", "test"):
        assert set(merged.loc[merged["split"] == split, "label"]) == set(EMOTIONS)


def test_people_not_used_are_no_damage(run_stage: Run, set_params: Any) -> None:
    write_korean()
    set_params({"index.korean.people": 0.1, "limits.max_rejected": 0.01})
    assert run_stage("index", "korean") == ""
