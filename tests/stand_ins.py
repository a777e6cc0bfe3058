"""Stand-ins for the code that processes a scan, in a separate module so that worker processes can import them."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from adn.cli import app
from adn.errors import InputError
from adn.io.atomic import atomic_folder
from adn.prediction import batch
from adn.prediction.batch import Networks, Outcome, Request, predict_all
from adn.work.pool import begin_worker
from given import loose


@dataclass(frozen=True)
class ByName:
    """A stand-in for `Predictor`: what happens is written in the scan's name."""

    request: Request
    networks: Networks

    @cached_property
    def loaded_by(self):
        """As the networks are: once in every process."""
        return os.getpid()

    def __call__(self, task):
        """The outcome of one scan."""
        if "bad" in task.case:
            raise InputError(f"{task.scan} is not a head CT.")
        if "bug" in task.case:
            raise ZeroDivisionError("an accident")
        if "crash" in task.case:
            with atomic_folder(self.request.out / task.case, marker="result.json"):
                os.kill(os.getpid(), signal.SIGKILL)
        row = {"case": task.case, "scan": str(task.scan), "volume_ml": 12.34, "side": "left", "device": self.loaded_by}
        because = "the scan is too noisy" if "noise" in task.case else ""
        report = self.request.out / task.case / "report.html"
        return Outcome(task, 0, row=row, warnings=("thin slices",), report=report, because=because)


@dataclass(frozen=True)
class Slow:
    """A stand-in for `Predictor`: half-writes, then waits to be interrupted."""

    request: Request
    networks: Networks

    def __call__(self, task):
        """Nothing ever comes of a scan."""
        with atomic_folder(self.request.out / task.case, marker="result.json") as partial_folder:
            (partial_folder / "half.nii.gz").write_bytes(b"half")
            for _ in range(600):  # in steps, as computing is: a signal may be given to a thread that is not asleep
                time.sleep(0.1)


@dataclass(frozen=True)
class Counting:
    """Work for `map_processes`: counts what its copy has worked on; dies of what is negative, refuses 0."""

    folder: Path

    @cached_property
    def counts(self):
        """How many numbers this copy has seen, in a list."""
        return []

    def __call__(self, number):
        """(process, how many it has worked on)."""
        self.counts.append(number)
        (self.folder / f"half-{number}").touch()
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"half-{number}").unlink()
        if number == 0:
            raise InputError("0 is not a number to work on.")
        return os.getpid(), len(self.counts)


def half_write(pipe, path):
    """A worker of `adn.work.pool` that half-writes a file, waits, and removes it when it unwinds."""
    begin_worker(1)
    try:
        Path(path).write_bytes(b"half")
        for _ in range(600):
            time.sleep(0.1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        Path(path).unlink()


if __name__ == "__main__":  # adn, with a stand-in in the place of the pipeline
    from stand_ins import Slow as ImportableSlow

    batch.predict_all = partial(predict_all, work=loose(ImportableSlow))
    sys.argv = ["adn", "predict", *sys.argv[1:]]
    sys.exit(app.main())
