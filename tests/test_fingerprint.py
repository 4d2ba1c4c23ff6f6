"""The stage `fingerprint`: what changes it, what does not, and places where nothing is."""

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sentences import says

from stages.files import archives
from stages.fingerprint import OUT, fingerprint


def write_zip(path: Path, **members: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def digest(root: Path, dated: bool = True) -> str:
    found = fingerprint(root, dated)["digest"]
    assert isinstance(found, str)
    return found


def test_the_same_archives_on_another_machine_are_the_same(tmp_path: Path) -> None:
    write_zip(tmp_path / "a/하나/one.zip", photo=b"1", label=b"2")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    os.utime(tmp_path / "b/하나/one.zip", (1, 1))
    assert fingerprint(tmp_path / "a", True) == fingerprint(tmp_path / "b", True)
    assert digest(tmp_path / "a/하나/one.zip") == digest(tmp_path / "b/하나/one.zip")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write_zip(root / "one.zip", photo=b"2"),
        lambda root: write_zip(root / "two.zip", photo=b"1"),
        lambda root: (root / "one.zip").rename(root / "two.zip"),
        lambda root: (root / "one.zip").write_bytes((root / "one.zip").read_bytes()[:-1]),
        lambda root: os.utime(root / "loose.json", (1, 1)),
        lambda root: (root / "loose.json").write_bytes(b"longer"),
        lambda root: (root / "loose.json").unlink(),
        lambda root: (root / "later.zip.part").write_bytes(b""),
    ],
    ids=["content", "archive", "name", "cut", "date", "size", "gone", "download"],
)
def test_any_change_shows(tmp_path: Path, change: Callable[[Path], object]) -> None:
    write_zip(tmp_path / "one.zip", photo=b"1")
    (tmp_path / "loose.json").write_bytes(b"label")
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    change(tmp_path)
    assert digest(tmp_path) != before


def test_of_the_sample_content_counts_and_not_the_date(tmp_path: Path) -> None:
    (tmp_path / "loose.json").write_bytes(b"label")
    before = digest(tmp_path, dated=False)
    os.utime(tmp_path / "loose.json", (1, 1))
    assert digest(tmp_path, dated=False) == before
    (tmp_path / "loose.json").write_bytes(b"lapel")
    assert digest(tmp_path, dated=False) != before


@pytest.mark.skipif(sys.platform != "linux", reason="macOS and Windows have no such names")
def test_a_name_of_raw_bytes_and_a_link_to_nothing(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb1\xe2.jpg")).write_bytes(b"photo")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    assert fingerprint(tmp_path, True) | {"digest": ""} == {"files": 2, "bytes": 5, "digest": ""}


@pytest.mark.parametrize("larger", [False, True])
@pytest.mark.parametrize("comment", [b"", b"c" * 65535])
def test_the_directory_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, larger: bool, comment: bytes
) -> None:
    if larger:  # of more than 65,535 members
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("하나", "둘"):
            archive.writestr(zipfile.ZipInfo(name), b"photo" * 20_000)
        archive.comment = comment
    whole = (tmp_path / "a.zip").read_bytes()
    assert (b"PK\6\6" in whole) == larger
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        start = archive.start_dir
    directory = archives.directory(tmp_path / "a.zip")
    assert directory == whole[start : start + len(directory)]
    assert directory.count(b"PK\1\2") == 2
    for length in (0, 10, len(whole) // 2, len(whole) - len(comment) - 10):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        assert archives.directory(tmp_path / "cut.zip") == b""


def test_the_stage_writes_it(run_stage: Callable[..., str], place: Path) -> None:
    Path("fer").mkdir()
    write_zip(Path("korean/one.zip"), photo=b"1")
    assert run_stage("fingerprint") == ""
    assert json.loads((place / OUT).read_text(encoding="utf-8"))["files"] == 1


@pytest.mark.parametrize("dataset", ["fer2013", "korean"])
def test_a_place_where_nothing_is(
    run_stage: Callable[..., str], set_params: Callable[..., None], place: Path, dataset: str
) -> None:
    Path("fer").mkdir()
    Path("korean").mkdir()
    set_params({f"data.{dataset}": "../mine"})
    says(run_stage("fingerprint"), f"../mine does not exist in {place}", "copy", f"data.{dataset}", "absolute path")
    set_params({f"data.{dataset}": str(place / "mine")})
    says(run_stage("fingerprint"), f"{place}/mine does not exist. Set data.{dataset}", "params.yaml")
