"""What a node meets in a hospital, made to happen: each study must end with one set of results or one clear failure.

    python benchmarks/quality/node_faults.py OUT [--studies 200] [--kills 25] [--only ROW ...]

A node runs as a program of its own between a scanner and an archive (pynetdicom) on this machine. Its predictor is a
stand-in that takes a moment and writes three small objects, since the real one would need hours; everything else is the
node as it is. Times are short: a study is whole after 0.5 s, and an hour in which the archive is down takes 30 s.
OUT/faults.csv has a line per row. The full disk is a tmpfs of 24 MB, which needs root; without, that row is left out.
Every patient's name, number and study UID is looked for in the log, in file names, in what is kept as JSON, and in all
that the page serves.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import CTImageStorage

from adn.errors import InputError
from adn.io.atomic import atomic_folder
from adn.io.dicom_series import write_ct_series
from adn.node.intake import IntakeLimits
from adn.node.outbox import Sending
from adn.node.peers import Caller, parse_peer
from adn.node.service import Node
from adn.node.status import status
from adn.prediction.batch import Outcome
from adn.report.dicom_seg import PICTURE_NAME, SEG_NAME, SR_NAME
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.work.exits import DONE

SLICES = 8
HOUR_S = 30.0  # of the archive's being down
COLUMNS = ("row", "studies", "one_set", "failed_visibly", "two_sets", "lost", "names_found", "seconds", "remarks")
CLASSES = {
    SEG_NAME: "1.2.840.10008.5.1.4.1.1.66.4",
    SR_NAME: "1.2.840.10008.5.1.4.1.1.88.34",
    PICTURE_NAME.format(1): "1.2.840.10008.5.1.4.1.1.7",
}


def predict(task, request, networks, progress):
    """Three objects of the study after a moment; 'bad' by description is bad input, 'slow' takes 4 s."""
    progress("read")
    files = sorted(Path(task.scan).iterdir())
    first = dcmread(files[0])
    if first.get("SeriesDescription") == "bad":
        raise InputError("is not a head CT.", task.scan)
    time.sleep(4.0 if first.get("SeriesDescription") == "slow" else 0.1)
    progress("write")
    with atomic_folder(request.out / task.case, marker="result.json", overwrite=request.overwrite) as folder:
        for name, sop_class in CLASSES.items():
            _small_object(first, sop_class, len(files)).save_as(folder / name, enforce_file_format=True)
        (folder / "result.json").write_text('{"seconds": {}}')
    return Outcome(task, DONE)


def _small_object(first: Dataset, sop_class: str, images: int) -> Dataset:
    from pydicom.dataset import FileMetaDataset

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = sop_class, generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    data.PatientName, data.PatientID, data.Modality, data.ImageComments = (
        first.PatientName, first.PatientID, "OT", str(images),
    )  # fmt: skip
    return data


def run_node(folder: Path, port: int, archive: int) -> None:
    """The node as a program; ends by a signal."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    minute = timedelta(seconds=HOUR_S / 60)
    node = Node(
        folder,
        peers=[parse_peer(f"ARCHIVE@127.0.0.1:{archive}")],
        caller=Caller(timeout_s=10),
        limits=IntakeLimits(quiet_s=0.5, free_mb=2),
        predict=predict,
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


class Archive:
    """Keeps what it is sent, by study and class: UIDs and of how many images the object was made."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        self.port = free_port()
        self.start()

    def start(self) -> None:
        ae = AE("ARCHIVE")
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(str(context.abstract_syntax))
        self.server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def stop(self) -> None:
        self.server.shutdown()

    def _store(self, event) -> int:
        data = event.dataset
        self.kept[data.StudyInstanceUID][data.SOPClassUID][data.SOPInstanceUID] = data.ImageComments
        return 0

    def sets(self, study: str) -> int:
        """Whole sets of results of a study; a set of which a part is missing counts as none."""
        return min((len(self.kept[study][sop_class]) for sop_class in CLASSES.values()), default=0)


@dataclass
class Run:
    """A row at work: a node in a folder, an archive, and what was sent."""

    folder: Path
    log: Path
    archive: Archive
    port: int
    process: subprocess.Popen | None = None
    studies: list[list[Dataset]] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)  # sets, where not 1
    remarks: list[str] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, __file__, "--node", self.folder, self.port, self.archive.port]
        with self.log.open("a") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        until(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None, 120)

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

    def study(self, **tags: str) -> list[Dataset]:
        """A new one, of a patient of its own whose name is planted."""
        number = len(self.studies)
        uid = generate_uid()
        images = []
        for image in TEMPLATE:
            data = dcmread(image)
            data.StudyInstanceUID, data.SOPInstanceUID = uid, generate_uid()
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            data.PatientName, data.PatientID = f"Planted{number}^Name{number}x", f"PLANTED-{number}-ID"
            for name, value in tags.items():
                setattr(data, name, value)
            images.append(data)
        self.studies.append(images)
        return images

    def send(self, images: list[Dataset], *, patience_s: float = 300.0, cut_off: bool = False) -> None:
        """As a scanner does: again until each image is acknowledged. cut_off: the cable is pulled after the last."""
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


@contextmanager
def calling(port: int) -> Iterator:
    """An association, or None where there is none to be had."""
    ae = AE("SCANNER")
    ae.add_requested_context(CTImageStorage)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 60
    association = ae.associate("127.0.0.1", port, ae_title="ADN")
    try:
        yield association if association.is_established else None
    finally:
        if association.is_established:
            association.release()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def until(what: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come in time")


def quiet(run: Run) -> bool:
    """True where the node has nothing left to do."""
    told = status(run.folder)
    waiting = sum(counts.get("waiting", 0) for counts in told["deliveries"].values())
    done, sent = told["cases"].get("done", 0), sum(sum(c.values()) for c in told["deliveries"].values())
    unfinished = sum(told["cases"].get(state, 0) for state in ("queued", "running"))
    return told["studies_with_images"] == 0 and not waiting and not unfinished and sent >= done


# --- the rows


def in_a_row(run: Run, args: argparse.Namespace) -> None:
    memory = []
    for number in range(args.studies):
        run.send(run.study())
        if number % 20 == 19:
            memory.append(resident_mb(run))
            print(f"{number + 1} studies, {memory[-1]:.0f} MB", file=sys.stderr, flush=True)
    run.remarks.append(f"MB of the node after each 20: {' '.join(f'{mb:.0f}' for mb in memory)}")


def at_a_time(run: Run, args: argparse.Namespace) -> None:
    studies = [run.study() for _ in range(40)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run.send, studies))


def kills(run: Run, args: argparse.Namespace) -> None:
    """SIGKILL at random moments while studies come in, are processed and are sent."""
    chance, over = random.Random(31), threading.Event()
    studies = [run.study() for _ in range(20)]

    def scanner() -> None:
        for images in studies:
            run.send(images, patience_s=1800)
            over.wait(chance.uniform(0, 1.5))

    sending = threading.Thread(target=scanner)
    sending.start()
    for _ in range(args.kills):
        time.sleep(chance.uniform(0.1, 4.0))
        run.kill()
        run.start()
    over.set()
    sending.join()
    run.remarks.append(f"{args.kills} kills")


def full_disk(run: Run, args: argparse.Namespace) -> None:
    """Full when images come, and full when results are to be written; later there is room again."""
    ballast = run.folder / "ballast"

    def fill() -> None:
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(2**14))
                    file.flush()
            except OSError:
                pass

    first = [run.study() for _ in range(5)]
    fill()
    sending = threading.Thread(target=lambda: [run.send(images, patience_s=300) for images in first])
    sending.start()
    time.sleep(4)
    ballast.unlink()
    sending.join()
    second = [run.study() for _ in range(5)]
    for images in second:
        run.send(images)
    fill()  # while they wait or are processed
    time.sleep(4)
    ballast.unlink()
    run.remarks.append("full for 4 s at intake and for 4 s at work")


def archive_down(run: Run, args: argparse.Namespace) -> None:
    run.archive.stop()
    for _ in range(10):
        run.send(run.study())
    time.sleep(HOUR_S)
    run.archive.start()


def half_sent(run: Run, args: argparse.Namespace) -> None:
    """Cut off in the middle: half of the studies come anew, the others never do and end as what came."""
    for number in range(10):
        images = run.study()
        run.send(images[:4], cut_off=True)
        if number % 2:
            run.send(images)


def sent_twice(run: Run, args: argparse.Namespace) -> None:
    """At once, while it is processed, and when its results have left."""
    for pause_s in (0.0, 0.7, 1.0, 5.0, 10.0):
        images = run.study()
        run.send(images)
        time.sleep(pause_s)
        run.send(images)


def grown(run: Run, args: argparse.Namespace) -> None:
    """By slices, before and while it is processed: one set. After its results have left: a second of the whole."""
    for pause_s in (0.1, 0.3, 0.6, 1.5, 2.0, 2.5):
        images = run.study(SeriesDescription="slow")
        run.send(images[:5])
        time.sleep(pause_s)
        run.send(images)
    late = run.study()
    run.send(late[:5])
    until(lambda: run.archive.sets(late[0].StudyInstanceUID) == 1, 120)
    until(lambda: quiet(run), 120)
    run.send(late)
    until(lambda: run.archive.sets(late[0].StudyInstanceUID) == 2, 120)
    run.wanted[late[0].StudyInstanceUID] = 2
    for images in run.studies:
        for sop_class in CLASSES.values():
            made_of = set(run.archive.kept[images[0].StudyInstanceUID][sop_class].values())
            run.remarks += [] if str(SLICES) in made_of or not made_of else [f"made of {made_of}"]


def cannot_be_processed(run: Run, args: argparse.Namespace) -> None:
    for _ in range(5):
        run.send(run.study(SeriesDescription="bad"))


ROWS: dict[str, Callable[[Run, argparse.Namespace], None]] = {
    "in a row": in_a_row,
    "20 associations at a time": at_a_time,
    "kill -9 at random moments": kills,
    "full disk": full_disk,
    "archive down for an hour": archive_down,
    "association cut off half-way": half_sent,
    "sent twice": sent_twice,
    "grown by slices": grown,
    "no head CT": cannot_be_processed,
}


def resident_mb(run: Run) -> float:
    """Of the node's process, without its worker."""
    assert run.process is not None
    text = Path(f"/proc/{run.process.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def names_found(run: Run) -> int:
    """How many names, numbers and UIDs of patients stand where they must not."""
    from fastapi.testclient import TestClient

    from adn.server.app import create_app
    from adn.server.cases import Cases
    from adn.server.jobs import Jobs

    text = run.log.read_text()
    text += "".join(str(path) for path in run.folder.rglob("*"))
    text += "".join(path.read_text(errors="replace") for path in run.folder.rglob("*.json"))
    cases = Cases(run.folder)
    client = TestClient(create_app(cases, Jobs(cases), host="127.0.0.1", token=None), base_url="http://127.0.0.1")
    text += client.get("/").text + client.get("/api/cases").text
    text += "".join(client.get(f"/api/cases/{record.id}").text for record in cases.records())
    cases.close()
    planted = {
        word
        for images in run.studies
        for word in (*str(images[0].PatientName).split("^"), images[0].PatientID, images[0].StudyInstanceUID)
    }
    return sum(word in text for word in planted)


def play(name: str, out: Path, args: argparse.Namespace) -> dict[str, object]:
    """One row from start to end."""
    folder = out / name.replace(" ", "-")
    folder.mkdir(parents=True)
    run = Run(folder / "node", folder / "node.log", Archive(), free_port())
    run.folder.mkdir()
    mounted = name == "full disk"
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", run.folder], check=True)
    began = time.monotonic()
    try:
        run.start()
        ROWS[name](run, args)
        until(lambda: quiet(run), 600)
        time.sleep(1.5)
        until(lambda: quiet(run), 600)
    except AssertionError as error:
        run.remarks.append(str(error))
    seconds = time.monotonic() - began
    try:
        run.stop()
        failed = status(run.folder)["cases"].get("failed", 0)
        sets = {images[0].StudyInstanceUID: run.archive.sets(images[0].StudyInstanceUID) for images in run.studies}
        right = sum(count == run.wanted.get(uid, 1) for uid, count in sets.items())
        more = sum(count > run.wanted.get(uid, 1) for uid, count in sets.items())
        lost = len(sets) - right - more - failed
        values = (
            name,
            len(sets),
            right,
            failed,
            more,
            lost,
            names_found(run),
            f"{seconds:.0f}",
            "; ".join(run.remarks),
        )
        return dict(zip(COLUMNS, values, strict=True))
    finally:
        run.archive.stop()
        if mounted:
            subprocess.run(["umount", run.folder], check=True)


def template(folder: Path) -> list[Path]:
    grid = Grid((16, 16, SLICES), np.diag([12.0, 12.0, 5.0, 1.0]))
    volume = Volume(np.full((16, 16, SLICES), 30.0, np.float32), grid)
    return sorted(write_ct_series(volume, folder / "ct", name="x", seed="x", comment=""))


def main() -> None:
    if sys.argv[1:2] == ["--node"]:
        run_node(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, (args.out / "faults.csv").open("a", newline="") as file:
        TEMPLATE.extend(template(Path(folder)))
        table = csv.DictWriter(file, COLUMNS)
        if file.tell() == 0:
            table.writeheader()
        for name in args.only:
            if name == "full disk" and os.geteuid():
                continue
            line = play(name, args.out, args)
            table.writerow(line)
            file.flush()
            print(*line.values(), sep=" | ", flush=True)


TEMPLATE: list[Path] = []

if __name__ == "__main__":
    main()
