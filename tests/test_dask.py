"""The engines write the same bytes, Dask too, and a Dask worker may die in the middle of the run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from samples import label_record, photo_name, runtime, wait_for, write_cp949_zip, write_labels
from sentences import says

from stages import crop, sample
from stages.runtime import limits
from stages.runtime.engine import ordered_map
from stages.runtime.errors import UserError
from stages.runtime.params import Sample

ROOT = Path(__file__).parent.parent
MODULES = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
Run = Callable[..., str]
TWO_EMOTIONS = {
    "emotions": {"angry": "분노", "happy": "기쁨"},
    "index.fer2013.classes": {"angry": "angry", "happy": "happy"},
}


class Cluster:
    """A scheduler and workers on this machine, each a process of its own, as on a real cluster."""

    def __init__(self, folder: Path, workers: int, **of_workers: str) -> None:
        file = folder / "scheduler.json"
        place = ["--scheduler-file", str(file)]
        self.scheduler = start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", *place
        )
        wait_for(file.exists)
        worker = ["worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
        self.workers = [start(*worker, *place, **{"PYTHONPATH": MODULES} | of_workers) for _ in range(workers)]
        wait_for(lambda: file.read_text().endswith("}"))
        self.address: str = json.loads(file.read_text())["address"]

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    # Anywhere but in the working folder: the stages must bring the workers there.
    return subprocess.Popen([sys.executable, "-m", "dask", *arguments], cwd="/", env=os.environ | environment)


@contextmanager
def running(folder: Path, workers: int = 2, **of_workers: str) -> Iterator[Cluster]:
    cluster = Cluster(folder, workers, **of_workers)
    try:
        with distributed.Client(cluster.address, set_as_default=False) as client:
            wait_for(lambda: len(client.nthreads()) == workers)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def process_of(_: int) -> tuple[int, str]:
    return os.getpid(), str(Path.cwd())


def refuse(number: int) -> int:
    raise UserError(f"{number} is refused.")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def make_photos() -> None:
    """72 small photos in 24 parts."""
    sizes = {"fer_train": 100, "fer_test": 100, "people": 36, "sessions": 2, "shots": 1}
    tiny = Sample(seed=5, megapixels_low=0.03, megapixels_high=0.06, **sizes)
    sample.draw_korean(Path("korean"), ["분노", "기쁨"], tiny, runtime("processes", 2))


def run_stages(run_stage: Run) -> dict[str, bytes]:
    for arguments in [("crop", "training", "happy"), ("resize", "korean")]:
        assert run_stage(*arguments) == ""
    return {str(path): path.read_bytes() for path in sorted(Path("data").rglob("*")) if path.is_file()}


@pytest.fixture
def photos(place: Path, set_params: Callable[..., None], run_stage: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "PART", 3)
    set_params(TWO_EMOTIONS)
    make_photos()
    assert run_stage("rename") == ""
    for name in ("training_angry", "validation_angry", "validation_happy"):
        assert run_stage("crop", *name.split("_")) == ""


def test_every_engine_writes_the_same_bytes(
    place: Path, photos: None, run_stage: Run, set_params: Any, cluster: Cluster
) -> None:
    results = []
    for engine, address in [("serial", None), ("processes", None), ("dask", None), ("dask", cluster.address)]:
        set_params(TWO_EMOTIONS | {"runtime.engine": engine, "runtime.address": address})
        results.append(run_stages(run_stage))
    assert len(results[0]) > 10
    assert results[1:] == results[:1] * 3
    # The same workers, and another archive of the same name as before.
    changes = TWO_EMOTIONS | {"crop.margin": 0.3}
    set_params(changes)
    expected = run_stages(run_stage)
    assert expected != results[0]
    set_params(changes | {"runtime.engine": "dask", "runtime.address": cluster.address})
    assert run_stages(run_stage) == expected


def test_sample_is_the_same_from_a_cluster(place: Path, cluster: Cluster) -> None:
    sizes = {"fer_train": 100, "fer_test": 100, "people": 10, "sessions": 2, "shots": 1}
    tiny = Sample(seed=1, megapixels_low=0.03, megapixels_high=0.04, **sizes)
    for name, where in {"here": runtime("serial", 1), "there": runtime("dask", 0, cluster.address)}.items():
        sample.draw_fer2013(Path(name, "fer.zip"), tiny, where)
        sample.draw_korean(Path(name), ["분노", "기쁨"], tiny, where)
    files = {p.relative_to("here"): p.read_bytes() for p in Path("here").rglob("*") if p.is_file()}
    assert files == {p.relative_to("there"): p.read_bytes() for p in Path("there").rglob("*") if p.is_file()}


def test_a_worker_that_is_killed_changes_no_byte(
    place: Path, photos: None, run_stage: Run, set_params: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = run_stages(run_stage)
    parts_at_death = []

    def kill(process: subprocess.Popen[bytes]) -> None:
        wait_for(lambda: bool(list(Path(".work").rglob("*.csv"))))
        process.kill()
        parts_at_death.append(len(list(Path(".work").rglob("*.csv"))))

    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        set_params(TWO_EMOTIONS | {"runtime.engine": "dask", "runtime.address": cluster.address})
        killer = threading.Thread(target=kill, args=cluster.workers[:1])
        killer.start()
        assert run_stages(run_stage) == expected
        killer.join()
        assert [process.poll() is None for process in cluster.workers] == [False, True]
    rows = (Path("data/crops/training_happy.csv")).read_text(encoding="utf-8").count("\n") - 1
    assert 0 < parts_at_death[0] < rows // crop.PART - 4


def test_a_stage_as_dvc_runs_it(place: Path, set_params: Any, run_stage: Run) -> None:
    write_cp949_zip(place / "korean/TRAIN.zip", {photo_name(): b"no picture"})
    write_labels(place / "korean/img_emotion_training_data(기쁨).json", [label_record(photo_name())])
    assert run_stage("rename") == ""
    set_params({"runtime.engine": "dask", "runtime.workers": 1})
    command = [sys.executable, "-m", "stages.crop", "training", "happy"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "1 not a picture" in done.stdout
    assert "Traceback" not in done.stderr


def test_workers_are_others_and_work_in_the_folder(place: Path, cluster: Cluster) -> None:
    processes = set(ordered_map(process_of, range(8), runtime("dask", address=cluster.address)))
    assert {pid for pid, _ in processes} <= {process.pid for process in cluster.workers}
    assert {folder for _, folder in processes} == {str(place)}


def test_order_and_errors(place: Path, cluster: Cluster) -> None:
    assert list(ordered_map(str, range(40), runtime("dask", address=cluster.address))) == [str(n) for n in range(40)]
    with pytest.raises(UserError, match=r"^0 is refused\.$"):
        list(ordered_map(refuse, range(3), runtime("dask", address=cluster.address)))


# On a busy machine each of the workers that die takes long to be replaced.
@pytest.mark.timeout(900)
def test_batch_that_kills_every_worker_is_one_sentence(place: Path) -> None:
    # However little time Dask would give a replacement to come.
    hurry = dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"})
    with hurry, pytest.raises(UserError, match=r"^A worker process was killed"):
        list(ordered_map(die, range(1), runtime("dask", worker_timeout=600)))


def test_no_scheduler_is_one_sentence(place: Path) -> None:
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        for address in ("tcp://127.0.0.1:9", "nonsense://x", "tls://127.0.0.1:9"):
            with pytest.raises(UserError, match=rf"^No Dask scheduler answers at {address} .* runtime\.address"):
                list(ordered_map(str, [1], runtime("dask", address=address)))


def test_no_cluster_of_its_own_is_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("Cluster failed to start: Too many open files")

    monkeypatch.setattr("distributed.LocalCluster", fail)
    with pytest.raises(UserError, match=r"^No Dask cluster starts on this machine \(.*\); lower runtime\.workers in "):
        list(ordered_map(str, [1], runtime("dask", 2)))


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (lambda cluster: cluster.workers[0].kill(), "No worker of the Dask cluster"),
        (lambda cluster: cluster.scheduler.send_signal(signal.SIGSTOP), "No worker of the Dask cluster"),
        (lambda cluster: cluster.scheduler.kill(), "The Dask scheduler has gone"),
    ],
    ids=["no worker any more", "frozen scheduler", "no scheduler any more"],
)
def test_a_cluster_that_ends_under_way_is_one_sentence(
    place: Path, tmp_path_factory: pytest.TempPathFactory, end: Callable[[Cluster], None], sentence: str
) -> None:
    timeout = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with timeout, running(tmp_path_factory.mktemp("cluster"), workers=1) as cluster:
        who = runtime("dask", address=cluster.address, worker_timeout=2)
        results = ordered_map(time.sleep, [0] + [0.2] * 50, who)
        next(results)
        end(cluster)
        with pytest.raises(UserError, match=sentence):
            list(results)


def test_a_cluster_without_workers_is_one_sentence(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("cluster"), workers=0) as cluster:
        who = runtime("dask", address=cluster.address, worker_timeout=1)
        with pytest.raises(UserError) as error:
            list(ordered_map(str, range(3), who))
    says(error, "No worker", cluster.address, "runtime.worker_timeout", "docs/cluster.md")


def test_workers_that_are_not_replaced_are_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instantiate, started = distributed.Nanny.instantiate, []

    async def start_once(nanny: distributed.Nanny) -> Any:
        started.append(nanny)
        if len(started) > 1:
            raise RuntimeError("no new process")
        return await instantiate(nanny)

    monkeypatch.setattr(distributed.Nanny, "instantiate", start_once)
    with pytest.raises(UserError) as error:
        list(ordered_map(die, range(3), runtime("dask", worker_timeout=5)))
    says(error, "No worker", "on this machine", "runtime.worker_timeout", "runtime.workers")


def freeze_once(number: int) -> int:
    """Suspend the worker, the first time."""
    if not Path("frozen").exists():
        Path("frozen").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def test_a_frozen_worker_of_our_own_cluster_is_done_without(place: Path) -> None:
    assert list(ordered_map(freeze_once, range(3), runtime("dask", 2, worker_timeout=10))) == [0, 1, 2]


def test_workers_with_older_code_are_refused(place: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.runtime.engine._code", lambda: "newer")
    with pytest.raises(UserError, match="older code"):
        list(ordered_map(str, [1], runtime("dask", address=cluster.address)))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PYTHONPATH": ""}, ["no module stages", f"PYTHONPATH={Path.cwd()}"]),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, ["Hangul", "PYTHONUTF8=1"]),
    ],
    ids=["without our modules", "without UTF-8"],
)
def test_workers_that_were_not_started_as_documented(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], words: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("cluster")
    with running(folder, workers=1, **environment) as cluster, pytest.raises(UserError) as error:
        list(ordered_map(limits.account, range(3), runtime("dask", address=cluster.address)))
    says(error, *words, "docs/cluster.md")
