"""Stand-ins for `predict_one`, in a module of their own so that worker processes can import them."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from adn.cli import app
from adn.errors import InputError
from adn.io import weights
from adn.io.atomic import atomic_folder
from adn.prediction.batch import Outcome, process_all
from adn.work.process import begin_worker


def by_name(task, request, models):
    """What happens is written in the scan's name."""
    models.setdefault("loaded by", os.getpid())
    if "bad" in task.case:
        raise InputError(f"{task.scan} is not a head CT.")
    if "bug" in task.case:
        raise ZeroDivisionError("an accident")
    if "crash" in task.case:
        with atomic_folder(request.out / task.case):
            os.kill(os.getpid(), signal.SIGKILL)
    row = {"case": task.case, "volume_ml": 12.34, "side": "left", "device": models["loaded by"]}
    return Outcome(task, 0, row=row, warnings=("thin slices",), report=request.out / task.case / "report.html")


def slow(task, request, models):
    """Half-writes, then waits to be interrupted."""
    with atomic_folder(request.out / task.case) as partial_folder:
        (partial_folder / "half.nii.gz").write_bytes(b"half")
        for _ in range(600):  # in steps, as computing is: a signal may be given to a thread that is not asleep
            time.sleep(0.1)


def half_write(pipe, path):
    """A worker of `adn.work.process` that half-writes a file, waits, and removes it when it unwinds."""
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
    from stand_ins import slow as importable_slow

    weights.find_weights = lambda name: None
    app.process_all = partial(process_all, predict=importable_slow)
    sys.argv = ["adn", "predict", *sys.argv[1:]]
    sys.exit(app.main())
