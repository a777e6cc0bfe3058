"""Work on many items in several fresh processes. If one dies, we know which item it was working on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

from adn.errors import AdnError
from adn.work.exits import OUR_FAULT, debugging, explain, set_up_logging
from adn.work.signals import unwind_on_signals

Item = TypeVar("Item")
Result = TypeVar("Result")
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
_SPAWN = get_context("spawn")  # fork would copy torch's threads in an undefined state
_GRACE_S = 10.0  # time for a worker to remove what it was writing


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Failure:
    """Why an item failed. code: exit code, never 0. error: a sentence.

    about, what: the file or case that the sentence begins with, and the rest of it; None and '' if it names none.
    may_pass: the item itself is not to blame (a full disk, too little memory), so a later try may succeed.
    """

    code: int
    error: str
    about: str | None = None
    what: str = ""
    may_pass: bool = False


def map_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int | None = 1,
    threads: int | None = None,
    *,
    clean_up: Callable[[Item], object] | None = None,
) -> Iterator[tuple[Item, Result | Failure]]:
    """Yield each item with its result, as they finish. A failure, or the death of a process, does not stop the others.

    work: must be picklable and importable where it is defined. Every process has its own copy, which handles one item
    after another, so that what it stores in itself (such as a loaded model) is there for the next. jobs: processes,
    None: one per core; with 1, or a single item, all is done in this process. threads: per process; None: its share of
    the cores. clean_up: called with the item of a process that died, to remove half-written files; a new process
    takes its place.
    """
    jobs = min(jobs or cores(), len(items))
    if jobs > 1:
        yield from _in_processes(work, items, jobs, threads or max(1, cores() // jobs), clean_up)
        return
    for item in items:
        yield item, attempt(work, item)


def attempt(work: Callable[[Item], Result], item: Item) -> Result | Failure:
    """The result of one item, or why there is none, whatever happens."""
    try:
        return work(item)
    except Exception as error:
        if debugging():
            traceback.print_exc()
        about, what = (error.path, error.what) if isinstance(error, AdnError) and error.path else (None, "")
        code, sentence = explain(error)
        return Failure(code, sentence, about, what, code == OUR_FAULT or isinstance(error, OSError))


def _in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    threads: int,
    clean_up: Callable[[Item], object] | None,
) -> Iterator[tuple[Item, Result | Failure]]:
    waiting = deque(items)
    busy: dict[Worker, Item] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                worker = Worker(_work_in_pool, work, threads)
                busy[worker] = waiting.popleft()
                _give(worker, busy[worker])
            # The timeout lets Python notice a Ctrl-C that the system delivered to a thread other than this waiting one.
            ready = connection.wait([worker.pipe for worker in busy], timeout=0.5)
            for worker in [one for one in busy if one.pipe in ready]:
                item = busy[worker]
                result = _collect(worker, item, clean_up)
                if waiting and worker.process.is_alive():
                    busy[worker] = waiting.popleft()
                    _give(worker, busy[worker])
                else:
                    worker.pipe.close()  # an idle worker ends when its pipe does
                    del busy[worker]
                yield item, result
    finally:
        end(busy)


def _give(worker: Worker, item: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # it has just died; `_collect` will say so
        worker.pipe.send(item)


def _collect(worker: Worker, item: Item, clean_up: Callable[[Item], object] | None) -> Any:
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        if clean_up:
            clean_up(item)
        return Failure(
            OUR_FAULT,
            f"Its process ended unexpectedly (exit code {worker.process.exitcode}), "
            "most often for lack of memory. Try fewer `jobs`.",
            may_pass=True,
        )


def _work_in_pool(pipe: connection.Connection, work: Callable[[Any], Any], threads: int) -> None:
    begin_worker(threads)
    serve(pipe, work)


def serve(pipe: connection.Connection, work: Callable[[Any], Any]) -> None:
    """A worker's life: items in, results or Failures out, until the pipe closes or SIGTERM comes."""
    try:
        while True:
            pipe.send(attempt(work, pipe.recv()))
    except EOFError:
        end_worker()
    except KeyboardInterrupt:
        sys.exit(130)


class Worker:
    """A fresh process that runs `target(pipe, *args)`, and our end of its pipe.

    Each has its own pipe, so that when one dies its task is known.
    """

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        self.pipe, far_end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=target, args=(far_end, *args), daemon=True)
        # Inherited by the worker: Ctrl-C is for us, we tell the workers. Only a main thread can and needs to set this.
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        try:
            self.process.start()
        finally:
            if main:
                signal.signal(signal.SIGINT, before)
        far_end.close()


def end(workers: Iterable[Worker]) -> None:
    """Send SIGTERM, so that workers unwind and remove half-written files; SIGKILL if that takes too long."""
    workers = list(workers)
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables that make torch and ITK use this many threads, to be set before they are loaded."""
    return dict.fromkeys(_THREADS, str(threads))


def begin_worker(threads: int | None) -> None:
    """Set a worker up: unwind on signals and when its parent dies, take its share of cores, keep stderr quiet.

    threads: None leaves every library its own default, as in the command line's own process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells its workers
    unwind_on_signals()
    if threads is not None:
        os.environ.update(thread_settings(threads))
    set_up_logging()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def end_worker() -> None:
    """Called when the pipe has closed: nothing is left to remove, so SIGTERM may end the process at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
