"""Whatever stops the crop stage, nothing finished is lost or done again, and the result is as if nothing had been."""

import contextlib
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import jpeg, label_record, noise, photo_name, wait_for, write_cp949_zip, write_labels

from stages.files.tables import read_table

resource = pytest.importorskip("resource", reason="Windows has neither SIGKILL nor limits")
Run = Callable[..., str]
ROOT = Path(__file__).parent.parent
WORK = Path(".work/crop_training_happy")
PHOTOS = 120
# The stage with parts of two photos, so that there are many moments to be stopped at, and a list of photos read.
MAIN = """
from stages import crop
from stages.runtime.errors import run

crop.PART = 2
read_photo = crop.read_photo


def noted(root, photo):
    with open("read.txt", "a") as file:
        file.write(photo["id"] + "\\n")
    return read_photo(root, photo)


crop.read_photo = noted
if __name__ == "__main__":
    run(crop.main)
"""


@pytest.fixture
def photos(place: Path, run_stage: Run) -> None:
    """Small photos whose faces the boxes show, a few of them bad; the second archive's are smaller as pictures, but
    not as files."""
    names = [photo_name(n) for n in range(PHOTOS)]
    smooth = [jpeg(np.full((300, 300, 3), n, np.uint8)) for n in range(PHOTOS // 2)]
    rough = [jpeg(noise(n, 90, 90, 3)) if n % 20 else b"bad" for n in range(PHOTOS // 2)]
    write_cp949_zip(place / "korean/TRAIN_0.zip", dict(zip(names[::2], smooth, strict=True)))
    write_cp949_zip(place / "korean/TRAIN_1.zip", dict(zip(names[1::2], rough, strict=True)))
    records = [label_record(name, boxes=(10, 10, 60, 60)) for name in names]
    write_labels(place / "korean/img_emotion_training_data(기쁨).json", records)
    assert run_stage("rename") == ""
    (place / "main.py").write_text(MAIN)


def start(**options: Any) -> subprocess.Popen[str]:
    """The crop stage in a process group of its own."""
    command = [sys.executable, "main.py", "training", "happy"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True, **options)


def outputs() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path("data/crops").rglob("*.*")}


def undisturbed() -> dict[str, bytes]:
    """What the stage writes, which is taken away again."""
    assert start().wait() == 0
    written = outputs()
    assert len(written) == 2
    remove(written)
    return written


def remove(paths: Iterable[str]) -> None:
    for path in paths:
        Path(path).unlink(missing_ok=True)


class Progress:
    """The finished parts at one moment: inode and time of change of their files, and their photos."""

    def __init__(self) -> None:
        tables = list(WORK.rglob("*.csv"))
        files = [file for table in tables for file in (table, table.with_suffix(".zip"))]
        self.files = {str(file): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
        self.photos = {id_ for table in tables for id_ in read_table(table)["id"]}
        self.read = len(read())

    def is_kept(self) -> bool:
        """Whether nothing of it was done again since then; the work folder may be gone after a finished run."""
        now = Progress()
        same = self.files.items() <= now.files.items() or not now.files
        return same and not self.photos & set(read()[self.read :])


def read() -> list[str]:
    """The photos that were read, in this order."""
    file = Path("read.txt")
    return file.read_text().split() if file.exists() else []


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_killed_at_twenty_random_moments(photos: None, set_params: Any) -> None:
    expected = undisturbed()
    moments = random.Random(20)
    kills = 0
    progress = Progress()
    while kills < 20:
        set_params({"runtime.engine": moments.choice(["serial", "serial", "processes"])})
        stage = start()
        aim = len(progress.files) // 2 + moments.randrange(6)
        wait_for(lambda stage=stage, aim=aim: stage.poll() is not None or parts() >= aim)
        time.sleep(moments.uniform(0, 0.05))
        with contextlib.suppress(ProcessLookupError):  # it was faster
            os.killpg(stage.pid, signal.SIGKILL)
        assert stage.wait() in (0, -signal.SIGKILL)
        wait_for(lambda stage=stage: group_is_gone(stage.pid))
        assert progress.is_kept()
        if outputs() and not parts():  # all done; start again from nothing
            assert outputs() == expected
            remove(expected)
        kills += stage.returncode != 0
        progress = Progress()
    assert start().wait() == 0
    assert progress.is_kept()
    assert outputs() == expected
    assert not list(Path(".work").iterdir())


def parts() -> int:
    try:
        return len(list(WORK.rglob("*.csv")))
    except FileNotFoundError:  # the stage has just removed it
        return 0


def stops_with(**options: Any) -> str:
    """What a run that cannot go on says, after its progress bar."""
    stage = start(stderr=subprocess.PIPE, text=True, encoding="utf-8", **options)
    error = stage.communicate()[1]
    assert stage.returncode == 1, error
    assert "Traceback" not in error
    sentences = [line for line in error.splitlines() if "error: " in line]
    assert len(sentences) == 1
    return sentences[0]


def goes_on_to(expected: dict[str, bytes]) -> None:
    """Once the cause is gone, nothing finished is done again, and the result is as ever."""
    progress = Progress()
    assert 0 < len(progress.photos) < PHOTOS
    assert start().wait() == 0
    assert progress.is_kept()
    assert outputs() == expected


def test_file_that_cannot_grow(photos: None, set_params: Any) -> None:
    """A limit that the process has stands for a full disk: any user can set one."""
    expected = undisturbed()
    set_params({"runtime.engine": "processes"})

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))

    assert stops_with(preexec_fn=limit) == "error: File too large. Put this right and run the same command again."
    goes_on_to(expected)


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of 128 KB for the work folder."""
    disk = place / ".work"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("only root can mount a disk; the test before this one is the same without")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk(small_disk: Path, photos: None) -> None:
    assert stops_with() == "error: No space left on device. Put this right and run the same command again."
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    progress = Progress()
    assert 0 < len(progress.photos) < PHOTOS
    assert start().wait() == 0
    assert progress.is_kept()


def obey_permissions() -> None:
    """Root may do anything; without these two capabilities it obeys like everybody else."""
    capabilities, drop = (1, 2), 24  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; PR_CAPBSET_DROP
    for capability in capabilities:
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


def test_photos_that_may_not_be_read(place: Path, photos: None) -> None:
    expected = undisturbed()
    archive = place / "korean/TRAIN_1.zip"
    archive.chmod(0)
    sentence = "error: korean/TRAIN_1.zip: Permission denied. Put this right and run the same command again."
    assert stops_with(preexec_fn=obey_permissions) == sentence
    archive.chmod(0o600)
    goes_on_to(expected)


def test_folder_that_may_not_be_written(place: Path, photos: None) -> None:
    expected = undisturbed()
    Path("data/crops").chmod(0o500)
    assert stops_with(preexec_fn=obey_permissions).startswith(
        "error: data/crops/training_happy.zip: Permission denied. "
    )
    progress = Progress()
    assert len(progress.photos) == PHOTOS
    Path("data/crops").chmod(0o700)
    assert start().wait() == 0
    assert progress.is_kept()
    assert outputs() == expected


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_archive_that_vanishes(place: Path, photos: None, set_params: Any, engine: str) -> None:
    expected = undisturbed()
    set_params({"runtime.engine": engine})
    archive, away = place / "korean/TRAIN_1.zip", place / "away.zip"

    def take_away() -> None:
        wait_for(lambda: bool(parts()))
        archive.rename(away)

    thread = threading.Thread(target=take_away)
    thread.start()
    sentence = "error: korean/TRAIN_1.zip: No such file or directory. Put this right and run the same command again."
    assert stops_with() == sentence
    thread.join()
    away.rename(archive)
    goes_on_to(expected)
