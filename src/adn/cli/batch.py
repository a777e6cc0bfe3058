"""`adn predict` on one scan or many, in this process or in several."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from adn.cli.talk import BAD_INPUT, DONE, OUR_FAULT, SOME_FAILED, debugging, explain, set_up_logging, unwind_on_signals
from adn.errors import InputError

_SPAWN = get_context("spawn")  # fork would copy torch's threads in an undefined state
_GRACE_S = 10.0  # for a worker to remove what it was writing


@dataclass(frozen=True)
class Request:
    """What `adn predict` was asked to do with every scan."""

    out: Path
    series: str | None = None
    weights: str | None = None
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


def predict_one(task: Task, request: Request, models: dict[str, Any]) -> Outcome:
    """Read, predict, save one scan; `models` keeps the loaded model from scan to scan. Raises as its parts do."""
    if (request.out / task.case).exists() and not request.overwrite:
        raise InputError(
            f"{request.out / task.case} exists already. Choose another output folder with -o, or add --overwrite."
        )
    from adn.io import open_scan

    scan = replace(open_scan(task.scan, series=request.series), name=task.case)  # bad input is heard of before torch

    from adn.report import check_is_dicom, csv_row, result_dict, save_prediction, write_dicom_seg

    if request.dicom_seg:
        check_is_dicom(scan, task.scan)

    from adn.predict import load_model, predict

    if "model" not in models:
        models["model"] = load_model(request.weights, request.device)
    prediction = predict(scan, models["model"])
    also = partial(write_dicom_seg, prediction, task.scan, series=request.series) if request.dicom_seg else None
    folder = save_prediction(prediction, request.out, overwrite=request.overwrite, also=also)
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
        yield _attempt(task, request, models, predict)


def _attempt(task: Task, request: Request, models: dict[str, Any], predict: Predict) -> Outcome:
    try:
        return predict(task, request, models)
    except Exception as error:
        if debugging():
            traceback.print_exc()
        return _failed(task, *explain(error))


def _failed(task: Task, code: int, sentence: str) -> Outcome:
    return Outcome(task, code, sentence, {"case": task.case, "error": sentence})


class _Worker:
    """A process that predicts one scan at a time, and the pipe to it.

    One pipe each, so that a process that dies is known to have died on its own scan.
    """

    def __init__(self, request: Request, threads: int, predict: Predict) -> None:
        self.task: Task | None = None
        self.pipe, far_end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(far_end, request, threads, predict), daemon=True)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for us, we tell the workers
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        far_end.close()

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(BrokenPipeError):  # it has just died; `collect` will say so
            self.pipe.send(task)

    def collect(self, request: Request) -> Outcome:
        """The outcome of its scan; one that says so where the process died, with its half-written files removed."""
        assert self.task is not None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            shutil.rmtree(request.out / f".{self.task.case}.partial-{self.process.pid}", ignore_errors=True)
            return _failed(
                self.task,
                OUR_FAULT,
                f"Its process ended unexpectedly (exit code {self.process.exitcode}), "
                "most often for lack of memory. Try fewer --jobs.",
            )


def _in_workers(tasks: list[Task], request: Request, jobs: int, threads: int, predict: Predict) -> Iterator[Outcome]:
    waiting = deque(tasks)
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(request, threads, predict))
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
        _end(workers)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _serve(pipe: connection.Connection, request: Request, threads: int, predict: Predict) -> None:
    """A worker's life: scans in, outcomes out, until the pipe closes or SIGTERM comes."""
    unwind_on_signals()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = str(threads)
    set_up_logging()
    models: dict[str, Any] = {}
    try:
        while True:
            pipe.send(_attempt(pipe.recv(), request, models, predict))
    except EOFError:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing left to remove, so it may end in any way
    except KeyboardInterrupt:
        sys.exit(130)
