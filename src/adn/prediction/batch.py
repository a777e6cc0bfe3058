"""`adn predict` on one scan or many, in this process or in several."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adn.errors import InputError
from adn.work.process import (
    BAD_INPUT,
    DONE,
    OUR_FAULT,
    SOME_FAILED,
    Worker,
    begin_worker,
    collecting_later,
    debugging,
    end,
    end_worker,
    explain,
)

if TYPE_CHECKING:
    from adn.io.weights import WeightsFile
    from adn.results import Prediction


@dataclass(frozen=True)
class Request:
    """What `adn predict` was asked to do with every scan."""

    out: Path
    series: str | None = None
    weights: str | WeightsFile | None = None
    device: str = "auto"
    overwrite: bool = False
    dicom_seg: bool = False


@dataclass(frozen=True)
class Task:
    """One scan and the name of its case."""

    scan: Path
    case: str


@dataclass(frozen=True)
class Outcome:
    """What became of one scan. code: exit code; error: a sentence where code is not 0; row: its line in results.csv."""

    task: Task
    code: int
    error: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    report: Path | None = None


def overall_code(outcomes: list[Outcome]) -> int:
    """0 all done, 3 some failed; where all failed, 2 if every scan was bad input, else 1."""
    codes = {outcome.code for outcome in outcomes}
    if codes <= {DONE}:
        return DONE
    if DONE in codes:
        return SOME_FAILED
    return BAD_INPUT if codes == {BAD_INPUT} else OUR_FAULT


@collecting_later()
def predict_one(
    task: Task,
    request: Request,
    models: dict[str, Any],
    *,
    progress: Callable[[str], None] | None = None,
    also: Callable[[Prediction, Path], object] | None = None,
) -> Outcome:
    """Read, predict, save one scan; `models` keeps the loaded model from scan to scan. Raises as its parts do.

    progress: called with the name of each step: 'read', 'load', those of `pipeline.STEPS`, 'write'. also: writes
    more files of the prediction into the folder that it is given, before it is complete.
    """
    if (request.out / task.case).exists() and not request.overwrite:
        raise InputError(
            f"{request.out / task.case} exists already. Choose another output folder with -o, or add --overwrite."
        )
    tell = progress or (lambda _: None)
    tell("read")
    from adn.io import open_scan

    scan = replace(open_scan(task.scan, series=request.series), name=task.case)  # bad input is heard of before torch

    from adn.report import check_is_dicom, csv_row, result_dict, save_prediction, write_dicom_seg

    if request.dicom_seg:
        check_is_dicom(scan, task.scan)

    tell("load")
    from adn.prediction.assemble import predict
    from adn.prediction.model import load_model

    if "model" not in models:
        models["model"] = load_model(request.weights, request.device)
    prediction = predict(scan, models["model"], progress=progress)

    def more(folder: Path) -> None:
        if request.dicom_seg:
            write_dicom_seg(prediction, task.scan, folder, series=request.series)
        if also:
            also(prediction, folder)

    tell("write")
    folder = save_prediction(prediction, request.out, overwrite=request.overwrite, also=more)
    result = result_dict(prediction)
    return Outcome(task, DONE, "", csv_row(result), tuple(result["warnings"]), folder / "report.html")


Predict = Callable[[Task, Request, dict[str, Any]], Outcome]


def process_all(
    tasks: list[Task], request: Request, jobs: int, threads: int, predict: Predict = predict_one
) -> Iterator[Outcome]:
    """Yield an outcome per scan, as they come. One failing scan, or the death of its process, does not stop the rest.

    jobs: worker processes, each computing with `threads` threads; 1: this process.
    """
    if jobs > 1:
        yield from _in_workers(tasks, request, jobs, threads, predict)
        return
    models: dict[str, Any] = {}
    for task in tasks:
        yield attempt(task, request, models, predict)


def attempt(task: Task, request: Request, models: dict[str, Any], predict: Predict) -> Outcome:
    """The outcome of one scan, whatever happens."""
    try:
        return predict(task, request, models)
    except Exception as error:
        if debugging():
            traceback.print_exc()
        return failed(task, *explain(error))


def failed(task: Task, code: int, sentence: str) -> Outcome:
    """An outcome without results."""
    return Outcome(task, code, sentence, {"case": task.case, "error": sentence})


class _Predictor(Worker):
    """A process that predicts one scan at a time."""

    def __init__(self, request: Request, threads: int, predict: Predict) -> None:
        super().__init__(_serve, request, threads, predict)
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(BrokenPipeError):  # it has just died; `collect` will say so
            self.pipe.send(task)

    def collect(self, request: Request) -> Outcome:
        assert self.task is not None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return died(self, self.task, request)


def died(worker: Worker, task: Task, request: Request) -> Outcome:
    """The outcome of a scan whose process died, with its half-written files removed."""
    worker.process.join()
    remove_partial(worker, task, request)
    return failed(
        task,
        OUR_FAULT,
        f"Its process ended unexpectedly (exit code {worker.process.exitcode}), "
        "most often for lack of memory. Try fewer --jobs.",
    )


def remove_partial(worker: Worker, task: Task, request: Request) -> None:
    """Remove what a process that has ended half wrote."""
    from adn.io.atomic import sweep

    sweep(request.out, task.case)


def _in_workers(tasks: list[Task], request: Request, jobs: int, threads: int, predict: Predict) -> Iterator[Outcome]:
    waiting = deque(tasks)
    workers: list[_Predictor] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Predictor(request, threads, predict))
                workers[-1].give(waiting.popleft())
            # The timeout lets Python see a Ctrl-C that the system gave to another thread than this waiting one.
            ready = connection.wait([worker.pipe for worker in workers], timeout=0.5)
            for worker in [w for w in workers if w.pipe in ready]:
                yield worker.collect(request)
                if waiting and worker.process.is_alive():
                    worker.give(waiting.popleft())
                else:
                    worker.pipe.close()  # an idle worker ends when its pipe does
                    workers.remove(worker)
    finally:
        end(workers)


def _serve(pipe: connection.Connection, request: Request, threads: int, predict: Predict) -> None:
    """A worker's life: scans in, outcomes out, until the pipe closes or SIGTERM comes."""
    begin_worker(threads)
    models: dict[str, Any] = {}
    try:
        while True:
            pipe.send(attempt(pipe.recv(), request, models, predict))
    except EOFError:
        end_worker()
    except KeyboardInterrupt:
        sys.exit(130)
