"""How the command line speaks: one sentence per error, exit codes, and silence from the libraries beneath."""

from __future__ import annotations

import errno
import logging
import os
import signal
import tempfile
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from adn.errors import AdnError, OutputError

DONE, OUR_FAULT, BAD_INPUT, SOME_FAILED, BLOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 130
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def stderr() -> Console:
    """A console for progress and errors; results go to stdout."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def progress_bar(quiet: bool) -> Progress:
    """A bar that counts what is done, gone when it ends; none where nobody looks."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = stderr()
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)


def say_error(console: Console, sentence: str) -> None:
    """One error, as one paragraph, with nothing in it read as markup."""
    console.print("[bold red]adn: error:[/]", end=" ")
    console.print(sentence, markup=False)


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


def check_writable(folder: Path) -> None:
    """Raise OutputError unless files can be made in `folder`, or in its nearest existing parent. Leaves nothing."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(
            f"Results need a folder that can be written to, but {folder} cannot ({error.strerror}). "
            "Choose another with -o."
        ) from error
