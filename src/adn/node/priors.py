"""The patient's earlier head CTs, fetched from a PACS by QIDO-RS and WADO-RS and kept beside a case for comparison.

<case>/priors.json               whether they were fetched, tries, when the next is due (`Fetch`)
<case>/priors/<n>/*.dcm          the CT images of one earlier study, 1 the latest

They are deleted with the case. Results never wait for them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from adn.io.atomic import atomic_folder, atomic_path, remove_folder
from adn.io.digest import sha256
from adn.node.peers import web_client
from adn.server.cases import Cases
from adn.server.models import Record, now

FETCH, FOLDER = "priors.json", "priors"
_HEAD = ("HEAD", "BRAIN", "SKULL")  # BodyPartExamined; an image that names no part may show a head, too
log = logging.getLogger(__name__)


class PriorsTooLargeError(Exception):
    """A series is larger than may be fetched."""


class Fetch(BaseModel):
    """The outcome of fetching a case's priors. studies: number kept."""

    model_config = ConfigDict(frozen=True)
    state: Literal["waiting", "done", "failed"] = "waiting"
    tries: int = 0
    due: datetime
    error: str = ""
    studies: int = 0


@dataclass(frozen=True)
class PriorLimits:
    """What is fetched for a case. studies: at most this many; images, megabytes: per study. years: oldest age.

    give_up: after this long without success, fetching has failed.
    """

    studies: int = 1
    years: float = 5.0
    images: int = 1000
    megabytes: int = 1024
    first_pause: timedelta = timedelta(seconds=30)
    longest_pause: timedelta = timedelta(minutes=30)
    give_up: timedelta = timedelta(days=1)


class Priors:
    """Looks for the priors of finished cases at a DICOMweb address."""

    def __init__(self, cases: Cases, url: str, limits: PriorLimits | None = None, timeout_s: float = 30.0) -> None:
        self.cases, self.url, self.limits, self.timeout_s = cases, url.rstrip("/"), limits or PriorLimits(), timeout_s
        self._over: set[str] = set()

    def look(self) -> None:
        """Fetch what is due."""
        for record in self.cases.records():
            if record.state != "done" or record.kind != "dicom" or not record.study or record.id in self._over:
                continue
            before = read_fetch(self.cases.home(record)) or Fetch(due=now())
            if before.state == "waiting" and before.due <= now():
                before = self._attempt(record, before)
            if before.state != "waiting":
                self._over.add(record.id)

    def _attempt(self, record: Record, before: Fetch) -> Fetch:
        home, limits, tries = self.cases.home(record), self.limits, before.tries + 1
        try:
            count = fetch(self.cases.results(record), home / FOLDER, self.url, limits, self.timeout_s)
            after = Fetch(state="done", tries=tries, due=before.due, studies=count)
        except Exception as error:  # whatever a network or a stranger's answer brings
            pause = min(limits.first_pause * 3 ** min(tries - 1, 12), limits.longest_pause)
            late = now() + pause > (record.finished or now()) + limits.give_up
            told = f"Earlier studies could not be fetched ({type(error).__name__})."
            after = Fetch(state="failed" if late else "waiting", tries=tries, due=now() + pause, error=told)
        if all(one.id != record.id for one in self.cases.records()):  # deleted meanwhile
            remove_folder(home)
            return after
        with atomic_path(home / FETCH) as temporary:
            temporary.write_text(after.model_dump_json(indent=1) + "\n", encoding="utf-8")
        log.info("case %s: priors %s, %d studies %s", record.id, after.state, after.studies, after.error)
        return after


def read_fetch(home: Path) -> Fetch | None:
    """The recorded state of a case's priors; None if there is none."""
    try:
        return Fetch.model_validate_json((home / FETCH).read_bytes())
    except (OSError, ValidationError):
        return None


def fetch(results: Path, target: Path, url: str, limits: PriorLimits, timeout_s: float) -> int:
    """Store the latest earlier studies of a result's patient in target/1, target/2, …; returns how many.

    results: a folder with a DICOM object of the study. Raises whatever the network raises.
    """
    from pydicom import dcmread

    present = dcmread(next(iter(sorted(results.glob("*.dcm")))), stop_before_pixels=True)
    if not present.get("PatientID"):
        return 0
    client = web_client(url, timeout_s)
    wanted = {"PatientID": str(present.PatientID), "ModalitiesInStudy": "CT"}
    remove_folder(target)
    count = 0
    for study in _earlier(client.search_for_studies(search_filters=wanted, limit=100), present, limits):
        if count == limits.studies:
            break
        with atomic_folder(target / str(count + 1)) as folder:
            kept = sum(_keep_series(client, study, series, folder, limits) for series in _head_series(client, study))
        if kept:
            count += 1
        else:
            remove_folder(target / str(count + 1))
    return count


def _earlier(found: list[dict[str, Any]], present: Any, limits: PriorLimits) -> list[str]:
    """UIDs of the studies that are earlier than this one but not too old, latest first."""
    date, oldest = str(present.get("StudyDate") or ""), ""
    if len(date) == 8:
        oldest = (datetime.strptime(date, "%Y%m%d") - timedelta(days=365.25 * limits.years)).strftime("%Y%m%d")
    moment = date + str(present.get("StudyTime") or "")
    dated = []
    for study in found:
        uid, when = _value(study, "0020000D"), _value(study, "00080020")
        if uid == present.StudyInstanceUID or _value(study, "00100020") not in ("", str(present.PatientID)):
            continue
        if when and oldest <= when and (not date or when + _value(study, "00080030") < moment):
            dated.append((when + _value(study, "00080030"), uid))
    return [uid for _, uid in sorted(dated, reverse=True)]


def _head_series(client: Any, study: str) -> Iterator[str]:
    for series in client.search_for_series(study, search_filters={"Modality": "CT"}, fields=["BodyPartExamined"]):
        part = _value(series, "00180015").upper()
        if not part or any(word in part for word in _HEAD):
            yield _value(series, "0020000E")


def _keep_series(client: Any, study: str, series: str, folder: Path, limits: PriorLimits) -> int:
    """Write one series' CT images into a folder; returns how many. A series that is too large is left out."""
    before = {path.name for path in folder.iterdir()}
    size, count = sum(path.stat().st_size for path in folder.iterdir()), len(before)
    for data in client.iter_series(study, series):
        if data.get("Modality") != "CT":
            continue
        path = folder / f"{sha256(str(data.SOPInstanceUID))[:24]}.dcm"
        data.save_as(path, enforce_file_format=True)
        size, count = size + path.stat().st_size, count + 1
        if count > limits.images or size > limits.megabytes * 2**20:
            raise PriorsTooLargeError
    return count - len(before)


def _value(found: dict[str, Any], tag: str) -> str:
    """The first value of an element in DICOM JSON, '' if there is none."""
    values = found.get(tag, {}).get("Value") or [""]
    return json.dumps(values[0]) if isinstance(values[0], dict) else str(values[0])
