"""The sample: drawn faces that the cascade finds, packed with every oddity of the real downloads, always the same."""

import hashlib
import io
import json
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from samples import changed, runtime
from sentences import says

from stages import sample
from stages.runtime.errors import UserError
from stages.runtime.params import Sample
from stages.synthetic import camera, drawing, fer2013_archive, korean_download, packing

SEED = 3
EMOTIONS = ["분노", "당황", "기쁨", "슬픔", "중립"]
TINY = Sample(
    seed=SEED,
    fer_train=150,
    fer_test=100,
    people=12,
    sessions=5,
    shots=2,
    megapixels_low=0.03,
    megapixels_high=0.06,
)


def draw_korean(folder: Path, engine: str = "serial", emotions: list[str] = EMOTIONS) -> None:
    sample.draw_korean(folder, emotions, TINY, runtime(engine, 2))


@pytest.fixture(scope="module")
def korean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "korean"
    draw_korean(folder)
    return folder


@pytest.fixture(scope="module")
def fer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = tmp_path_factory.mktemp("sample") / "archive.zip"
    sample.draw_fer2013(archive, TINY, runtime("serial", 1))
    return archive


def entries(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive, metadata_encoding="cp949") as file:
        return {info.filename: file.read(info) for info in file.infolist()}


def korean_files(folder: Path) -> list[tuple[str, str, bytes]]:
    """Where each file lies (zip or folder, NFC), its name as stored, and its bytes."""
    files = []
    for path in sorted(folder.rglob("*")):
        where = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        if path.suffix == ".zip":
            files += [(where, name, data) for name, data in entries(path).items()]
        elif path.is_file():
            files.append((str(Path(where).parent.as_posix()), path.name, path.read_bytes()))
    return files


@pytest.fixture(scope="module")
def pictures(korean: Path) -> list[tuple[str, str, bytes]]:
    return [file for file in korean_files(korean) if not file[1].endswith(".json")]


@pytest.fixture(scope="module")
def records(korean: Path) -> list[dict[str, Any]]:
    lists = [json.loads(data.decode("utf-8-sig")) for _, name, data in korean_files(korean) if name.endswith(".json")]
    return list(chain.from_iterable(lists))


def key(name: str) -> str:
    """Person and moment: what joins a photo and its record."""
    stem = Path(name).stem
    return stem.split("_")[0] + stem.split("_")[-1]


def orientation(data: bytes) -> int | None:
    return Image.open(io.BytesIO(data)).getexif().get(0x0112)


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_outputs_do_not_depend_on_the_engine(korean: Path, tmp_path: Path) -> None:
    draw_korean(tmp_path / "korean", "processes")
    assert digest(tmp_path / "korean") == digest(korean)


def test_fer_archive_is_stable_and_follows_the_seed(fer: Path, tmp_path: Path) -> None:
    sample.draw_fer2013(tmp_path / "again.zip", TINY, runtime("processes", 2))
    sample.draw_fer2013(tmp_path / "other.zip", changed(TINY, seed=SEED + 1), runtime("serial", 1))
    assert (tmp_path / "again.zip").read_bytes() == fer.read_bytes()
    assert (tmp_path / "other.zip").read_bytes() != fer.read_bytes()


def test_fer_archive_has_kaggles_layout(fer: Path) -> None:
    files = entries(fer)
    folders = Counter(name.rsplit("/", 1)[0] for name in files)
    assert set(folders) == {f"{split}/{emotion}" for split in ("train", "test") for emotion in fer2013_archive.SHARES}
    assert sum(count for folder, count in folders.items() if folder.startswith("test")) == 100
    usages = {(name.split("/")[0], name.split("/")[2].split("_")[0]) for name in files}
    assert usages == {("train", "Training"), ("test", "PublicTest"), ("test", "PrivateTest")}
    good = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in files.values()]
    assert {picture.shape for picture in good if picture is not None} == {(48, 48)}


def test_fer_archive_has_its_faults(fer: Path) -> None:
    files = entries(fer)
    places: dict[bytes, list[str]] = {}
    for name, data in files.items():
        places.setdefault(data, []).append(name)
    twins = [names for names in places.values() if len(names) > 1]
    assert len(twins) == 5
    assert sum({name.split("/")[0] for name in names} == {"train", "test"} for names in twins) == 2
    assert sum(len({name.split("/")[1] for name in names}) == 2 for names in twins) == 1
    decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in files.values()]
    assert sum(picture is None for picture in decoded) == 1
    assert sum(picture is not None and np.ptp(picture) == 0 for picture in decoded) == 1


