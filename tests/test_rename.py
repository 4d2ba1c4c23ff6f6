import json
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
from samples import label_record, noise, photo_name, snapshot, write_cp949_zip, write_labels, write_raw_zip
from sentences import says

from stages.datasets.aihub import parse_name
from stages.files.tables import read_table

Run = Callable[..., str]
BOX = (615.90533, 255.0, 1044.5197, 869.6799)


def manifest(name: str) -> pd.DataFrame:
    return read_table(Path(f"data/manifest/{name}.csv"))


def account() -> dict[str, Any]:
    """Found, kept, and how often each reason for rejection occurs, counted from the tables."""
    tables = {path.stem: read_table(path) for path in Path("data/manifest").glob("*.csv")}
    kept = sum(len(table) for name, table in tables.items() if "_" in name)
    reasons = tables["rejected"]["reason"].value_counts().to_dict()
    return {"found": kept + sum(reasons.values()), "kept": kept, "rejected": reasons}


def photo_id(name: str) -> str:
    return parse_name(name).id  # type: ignore[union-attr]


def test_the_download_in_all_its_ways(place: Path, run_stage: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = {n: photo_name(n, "기쁨", suffix="jpeg" if n == 3 else "jpg") for n in range(8)}
    root = place / "korean/01.데이터"
    # In an archive and in a folder, brackets dropped; an `_add` folder; NFD; mojibake.
    write_cp949_zip(
        root / "1.Training/원천데이터/[원천]EMOIMG_기쁨_TRAIN_01.zip", {names[0]: b"0", f"in/{names[1]}": b"1"}
    )
    write_raw_zip(root / "1.Training/원천데이터_0114_add/EMOIMG_기쁨_TRAIN_02.zip", [(names[2].encode(), b"2")])
    loose = root / "2.Validation/원천데이터/EMOIMG_기쁨_VALID"
    loose.mkdir(parents=True)
    nfd = unicodedata.normalize("NFD", names[3])
    mojibake = names[4].encode("cp949").decode("cp437")
    (loose / nfd).write_bytes(b"3")
    (loose / mojibake).write_bytes(b"4")
    # A record without a photo, a photo without a record, an unused emotion, an unnamed record, a repeated one.
    records = [label_record(names[n], ["기쁨", "슬픔", "알수없음"], BOX) for n in (0, 1, 2, 7)]
    records += [label_record(photo_name(9, "불안")), {"filename": "x.jpg"}, dict(records[0])]
    labels = root / "1.Training/라벨링데이터/[라벨]EMOIMG_기쁨_TRAIN.zip"
    write_cp949_zip(labels, {"img_emotion_training_data(기쁨).json": json.dumps(records).encode("utf-8-sig")})
    add = root / "2.Validation/라벨링데이터_231004_add/img_emotion_validation_data(기쁨).json"
    write_labels(add, [label_record(names[3].replace("jpeg", "jpg"))])
    before = snapshot(place / "korean")

    assert run_stage("rename") == ""

    training, validation = manifest("training_happy"), manifest("validation_happy")
    assert set(training["id"]) == {photo_id(names[n]) for n in (0, 1, 2)}
    assert set(validation["id"]) == {photo_id(names[n]) for n in (3, 4)}
    assert training["id"].is_monotonic_increasing
    row = training.set_index("id").loc[photo_id(names[1])]
    assert row["archive"] == "01.데이터/1.Training/원천데이터/[원천]EMOIMG_기쁨_TRAIN_01.zip"
    assert (row["number"], row["path"], row["size"]) == ("1", f"in/{names[1]}", "1")
    assert row["crc"] == f"{zipfile.crc32(b'1'):08x}"
    assert (row["person"], row["session"]) == (names[1].split("_")[0], "20201207001407-002")
    assert (row["gender"], row["age"], row["labelled"], row["professional"]) == ("female", "20", "True", "True")
    assert row[["uploader", "label_A", "label_B", "label_C"]].tolist() == ["happy", "happy", "sad", "알수없음"]
    assert [float(row[f"{side}_C"]) for side in ("minX", "minY", "maxX", "maxY")] == list(BOX)
    assert set(training["official"]) == {"training"}
    row = validation.set_index("id").loc[photo_id(names[3])]
    assert (row["archive"], row["number"], row["labelled"], row["minX_A"]) == ("", "-1", "True", "")
    assert (place / "korean" / row["path"]).read_bytes() == b"3"
    assert row["crc"] == f"{zipfile.crc32(b'3'):08x}"
    row = validation.set_index("id").loc[photo_id(names[4])]
    assert row[["uploader", "label_A", "labelled", "background"]].tolist() == [
        "happy",
        "",
        "False",
        names[4].split("_")[4],
    ]

    assert manifest("labels").set_index("outcome")["records"].to_dict() == {
        "found": "8",
        "unnamed": "1",
        "emotion_not_used": "1",
        "repeated": "1",
        "not_understood": "0",
        "without_photo": "1",
        "photos_without_record": "1",
    }
    assert "photos: 5 found = 5 kept + 0 rejected" in capsys.readouterr().out
    for name in ("training_angry", "training_sad", "validation_sad", "rejected"):
        assert len(manifest(name)) == 0
    assert snapshot(place / "korean") == before


def lock(path: Path) -> None:
    """Mark an archive's only entry as encrypted."""
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


def test_reasons_for_rejection(place: Path, run_stage: Run, capsys: pytest.CaptureFixture[str]) -> None:
    good, again, unused = photo_name(0), photo_name(0, suffix="jpeg"), photo_name(1, "상처")
    root = place / "korean"
    write_cp949_zip(root / "TRAIN.zip", {good: b"x", unused: b"x", "IMG_1.JPG": b"x", "notes.txt": b"x"})
    write_cp949_zip(root / "VALID.zip", {again: b"y"})
    lock(write_cp949_zip(root / "locked.zip", {photo_name(3): b"x"}))
    lock(write_cp949_zip(root / "notes.zip", {"notes.txt": b"x"}))
    for name in (photo_name(4), "photo.heic", photo_name(5).replace(".jpg", ".HEIC")):
        (root / name).write_bytes(b"x")

    assert run_stage("rename") == ""

    rejected = {row.path: (row.archive, row.reason, row.detail) for row in manifest("rejected").itertuples()}
    assert rejected == {
        unused: ("TRAIN.zip", "emotion not used", "상처"),
        "IMG_1.JPG": ("TRAIN.zip", "not a file name of AI-Hub 82", ""),
        again: ("VALID.zip", "photo found twice", f"TRAIN.zip/{good}"),
        photo_name(3): ("locked.zip", "file cannot be read", "encrypted in its archive"),
        "photo.heic": ("", "not a file name of AI-Hub 82", ""),
        photo_name(5).replace(".jpg", ".HEIC"): ("", "format not read", ".HEIC"),
    }
    assert "photos: 8 found = 2 kept + 6 rejected" in capsys.readouterr().out


def test_split_is_the_label_files_else_the_paths(place: Path, run_stage: Run) -> None:
    names = [photo_name(n) for n in range(3)]
    folder = place / "korean/Training/기쁨"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    write_labels(place / "korean/Training/img_emotion_validation_data(기쁨).json", [label_record(names[0])])
    write_labels(place / "korean/labels.json", [label_record(names[1])])
    assert run_stage("rename") == ""
    assert manifest("validation_happy")["id"].tolist() == [photo_id(names[0])]
    assert set(manifest("training_happy")["id"]) == {photo_id(names[1]), photo_id(names[2])}


@pytest.mark.parametrize("root", ["[원천]EMOIMG_기쁨_VALID.zip", "2.Validation"])
def test_root_names_the_split(place: Path, set_params: Callable[..., None], run_stage: Run, root: str) -> None:
    archive = root if root.endswith(".zip") else f"{root}/기쁨.zip"
    write_cp949_zip(place / archive, {photo_name(): b"x"})
    set_params({"data.korean": root})
    assert run_stage("rename") == ""
    assert manifest("validation_happy")["id"].tolist() == [photo_id(photo_name())]


def test_label_that_is_left_out_is_the_file_names(place: Path, run_stage: Run) -> None:
    (place / "korean").mkdir()
    for n in range(2):
        (place / "korean" / photo_name(n)).write_bytes(b"x")
    records = [label_record(photo_name(0), faceExp_uploader=None), label_record(photo_name(1), faceExp_uploader="슬픔")]
    write_labels(place / "korean/img_emotion_training_data(기쁨).json", records)
    assert run_stage("rename") == ""
    assert sorted(manifest("training_happy")["uploader"]) == ["happy", "sad"]


def test_missing_empty_and_useless_roots(place: Path, run_stage: Run) -> None:
    says(run_stage("rename"), "korean does not exist", "data.korean", "params.yaml")
    (place / "korean").mkdir()
    says(run_stage("rename"), str(place / "korean"), "found none", "https://aihub.or.kr")
    (place / "korean/IMG_1.jpg").write_bytes(b"x")
    assert "found 1 x emotion not known." in run_stage("rename")
    (place / "korean/IMG_1.jpg").unlink()
    write_labels(place / "korean/labels.json", [label_record(photo_name())])
    assert "there are label records (1), but none of their photos: fetch the photo archives ([원천]...)" in run_stage(
        "rename"
    )
    assert not Path("data/manifest").exists()


def test_archives_that_cannot_be_opened_stop_it(place: Path, run_stage: Run) -> None:
    write_cp949_zip(place / "korean/TRAIN.zip", {photo_name(0): b"x"})
    for name in ("[라벨]TRAIN.zip", "more.zip"):
        path = write_cp949_zip(place / "korean" / name, {"a.json": b"[]"})
        path.write_bytes(path.read_bytes()[:-10])
    problem = "cannot be opened: not a complete zip archive, fetch it again"
    says(run_stage("rename"), "[라벨]TRAIN.zip", f"more.zip {problem}", "move it out of korean")
    assert not Path("data/manifest").exists()


def test_label_file_that_its_archive_damaged(place: Path, run_stage: Run) -> None:
    path = write_cp949_zip(place / "korean/a.zip", {"a.json": b"[ ]"})
    path.write_bytes(path.read_bytes().replace(b"[ ]", b"[1]"))
    says(run_stage("rename"), "a.zip/a.json", "damaged", "fetch the archive again")


def test_label_file_that_is_encrypted(place: Path, run_stage: Run) -> None:
    lock(write_cp949_zip(place / "korean/a.zip", {"a.JSON": b"[]"}))
    says(run_stage("rename"), "a.zip/a.JSON", "encrypted", "fetch the archive again")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps any bytes as a name")
def test_names_that_are_no_unicode_reach_the_manifest(place: Path, run_stage: Run) -> None:
    folder = place / "korean/Training"
    folder.mkdir(parents=True)
    raw = photo_name().encode("cp949")
    with open(bytes(folder) + b"/" + raw, "wb") as file:
        file.write(b"x")
    assert run_stage("rename") == ""
    (row,) = manifest("training_happy").to_dict("records")
    assert row["id"] == photo_id(photo_name())
    assert (place / "korean" / row["path"]).read_bytes() == b"x"


def test_same_bytes_again_and_the_same_id_however_it_is_packed(place: Path, run_stage: Run) -> None:
    names = [photo_name(n) for n in range(5)]
    write_cp949_zip(place / "korean/TRAIN.zip", dict.fromkeys(names, b"x"))
    assert run_stage("rename") == ""
    first = {path.name: path.read_bytes() for path in Path("data/manifest").iterdir()}
    assert run_stage("rename") == ""
    assert {path.name: path.read_bytes() for path in Path("data/manifest").iterdir()} == first
    columns = ["id", "size", "crc", "person", "session"]
    packed = manifest("training_happy")[columns].sort_values("id", ignore_index=True)
    (place / "korean/TRAIN.zip").unlink()
    (place / "korean/Training").mkdir()
    for name in reversed(names):
        (place / "korean/Training" / unicodedata.normalize("NFD", name)).write_bytes(b"x")
    assert run_stage("rename") == ""
    assert manifest("training_happy")[columns].sort_values("id", ignore_index=True).equals(packed)


def write_emotions(root: Path, *without: str) -> list[dict[str, Any]]:
    """Ten photos and label records of each emotion and split; the records are returned by split and emotion."""
    records = []
    for start, split in ((0, "training"), (100, "validation")):
        for place, emotion in enumerate(("분노", "기쁨", "슬픔")):
            names = [photo_name(1000 * place + start + n, emotion) for n in range(10)]
            short = {"training": "TRAIN_01", "validation": "VALID"}[split]
            if f"{split} {emotion}" not in without:
                write_cp949_zip(root / f"[원천]EMOIMG_{emotion}_{short}.zip", {name: name.encode() for name in names})
            own = [label_record(name, emotion) for name in names]
            write_labels(root / f"img_emotion_{split}_data({emotion}).json", own)
            records += own
    return records


def test_every_file_on_the_disk_is_accounted_for(place: Path, run_stage: Run) -> None:
    root = place / "korean"
    write_emotions(root)
    folder = root / "Training/기쁨/one person"
    folder.mkdir(parents=True)
    picture = cv2.imencode(".png", noise(1, 8, 8))[1].tobytes()
    names = [
        photo_name(200 + n, suffix=suffix) for n, suffix in enumerate(["png", "webp", "jfif", "JPG", "heic", "bmp"])
    ]
    for name in [*names, "a (1).jpg", "x.heif", "no ending", "data.bin"]:
        (folder / name).write_bytes(picture)
    for name in ("readme.txt", "film.mp4", "data.npy"):
        (folder / name).write_bytes(b"x")
    assert run_stage("rename") == ""
    # What lies on the disk, counted by itself.
    loose = [path for path in root.rglob("*") if path.is_file()]
    on_disk = sum(path.suffix not in (".txt", ".mp4", ".npy", ".json", ".zip") for path in loose)
    for path in loose:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                on_disk += len(archive.namelist())
    assert account() == {
        "found": on_disk,
        "kept": 65,
        "rejected": {"format not read": 1, "not a file name of AI-Hub 82": 4},
    }
    assert on_disk == 70


def test_a_name_past_repair_is_found_by_its_record(place: Path, run_stage: Run) -> None:
    root = place / "korean"
    root.mkdir()
    names = [photo_name(n, "슬픔", gender="남") for n in range(3)]
    write_labels(root / "img_emotion_training_data(슬픔).json", [label_record(name) for name in names[:2]])
    (root / names[0].encode("ascii", "replace").decode()).write_bytes(b"0")
    (root / names[1].replace(".jpg", " (1).jpg")).write_bytes(b"1")
    (root / names[2].encode("ascii", "replace").decode()).write_bytes(b"2")
    assert run_stage("rename") == ""
    table = manifest("training_sad").set_index("id")
    assert set(table.index) == {photo_id(name) for name in names[:2]}
    row = table.loc[photo_id(names[0])]
    assert row[["gender", "age", "background", "session", "labelled"]].tolist() == [
        *("male", "20", names[0].split("_")[4], "20201207001407-002", "True")
    ]
    assert account()["rejected"] == {"not a file name of AI-Hub 82": 1}


@pytest.mark.parametrize("order", [("a.json", "b.json"), ("b.json", "a.json")])
def test_records_that_differ(
    place: Path, run_stage: Run, set_params: Callable[..., None], order: tuple[str, str]
) -> None:
    root = place / "korean/Training"
    root.mkdir(parents=True)
    names = [photo_name(n) for n in range(3)]
    for name in names:
        (root / name).write_bytes(b"x")
    write_labels(root / order[0], [label_record(name) for name in names])
    write_labels(root / order[1], [label_record(names[0]), label_record(names[1], "슬픔")])
    key = parse_name(names[1]).key  # type: ignore[union-attr]
    assert run_stage("rename").startswith(
        f"error: Photos with two label records that differ: 1, such as {key}, whose second is in Training/b.json. "
    )
    set_params({"rename.differing_records": "reject"})
    assert run_stage("rename") == ""
    assert account() == {"found": 3, "kept": 2, "rejected": {"label records differ": 1}}
    assert set(manifest("training_happy")["id"]) == {photo_id(names[0]), photo_id(names[2])}


def test_label_files_that_disagree_on_the_split_leave_it_to_the_photo(place: Path, run_stage: Run) -> None:
    root = place / "korean"
    names = [photo_name(n) for n in range(2)]
    for name, split in zip(names, ("Training", "Validation"), strict=True):
        (root / split).mkdir(parents=True)
        (root / split / name).write_bytes(b"x")
    for file in ("mine/valid.json", "mine/train.json"):  # somebody's own division
        write_labels(root / file, [label_record(name) for name in names])
    assert run_stage("rename") == ""
    assert manifest("training_happy")["id"].tolist() == [photo_id(names[0])]
    assert manifest("validation_happy")["id"].tolist() == [photo_id(names[1])]


def test_records_without_a_split_count_where_their_photos_lie(
    place: Path, run_stage: Run, set_params: Callable[..., None]
) -> None:
    set_params({"limits.max_without_photo": 0.5})
    names = [photo_name(n) for n in range(13)]
    for number, name in enumerate(names):
        folder = place / "korean" / ("Training" if number < 4 else "Validation")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    write_labels(place / "korean/labels/기쁨.json", [label_record(name) for name in names])
    assert run_stage("rename") == ""
    assert (len(manifest("training_happy")), len(manifest("validation_happy"))) == (4, 9)


LIMITS = {"limits.max_rejected": 0.25, "limits.max_without_photo": 0.5}


def test_a_class_that_is_missing_stops_it(place: Path, run_stage: Run, set_params: Callable[..., None]) -> None:
    set_params(LIMITS)
    root = place / "korean"
    write_emotions(root)
    assert run_stage("rename") == ""
    (root / "[원천]EMOIMG_슬픔_VALID.zip").unlink()
    assert run_stage("rename").startswith(
        "error: validation sad: 10 of 10 label records have no photo; limits.max_without_photo in params.yaml allows "
        "50%. No archive holds any of its photos: the others of its archives are missing or damaged. "
    )
    set_params(LIMITS | {"limits.max_without_photo": 1})
    assert run_stage("rename") == ""
    (root / "[원천]EMOIMG_슬픔_TRAIN_01.zip").unlink()
    assert run_stage("rename").startswith("error: data.korean has no photo of sad (슬픔): its archives are missing or ")


def test_most_records_without_a_photo(place: Path, run_stage: Run, set_params: Callable[..., None]) -> None:
    set_params(LIMITS)
    records = write_emotions(place / "korean")
    more = [label_record(photo_name(3000 + n)) for n in range(11)]
    write_labels(place / "korean/img_emotion_training_data(기쁨).json", [*records[10:20], *more])
    message = run_stage("rename")
    assert message.startswith("error: training happy: 11 of 21 label records have no photo; ")
    assert ". Its photos lie in [원천]EMOIMG_기쁨_TRAIN_01.zip: the others of its archives are missing" in message


def test_photos_of_one_emotion_with_other_names(place: Path, run_stage: Run, set_params: Callable[..., None]) -> None:
    set_params(LIMITS | {"limits.max_without_photo": 1})
    root = place / "korean"
    write_emotions(root, "training 슬픔")
    write_cp949_zip(root / "[원천]EMOIMG_슬픔_TRAIN_01.zip", {f"sad_{n:05}.jpg": b"x" for n in range(10)})
    message = run_stage("rename")
    assert message.startswith(
        "error: training sad: 10 of 10 rejected, 10 of them for the reason 'not a file name of AI-Hub 82'; "
    )


def test_no_labels(place: Path, run_stage: Run, set_params: Callable[..., None]) -> None:
    set_params(LIMITS)
    write_emotions(place / "korean")
    for path in (place / "korean").glob("*슬픔).json"):
        path.unlink()
    assert run_stage("rename") == ""


def test_words_that_are_no_emotion(place: Path, run_stage: Run, set_params: Callable[..., None]) -> None:
    set_params(LIMITS)
    records = write_emotions(place / "korean")
    damaged = [record | {"faceExp_uploader": "기븜"} for record in records[10:13]]
    path = write_labels(place / "korean/img_emotion_training_data(기쁨).json", [*damaged, *records[13:20]])
    assert run_stage("rename") == (
        "error: training happy: 3 of 10 photos have a label that is not an emotion of AI-Hub 82, such as '기븜'; fetch "
        "the label archive again."
    )
    write_labels(path, [*damaged[:2], *records[12:20]])
    assert run_stage("rename") == ""
    assert manifest("labels").set_index("outcome")["records"]["not_understood"] == "2"


def test_an_archive_that_is_damaged_inside(place: Path, run_stage: Run, set_params: Callable[..., None]) -> None:
    set_params(LIMITS)
    write_emotions(place / "korean")
    path = place / "korean/[원천]EMOIMG_기쁨_VALID.zip"
    whole = path.read_bytes()
    # A piece in front of it, as when pieces are joined in the wrong order.
    for n in range(1100, 1106):
        name = photo_name(n).encode()
        assert name in whole
        path.write_bytes(path.read_bytes().replace(name, name.lower().replace(b"_20_", b"_2O_")))
    message = run_stage("rename")
    assert message.startswith(
        "error: [원천]EMOIMG_기쁨_VALID.zip is damaged: 6 of the 10 photos tried in it cannot be read, such as "
    )
    assert message.endswith("join its pieces in the order of their numbers, or move it out of korean.")


@pytest.mark.parametrize(
    "folders",
    [
        ("TS_기쁨", "VS_기쁨", "TL_기쁨"),
        ("EMOIMG_기쁨_SAMPLE", "EMOIMG_기쁨_SAMPLE", "라벨링데이터"),
        ("train/기쁨", "test/기쁨", "labels"),
        ("person1", "person2", ""),
    ],
)
def test_the_official_split_is_not_needed(place: Path, run_stage: Run, folders: tuple[str, str, str]) -> None:
    names = [photo_name(n) for n in range(2)]
    for name, folder in zip(names, folders, strict=False):
        (place / "korean" / folder).mkdir(parents=True, exist_ok=True)
        (place / "korean" / folder / name).write_bytes(b"x")
    write_labels(place / "korean" / folders[2] / "happy.json", [label_record(name) for name in names])
    assert run_stage("rename") == ""
    kept = pd.concat([manifest("training_happy"), manifest("validation_happy")])
    assert set(kept["id"]) == {photo_id(name) for name in names}
    assert account() == {"found": 2, "kept": 2, "rejected": {}}
    assert set(manifest("validation_happy")["official"]) <= {"validation"}
    assert set(manifest("training_happy")["official"]) <= {"training", ""}
