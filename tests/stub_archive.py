"""A stand-in for an archive's pipeline, in a separate module so that workers can import it."""

import json
import os
import signal
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from adn.errors import InputError
from adn.prediction.batch import Networks, Outcome, Request
from adn.report import csv_row
from adn.report.numbers import CSV_COLUMNS

SECONDS = float(os.environ.get("ADN_STUB_SECONDS", "0"))

ANSWERS = {
    "net_water_uptake": {"percent": 9.5},
    "aspects": {"left": 8, "right": 10},
    "blood": {"volume_ml": 0.0},
    "mass_effect": {"septum_shift_mm": -0.75, "pineal_shift_mm": None},
    "age": {"looks_old": False},
    "old_infarct": {"volume_ml": 0.0},
    "mass_like": {"looks_so": False},
    "volume_limit": {"limit_ml": 70.0, "against": "below"},
}
RESULT = dict.fromkeys(CSV_COLUMNS) | {
    "assessable": True,
    "not_assessable_because": [],
    "territories": [],
    "slices": [],
    "poses": {"refined": {"rotation_deg": {"in_plane": 0.0, "roll": 0.0}}},
    "seconds": {},
    "warnings": [],
    "volume_ml": 1.5,
    "side": "left",
    "answers": ANSWERS,
}


@dataclass(frozen=True)
class Stub:
    """Writes a case with nothing in it, and notes that it did; what happens else is written in the scan's name."""

    request: Request
    networks: Networks

    def __call__(self, task):
        """The outcome of one scan."""
        time.sleep(SECONDS)
        if "bad" in task.case:
            raise InputError("is not a head CT.", task.scan)
        if "crash" in task.case:
            os.kill(os.getpid(), signal.SIGKILL)
        folder = self.request.out / task.case
        folder.mkdir()
        (folder / "infarct.nii.gz").write_bytes(b"")
        (folder / "result.json").write_text(json.dumps({**RESULT, "case": task.case}))
        if log := os.environ.get("ADN_STUB_LOG"):
            with Path(log).open("a") as file:
                file.write(f"{task.case}\n")
        return Outcome(task, 0, row=csv_row({**RESULT, "case": task.case}, str(task.scan)))


class Here:
    """A client whose only worker is this process. stop_after: then the scheduler is gone."""

    def __init__(self, stop_after=10**9):
        self.most, self.stop_after, self.seen = 0, stop_after, []

    def nthreads(self):
        return {"here": 2}

    def cancel(self, futures, force):
        self.cancelled = len(futures)

    def submit(self, job, item, key, pure):
        future = Future()
        self.seen.append(item.case)
        if len(self.seen) > self.stop_after:
            future.set_exception(OSError("gone"))
        else:
            future.set_result(job(item))
        return future