def test_zip_names_are_cp949_without_the_utf8_flag(korean: Path) -> None:
    for path in korean.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                assert not info.flag_bits & packing.UTF8_FLAG
                assert info.date_time == packing.DATE
                assert info.filename.encode("cp437").decode("cp949") != info.filename


def test_layouts_of_the_download(korean: Path, pictures: list[tuple[str, str, bytes]]) -> None:
    places = {where for where, _, _ in pictures}
    assert {f"Training/[원천]EMOIMG_기쁨_TRAIN_0{part}.zip" for part in (1, 2)} < places
    assert "01.데이터/1.Training/원천데이터_0114_add/[원천]EMOIMG_기쁨_TRAIN_03.zip" in places
    assert "01.데이터/2.Validation/원천데이터_0114_add/[원천]EMOIMG_기쁨_VALID.zip" in places
    assert (korean / "01.데이터/2.Validation/라벨링데이터_231004_add/[라벨]EMOIMG_기쁨_VALID.zip").exists()
    assert all("/" in name for where, name, _ in pictures if where == "Training/[원천]EMOIMG_당황_TRAIN_01.zip")
    loose = [name for where, name, _ in pictures if where == "Validation/원천EMOIMG_슬픔_VALID"]
    assert loose and all(
        name == unicodedata.normalize("NFD", name) != unicodedata.normalize("NFC", name) for name in loose
    )
    plain = [name for where, name, _ in pictures if where == "Validation/중립"]
    assert any("_교통_이동수단" in name or "_행사_사무공간" in name for name in plain) and not any(
        "&" in name for name in plain
    )
    assert 0 < sum("불안" in where for where in places) < 3


def test_file_names(pictures: list[tuple[str, str, bytes]]) -> None:
    people = set()
    suffixes = Counter()
    for _, name, _ in pictures:
        code, gender, age, emotion, rest = unicodedata.normalize("NFC", Path(name).name).split("_", 4)
        moment = Path(rest).stem.rsplit("_", 1)[1].split("-")
        assert len(code) == 64 and gender in "남여" and age in "10 20 30 40 50 60"
        assert emotion in korean_download.EMOTIONS
        assert [len(part) for part in moment] == [14, 3, 3]
        people.add((code, gender, age))
        suffixes[Path(name).suffix] += 1
    assert len(people) == len({code for code, _, _ in people})
    assert 0 < suffixes[".jpeg"] < suffixes[".jpg"] / 10


def test_people_are_shared_by_the_official_splits_but_not_all(pictures: list[tuple[str, str, bytes]]) -> None:
    split = {"Training": set[str](), "Validation": set[str]()}
    for where, name, _ in pictures:
        split["Validation" if "Validation" in where else "Training"].add(name.split("/")[-1][:64])
    both = split["Training"] & split["Validation"]
    assert both and split["Training"] - both and split["Validation"] - both


def test_every_orientation_occurs(pictures: list[tuple[str, str, bytes]]) -> None:
    shares = Counter(orientation(data) for _, _, data in pictures)
    assert set(shares) == {None, 0, 1, 2, 3, 4, 5, 6, 7, 8}
    assert shares.most_common(2)[0][0] == 1


