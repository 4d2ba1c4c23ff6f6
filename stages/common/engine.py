"""Run one function over many batches of work: in this process, or in one process for each core."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from stages.common.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

ENGINES = ("serial", "processes")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], engine: str, workers: int
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items, whichever engine does the work.

    `workers` 0 stands for all cores. `function` must be importable by name (new processes are spawned, never forked).
    At most four items for each worker are under way at once, so memory does not grow with the number of items.
    """
    workers = workers or os.cpu_count() or 1
    if sys.platform == "win32":
        workers = min(workers, 61)  # Windows waits for no more
    if engine == "serial":
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
        try:
            yield from _windowed(executor, function, items, 4 * workers)
        except BrokenProcessPool:
            raise UserError(
                "A worker process was killed, mostly for want of memory. Lower runtime.workers in params.yaml and run "
                "the same command again."
            ) from None


def _windowed(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[Result]:
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) >= window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
