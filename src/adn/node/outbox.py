"""Outgoing results on disk: what each peer has taken of each case, and when to try again.

<case>/delivery.json             by peer: state, tries, when the next is due (`Delivery`)

The same files are sent at every try, so a peer that took them before a crash sees that it has them.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from adn.io.atomic import atomic_path
from adn.node.peers import Caller, Peer, Sent, send
from adn.node.results_folder import ResultsFolder
from adn.report.dicom_seg import PICTURE_NAME, SEG_NAME, SR_NAME
from adn.server.cases import Cases
from adn.server.models import FINAL, Record, now

DELIVERY = "delivery.json"
Kind = Literal["seg", "sr", "pictures"]
_EARLY_ANSWERS = 1000
PATTERNS: dict[Kind, str] = {"seg": SEG_NAME, "sr": SR_NAME, "pictures": PICTURE_NAME.format("*")}
log = logging.getLogger(__name__)


class Delivery(BaseModel):
    """One case's delivery to one peer. refused: kinds of object that it does not take. begun: it may have some."""

    model_config = ConfigDict(frozen=True)
    state: Literal["waiting", "sent", "committed", "failed"] = "waiting"
    tries: int = 0
    due: datetime
    error: str = ""
    refused: tuple[str, ...] = ()
    transaction: str = ""
    begun: bool = False

    @property
    def over(self) -> bool:
        """True if nothing is left to do."""
        return self.state != "waiting"


class _Deliveries(BaseModel):
    peers: dict[str, Delivery] = {}


@dataclass(frozen=True)
class Sending:
    """What is sent, and for how long it is retried. kinds: of objects. give_up: after this a delivery has failed."""

    kinds: tuple[Kind, ...] = ("seg", "sr", "pictures")
    first_pause: timedelta = timedelta(seconds=5)
    longest_pause: timedelta = timedelta(minutes=15)
    give_up: timedelta = timedelta(days=3)


