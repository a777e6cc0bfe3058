"""What a worker does: predict one scan of an archive, wherever it lies, and put the results into the output folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import adn
from adn.archives.layout import Layout, put, result_of
from adn.archives.ledger import Item
from adn.archives.places import brought
from adn.errors import AdnError
from adn.io.atomic import scratch_folder
from adn.prediction.batch import Networks, Outcome, Predictor, Request, Task
from adn.work.memory import restore_glibc_trimming
from adn.work.pool import Failure, attempt

WORKPLACE = ".adn-work"  # in the output folder: results that are not complete yet

Work = Callable[[Request, Networks], Callable[[Task], Outcome]]


@dataclass(frozen=True)
class Job:
    """Predicts scans of one archive; sent to the workers with each scan. request.out: a folder all workers can reach.

    work: makes the callable that predicts a scan. version: the version of adn that workers must have.
    """

    request: Request
    networks: Networks
    layout: Layout = "cases"
    work: Work = Predictor
    version: str = adn.__version__

    def __call__(self, item: Item) -> dict[str, Any] | Failure:
        """The scan's row of the table, or why there is none. Complete results are not made again.

        A worker that a user started uses as many threads as OMP_NUM_THREADS says; dask sets it to 1 by default, but
        leaves ITK's own setting alone.
        """
        if threads := os.environ.get("OMP_NUM_THREADS", ""):
            os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", threads)
        return attempt(self._one, item)

    def _one(self, item: Item) -> dict[str, Any]:
        if self.version != adn.__version__:
            raise AdnError(
                f"A worker runs adn {adn.__version__}, but this run needs {self.version}: install the same everywhere."
            )
        place = result_of(self.request.out, self.layout, item.case)
        if place.exists():
            return row_of(place, item)
        if len(item.files) == 0:
            raise AdnError("the index names no file of this study; start again with another output folder.", item.scan)
        workplace = self.request.out / WORKPLACE
        workplace.mkdir(exist_ok=True)
        with scratch_folder() as fetched, scratch_folder(workplace) as desk:
            task = Task(brought(item.files, fetched), item.case)
            outcome = self.work(replace(self.request, out=desk), _shared_networks(self.networks))(task)
            try:
                put(desk / item.case, self.request.out, self.layout, item.case)
            except FileExistsError:  # a worker that was thought dead was faster
                return row_of(place, item)
        return {**outcome.row, "scan": item.scan}


def row_of(result: Path, item: Item) -> dict[str, Any]:
    """A scan's row of the table, from its result file."""
    from adn.report import csv_row

    return csv_row(json.loads(result.read_text(encoding="utf-8")), item.scan)


def failed_row(item: Item, error: str) -> dict[str, Any]:
    """The row of a scan without results."""
    return {"case": item.case, "scan": item.scan, "error": error}


@lru_cache(maxsize=1)
def _shared_networks(networks: Networks) -> Networks:
    """The same networks for every scan of a process, so that they load once; called before its first scan."""
    restore_glibc_trimming()
    return networks
