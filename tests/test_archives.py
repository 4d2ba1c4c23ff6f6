import os
import struct
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest
from samples import photo_name, snapshot, write_cp949_zip, write_raw_zip

from stages.files import archives
from stages.runtime.errors import UserError

NAME = photo_name()


def places(root: Path) -> list[str]:
    return [entry.place for entry in archives.walk(root)]


@pytest.mark.parametrize(
    ("raw", "flag"),
    [(NAME.encode("cp949"), 0), (NAME.encode(), 0), (NAME.encode(), 0x800)],
    ids=["cp949", "bare", "flag"],
)
def test_names_in_archives(tmp_path: Path, raw: bytes, flag: int) -> None:
    write_raw_zip(tmp_path / "a.zip", [(raw, b"photo")], flag)
    (entry,) = archives.walk(tmp_path)
    assert (entry.archive, entry.path, entry.place, entry.size) == ("a.zip", NAME, f"a.zip/{NAME}", 5)
    assert archives.read(tmp_path, entry) == b"photo"


def test_nfd_name_stays_as_it_is_in_the_archive(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", NAME)
    write_raw_zip(tmp_path / "a.zip", [(nfd.encode(), b"")])
    assert places(tmp_path) == [f"a.zip/{nfd}"]


def test_name_in_no_known_encoding_is_still_listed(tmp_path: Path) -> None:
    write_raw_zip(tmp_path / "a.zip", [(b"\xff\xff\x80.jpg", b"x")])
    (entry,) = archives.walk(tmp_path)
    assert entry.path.endswith(".jpg")
    assert archives.read(tmp_path, entry) == b"x"


def test_backslashes_part_folders(tmp_path: Path) -> None:
    write_raw_zip(tmp_path / "a.zip", [(b"Training\\", b""), (b"Training\\a.jpg", b"x")])
    assert places(tmp_path) == ["a.zip/Training/a.jpg"]


def test_nested_layout_folders_and_archives(tmp_path: Path) -> None:
    add = tmp_path / "01.데이터/2.Validation/원천데이터_0114_add"
    write_cp949_zip(add / "[원천]EMOIMG_기쁨_VALID.zip", {f"inner/{NAME}": b"1"})
    loose = tmp_path / "01.데이터/1.Training/EMOIMG_기쁨_TRAIN_01"
    loose.mkdir(parents=True)
    (loose / NAME).write_bytes(b"22")
    entries = list(archives.walk(tmp_path))
    assert [entry.place for entry in entries] == [
        f"01.데이터/1.Training/EMOIMG_기쁨_TRAIN_01/{NAME}",
        f"01.데이터/2.Validation/원천데이터_0114_add/[원천]EMOIMG_기쁨_VALID.zip/inner/{NAME}",
    ]
    assert [archives.read(tmp_path, entry) for entry in entries] == [b"22", b"1"]
    assert [archives.checksum(tmp_path, entry) for entry in entries] == [zipfile.crc32(b"22"), zipfile.crc32(b"1")]


def test_root_is_one_archive_or_one_file(tmp_path: Path) -> None:
    path = write_cp949_zip(tmp_path / "A.ZIP", {"a.jpg": b"1", "b.jpg": b"2"})
    entries = list(archives.walk(path))
    assert [(e.archive, e.number, e.place) for e in entries] == [("", 0, "a.jpg"), ("", 1, "b.jpg")]
    assert [archives.read(path, e) for e in entries] == [b"1", b"2"]
    (tmp_path / "fer2013.csv").write_bytes(b"csv")
    (entry,) = archives.walk(tmp_path / "fer2013.csv")
    assert (entry.place, archives.read(tmp_path / "fer2013.csv", entry)) == ("fer2013.csv", b"csv")
    assert archives.checksum(tmp_path / "fer2013.csv", entry) == zipfile.crc32(b"csv")


def test_missing_and_empty_root(tmp_path: Path) -> None:
    assert places(tmp_path) == []
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        places(tmp_path / "nowhere")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a/photo.jpg").write_bytes(b"x")
    (root / "a/loop").symlink_to(root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "other.jpg").write_bytes(b"y")
    (root / "link").symlink_to(outside)
    (root / "gone.jpg").symlink_to(tmp_path / "nothing")
    (root / "gone.zip").symlink_to(tmp_path / "nothing")
    entries = {entry.place: entry for entry in archives.walk(root)}
    assert sorted(entries) == ["a/photo.jpg", "gone.jpg", "gone.zip", "link/other.jpg"]
    assert entries["gone.jpg"].problem == entries["gone.zip"].problem == "cannot be opened: No such file or directory"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.zip"):
        os.mkfifo(tmp_path / name)
    assert [(entry.path, entry.problem) for entry in archives.walk(tmp_path)] == [
        ("a.jpg", "cannot be opened: not a file"),
        ("b.zip", "cannot be opened: not a file"),
    ]
    with pytest.raises(OSError, match="not a file"):
        archives.read(tmp_path, next(archives.walk(tmp_path)))


def test_folder_that_cannot_be_listed_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError):
        places(tmp_path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def unknown_version(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 6] = 99
    path.write_bytes(data)


def false_flag(path: Path) -> None:
    write_raw_zip(path, [(NAME.encode("cp949"), b"")], flag=0x800)


@pytest.mark.parametrize("damage", [truncated, emptied, unknown_version, false_flag])
def test_damaged_archive_is_listed_with_its_problem(tmp_path: Path, damage: object) -> None:
    path = write_cp949_zip(tmp_path / "a/b.zip", {"a.jpg": b"1"})
    damage(path)  # type: ignore[operator]
    reason = "empty" if damage is emptied else "not a complete zip archive"
    expected = ("a/b.zip", -1, f"cannot be opened: {reason}, fetch it again")
    assert [(e.place, e.number, e.problem) for e in archives.walk(tmp_path)] == [expected]
    assert [(e.place, e.number, e.problem) for e in archives.walk(path)] == [("b.zip", *expected[1:])]


def encrypt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


def damage_content(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"content", b"c0ntent"))


