"""`adn predict`: one scan or many, in this process or in several."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adn.answers import AnswerOptions
from adn.errors import OutputError
from adn.lang import ENGLISH, words
from adn.results import RESULT_FILE
from adn.work.exits import DONE
from adn.work.pool import Failure, map_processes
from adn.work.progress import StepProgress

if TYPE_CHECKING:
    from adn.io.weights import WeightsFile
    from adn.prediction.model import Model
    from adn.results import Prediction

RESULTS_TABLE = "results.csv"  # for several scans, one row each


@dataclass(frozen=True)
class UserOptions:
    """Choices that apply to every scan, however it arrives. language: of the report and of sentences in the results.

    Raises InputError for a language that adn has no texts in.
    """

    language: str = ENGLISH
    answers: AnswerOptions = AnswerOptions()  # noqa: RUF009 - it is frozen

    def __post_init__(self) -> None:
        words(self.language)


@dataclass(frozen=True)
class Request:
    """What `adn predict` was asked to do with every scan."""

    out: Path
    series: str | None = None
    overwrite: bool = False
    dicom_seg: bool = False
    dicom_pictures: bool = False  # also write key images
    user_options: UserOptions = UserOptions()


@dataclass(frozen=True)
class Task:
    """One scan and the name of its case."""

    scan: Path
    case: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of one scan. code: exit code; error: a sentence if code is not 0; row: its row in results.csv.

    because: why the scan is not assessable, as the end of a sentence; '' if it is. part: only part of a head was
    scanned.
    """

    task: Task
    code: int
    error: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    report: Path | None = None
    because: str = ""
    part: bool = False


@dataclass(frozen=True)
class Networks:
    """Which networks predict, and where they run; loaded when first needed, then kept."""

    weights: str | WeightsFile | None = None
    device: str = "auto"

    @cached_property
    def model(self) -> Model:
        """Ready to predict. Raises as `load_model` does."""
        from adn.prediction.model import load_model

        return load_model(self.weights, self.device)


@dataclass(frozen=True)
class Predictor:
    """Predicts one scan after another."""

    request: Request
    networks: Networks

    def __call__(self, task: Task) -> Outcome:
        """As `predict_one`."""
        return predict_one(task, self.request, self.networks)


def predict_scans(
    scans: Sequence[Path],
    request: Request,
    networks: Networks,
    jobs: int | None = 1,
    tell: Callable[[Outcome], object] | None = None,
) -> list[Outcome]:
    """Predict scans (files, DICOM folders, zips) into `request.out/<case>`; several also give `results.csv` there.

    jobs: as in `map_processes`. tell: called with each outcome as it arrives. Returns the outcomes in the order of the
    scans. Errors that would stop every scan are raised before any is read: WeightsError, InputError where a DICOM SEG
    is wanted for input that is not DICOM, OutputError where nothing can be written or the table exists already.
    """
    from adn.io import case_names
    from adn.io.atomic import check_writable, sweep
    from adn.io.weights import WeightsFile, find_weights

    table = request.out / RESULTS_TABLE if len(scans) > 1 else None
    check_writable(request.out)
    sweep(request.out)
    if not isinstance(networks.weights, WeightsFile):
        networks = replace(networks, weights=find_weights(networks.weights))
    if request.dicom_seg:
        from adn.report import check_dicom_seg

        check_dicom_seg(scans)
    if table and table.exists() and not request.overwrite:
        raise OutputError("already exists; choose another output folder, or set `overwrite`.", table)
    tasks = [Task(scan, case) for scan, case in zip(scans, case_names(scans), strict=True)]
    found: dict[Task, Outcome] = {}
    for outcome in predict_all(tasks, request, networks, jobs):
        found[outcome.task] = outcome
        if tell:
            tell(outcome)
    outcomes = [found[task] for task in tasks]
    if table:
        from adn.report import write_results_csv

        table.parent.mkdir(parents=True, exist_ok=True)
        write_results_csv([outcome.row for outcome in outcomes], table)
    return outcomes


def predict_all(
    tasks: Sequence[Task],
    request: Request,
    networks: Networks,
    jobs: int | None = 1,
    work: Callable[[Request, Networks], Callable[[Task], Outcome]] = Predictor,
) -> Iterator[Outcome]:
    """Yield an outcome per scan, as they finish. A failing scan, or its process dying, does not stop the rest.

    jobs: as in `map_processes`. work: makes the callable that predicts a scan.
    """
    clean_up = partial(remove_partial, request)
    for task, found in map_processes(work(request, networks), tasks, jobs, clean_up=clean_up):
        yield failed(task, found) if isinstance(found, Failure) else found


@contextmanager
def collecting_later() -> Iterator[None]:
    """Put off garbage collection until the end: it took a tenth of a prediction's time and found few cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@collecting_later()
def predict_one(
    task: Task,
    request: Request,
    networks: Networks,
    *,
    progress: StepProgress | None = None,
    also: Callable[[Prediction, Path], object] | None = None,
) -> Outcome:
    """Read, predict and save one scan. Raises as its parts do.

    networks: loaded after the scan has been read, so that bad input is reported before torch is loaded. progress:
    called with the name of each step: 'read', 'load', those of `pipeline.STEPS`, 'write'. also: writes more files of
    the prediction into the folder that it is given, before the folder is complete.
    """
    from adn.io.atomic import check_folder_free

    check_folder_free(request.out / task.case, marker=RESULT_FILE, overwrite=request.overwrite)
    tell = progress or (lambda _: None)
    tell("read")
    from adn.io import open_scan

    scan = replace(open_scan(task.scan, series=request.series), name=task.case)

    from adn.report import check_is_dicom, csv_row, result_dict, save_prediction, write_dicom_seg
    from adn.report.words import is_part, reasons

    if request.dicom_seg:
        check_is_dicom(scan, task.scan)

    tell("load")
    model = networks.model
    from adn.prediction.assemble import predict

    prediction = predict(scan, model, progress=progress, options=request.user_options.answers)

    def more(folder: Path) -> None:
        if request.dicom_seg:
            write_dicom_seg(prediction, task.scan, folder, series=request.series, pictures=request.dicom_pictures)
        if also:
            also(prediction, folder)

    tell("write")
    language = request.user_options.language
    folder = save_prediction(prediction, request.out, overwrite=request.overwrite, also=more, language=language)
    result = result_dict(prediction, language)
    return Outcome(
        task,
        DONE,
        row=csv_row(result, str(task.scan)),
        warnings=prediction.warnings,
        report=folder / "report.html",
        because=reasons(prediction.remarks),
        part=is_part(prediction),
    )


def failed(task: Task, failure: Failure) -> Outcome:
    """The outcome of a scan without results."""
    row = {"case": task.case, "scan": str(task.scan), "error": failure.error}
    return Outcome(task, failure.code, failure.error, row)


def remove_partial(request: Request, task: Task) -> None:
    """Remove the half-written results of a process that has ended."""
    from adn.io.atomic import sweep

    sweep(request.out, task.case)
