"""Cases on disk: a folder each, which holds `case.json`, the upload until it is processed, and the results.

FOLDER/<id>/case.json            the state of the case (`models.Record`)
FOLDER/<id>/upload/…             what came in, under plain numbers; removed when the case is final
FOLDER/<id>/<name>/…             the result folder, as `adn predict` writes it, with the scan and the aligned layers
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adn.errors import InputError
from adn.io.atomic import atomic_path, move_folder, remove_folder, scratch_folder, sweep
from adn.io.digest import sha256
from adn.results import RESULT_FILE
from adn.server import layers as views
from adn.server.corrections import save_correction, score_mask
from adn.server.folders import describe, media_type
from adn.server.models import FINAL, STEPS, Case, Correction, Failure, LiveScore, Record, State, Step, fresh_steps, now
from adn.server.problems import ProblemError

UPLOAD, RECORD = "upload", "case.json"
log = logging.getLogger(__name__)


class Cases:
    """All cases of a server. Every change goes through here, is written to disk at once, and shows in `record`.

    folder: for uploaded cases; None: no uploads. opened: result folders of `adn predict`; their files are never
    changed, but corrected masks are saved beside them. waiting: how many cases may be queued. tries: a case fails if
    the server died this often while working on it.
    """

    def __init__(self, folder: Path | None, opened: Sequence[Path] = (), waiting: int = 20, tries: int = 2) -> None:
        self.folder, self.waiting, self.tries = folder, waiting, tries
        self.changed = threading.Condition()
        self._records: dict[str, Record] = {}
        self._results: dict[str, Path] = {}
        self._closing = ExitStack()
        self._views = self._closing.enter_context(scratch_folder())
        self._making = threading.Lock()
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._recover(folder)
        for path in opened:
            self._open(path)

    def close(self) -> None:
        """Remove files made for the viewer only."""
        self._closing.close()

    # --- reading

    def records(self) -> list[Record]:
        """All records, newest first."""
        with self.changed:
            return sorted(self._records.values(), key=lambda one: (one.created, len(one.name), one.name), reverse=True)

    def record(self, case_id: str) -> Record:
        """One record; a new object after each change. Raises ProblemError 404."""
        with self.changed:
            if case_id not in self._records:
                raise ProblemError(404, "There is no such case; it may have been deleted.")
            return self._records[case_id]

    def case(self, record: Record) -> Case:
        """Everything that the API says about a case."""
        return describe(record, self.results(record), self.read_only(record))

    def file(self, record: Record, name: str) -> tuple[Path, str]:
        """Path and media type of one of the case's files or layers. Raises ProblemError 404 for any other name."""
        case = self.case(record)
        if name in {file.name for file in case.files}:
            return self.results(record) / name, media_type(name)
        if name in {layer.file for layer in case.layers}:
            return self._view(record, name), media_type(name)
        raise ProblemError(404, "There is no such file in this case.")

    def read_only(self, record: Record) -> bool:
        """True if `adn view` opened it: it can be corrected, but not deleted."""
        return record.id in self._results

    def results(self, record: Record) -> Path:
        """Its result folder, whether it exists or not."""
        return self._results.get(record.id) or self.home(record) / record.name

    def home(self, record: Record) -> Path:
        """Its case folder."""
        if self.folder is None:
            raise ProblemError(403, "'adn view' only shows results; for new scans, use 'adn serve'.")
        return self.folder / record.id

    def upload(self, record: Record) -> Path:
        """The upload: a file, or a folder of DICOM files."""
        return next((self.home(record) / UPLOAD).iterdir())

    # --- changing

    def check_room(self) -> None:
        """Raise ProblemError where no case can be taken now."""
        if self.folder is None:
            raise ProblemError(403, "'adn view' accepts no new scans; 'adn serve' does.")
        if sum(one.state == "queued" for one in self.records()) >= self.waiting:
            raise ProblemError(
                503, f"{self.waiting} cases are already waiting; try again when one is done.", {"Retry-After": "60"}
            )

    def staging(self) -> AbstractContextManager[Path]:
        """A hidden folder for an incoming upload, removed unless it becomes a case."""
        return scratch_folder(self.folder)

    def add(self, staged: Path, kind: Any, dicom_seg: bool, **more: Any) -> Record:
        """Make a case of a staged folder that holds UPLOAD; it appears as a whole. more: other fields of `Record`."""
        with self.changed:
            self.check_room()
            record = Record(
                id=secrets.token_hex(8),
                name=f"scan-{self._next_number()}",
                created=now(),
                steps=fresh_steps(),
                kind=kind,
                dicom_seg=dicom_seg,
                **more,
            )
            _write(record, staged)
            move_folder(staged, self.home(record))
            self._records[record.id] = record
            self.changed.notify_all()
        log.info("case %s: queued (%s)", record.id, kind)
        return record

    def next_queued(self) -> Record | None:
        """The case that has waited longest, among those that may begin."""
        moment = now()
        waiting = (one for one in reversed(self.records()) if one.state == "queued")
        return next((one for one in waiting if one.not_before is None or one.not_before <= moment), None)

    def update(self, case_id: str, **changes: Any) -> Record | None:
        """Change a record. None if it has been deleted meanwhile."""
        with self.changed:
            if case_id not in self._records:
                return None
            record = self._records[case_id].model_copy(update=changes)
            try:
                _write(record, self.home(record))
            except OSError as error:  # such as a full disk: the next start can handle the older state
                log.warning("case %s: its state could not be written (%s).", case_id, error)
            self._records[case_id] = record
            self.changed.notify_all()
        return record

    def begin(self, record: Record) -> Record | None:
        """Mark a case as running, unless it has been cancelled or deleted meanwhile."""
        with self.changed:
            if self._records.get(record.id, record).state != "queued":
                return None
            return self.update(
                record.id, state="running", started=now(), steps=fresh_steps(), attempts=record.attempts + 1
            )

    def step(self, case_id: str, name: str, seconds: float) -> None:
        """Record that a step has begun; the one before took `seconds`."""
        steps = _end_step(self.record(case_id).steps, seconds)
        self.update(case_id, steps=tuple(_with(s, state="running") if s.name == name else s for s in steps))

    def finish(self, case_id: str, state: State, error: Failure | None = None, seconds: float = 0.0) -> None:
        """Make a case final: remove the upload, and the results too unless the case is done.

        Those waiting for the change are told once the upload is gone; the state is written first, in case of a kill.
        """
        record = self.record(case_id)
        if state != "done":
            remove_folder(self.results(record))
        steps = _end_step(record.steps, seconds) if state == "done" else record.steps
        with self.changed:
            self.update(case_id, state=state, finished=now(), error=error, steps=steps)
            remove_folder(self.home(record) / UPLOAD)
        log.info("case %s: %s", case_id, state)

    def requeue(self, case_id: str, attempts: int, not_before: datetime | None = None) -> None:
        """Put a case back into the queue as if it had not begun; it waits there until `not_before`."""
        self.update(
            case_id, state="queued", started=None, steps=fresh_steps(), attempts=attempts, not_before=not_before
        )

    def correct(self, record: Record, packed: bytes) -> Correction:
        """Save a corrected mask beside the original, even in opened results. Raises ProblemError 404, 413, 422."""
        if record.state != "done":
            raise ProblemError(404, "There is no mask to correct: this case has no results.")
        with self._making:  # one at a time, because versions are numbered
            try:
                return save_correction(self.results(record), packed)
            except InputError as error:  # deleted meanwhile, or by hand
                raise ProblemError(404, f"The results to correct cannot be read: {error.what}") from error

    def score(self, record: Record, packed: bytes) -> LiveScore:
        """ASPECTS of a mask that is being painted. Raises ProblemError 404, 413, 422."""
        if record.state != "done":
            raise ProblemError(404, "There is no mask to score: this case has no results.")
        try:
            return score_mask(self.results(record), packed)
        except (InputError, OSError) as error:
            raise ProblemError(404, "The results of this case can no longer be read.") from error

    def delete(self, record: Record) -> None:
        """Remove a case that is not running, and everything in its folder."""
        if self.read_only(record):
            raise ProblemError(403, "'adn view' deletes no results; delete their folder by hand.")
        with self.changed:
            remove_folder(self.home(record))
            del self._records[record.id]
            self.changed.notify_all()
        log.info("case %s: deleted", record.id)

    # --- at the start

    def _recover(self, folder: Path) -> None:
        """Read the cases left by a stop or a crash, and remove half-written files."""
        sweep(folder, owned=True)
        for path in folder.glob(f"*/{RECORD}"):
            sweep(path.parent, owned=True)
            try:
                record = Record.model_validate_json(path.read_bytes())
            except (ValidationError, OSError) as error:
                log.warning("%s: is not a case of this version; left as it is (%s).", path, type(error).__name__)
                continue
            if record.id == path.parent.name:
                self._records[record.id] = record
        for record in self.records():
            if record.state == "running":
                self._recover_running(record)
            elif record.state in FINAL:
                remove_folder(self.home(record) / UPLOAD)

    def _recover_running(self, record: Record) -> None:
        """Settle a case that was running when the server died: done if it has results, else retried, else failed."""
        if (self.results(record) / RESULT_FILE).is_file():  # they appear as a whole
            self.finish(record.id, "done")
        elif record.attempts < self.tries:
            self.requeue(record.id, record.attempts)
        else:
            times = "twice" if self.tries == 2 else f"{self.tries} times"
            detail = (
                f"The server stopped {times} while processing this scan, so it is not tried again. Upload it again."
            )
            self.finish(record.id, "failed", Failure(title="Interrupted", detail=detail))

    def _open(self, path: Path) -> None:
        """Show one result folder of `adn predict`."""
        path = path.resolve()
        made = datetime.fromtimestamp(int((path / RESULT_FILE).stat().st_mtime), UTC)
        seconds = json.loads((path / RESULT_FILE).read_text(encoding="utf-8")).get("seconds", {})
        steps = tuple(
            Step(name=name, title=title, state="done", seconds=seconds[name])
            for name, title in STEPS.items()
            if name in seconds
        )
        case_id = sha256(str(path))[:16]
        self._results[case_id] = path
        self._records[case_id] = Record(
            id=case_id, name=path.name, state="done", created=made, finished=made, steps=steps, kind="result"
        )

    def _view(self, record: Record, name: str) -> Path:
        """A layer that the result folder lacks, made when first requested, outside that folder."""
        target = Path(self._views, record.id, name)
        with self._making:
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                views.make_view(name, self.results(record), target)
        return target

    def _next_number(self) -> int:
        numbers = (one.name.rpartition("-")[2] for one in self._records.values())
        return max((int(number) for number in numbers if number.isdigit()), default=0) + 1


def _write(record: Record, folder: Path) -> None:
    with atomic_path(folder / RECORD) as temporary:
        temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _end_step(steps: tuple[Step, ...], seconds: float) -> tuple[Step, ...]:
    return tuple(_with(s, state="done", seconds=round(seconds, 3)) if s.state == "running" else s for s in steps)


def _with(step: Step, **changes: Any) -> Step:
    return step.model_copy(update=changes)
