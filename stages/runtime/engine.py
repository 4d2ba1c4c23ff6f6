"""Run one function over many batches of work: in this process, in one process for each core, or on a Dask cluster.

Batches leave the files that they write on disk: the workers of a cluster need the project's folder and the raw data
under the same paths, that is, on a shared file system (docs/cluster.md).
"""

import functools
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stages.runtime.errors import UserError
from stages.runtime.params import Runtime

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

KILLED = (
    "A worker process was killed, mostly for want of memory. Lower runtime.workers in params.yaml and run the same "
    "command again."
)
# The threads of a Dask worker share what is open and loaded, and a cascade bears one user at a time.
ONE_AT_A_TIME = threading.Lock()


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], runtime: Runtime) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items, whichever engine does the work.

    `runtime` is what params.yaml says under `runtime:`. `function` must be importable by name (new
    processes are spawned, never forked), and what it writes must bear to be written twice: Dask does a lost worker's
    items again. At most four items for each worker are under way at once, so memory does not grow with their number.
    """
    # Not all cores of the machine: a job of a cluster is often given fewer.
    workers = runtime.workers or (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if runtime.engine == "serial":
        yield from map(function, items)
    elif runtime.engine == "processes":
        yield from _on_processes(function, items, workers)
    else:
        yield from _on_dask(function, items, workers, runtime.address)


def _on_processes(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    if sys.platform == "win32":
        workers = min(workers, 61)  # Windows waits for no more
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as executor:
        try:
            yield from _windowed(executor, function, items, lambda: 4 * workers)
        except BrokenProcessPool:
            raise UserError(KILLED) from None


def _end_with_parent() -> None:
    """Let this worker die with the process that started it: otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _on_dask(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, address: str | None
) -> Iterator[Result]:
    # Slow to import, and a thing of its own: only those who choose it load it.
    from distributed import Client, KilledWorker, LocalCluster

    try:
        cluster = address or LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs="CRITICAL",
        )
        client = Client(cluster, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        if not address:
            raise UserError(
                f"No Dask cluster starts on this machine ({error}); lower runtime.workers in params.yaml, or set "
                "runtime.engine to processes."
            ) from None
        raise UserError(
            f"No Dask scheduler answers at {address} ({error}); start it, or correct runtime.address in params.yaml."
        ) from None
    call = functools.partial(_on_worker, function, str(Path.cwd()), _code())
    try:
        yield from _windowed(client.get_executor(pure=False), call, items, lambda: 4 * _workers(client))
    except KilledWorker:
        raise UserError(KILLED) from None
    except CancelledError:
        raise UserError("The Dask scheduler has gone; start it and run the same command again.") from None
    except ModuleNotFoundError as error:
        raise UserError(
            f"The Dask workers have no module {error.name}; start them with this project's environment and with "
            f"PYTHONPATH={Path.cwd()} (docs/cluster.md)."
        ) from None
    finally:
        client.close()
        if not isinstance(cluster, str):
            cluster.close()


def _workers(client: "Client") -> int:
    """How many there are now: they come and go while a cluster runs."""
    try:
        workers: int = sum(client.ncores().values())
    except OSError:  # no scheduler any more, as the next result will say
        return 1
    return max(1, workers)


def _on_worker(function: Callable[[Item], Result], folder: str, code: str, item: Item) -> Result:
    if code != _code():
        raise UserError("The Dask workers run older code than this; restart them and run the same command again.")
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


def _windowed(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], window: Callable[[], int]
) -> Iterator[Result]:
    """Map with at most `window()` items under way."""
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) >= window():
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