class Outbox:
    """Sends what finished cases hold to every peer."""

    def __init__(
        self,
        cases: Cases,
        peers: Sequence[Peer | ResultsFolder],
        caller: Caller | None = None,
        sending: Sending | None = None,
    ) -> None:
        self.cases, self.peers, self.caller = cases, list(peers), caller or Caller()
        self.sending = sending or Sending()
        self._lock = threading.Lock()
        self._sending: set[str] = set()
        self._withdrawn: set[str] = set()
        self._early: OrderedDict[str, bool] = (
            OrderedDict()
        )  # commitments reported before their delivery was written down
        self._over: set[str] = set()  # cases whose deliveries need not be read from disk again

    def deliveries(self, record: Record) -> dict[str, Delivery]:
        """One case's deliveries by peer: to the current peers, and those made to earlier ones."""
        found = read_deliveries(self.cases.home(record))
        fresh = {peer.name: Delivery(due=record.finished or now()) for peer in self.peers}
        return fresh | found

    def delivered(self, record: Record) -> bool:
        """True if no delivery to a current peer is pending; always true for a case without results."""
        with self._lock:
            return self._delivered(record)

    def _delivered(self, record: Record) -> bool:
        if record.id not in self._over:
            found = self.deliveries(record)
            if not all(found[peer.name].over for peer in self.peers if _takes(peer, record)):
                return False
            if record.state in FINAL:
                self._over.add(record.id)
        return True

    def withdraw(self, record: Record) -> bool:
        """Make sure a case's results are never sent. False if a peer has some of them or is getting them.

        Also False if its deliveries are over: with no peer, results stay where they are.
        """
        with self._lock:
            deliveries = self.deliveries(record).values()
            taken = any(one.begun or one.state in ("sent", "committed") for one in deliveries)
            taken = taken or (record.state == "done" and self._delivered(record))
            if not taken and record.id not in self._sending:
                self._withdrawn.add(record.id)
            return record.id in self._withdrawn

    def is_sending(self, study: str) -> bool:
        """True while results of a study are being sent to a peer, and it is not known yet whether it takes them."""
        with self._lock:
            return any(one.study == study for one in self.cases.records() if one.id in self._sending)

    def due(self) -> list[tuple[Record, Peer | ResultsFolder]]:
        """What to send now, longest waiting first."""
        moment, found = now(), []
        for record in self.cases.records():
            takers = [peer for peer in self.peers if _takes(peer, record) and record.id not in self._over]
            own = self.deliveries(record) if takers else {}
            found += [
                (own[peer.name].due, record, peer)
                for peer in takers
                if not own[peer.name].over and own[peer.name].due <= moment
            ]
        return [(record, peer) for _, record, peer in sorted(found, key=lambda one: one[0])]

    def attempt(self, record: Record, peer: Peer | ResultsFolder) -> bool:
        """Send a case's objects to a peer once and record the outcome; do nothing if the case was withdrawn.

        False if it must be tried again.
        """
        with self._lock:
            if record.id in self._withdrawn:
                return True
            self._sending.add(record.id)
        try:
            return self._attempt(record, peer)
        finally:
            with self._lock:
                self._sending.discard(record.id)

    def _attempt(self, record: Record, peer: Peer | ResultsFolder) -> bool:
        before = self.deliveries(record)[peer.name]
        files = self.files(record)
        if isinstance(peer, ResultsFolder):
            sent = peer.put(record, self.cases.results(record))
        else:
            sent = send(files, peer, self.caller) if files else Sent("There are no results to send.")
        tries = before.tries + 1
        if not sent.error:
            after = Delivery(
                state="sent",
                tries=tries,
                due=before.due,
                refused=sent.refused,
                transaction=sent.transaction,
                begun=True,
            )
        else:
            state, due = self._again(record, tries)
            if sent.refused or not (files or isinstance(peer, ResultsFolder)):  # no second try would change that
                state = "failed"
            begun = before.begun or sent.begun
            after = Delivery(state=state, tries=tries, due=due, error=sent.error, refused=sent.refused, begun=begun)
        with self._lock:
            if after.transaction in self._early:
                after = self._answered(record, peer.name, after, self._early.pop(after.transaction))
            self._write(record, peer.name, after)
        level = logging.WARNING if after.error or after.refused else logging.INFO
        told = after.error or (f"It does not take {', '.join(after.refused)}." if after.refused else "")
        log.log(level, "case %s: %s %s after %d tries. %s", record.id, peer.name, after.state, tries, told)
        return after.over

    def _again(self, record: Record, tries: int) -> tuple[Literal["failed", "waiting"], datetime]:
        """Whether a delivery is tried again, and when."""
        pause = min(self.sending.first_pause * 3 ** min(tries - 1, 12), self.sending.longest_pause)
        late = now() + pause > (record.finished or now()) + self.sending.give_up
        return "failed" if late else "waiting", now() + pause

    def committed(self, transaction: str, failed: bool) -> None:
        """Take a peer's answer to a storage commitment request; if it failed, everything is sent again after a pause.

        The answer may arrive on another association before the request has been recorded; it is kept until then.
        """
        if not transaction:  # nobody asked for it
            return
        with self._lock:
            for record in self.cases.records():
                for name, delivery in read_deliveries(self.cases.home(record)).items() if record.study else ():
                    if delivery.transaction == transaction:
                        self._write(record, name, self._answered(record, name, delivery, failed))
                        return
            self._early[transaction] = failed
            while len(self._early) > _EARLY_ANSWERS:  # strangers may send anything
                self._early.popitem(last=False)

    def _answered(self, record: Record, peer: str, delivery: Delivery, failed: bool) -> Delivery:
        if not failed:
            return delivery.model_copy(update={"state": "committed"})
        state, due = self._again(record, delivery.tries)
        error = f"{peer}: did not confirm that it stored what it accepted."
        return delivery.model_copy(update={"state": state, "due": due, "error": error, "transaction": ""})

    def files(self, record: Record) -> list[Path]:
        """The objects of a case that are sent."""
        folder = self.cases.results(record)
        return [path for kind in PATTERNS if kind in self.sending.kinds for path in sorted(folder.glob(PATTERNS[kind]))]

    def _write(self, record: Record, peer: str, delivery: Delivery) -> None:
        home = self.cases.home(record)
        written = _Deliveries(peers=read_deliveries(home) | {peer: delivery})
        with atomic_path(home / DELIVERY) as temporary:
            temporary.write_text(written.model_dump_json(indent=1) + "\n", encoding="utf-8")
        self._over.discard(record.id)


def _takes(peer: Peer | ResultsFolder, record: Record) -> bool:
    """True if a peer should receive something of a case: DICOM results; a folder also receives failures."""
    if not record.study:
        return False
    if isinstance(peer, ResultsFolder):
        return record.state in ("done", "failed")
    return record.state == "done" and record.kind == "dicom"


def read_deliveries(home: Path) -> dict[str, Delivery]:
    """A case's recorded deliveries; empty if there are none."""
    try:
        return _Deliveries.model_validate_json((home / DELIVERY).read_bytes()).peers
    except (OSError, ValidationError):
        return {}
