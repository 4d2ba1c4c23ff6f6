import json
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from samples import label_record, photo_name, snapshot, write_cp949_zip, write_labels, write_raw_zip

from stages.datasets.aihub import parse_name
from stages.files.tables import read_table

Run = Callable[..., str]
BOX = (615.90533, 255.0, 1044.5197, 869.6799)


def manifest(name: str) -> pd.DataFrame:
    return read_table(Path(f"data/manifest/{name}.csv"))


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
    records += [label_record(photo_name(9, "불안")), {"filename": "x.jpg"}, records[0] | {"isProf": "일반인"}]
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
    assert training.set_index("id").loc[photo_id(names[0]), "professional"] == "False"  # the later record counts
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
        "joined with a photo": "4",
        "without a photo": "1",
        "repeated": "1",
        "emotion not used": "1",
        "not a file name of AI-Hub 82": "1",
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
    (root / photo_name(4)).write_bytes(b"x")

    assert run_stage("rename") == ""

    rejected = {row.path: (row.archive, row.reason, row.detail) for row in manifest("rejected").itertuples()}
    assert rejected == {
        unused: ("TRAIN.zip", "emotion not used", "상처"),
        "IMG_1.JPG": ("TRAIN.zip", "not a file name of AI-Hub 82", ""),
        again: ("VALID.zip", "photo found twice", f"TRAIN.zip/{good}"),
        photo_name(3): ("locked.zip", "file cannot be read", "encrypted in its archive"),
        photo_name(4): ("", "split unknown", "no label record, and no folder or archive named Training or Validation"),
    }
    assert "photos: 6 found = 1 kept + 5 rejected" in capsys.readouterr().out


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
    missing = run_stage("rename")
    assert (
        missing
        == "error: korean does not exist. Set data.korean in params.yaml to the folder of the AI-Hub 82 download."
    )
    (place / "korean").mkdir()
    empty = run_stage("rename")
    assert empty.startswith(
        f"error: No photo of AI-Hub 82 in {place / 'korean'}: looked in all folders and zip archives"
    )
    assert "and found none. Ask for data set 82 on https://aihub.or.kr" in empty
    (place / "korean" / photo_name()).write_bytes(b"x")
    assert "found 1 x split unknown." in run_stage("rename")
    assert not Path("data/manifest").exists()


def test_archives_that_cannot_be_opened_stop_it(place: Path, run_stage: Run) -> None:
    write_cp949_zip(place / "korean/TRAIN.zip", {photo_name(0): b"x"})
    for name in ("[라벨]TRAIN.zip", "more.zip"):
        path = write_cp949_zip(place / "korean" / name, {"a.json": b"[]"})
        path.write_bytes(path.read_bytes()[:-10])
    problem = "cannot be opened: not a complete zip archive, fetch it again"
    assert run_stage("rename") == (
        f"error: [라벨]TRAIN.zip {problem}; more.zip {problem}. "
        "To go on without what is in there, move it out of korean."
    )
    assert not Path("data/manifest").exists()


def test_label_file_that_its_archive_damaged(place: Path, run_stage: Run) -> None:
    path = write_cp949_zip(place / "korean/a.zip", {"a.json": b"[ ]"})
    path.write_bytes(path.read_bytes().replace(b"[ ]", b"[1]"))
    assert run_stage("rename") == "error: a.zip/a.json is damaged in its archive; fetch the archive again."


def test_label_file_that_is_encrypted(place: Path, run_stage: Run) -> None:
    lock(write_cp949_zip(place / "korean/a.zip", {"a.JSON": b"[]"}))
    assert run_stage("rename") == "error: a.zip/a.JSON is encrypted in its archive; fetch the archive again."


@pytest.mark.parametrize(
    "name",
    ["download.tar", "기쁨.zip.part1073741824", "a.7z", "a.ALZ", "a.egg", "a.tgz", "a.z01", "a.tar.gz"],
)
def test_other_archives_stop_it(place: Path, run_stage: Run, name: str) -> None:
    write_cp949_zip(place / "korean/TRAIN.zip", {photo_name(0): b"x"})
    (place / "korean" / name).write_bytes(b"x")
    remedy = "cannot be looked into: unpack or join it first, or move it out of korean."
    assert run_stage("rename") == f"error: {name} {remedy}"


def test_archives_in_an_archive_stop_it(place: Path, run_stage: Run) -> None:
    path = write_cp949_zip(place / "korean/TRAIN.zip", {photo_name(0): b"x", "기쁨.zip": b"x"})
    remedy = "cannot be looked into: unpack or join it first, or move it out of korean."
    assert run_stage("rename") == f"error: TRAIN.zip/기쁨.zip {remedy}"
    write_cp949_zip(path, {f"{number}.zip": b"x" for number in range(9)})
    assert run_stage("rename") == f"error: TRAIN.zip/0.zip; TRAIN.zip/1.zip; TRAIN.zip/2.zip and 6 more {remedy}"


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
