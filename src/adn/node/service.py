"""The node at work: complete studies become cases, finished cases are sent, and what is no longer needed is deleted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from adn.errors import AdnError
from adn.io.weights import WeightsFile
from adn.node.intake import INCOMING, Intake, IntakeLimits
from adn.node.outbox import Outbox, Sending
from adn.node.peers import Caller, Peer
from adn.node.receiver import Gate, Receiver
from adn.node.results_folder import ResultsFolder
from adn.prediction.batch import UserOptions
from adn.server.cases import Cases
from adn.server.jobs import Jobs
from adn.server.models import FINAL, Record, now
from adn.server.problems import ProblemError
from adn.server.worker import Predict, predict_for_page

RETRY_PAUSES_S = (10.0, 60.0, 300.0)
_TRIES = 10  # across restarts of the node, generous because a sender cannot be asked to send again
_TICK_S = 0.5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """How long things are kept after a study is done. images: as received, once every peer has their results.

    cases: results, which include the scan. Failed cases are kept just as long.
    """

    images: timedelta = timedelta(0)
    cases: timedelta = timedelta(days=30)


class Node:
    """Everything between a scanner's images and a peer's results, in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        peers: Sequence[Peer | ResultsFolder] = (),
        caller: Caller | None = None,
        limits: IntakeLimits | None = None,
        keep: Retention | None = None,
        weights: str | WeightsFile | None = None,
        device: str = "auto",
        predict: Predict = predict_for_page,
        sending: Sending | None = None,
        pauses_s: Sequence[float] = RETRY_PAUSES_S,
        user_options: UserOptions | None = None,
    ) -> None:
        self.folder, self.keep = folder, keep or Retention()
        limits = limits or IntakeLimits()
        self.cases = Cases(folder, waiting=limits.studies, tries=_TRIES)
        self.jobs = Jobs(
            self.cases, weights=weights, device=device, predict=predict, pauses_s=pauses_s, user_options=user_options
        )
        self.outbox = Outbox(self.cases, peers, caller, sending)
        self.intake = Intake(
            folder / INCOMING,
            self.cases,
            self.jobs,
            limits,
            pictures="pictures" in self.outbox.sending.kinds,
            withdrawn=self.outbox.withdraw,
        )
        self._studies: set[str] = set()  # studies that had cases at the last look
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        for work in (self.gather, self.deliver, self.tidy):
            self.also(work)

    def also(self, work: Callable[[], object]) -> None:
        """Also run this repeatedly, from `start` on."""
        name = f"adn-node-{work.__name__}"
        self._threads.append(threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True))

    def start(self, *, jobs: bool = True) -> None:
        """Start working. jobs: also work on the queue; False where a page does that."""
        if jobs:
            self.jobs.start()
        for thread in self._threads:
            thread.start()

    def listen(self, title: str, host: str, port: int, gate: Gate | None = None) -> Receiver:
        """Start listening. Raises InputError where the port is taken."""
        return Receiver(self.intake, self.outbox, title, host, port, gate)

    def close(self) -> None:
        """Stop cleanly; unfinished work resumes at the next start."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self.jobs.close()
        self.cases.close()

    def gather(self) -> None:
        """Hand over studies that are complete."""
        for key in self.intake.due():
            if self.outbox.is_sending(key):  # if the peer takes them, they stay; if not, they are replaced
                continue
            try:
                record = self.intake.hand_over(key)
            except ProblemError:  # the queue is full
                return
            except (AdnError, OSError) as error:  # must not hold up the others
                log.warning("a study cannot become a case yet (%s)", type(error).__name__)
                continue
            if record:
                log.info("case %s: made of a study", record.id)

    def deliver(self) -> None:
        """Send what is due. A peer that does not respond is tried once per round, so that others need not wait."""
        silent: set[str] = set()
        for record, peer in self.outbox.due():
            if self._closing.is_set():
                return
            if peer.name not in silent and not self.outbox.attempt(record, peer):
                silent.add(peer.name)

    def tidy(self) -> None:
        """Remove images whose results have arrived, and cases that were kept long enough."""
        moment, records = now(), [one for one in self.cases.records() if one.study]
        needed = {one.study for one in records if not self._is_over(one, moment - self.keep.images)}
        for record in records:
            if record.study not in needed:
                self.intake.forget_images(record.study)
            if self._is_over(record, moment - self.keep.cases):
                self.cases.delete(record)
        left = {one.study for one in self.cases.records() if one.study}
        for study in self._studies - left:  # also where a user deleted the last case on the page
            self.intake.forget(study)
        self._studies = left

    def _is_over(self, record: Record, moment: datetime) -> bool:
        """True if a case was done by that moment, with nothing left to send."""
        if record.state not in FINAL or record.finished is None or record.finished > moment:
            return False
        return self.outbox.delivered(record)

    def _repeat(self, work: Callable[[], object]) -> None:
        while not self._closing.wait(_TICK_S):
            try:
                work()
            except Exception as error:  # such as a full disk: nothing is lost, and the next round tries again
                log.warning("%s: %s", work.__name__, type(error).__name__, exc_info=log.isEnabledFor(10))
