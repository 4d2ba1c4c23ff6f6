"""Run one function over many batches of work: in this process, in one process for each core, or on a Dask cluster.

Batches leave the files that they write on disk: the workers of a cluster need the project's folder and the raw data
under the same paths, that is, on a shared file system (docs/cluster.md).
"""

import contextlib
import functools
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from stages.runtime.errors import UserError
from stages.runtime.params import Runtime

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Item = TypeVar("Item")
Result = TypeVar("Result")

KILLED = (
    "A worker process was killed, usually because memory ran out. Lower runtime.workers in params.yaml and run the "
    "same command again."
)
STARTING, CLOSING = 60, 10  # seconds for the start of a worker on a busy machine, and for the end of a cluster
# The threads of a Dask worker share what is open and loaded, and a cascade is not thread-safe.
ONE_AT_A_TIME = threading.Lock()


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], runtime: Runtime) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items, whichever engine does the work.

    `function` must be importable by name (new processes are spawned, never forked) and idempotent: Dask does a lost
    worker's items again. At most four items for each worker are under way at once, so memory does not grow with their
    number.

    Raises:
        UserError: a worker was killed, or for `runtime.worker_timeout` seconds none was at work.
    """
    if runtime.engine == "serial":
        yield from map(function, items)
    elif runtime.engine == "processes":
        yield from _on_processes(function, items, runtime)
    else:
        yield from _on_dask(function, items, runtime)


def _workers(runtime: Runtime) -> int:
    # Not all cores of the machine: a job of a cluster is often given fewer.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return runtime.workers or cores


def _on_processes(function: Callable[[Item], Result], items: Iterable[Item], runtime: Runtime) -> Iterator[Result]:
    total = _workers(runtime)
    if sys.platform == "win32":
        total = min(total, 61)  # Windows waits for no more
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(total, mp_context=context, initializer=_end_with_parent) as executor,
        _started_here() as processes,
    ):

        def at_work() -> int:
            # A frozen one never returns its result, however many others run.
            return 0 if any(map(_is_frozen, processes())) else total

        try:
            yield from _windowed(executor, function, items, at_work, runtime.worker_timeout)
        except BrokenProcessPool:
            raise UserError(KILLED) from None
        except _NobodyAtWorkError:
            raise UserError(
                f"A worker process has stood still for {runtime.worker_timeout} seconds (runtime.worker_timeout in "
                "params.yaml); see what suspended it and run the same command again."
            ) from None


@contextlib.contextmanager
def _started_here() -> Iterator[Callable[[], set[BaseProcess]]]:
    """The processes that are started inside. What is left of them is killed: a frozen one would never end by itself."""
    before = set(multiprocessing.active_children())

    def processes() -> set[BaseProcess]:
        return set(multiprocessing.active_children()) - before

    try:
        yield processes
    finally:
        for process in processes():
            process.kill()


def _is_frozen(process: BaseProcess) -> bool:
    try:
        return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:  # it has ended, as its result will say
        return False


def _end_with_parent() -> None:
    """Let this worker die with the process that started it: otherwise it would wait for work forever."""
    if parent := multiprocessing.parent_process():

        def exit_after() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=exit_after, daemon=True).start()


def _on_dask(function: Callable[[Item], Result], items: Iterable[Item], runtime: Runtime) -> Iterator[Result]:
    # Slow to import, and a thing of its own: only those who choose it load it.
    from distributed import KilledWorker
    from distributed.client import ClosedClientError
    from distributed.protocol import pickle
    from distributed.scheduler import NoWorkerError

    # As bytes, which only the call itself unpacks: the scheduler needs none of our modules then, and a worker that
    # lacks them says so; otherwise it would end without a word.
    packed = pickle.dumps(functools.partial(_on_worker, function, str(Path.cwd()), _code()))
    batches = map(pickle.dumps, items)
    # A lambda is sent as code, a function as the name of its module.
    call: Callable[[bytes], Result] = lambda batch: pickle.loads(packed)(pickle.loads(batch))  # noqa: E731
    with _started_here(), _client(runtime) as client:
        at_work = functools.partial(_threads, client, runtime.worker_timeout)
        try:
            yield from _windowed(client.get_executor(pure=False), call, batches, at_work, runtime.worker_timeout)
        except KilledWorker:
            raise UserError(KILLED) from None
        except (_NobodyAtWorkError, NoWorkerError):
            place, advice = (
                (f"at {runtime.address}", "start its scheduler and workers (docs/cluster.md)")
                if runtime.address
                else ("on this machine", "lower runtime.workers in params.yaml, or raise this if the machine is busy,")
            )
            raise UserError(
                f"No worker of the Dask cluster {place} has answered for {runtime.worker_timeout} seconds "
                f"(runtime.worker_timeout); {advice} and run the same command again."
            ) from None
        except (CancelledError, ClosedClientError):
            raise UserError("The Dask scheduler has gone; start it and run the same command again.") from None
        except ModuleNotFoundError as error:
            raise UserError(
                f"The Dask workers have no module {error.name}; start them with this project's environment and with "
                f"PYTHONPATH={Path.cwd()} (docs/cluster.md)."
            ) from None


@contextlib.contextmanager
def _client(runtime: Runtime) -> "Iterator[Client]":
    """A client of the cluster that runs already, or of one that ends with it."""
    import dask
    from distributed import Client, LocalCluster

    # A worker that does not start, or freezes, is killed and replaced. Left to itself, Dask gives up on one whose
    # replacement takes more than 15 seconds to start, as it does on a busy machine.
    patience = max(STARTING, runtime.worker_timeout)
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": patience}))
        try:
            cluster = runtime.address or LocalCluster(
                n_workers=_workers(runtime),
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs="CRITICAL",
                death_timeout=patience,
                scheduler_kwargs={"worker_ttl": runtime.worker_timeout},
            )
            if not isinstance(cluster, str):
                stack.callback(_close, cluster)
            client = Client(cluster, set_as_default=False)
            stack.callback(_close, client)
        except (OSError, TypeError, ValueError, RuntimeError) as error:  # TypeError: no certificates for TLS
            if not runtime.address:
                raise UserError(
                    f"No Dask cluster starts on this machine ({error}); lower runtime.workers in params.yaml, or set "
                    "runtime.engine to processes."
                ) from None
            raise UserError(
                f"No Dask scheduler answers at {runtime.address} ({error}); start it, or correct runtime.address in "
                "params.yaml."
            ) from None
        yield client


def _close(opened: "Client | LocalCluster") -> None:
    with contextlib.suppress(TimeoutError):  # of a scheduler or worker that is frozen there is nothing to close
        opened.close(timeout=CLOSING)


def _threads(client: "Client", timeout: float) -> int:
    """How many batches the cluster can do at once: workers come and go while it runs."""
    try:
        return sum(client.nthreads(callback_timeout=timeout).values())
    except (OSError, AttributeError):  # no scheduler any more, as the next result will say
        return 0


def _on_worker(function: Callable[[Item], Result], folder: str, code: str, item: Item) -> Result:
    if code != _code():
        raise UserError("The Dask workers run older code than this; restart them and run the same command again.")
    if sys.getfilesystemencoding() != "utf-8":
        raise UserError("The Dask workers cannot read names in Hangul; start them with PYTHONUTF8=1 (docs/cluster.md).")
    with ONE_AT_A_TIME:
        os.chdir(folder)
        return function(item)


@functools.cache
def _code() -> str:
    """A digest of our code as this process first saw it; a Dask worker goes on with what it has loaded."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _NobodyAtWorkError(Exception):
    """For too long nobody was there to work on a result that is waited for."""


def _windowed(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    at_work: Callable[[], int],
    timeout: float,
) -> Iterator[Result]:
    """Map with at most four items under way for each of the workers `at_work()`."""
    pending: deque[Future[Result]] = deque()
    for item in items:
        pending.append(executor.submit(function, item))
        while len(pending) >= 4 * max(1, at_work()):
            yield _result(pending.popleft(), at_work, timeout)
    while pending:
        yield _result(pending.popleft(), at_work, timeout)


def _result(future: "Future[Result]", at_work: Callable[[], int], timeout: float) -> Result:
    """The result of a batch, however long it takes, unless for `timeout` seconds nobody was at work."""
    seen = time.monotonic()
    while not wait([future], timeout=1).done:
        if at_work():
            seen = time.monotonic()
        elif time.monotonic() - seen >= timeout:
            raise _NobodyAtWorkError
    return future.result()
