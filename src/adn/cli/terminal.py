"""How the command line speaks: one sentence per error, exit codes, and silence from the libraries beneath."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from adn.work.exits import (
    BAD_INPUT,
    BLOCKED,
    DONE,
    INTERRUPTED,
    OUR_FAULT,
    SOME_FAILED,
    debugging,
    explain,
    set_up_logging,
)
from adn.work.progress import Progress as ProgressCallback
from adn.work.signals import unwind_on_signals

if TYPE_CHECKING:
    from adn.work.pool import Failure

__all__ = [
    "BAD_INPUT", "BLOCKED", "DONE", "INTERRUPTED", "OUR_FAULT", "SOME_FAILED", "check_writable", "counter", "debugging",
    "explain", "per_minute", "print_error", "print_failure", "progress_bar", "set_up_logging",
    "spell_out_unknown_letters", "stderr", "unwind_on_signals", "with_options",
]  # fmt: skip
_ARGUMENT = re.compile(r"`([a-z_]+)`")


def spell_out_unknown_letters() -> None:
    """Show letters that the terminal cannot, and invalid bytes in file names, as codes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stderr() -> Console:
    """A console for progress and errors; results go to stdout."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def progress_bar(quiet: bool) -> Progress:
    """A progress bar that vanishes at the end; none unless stderr is a terminal."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = stderr()
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)


@contextmanager
def counter(what: str, quiet: bool, rate: bool = False) -> Iterator[ProgressCallback]:
    """A bar for work that reports (done, all). rate: also show how many are done per minute."""
    start = time.monotonic()
    with progress_bar(quiet) as bar:
        row = bar.add_task(what, total=None)

        def draw(done: int, total: int) -> None:
            words = f"{what}, {per_minute(done, start)}" if rate else what
            bar.update(row, completed=done, total=total, description=words)

        yield draw


def per_minute(count: int, start: float) -> str:
    """How fast work goes that began at `start` (`time.monotonic`)."""
    return f"{count / max(time.monotonic() - start, 1e-3) * 60:.0f} per minute"


def print_failure(case: str, failure: Failure) -> None:
    """Why a case failed, with its name once."""
    print_error(stderr(), failure.error if case in failure.error else f"{case}: {failure.error}")


def print_error(console: Console, sentence: str) -> None:
    """One error, as one paragraph, with nothing in it read as markup."""
    console.print("[bold red]adn: error:[/]", end=" ")
    console.print(with_options(sentence), markup=False)


def with_options(sentence: str) -> str:
    """A message of the library with its arguments, which stand in backticks, as the command line spells them."""
    return _ARGUMENT.sub(lambda match: "--" + match[1].replace("_", "-"), sentence)


def check_writable(folder: Path) -> None:
    """Raise OutputError unless results can be written into `folder`; as `adn.io.atomic.check_writable`."""
    from adn.io import atomic  # the command line starts without what reads images

    atomic.check_writable(folder)
