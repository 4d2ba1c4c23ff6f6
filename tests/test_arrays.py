import numpy as np
import pytest
from samples import noise

from stages.files.arrays import ArrayWriter, open_array, stream_array
from stages.runtime.errors import UserError


@pytest.mark.parametrize("count", [0, 1, 11])
def test_round_trip(tmp_path, count: int) -> None:
    with ArrayWriter(tmp_path / "a.npy", 8) as array:
        rows = [array.append(noise(n, 8, 8)) for n in range(count)]
    assert rows == list(range(count))
    pictures = open_array(tmp_path / "a.npy")
    assert (pictures.shape, pictures.dtype) == ((count, 8, 8), np.uint8)
    for n in range(count):
        assert np.array_equal(pictures[n], noise(n, 8, 8))
    # Any program that knows numpy can read it, and numpy would have written the same.
    np.save(tmp_path / "b.npy", np.array(pictures))
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


def test_header_has_room_for_any_number(tmp_path) -> None:
    with ArrayWriter(tmp_path / "a.npy", 8) as array:
        start = array.file.tell()
        array.count = 10**12
        array._header()
        assert array.file.tell() == start


def test_map_is_read_only(tmp_path) -> None:
    with ArrayWriter(tmp_path / "a.npy", 8) as array:
        array.append(noise(1, 8, 8))
    pictures = open_array(tmp_path / "a.npy")
    assert isinstance(pictures, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pictures[0, 0, 0] = 1


@pytest.mark.parametrize(
    "picture", [np.zeros((8, 9), np.uint8), np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32)]
)
def test_other_pictures_are_a_fault(tmp_path, picture: np.ndarray) -> None:
    with ArrayWriter(tmp_path / "a.npy", 8) as array, pytest.raises(ValueError, match="expected uint8"):
        array.append(picture)
    assert len(open_array(tmp_path / "a.npy")) == 0


def test_missing_file_says_what_to_do(tmp_path) -> None:
    with pytest.raises(UserError, match=r"a\.npy is missing; run `dvc repro`"):
        open_array(tmp_path / "a.npy")


@pytest.mark.parametrize("count", [0, 11])
def test_stream_is_the_same_pictures(tmp_path, count: int) -> None:
    with ArrayWriter(tmp_path / "a.npy", 8) as array:
        for n in range(count):
            array.append(noise(n, 8, 8))
    assert np.array_equal(list(stream_array(tmp_path / "a.npy")), list(open_array(tmp_path / "a.npy")))
    with pytest.raises(UserError, match=r"b\.npy is missing; run `dvc repro`"):
        next(stream_array(tmp_path / "b.npy"))