@pytest.mark.parametrize("value", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_a_turned_picture_is_turned_back(value: int | None) -> None:
    upright = np.zeros((80, 120, 3), np.uint8)
    upright[:40, :60] = (255, 0, 0)
    upright[40:, :60] = (0, 255, 0)
    data = packing.jpeg(upright, value, 95)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert read.shape == upright.shape
    assert np.abs(read[10::20, 15::30].astype(int) - upright[10::20, 15::30]).max() < 40
    assert orientation(data) == value


def test_some_labels_have_no_photo_and_one_photo_comes_in_several_archives(
    pictures: list[tuple[str, str, bytes]], records: list[dict[str, Any]]
) -> None:
    labelled, pictured = Counter(key(r["filename"]) for r in records), Counter(key(name) for _, name, _ in pictures)
    assert set(pictured) < set(labelled) and max(labelled.values()) == 1
    assert 0.05 < 1 - len(pictured) / len(labelled) < 0.12
    assert sorted(pictured.values())[-2:] == [1, 3]


def test_label_files(korean: Path, records: list[dict[str, Any]]) -> None:
    files = [data for _, name, data in korean_files(korean) if name.endswith(".json")]
    assert sum(data.startswith(b"\xef\xbb\xbf") for data in files) == 1
    assert all(data.removeprefix(b"\xef\xbb\xbf").isascii() for data in files)
    assert any("/" in record["bg_uploader"] for record in records)
    assert not any("&" in record["bg_uploader"] for record in records)
    votes = Counter(record[f"annot_{who}"]["faceExp"] for record in records for who in "ABC")
    assert {"알수없음", "불안", "상처"} < set(votes)
    unanimous = np.mean([len({record[f"annot_{who}"]["faceExp"] for who in "ABC"}) == 1 for record in records])
    assert 0.35 < unanimous < 0.7


def test_faulty_boxes(records: list[dict[str, Any]]) -> None:
    boxes = [record[f"annot_{who}"].get("boxes") for record in records for who in "ABC"]
    present = [box for box in boxes if box]
    assert 3 < boxes.count(None) < 0.1 * len(boxes)
    assert any(box["maxX"] == box["minX"] and box["maxY"] == box["minY"] for box in present)
    assert any(box["minX"] < -50 for box in present)
    assert any(0 < box["maxX"] - box["minX"] < 14 for box in present)
    assert any(isinstance(box["maxX"], int) for box in present)
    ratios = [(box["maxX"] - box["minX"]) / (box["maxY"] - box["minY"]) for box in present if box["maxY"] > box["minY"]]
    assert abs(np.median(ratios) - 0.74) < 0.02


def test_one_photo_is_cut_off(pictures: list[tuple[str, str, bytes]]) -> None:
    def broken(data: bytes) -> bool:
        try:
            Image.open(io.BytesIO(data)).load()
        except (OSError, UnidentifiedImageError):
            return True
        return False

    assert sum(broken(data) for _, _, data in pictures) == 1


def test_quirks_add_and_remove_faces() -> None:
    shot = camera.Shot(1, 1, 1, "기쁨")
    sizes = {(), (1.0, 0.6), (1.0, 1.4)}
    assert sizes == {quirk["faces"] for quirk in korean_download.QUIRKS if "faces" in quirk}
    found = {faces: len(detect(camera.korean_photo(SEED, shot, faces, (0.5, 0.5))[0])) for faces in sizes}
    assert found == {(): 0, (1.0, 0.6): 2, (1.0, 1.4): 2}


def test_the_cascade_finds_the_faces_where_the_boxes_are() -> None:
    cv2.setNumThreads(1)
    orders = [order for order in korean_download.orders(EMOTIONS, 60, 2, 1) if not order.quirk][::2]
    hits = 0
    for order in orders:
        picture, box = camera.korean_photo(SEED, order.shot, (1.0,), (0.3, 0.4))
        faces = detect(picture)
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        hits += any(fx < x < fx + size and fy < y < fy + size for fx, fy, size, _ in faces)
    assert len(orders) > 40 and hits >= 0.95 * len(orders)


def detect(picture: np.ndarray) -> np.ndarray:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.array(cascade.detectMultiScale(grey, 1.1, 5, minSize=(80, 80))).reshape(-1, 4)


def test_a_person_looks_alike_and_people_differ() -> None:
    same, other = camera.sitter(SEED, 1), camera.sitter(SEED, 2)
    assert camera.sitter(SEED, 1) == same != other
    assert camera.sitter_look(SEED, same) == camera.sitter_look(SEED, same) != camera.sitter_look(SEED, other)


def test_a_face_beside_the_picture_leaves_it_as_it_is() -> None:
    picture = np.full((100, 100, 3), 7, np.uint8)
    look = camera.sitter_look(SEED, camera.sitter(SEED, 1))
    view, light = drawing.View(-500, 50, 20, 0, 0, 0), drawing.Light(0, 0, 0.5)
    drawing.draw_face(picture, look, np.zeros(drawing.ACTION_UNITS), view, light, np.random.default_rng(1))
    assert (picture == 7).all()


def test_emotions_that_aihub_82_does_not_have_are_not_drawn(korean: Path, tmp_path: Path) -> None:
    draw_korean(tmp_path / "korean", emotions=["졸림", *EMOTIONS])
    assert digest(tmp_path / "korean") == digest(korean)
    with pytest.raises(UserError) as error:
        draw_korean(tmp_path / "other", emotions=["졸림"])
    says(error, "params.yaml", "emotions", "기쁨")


def test_main_reads_params_and_runtime_changes_nothing(set_params: Callable[..., None]) -> None:
    tiny = {"fer_train": 100, "fer_test": 100, "people": 10, "sessions": 1, "shots": 1}
    tiny |= {"megapixels_low": 0.03, "megapixels_high": 0.03}
    digests = []
    for engine in ("serial", "processes"):
        set_params({f"sample.{key}": value for key, value in tiny.items()} | {"runtime.engine": engine})
        sample.main()
        digests.append(digest(Path("data")))
    assert digests[0] == digests[1] and "sample/fer2013/archive.zip" in digests[0]