def odd_method(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 8] = 9  # Deflate64, which Windows uses for large files
    data[data.index(b"PK\x01\x02") + 10] = 9
    path.write_bytes(data)


def no_content(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 42 : data.index(b"PK\x01\x02") + 46] = b"\xf0\0\0\0"  # its place
    path.write_bytes(data)


def directory_elsewhere(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x05\x06") + 16] += 5  # where it begins: all else is then five bytes before that
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [encrypt, damage_content, odd_method, no_content, directory_elsewhere])
def test_damaged_member_fails_in_one_way(tmp_path: Path, damage: object) -> None:
    path = write_cp949_zip(tmp_path / "a.zip", {"a.jpg": b"content"})
    damage(path)  # type: ignore[operator]
    (entry,) = archives.walk(tmp_path)
    assert entry.problem == ("encrypted in its archive" if damage is encrypt else "")
    with pytest.raises(zipfile.BadZipFile):
        archives.read(tmp_path, entry)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_whose_packed_bytes_are_damaged(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.jpg", bytes(range(256)) * 9)
    data = bytearray(path.read_bytes())
    data[50:80] = b"\xff" * 30
    path.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile):
        archives.read(tmp_path, *archives.walk(tmp_path))


def test_member_whose_name_is_damaged_before_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("기쁨.jpg", b"content")
    data = bytearray(path.read_bytes())
    data[30:33] = b"\xff" * 3
    path.write_bytes(data)
    for read_member in (archives.read, archives.head):
        with pytest.raises(zipfile.BadZipFile):
            read_member(tmp_path, *archives.walk(tmp_path))


def test_a_disk_that_fails_is_no_damaged_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cp949_zip(tmp_path / "a.zip", {"a.jpg": b"content"})

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        archives.read(tmp_path, *archives.walk(tmp_path))


def test_member_that_is_no_longer_there(tmp_path: Path) -> None:
    write_cp949_zip(tmp_path / "a.zip", {"a.jpg": b"content"})
    with pytest.raises(zipfile.BadZipFile):
        archives.read(tmp_path, archives.Entry("a.zip", 7, "h.jpg", 7, 0))


