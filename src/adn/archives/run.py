"""Predict an archive: scans are listed on disk, handed out a few at a time, and recorded as they finish."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import adn
from adn.archives.layout import describe, result_of
from adn.archives.ledger import DONE, FAILED, LEDGER, SET_ASIDE, Counts, Item, Ledger
from adn.archives.sources import Found, find_scans
from adn.archives.table import update_table
from adn.archives.work import WORKPLACE, Job, failed_row
from adn.errors import AdnError, InputError, OutputError
from adn.io.atomic import check_writable, remove_folder, sweep
from adn.work.pool import Failure, thread_settings

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster
    from tornado.ioloop import PeriodicCallback

TRIES = 2  # how often a scan is tried if its worker dies
_LISTED_AT_ONCE = 200
_LISTING_S = 0.2  # time to list scans before attending to the workers again
_WAIT_S = 0.5  # wait for a scan to finish; short, so that Ctrl-C gets through
_COUNT_S = 5.0  # between two counts of the workers
_KEEP_S = 2.0  # between commits; a stop loses at most this much, which is recovered from the results
_TABLE_S = 60.0
_AHEAD = 2  # scans handed out per worker thread


@dataclass(frozen=True)
class Event:
    """The outcome of one scan. error: a sentence, '' if it is done. row: its row of the table."""

    case: str
    error: str
    row: dict[str, Any]


OnEvent = Callable[[Event | None, Counts, bool], object]  # event (None: new counts only), counts, may more come


def predict_archive(
    places: Sequence[str], job: Job, client: Client, tell: OnEvent | None = None, *, retry_failed: bool = False
) -> Counts:
    """Predict all scans of `places` (see `find_scans`) on the workers of `client`; returns the final counts.

    Results go to `job.request.out` and its `results.parquet`. Finished scans are skipped; those that failed or were set
    aside are retried only with `retry_failed`. A scan that kills its worker as often as the scheduler allows is set
    aside.
    Raises as `predict_scans` does, and InputError where a place cannot be listed.
    """
    out = job.request.out
    _check(job)
    out.mkdir(parents=True, exist_ok=True)
    describe(out, job.layout, adn.__version__)
    sweep(out / WORKPLACE)
    with closing(Ledger(out / LEDGER, _settings(job))) as ledger:
        if retry_failed:
            ledger.retry_failed()
        run = _Run(job, client, ledger, tell or (lambda *_: None))
        try:
            run.all(find_scans(list(places), ledger, out))
        finally:
            run.stop()
            update_table(ledger, out)
        remove_folder(out / WORKPLACE)
        return ledger.counts


def _check(job: Job) -> None:
    request = job.request
    check_writable(request.out)
    if request.overwrite:
        raise InputError("`overwrite` is not for archives, which resume where they stopped: choose another folder.")
    if request.dicom_seg and job.layout == "bids":
        raise InputError("`dicom_seg` does not fit the BIDS layout; use the layout with a folder for each case.")
    if request.out.is_dir() and any(request.out.iterdir()) and not (request.out / LEDGER).exists():
        raise OutputError("holds something other than an archive's results; choose another folder.", request.out)


def _settings(job: Job) -> dict[str, Any]:
    """The settings that all results in one folder share."""
    from adn.io.weights import find_weights

    request, weights = job.request, job.networks.weights
    known = find_weights(weights) if weights is None or isinstance(weights, str) else weights
    options = request.user_options.answers
    return {
        "weights": known.sha256,
        "layout": job.layout,
        "series": request.series,
        "dicom_seg": request.dicom_seg,
        "lang": request.user_options.language,
        "volume_limit_ml": options.volume_limit_ml,
        "keep_old": options.keep_old,
    }


class _Run:
    """One run over the ledger: the scans in progress, and when the disk was last brought up to date."""

    def __init__(self, job: Job, client: Client, ledger: Ledger, tell: OnEvent) -> None:
        self.job, self.client, self.ledger, self.tell = job, client, ledger, tell
        self.flying: dict[Future, Item] = {}
        self.landed: SimpleQueue[Future] = SimpleQueue()
        self.name = f"adn_predict-{secrets.token_hex(8)}"
        self.last = 0  # number of the last scan handed out
        self.room, self.counted = 0, -_COUNT_S
        self.kept = self.tabled = time.monotonic()

    def all(self, found: Iterator[Found | None]) -> None:
        listing = True
        while True:
            if listing:
                listing = self._list(found)
                self.ledger.commit()  # names are assigned before anything uses them
            self._hand_out()
            if not self.flying and not listing:
                return
            self._collect(0.0 if listing else _WAIT_S)
            self._keep()
            self.tell(None, self.ledger.counts, listing)

    def stop(self) -> None:
        """Cancel what was handed out: workers drop the scans they have not begun."""
        if self.flying:
            with suppress(Exception):  # the scheduler itself may be gone
                self.client.cancel(list(self.flying), force=True)
        self.flying.clear()

    def _list(self, found: Iterator[Found | None]) -> bool:
        """Record some more scans; False when there are no more."""
        end = time.monotonic() + _LISTING_S
        for _ in range(_LISTED_AT_ONCE):
            try:
                one = next(found)
            except StopIteration:
                return False
            if one is not None:
                done = self.ledger.add(one)
                if done and not result_of(self.job.request.out, self.job.layout, done).exists():
                    self.ledger.again(done)
            if time.monotonic() > end:
                break
        return True

    def _hand_out(self) -> None:
        if time.monotonic() - self.counted > _COUNT_S:
            threads = sum(dict[str, int](self.client.nthreads()).values())  # type: ignore[call-overload] - a client that waits
            self.room, self.counted = max(_AHEAD * threads, 4), time.monotonic()
        free = self.room - len(self.flying)
        for item in self.ledger.waiting(self.last, free) if free > 0 else ():
            future = self.client.submit(self.job, item, key=f"{self.name}-{item.number}", pure=False)
            self.flying[future] = item
            self.last = item.number
            future.add_done_callback(self.landed.put)

    def _collect(self, wait_s: float) -> None:
        """Record the scans that have finished, after waiting for the first."""
        try:
            future = self.landed.get(timeout=wait_s) if wait_s else self.landed.get_nowait()
            while True:
                self._end(future, self.flying.pop(future))
                future = self.landed.get_nowait()
        except Empty:
            return

    def _end(self, future: Future, item: Item) -> None:
        from distributed import KilledWorker

        try:
            result = future.result()
        except KilledWorker as error:
            tries = error.allowed_failures + 1
            sentence = f"{item.scan}: set aside, as the process working on it died {tries} times; look at the scan."
            return self._write(item, SET_ASIDE, failed_row(item, sentence))
        except Exception as error:
            raise AdnError(
                f"The connection to the scheduler was lost ({type(error).__name__}); "
                "run the same command again to continue."
            ) from error
        if isinstance(result, Failure):
            sentence = f"{item.scan}: {result.what}" if result.about else result.error
            return self._write(item, FAILED, failed_row(item, sentence))
        return self._write(item, DONE, result)

    def _write(self, item: Item, state: int, row: dict[str, Any]) -> None:
        self.ledger.finish(item.number, state, row)
        self.tell(Event(item.case, row.get("error") or "", row), self.ledger.counts, True)

    def _keep(self) -> None:
        now = time.monotonic()
        if now - self.kept > _KEEP_S:
            self.ledger.commit()
            self.kept = now
        if now - self.tabled > _TABLE_S:
            update_table(self.ledger, self.job.request.out)
            self.tabled = now


def local_client(jobs: int, threads: int) -> Client:
    """A client of a cluster on this machine, which ends with it: `jobs` processes with `threads` threads each.

    Nobody else can connect to it. Raises InputError where dask is not installed.
    """
    level = "debug" if os.environ.get("ADN_DEBUG") else "critical"
    environment = thread_settings(threads) | {"DASK_LOGGING__DISTRIBUTED": level}
    dask, distributed = _dask(level)
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": TRIES - 1,
            "distributed.scheduler.worker-saturation": 1.0,  # scans wait in the scheduler: a worker may die
            "distributed.nanny.pre-spawn-environ": environment,
            "distributed.deploy.lost-worker-timeout": "10 minutes",  # a busy machine is slow to start one
        }
    )
    cluster = distributed.LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,  # the system kills what takes too much; none pauses
        host="127.0.0.1",
        protocol="tls",
        security=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=False,
    )
    _restart_dead_workers(cluster, jobs)
    return distributed.Client(cluster)


def _restart_dead_workers(cluster: LocalCluster, jobs: int) -> None:
    """Restart workers whose process died while starting: dask gives up on those."""
    from distributed.core import Status
    from tornado.ioloop import PeriodicCallback

    def look() -> None:
        for name, nanny in list(cluster.workers.items()):
            if nanny.status in (Status.closed, Status.failed):
                del cluster.workers[name]
        cluster.scale(jobs)

    cluster.periodic_callbacks["adn"] = again = PeriodicCallback(look, _COUNT_S * 1e3)
    cluster.sync(_started, again)


async def _started(callback: PeriodicCallback) -> None:
    callback.start()  # in the cluster's own loop


def remote_client(scheduler: str) -> Client:
    """A client of an existing scheduler: its address, or the file (.json) that it wrote. Raises InputError."""
    _, distributed = _dask("error")
    try:
        if scheduler.endswith(".json"):
            return distributed.Client(scheduler_file=scheduler, timeout=20)
        return distributed.Client(scheduler, timeout=20)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no dask scheduler answered at {scheduler} ({type(error).__name__}); check `scheduler`, and that it runs."
        ) from error


def _dask(level: str) -> tuple[Any, Any]:
    try:
        import dask.config
        import pyarrow  # noqa: F401 - fail now rather than after the first scan

        dask.config.set({"logging": {"distributed": level, "distributed.client": level}})  # read by the next line
        import distributed
    except ImportError as error:
        raise InputError("Archives need dask and pyarrow: pip install 'adn-stroke[archive]'.") from error
    return dask, distributed
