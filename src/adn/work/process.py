"""What every process of adn does: speak in one sentence, unwind on signals; and processes that work for another one."""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any

from adn.errors import AdnError

DONE, OUR_FAULT, BAD_INPUT, SOME_FAILED, BLOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 130
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_SPAWN = get_context("spawn")  # fork would copy torch's threads in an undefined state
_GRACE_S = 10.0  # for a worker to remove what it was writing


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence for a user."""
    if isinstance(error, AdnError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
        where = f" {error.filename}" if error.filename else ""
        return BAD_INPUT, f"Files could not be read or written:{where} ({error.strerror}). Check space and permissions."
    if isinstance(error, MemoryError):
        return OUR_FAULT, "Not enough memory. Use fewer --jobs, or a machine with more memory."
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return OUR_FAULT, (
        f"Something that should not happen did ({what}). "
        "Please report it with the output of 'adn info' and of the same command with --debug."
    )


def debugging() -> bool:
    """True where tracebacks are wanted: --debug, which sets ADN_DEBUG so that worker processes hear of it."""
    return bool(os.environ.get("ADN_DEBUG"))


def set_up_logging() -> None:
    """Only adn's own warnings reach stderr; with --debug everything does."""
    if debugging():
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("adn").setLevel(logging.DEBUG)
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("adn: %(levelname)s: %(message)s"))
    logger = logging.getLogger("adn")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def unwind_on_signals() -> None:
    """Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt, so that half-written files are removed.

    Only the first one does: an impatient second must not interrupt the removing. Ignored signals (nohup) stay so.
    """
    wanted = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]

    def unwind(number: int, frame: object) -> None:
        for other in heard:
            signal.signal(other, lambda *_: None)  # not SIG_IGN: Python complains if one is on its way already
        raise KeyboardInterrupt

    for number in heard:
        signal.signal(number, unwind)


@contextmanager
def collecting_later() -> Iterator[None]:
    """Leave reference cycles until the end: a tenth of a prediction's time went into looking for the few there are."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Worker:
    """A fresh process that runs `target(pipe, *args)`, and our end of its pipe.

    One pipe each, so that a process that dies is known to have died on its own task.
    """

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        self.pipe, far_end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=target, args=(far_end, *args), daemon=True)
        # Inherited: Ctrl-C is for us, we tell the workers. Only a main thread may and needs to say so.
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        try:
            self.process.start()
        finally:
            if main:
                signal.signal(signal.SIGINT, before)
        far_end.close()


def end(workers: Iterable[Worker]) -> None:
    """SIGTERM, so that workers unwind and remove what is half written; SIGKILL where that takes too long."""
    workers = list(workers)
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def begin_worker(threads: int | None) -> None:
    """What a worker does first: unwinds on signals and when its parent dies, takes its share of cores, is silent.

    threads: None leaves every library its own default, as in a process of the command line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells its workers
    unwind_on_signals()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        if threads is not None:
            os.environ[name] = str(threads)
    set_up_logging()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def end_worker() -> None:
    """When its pipe has closed: nothing is left to remove, so it may end in any way."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
