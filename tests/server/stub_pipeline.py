"""A stand-in for the pipeline, importable in worker processes. The scan's first voxel says what happens."""

import json
import os
import signal
import time

from adn.errors import InputError
from adn.io import read_volume, write_volume
from adn.io.atomic import atomic_folder
from adn.prediction.batch import Outcome
from adn.work.exits import DONE

FINE, BAD, CRASH, SLOW, BUG = range(5)


def predict(task, request, networks, progress):
    progress("read")
    volume = read_volume(task.scan) if task.scan.is_file() and task.scan.suffix != ".zip" else None
    order = FINE if volume is None else int(volume.data.flat[0])
    if order == BAD:
        raise InputError("is not a head CT.", task.scan)
    if order == BUG:
        raise ZeroDivisionError("an accident")
    progress("write")
    with atomic_folder(request.out / task.case, marker="result.json", overwrite=request.overwrite) as folder:
        (folder / "half.nii.gz").write_bytes(b"half")
        if order == CRASH:
            os.kill(os.getpid(), signal.SIGKILL)
        for _ in range(600 * (order == SLOW)):
            time.sleep(0.1)
        (folder / "half.nii.gz").unlink()
        if volume is not None:
            write_volume(volume, folder / "infarct.nii.gz")
        user_options = {
            "language": request.user_options.language,
            "limit_ml": request.user_options.answers.volume_limit_ml,
        }
        told = {"case": task.case, "pid": os.getpid(), "seconds": {}} | user_options
        (folder / "result.json").write_text(json.dumps(told))
    return Outcome(task, DONE)
