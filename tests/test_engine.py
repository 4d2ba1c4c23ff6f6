import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import runtime, wait_for
from sentences import says

from stages.files.archives import write_zip
from stages.runtime.engine import ordered_map
from stages.runtime.errors import UserError


def square(number: int) -> int:
    if number < 0:
        raise UserError(f"{number} is negative.")
    return number * number


def process_of(_: int) -> int:
    return os.getpid()


def die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


def note_process(number: int) -> None:
    Path(f"{os.getpid()}.pid").touch()
    time.sleep(60)


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_results_come_in_order_without_taking_all_items_at_once(engine: str) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    results = ordered_map(square, items(), runtime(engine, 2))
    assert next(results) == 0
    assert taken <= 8
    assert list(results) == [n * n for n in range(1, 40)]


def test_processes_are_others() -> None:
    assert os.getpid() not in ordered_map(process_of, range(4), runtime("processes", 1))
    assert set(ordered_map(process_of, range(4), runtime("serial", 1))) == {os.getpid()}


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_an_error_keeps_its_sentence(engine: str) -> None:
    results = ordered_map(square, [1, 2, -3, 4], runtime(engine))
    with pytest.raises(UserError, match=r"^-3 is negative\.$"):
        list(results)


def test_killed_worker_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^A worker process was killed.* runtime\.workers"):
        list(ordered_map(die, range(6), runtime("processes", 1)))


def freeze(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows does not suspend processes so")
def test_frozen_worker_is_one_sentence() -> None:
    with pytest.raises(UserError) as error:
        list(ordered_map(freeze, range(6), runtime("processes", 2, worker_timeout=1)))
    says(error, "worker process", "runtime.worker_timeout", "run the same command again")
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows does not suspend processes so")
def test_a_worker_that_freezes_at_the_end_is_not_waited_for() -> None:
    results = ordered_map(process_of, range(2), runtime("processes", 1))
    os.kill(next(results), signal.SIGSTOP)
    results.close()
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_workers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = (
        "from samples import runtime; from stages.runtime.engine import ordered_map\n"
        "from test_engine import note_process\n"
        "if __name__ == '__main__': list(ordered_map(note_process, range(2), runtime('processes', 2)))"
    )
    (tmp_path / "main.py").write_text(code)
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    main = subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths})
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    main.kill()
    main.wait()
    wait_for(lambda: not any(Path("/proc", path.stem).exists() for path in tmp_path.glob("*.pid")))


def test_nothing_to_do() -> None:
    assert list(ordered_map(square, [], runtime("serial", 0))) == []


def test_zip_has_the_same_bytes_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [("b.jpg", b"2"), ("a.jpg", b"1" * 50)]
    write_zip(tmp_path / "new/1.zip", members)
    with zipfile.ZipFile(tmp_path / "new/1.zip") as archive:
        for info, (name, data) in zip(archive.infolist(), members, strict=True):
            assert archive.read(info) == data
            # All that could tell of a time, a system or a version of zlib.
            assert (info.filename, info.date_time, info.compress_type) == (name, (1980, 1, 1, 0, 0, 0), 0)
            assert (info.create_system, info.external_attr >> 16) == (3, 0o644)
    monkeypatch.setattr(sys, "platform", "win32")
    write_zip(tmp_path / "2.zip", iter(members))
    assert (tmp_path / "2.zip").read_bytes() == (tmp_path / "new/1.zip").read_bytes()


def test_empty_zip(tmp_path) -> None:
    write_zip(tmp_path / "a.zip", [])
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == []
