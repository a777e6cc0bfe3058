"""The queue: one thread hands waiting cases to one worker process, reports its progress and survives its crashes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from adn.io.weights import WeightsFile
from adn.prediction.batch import Networks, Outcome, Request, Task, UserOptions, remove_partial
from adn.server.cases import Cases
from adn.server.models import FINAL, Record, now
from adn.server.models import Failure as CaseFailure
from adn.server.problems import ProblemError
from adn.server.worker import Predict, predict_for_page, work
from adn.work.exits import OUR_FAULT
from adn.work.pool import Failure, Worker, end

_TICK_S = 0.1  # how soon a cancel or a shutdown is noticed
_PAUSED_S = 1.0  # how often it is looked whether a case that failed may be tried again
_GRACE_S = 0.5
_PATIENCE_S = 30.0  # time for a cancel to finish; a worker is killed after 10
log = logging.getLogger(__name__)


class Jobs:
    """Works on the queued cases of `cases`, one at a time, oldest first.

    weights, device: as in `adn predict`. predict: what a worker does; must be importable there. pauses_s: a case that
    failed through no fault of its own is retried after the first pause, then the second, and so on. user_options: apply
    to every case.
    """

    def __init__(
        self,
        cases: Cases,
        *,
        weights: str | WeightsFile | None = None,
        device: str = "auto",
        predict: Predict = predict_for_page,
        pauses_s: Sequence[float] = (),
        user_options: UserOptions | None = None,
    ) -> None:
        self._cases, self._pauses_s, self._user_options = cases, pauses_s, user_options or UserOptions()
        self._make_worker = lambda: Worker(work, predict, Networks(weights, device))
        self._worker: Worker | None = None
        self._step_began = 0.0
        self._cancelled: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="adn-jobs", daemon=True)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def close(self) -> None:
        """Stop the worker cleanly; the case it was working on goes back into the queue for the next start."""
        self._closing.set()
        with self._cases.changed:
            self._cases.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def cancel(self, record: Record) -> Record:
        """Take a case out of the queue, or stop work on it; returns its new state. Final cases stay as they are."""
        changed = self._cases.changed
        with changed:
            record = self._cases.record(record.id)
            if record.state == "queued":
                self._cases.finish(record.id, "cancelled")
            elif record.state == "running":
                self._cancelled.add(record.id)
                changed.wait_for(lambda: self._cases.record(record.id).state in FINAL, _PATIENCE_S)
            return self._cases.record(record.id)

    def delete(self, record: Record) -> None:
        """Remove a case, after stopping any work on it."""
        if not self._cases.read_only(record) and self.cancel(record).state not in FINAL:
            raise ProblemError(503, "The work on this case could not be stopped yet; try again.")
        self._cases.delete(record)

    def _run(self) -> None:
        while not self._closing.is_set():
            with self._cases.changed:
                queued = self._cases.next_queued()
                if queued is None:
                    self._cases.changed.wait(_PAUSED_S)
                    continue
            record = self._cases.begin(queued)
            if record is not None:
                try:
                    self._work_on(record)
                except Exception as error:  # such as a full disk or a folder removed by hand: other cases go on
                    log.warning("case %s: %s", record.id, type(error).__name__, exc_info=log.isEnabledFor(10))
                    if not self._requeued(record):
                        self._fail(record, f"The server could not continue with this case ({type(error).__name__}).")
        self._end_worker()

    def _work_on(self, record: Record) -> None:
        task = Task(self._cases.upload(record), record.name)
        home = self._cases.home(record)
        request = Request(
            home,
            overwrite=True,
            dicom_seg=record.dicom_seg,
            dicom_pictures=record.dicom_pictures,
            user_options=self._user_options,
        )
        if self._worker is None or not self._worker.process.is_alive():
            self._worker = self._make_worker()
        outcome = self._outcome_of(self._worker, record, task, request)
        if not isinstance(outcome, str):
            self._conclude(record, outcome)
            return
        self._end_worker(task, request)
        if outcome == "closing":
            self._cases.requeue(record.id, record.attempts - 1)
        else:
            self._cancelled.discard(record.id)
            self._cases.finish(record.id, "cancelled")

    def _outcome_of(self, worker: Worker, record: Record, task: Task, request: Request) -> Outcome | Failure | str:
        """The outcome, or 'cancelled' or 'closing' if that comes first."""
        self._step_began = time.monotonic()
        try:
            worker.pipe.send((task, request))
            while True:
                if worker.pipe.poll(_TICK_S):
                    told = worker.pipe.recv()
                    if isinstance(told, Outcome | Failure):
                        return told
                    self._cases.step(record.id, told, time.monotonic() - self._step_began)
                    self._step_began = time.monotonic()
                elif record.id in self._cancelled:
                    return "cancelled"
                elif self._closing.is_set():
                    return "closing"
        except (EOFError, OSError):
            if self._closing.wait(_GRACE_S):  # Ctrl-C also reaches a process that has only just been started
                return "closing"
            self._end_worker(task, request)
            return Failure(OUR_FAULT, _died(worker.process.exitcode), may_pass=True)

    def _conclude(self, record: Record, outcome: Outcome | Failure) -> None:
        if isinstance(outcome, Failure):
            if not (outcome.may_pass and self._requeued(record)):
                self._fail(record, self._message_for_user(record, outcome), by_user=outcome.code != OUR_FAULT)
        else:
            self._cases.finish(record.id, "done", seconds=time.monotonic() - self._step_began)

    def _requeued(self, record: Record) -> bool:
        """Put a case back into the queue; False if it has been tried often enough, or has been deleted meanwhile."""
        try:
            tries = self._cases.record(record.id).attempts
        except ProblemError:
            return False
        if tries > len(self._pauses_s):
            return False
        pause = timedelta(seconds=self._pauses_s[tries - 1])
        log.warning("case %s: failed, and is tried again in %.0f s", record.id, pause.total_seconds())
        self._cases.requeue(record.id, tries, now() + pause)
        return True

    def _message_for_user(self, record: Record, failure: Failure) -> str:
        """The error message without paths of this machine: the upload is called "The scan"."""
        if failure.about is None:
            return failure.error
        if failure.about == record.name:
            return failure.what
        with contextlib.suppress(StopIteration, OSError, ValueError):
            place = Path("The scan", Path(failure.about).relative_to(self._cases.upload(record)))
            return f"{place}: {failure.what}"
        return failure.error

    def _fail(self, record: Record, sentence: str, by_user: bool = False) -> None:
        """Record a failure. by_user: the scan is the cause, so the user can do something about it."""
        sentence = sentence.replace(str(self._cases.home(record)), "the case's folder")
        title = "This scan cannot be processed" if by_user else "Processing failed"
        with contextlib.suppress(ProblemError):  # deleted by hand
            self._cases.finish(
                record.id, "failed", CaseFailure(title=title, detail=sentence[:1].upper() + sentence[1:])
            )

    def _end_worker(self, task: Task | None = None, request: Request | None = None) -> None:
        """Stop the process and remove what it left half-written."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        end([worker])
        worker.pipe.close()
        if task and request:
            remove_partial(request, task)


def _died(code: int | None) -> str:
    return (
        f"The process that worked on it ended unexpectedly (exit code {code}), most often for lack of memory. "
        "Close other programs, or use a machine with more memory."
    )
