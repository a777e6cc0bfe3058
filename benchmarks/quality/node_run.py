"""A node as a separate program between a scanner and an archive, for `node_faults.py`."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from adn.io.dicom_series import write_ct_series
from adn.node.intake import IntakeLimits
from adn.node.outbox import Sending
from adn.node.peers import Caller, parse_peer
from adn.node.service import Node
from adn.node.status import status
from adn.space.geometry import Grid
from adn.space.volume import Volume
from node import stub_node
from node.strangers import Archive, call, until

SLICES = 8
HOUR_S = 30.0  # stands for an hour of the archive being down
SOON = "slow 0.1"  # what the stand-in takes, by the study's description


@dataclass
class Run:
    """One row's run: a node in a folder, an archive, and what was sent. template: files of a study's slices."""

    folder: Path
    log: Path
    archive: Archive
    port: int
    template: list[Path]
    process: subprocess.Popen | None = None
    studies: list[list[Dataset]] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)  # sets, where not 1
    remarks: list[str] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, __file__, self.folder, self.port, self.archive.port]
        with self.log.open("a") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        until(lambda: call(self.port).abort() is None, 120)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.remarks.append("did not end within 60 s")
            self.kill()

    def resident_mb(self) -> float:
        """Memory of the node's process, without its worker."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def study(self, description: str = SOON) -> list[Dataset]:
        """A new study, of a new patient with a planted name."""
        number, uid, images = len(self.studies), generate_uid(), []
        for image in self.template:
            data = dcmread(image)
            data.StudyInstanceUID, data.SOPInstanceUID = uid, generate_uid()
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            data.PatientName, data.PatientID = f"Planted{number}^Name{number}x", f"PLANTED-{number}-ID"
            data.SeriesDescription = description
            images.append(data)
        self.studies.append(images)
        return images

    def send(self, images: list[Dataset], *, patience_s: float = 300.0, cut_off: bool = False) -> None:
        """Send like a scanner: retry until each image is acknowledged. cut_off: pull the cable after the last."""
        left, end = list(images), time.monotonic() + patience_s
        while left and time.monotonic() < end:
            with calling(self.port) as association:
                while association and left and association.is_established:
                    answer = association.send_c_store(left[0])
                    if not answer or answer.Status != 0:
                        break
                    left.pop(0)
                if association and cut_off:
                    association.abort()
            if left:
                time.sleep(0.3)
        if left:
            raise AssertionError(f"{len(left)} images were never taken")

    def sets(self, images: list[Dataset]) -> int:
        """Complete sets of a study's results at the archive; a set with a part missing does not count."""
        kinds = [data.SOPClassUID for data in self.archive.of_study(images[0].StudyInstanceUID)]
        return min(kinds.count(kind) for kind in stub_node.CLASSES.values())

    def quiet(self) -> bool:
        """True if the node has nothing left to do."""
        told = status(self.folder)
        waiting = sum(counts.get("waiting", 0) for counts in told["deliveries"].values())
        done, sent = told["cases"].get("done", 0), sum(sum(c.values()) for c in told["deliveries"].values())
        unfinished = sum(told["cases"].get(state, 0) for state in ("queued", "running"))
        return told["studies_with_images"] == 0 and not waiting and not unfinished and sent >= done

    def names_found(self) -> int:
        """How many names, numbers and UIDs of patients appear where they must not."""
        text = self.log.read_text()
        text += "".join(str(path) for path in self.folder.rglob("*"))
        text += "".join(path.read_text(errors="replace") for path in self.folder.rglob("*.json"))
        text += page_text(self.folder)
        planted = {
            word
            for images in self.studies
            for word in (*str(images[0].PatientName).split("^"), images[0].PatientID, images[0].StudyInstanceUID)
        }
        return sum(word in text for word in planted)


@contextmanager
def calling(port: int) -> Iterator:
    """An association, or None if none can be established."""
    association = call(port, timeout_s=60)
    try:
        yield association if association.is_established else None
    finally:
        if association.is_established:
            association.release()


def page_text(folder: Path) -> str:
    """Everything that the page serves from a node's folder."""
    from fastapi.testclient import TestClient

    from adn.server.app import create_app
    from adn.server.cases import Cases
    from adn.server.jobs import Jobs

    cases = Cases(folder)
    client = TestClient(create_app(cases, Jobs(cases), host="127.0.0.1", token=None), base_url="http://127.0.0.1")
    text = client.get("/").text + client.get("/api/cases").text
    text += "".join(client.get(f"/api/cases/{record.id}").text for record in cases.records())
    cases.close()
    return text


def template(folder: Path) -> list[Path]:
    """Files of a study that belongs to no patient."""
    grid = Grid((16, 16, SLICES), np.diag([12.0, 12.0, 5.0, 1.0]))
    volume = Volume(np.full((16, 16, SLICES), 30.0, np.float32), grid)
    return sorted(write_ct_series(volume, folder / "ct", name="x", seed="x", comment=""))


def run_node(folder: Path, port: int, archive: int) -> None:
    """Run the node as a program, until a signal ends it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    minute = timedelta(seconds=HOUR_S / 60)
    node = Node(
        folder,
        peers=[parse_peer(f"ARCHIVE@127.0.0.1:{archive}")],
        caller=Caller(timeout_s=10),
        limits=IntakeLimits(quiet_s=0.5, free_mb=2),
        predict=stub_node.predict,
        sending=Sending(first_pause=minute / 12, longest_pause=15 * minute, give_up=timedelta(days=1)),
        pauses_s=(0.5, 2.0, 5.0),
    )
    receiver = node.listen("ADN", "127.0.0.1", port)
    node.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(0.2):
        pass
    receiver.close()
    node.close()


if __name__ == "__main__":
    run_node(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
