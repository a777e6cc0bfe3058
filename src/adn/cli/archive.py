"""`adn predict` of an archive: which workers to use, and how far along it is."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from adn.cli import terminal
from adn.results import DISCLAIMER
from adn.work.exits import BAD_INPUT, DONE, SOME_FAILED

if TYPE_CHECKING:
    from rich.progress import Progress

    from adn.archives.ledger import Counts
    from adn.archives.run import Event
    from adn.prediction.batch import Networks, Request

_LINE_S = 60.0  # between two lines where there is no terminal


def predict_archive(
    places: list[str], request: Request, networks: Networks, how: tuple[int | None, str | None, str, bool], quiet: bool
) -> int:
    """Predict an archive; returns the exit code. how: processes, scheduler's address, layout, retry failed."""
    from adn.archives import run
    from adn.archives.table import TABLE
    from adn.archives.work import Job
    from adn.work.pool import cores

    jobs, scheduler, layout, retry_failed = how
    job = Job(request, networks, "bids" if layout == "bids" else "cases")
    with (
        closing(_Workers(jobs or 1, max(1, cores() // (jobs or 1)), scheduler)) as workers,
        terminal.progress_bar(quiet) as bar,
    ):
        tell = _Progress(bar, quiet)
        counts = run.predict_archive(places, job, workers.client, tell, retry_failed=retry_failed)
    if not quiet:
        lost = f", {counts.failed} failed" * bool(counts.failed)
        lost += f", {counts.set_aside} set aside" * bool(counts.set_aside)
        typer.echo(f"{counts.done} of {counts.found} scans done{lost}; {request.out / TABLE}\n{DISCLAIMER}")
    if counts.done == counts.found > 0:
        return DONE
    if counts.found == 0:
        terminal.print_error(terminal.stderr(), f"No scans found in {', '.join(places)}; check the path.")
    return SOME_FAILED if counts.done else BAD_INPUT


class _Workers:
    """A client and, if we started it, the cluster that ends with it."""

    def __init__(self, jobs: int, threads: int, scheduler: str | None) -> None:
        from adn.archives import run

        self.client = run.remote_client(scheduler) if scheduler else run.local_client(jobs, threads)
        self.own = scheduler is None

    def close(self) -> None:
        cluster = self.client.cluster
        self.client.close()
        if self.own and cluster is not None:
            cluster.close()


class _Progress:
    """Shows rate, failures and time left: in a bar or, without a terminal, in a line every minute."""

    def __init__(self, bar: Progress, quiet: bool) -> None:
        self.bar, self.quiet = bar, quiet
        self.row = bar.add_task("scans", total=None)
        self.start = self.told = time.monotonic()
        self.before: int | None = None  # done in earlier runs

    def __call__(self, event: Event | None, counts: Counts, more: bool) -> None:
        ended = counts.found - counts.waiting
        if self.before is None:
            self.before = ended - (event is not None)
        if event and event.error:
            terminal.print_error(self.bar.console, event.error)
        words = f"scans, {self.words(ended - self.before, counts, more)}"
        self.bar.update(self.row, completed=ended, total=counts.found or None, description=words)
        if self.bar.disable and not self.quiet and time.monotonic() - self.told > _LINE_S:
            self.told = time.monotonic()
            self.bar.console.print(f"{ended} of {counts.found} {words}", markup=False)

    def words(self, ended: int, counts: Counts, more: bool) -> str:
        """The progress in words. ended: scans finished in this run."""
        failed = counts.failed + counts.set_aside
        parts = [terminal.per_minute(ended, self.start), f"{failed} failed"] if failed else []
        parts = parts or [terminal.per_minute(ended, self.start)]
        if ended:
            left_s = (time.monotonic() - self.start) / ended * counts.waiting
            parts.append(f"{'at least ' if more else ''}{_duration(left_s)} left")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