def test_archive_that_is_written_anew_is_opened_anew(tmp_path: Path) -> None:
    for data in (b"first", b"and second"):
        path = write_cp949_zip(tmp_path / "a.zip", {"a.jpg": data})
        assert archives.read(tmp_path, *archives.walk(tmp_path)) == data
    (entry,) = archives.walk(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        archives.read(tmp_path, entry)


def test_files_that_macos_adds_are_left_out(tmp_path: Path) -> None:
    write_cp949_zip(tmp_path / "a.zip", {"a.jpg": b"1", "__MACOSX/._a.jpg": b"\0\5\x16\7"})
    for name in ("._a.zip", "._labels.json"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert places(tmp_path) == ["a.zip/a.jpg"]


def test_entries_of_the_same_name_are_two(tmp_path: Path) -> None:
    write_raw_zip(tmp_path / "a.zip", [(b"a.jpg", b"1"), (b"a.jpg", b"2")])
    assert [archives.read(tmp_path, entry) for entry in archives.walk(tmp_path)] == [b"1", b"2"]


def test_order_and_raw_files_stay(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "c/z.jpg", "c/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    write_cp949_zip(tmp_path / "aa.zip", {"2.jpg": b"2", "1.jpg": b"1"})
    before = snapshot(tmp_path)
    for entry in archives.walk(tmp_path):
        archives.read(tmp_path, entry)
    assert places(tmp_path) == ["a.jpg", "aa.zip/2.jpg", "aa.zip/1.jpg", "b.jpg", "c/a.jpg", "c/z.jpg"]
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps any bytes as a name")
def test_loose_name_that_is_no_unicode(tmp_path: Path) -> None:
    raw = os.path.join(os.fsencode(tmp_path), NAME.encode("cp949"))  # noqa: PTH118
    with open(raw, "wb") as file:
        file.write(b"x")
    (entry,) = archives.walk(tmp_path)
    assert os.fsencode(entry.path) == NAME.encode("cp949")
    assert archives.read(tmp_path, entry) == b"x"


def unicode_path(raw: bytes, name: str) -> bytes:
    """The extra field that archivers on a Western Windows add to a name that its code page does not have."""
    body = b"\1" + struct.pack("<L", zipfile.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(body)) + body


@pytest.mark.parametrize(("of", "expected"), [(b"???.jpg", "기쁨.jpg"), (b"other.jpg", "???.jpg")])
def test_unicode_path_field(tmp_path: Path, of: bytes, expected: str) -> None:
    info = zipfile.ZipInfo("???.jpg")
    info.extra = b"UT\1\0x" + unicode_path(of, "기쁨.jpg")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"x")
    assert places(tmp_path) == [f"a.zip/{expected}"]


def test_head_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfa\r\nb")
    write_cp949_zip(tmp_path / "b.zip", {"a.csv": b"\xef\xbb\xbfa\r\nb"})
    for entry in archives.walk(tmp_path):
        assert archives.head(tmp_path, entry) == b"\xef\xbb\xbfa\r\nb"
        with archives.text_lines(tmp_path, entry) as lines:
            assert list(lines) == ["a\r\n", "b"]
    (tmp_path / "a.csv").write_bytes(bytes(10_000))
    assert archives.head(tmp_path, next(iter(archives.walk(tmp_path)))) == bytes(512)


def test_first_and_last_member_are_tried_and_then_some(tmp_path: Path) -> None:
    path = write_cp949_zip(tmp_path / "a.zip", {f"{n:03}.jpg": b"content%03d" % n for n in range(100)})
    members = list(archives.walk(tmp_path))
    assert archives.damaged_members(tmp_path, members) == ([], 2)
    data = path.read_bytes()
    for n in range(50, 100):
        data = data.replace(b"content%03d" % n, b"c0ntent%03d" % n)
    path.write_bytes(data)
    damaged, tried = archives.damaged_members(tmp_path, members)
    assert (len(damaged), tried) == (10, 20)
    damaged, tried = archives.damaged_members(tmp_path, members[-39:])
    assert len(damaged) == tried <= archives.TRIED
    assert archives.damaged_members(tmp_path, members[:50]) == ([], 2)
    assert archives.damaged_members(tmp_path, members[-1:]) == (members[-1:], 1)
