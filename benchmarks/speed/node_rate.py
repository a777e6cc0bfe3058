"""Time from a study's last slice to its results in Orthanc, studies per hour, and memory, for a real `adn node`.

    adn synth -n 6 --seed 1 --format dicom -o STUDIES
    Orthanc config.json    # {"DicomAet": "ORTHANC", "DicomPort": 4242, "HttpPort": 8042, "DicomCheckCalledAet": false}
    python benchmarks/speed/node_rate.py STUDIES OUT [--forward ORTHANC@127.0.0.1:4242] [--url http://127.0.0.1:8042]

Each folder of STUDIES with DICOM files in it is a study. The first two are sent one after the other, which gives the
time a reader waits, without and with the networks in memory; the others at once, which gives the rate.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE

from adn.node.status import status

PORT = 21112


class Memory:
    """Peak memory of the node and of its worker, MB."""

    def __init__(self, process: int) -> None:
        self.node = self.worker = 0.0
        self.process = process
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            tasks = Path(f"/proc/{self.process}/task")
            try:
                self.node = max(self.node, resident_mb(self.process))
                others = " ".join((task / "children").read_text() for task in tasks.iterdir()).split()
                self.worker = max([self.worker, *(resident_mb(int(other)) for other in others)])
            except OSError:  # one that has just ended
                pass
            time.sleep(0.5)


def resident_mb(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")]  # none: it has just ended
    return int(found[0]) / 1024 if found else 0.0


def studies_of(folder: Path) -> list[list[Path]]:
    found: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.dcm")):
        found.setdefault(path.parent, []).append(path)
    return list(found.values())


def until_heard() -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            return
        except OSError:
            time.sleep(0.2)


def send(files: list[Path]) -> str:
    """Send a study; returns its UID."""
    ae = AE("SCANNER")
    ae.add_requested_context(CTImageStorage)
    association = ae.associate("127.0.0.1", PORT, ae_title="ADN")
    for path in files:
        data = dcmread(path)
        assert association.send_c_store(data).Status == 0
    association.release()
    return str(data.StudyInstanceUID)


def wait_for(url: str, uid: str) -> None:
    """Wait until a study's SEG, SR and a key image are in Orthanc."""
    query = {"Level": "Series", "Query": {"StudyInstanceUID": uid}, "Expand": True}
    while True:
        with urllib.request.urlopen(f"{url}/tools/find", json.dumps(query).encode(), 30) as answer:
            kinds = {series["MainDicomTags"]["Modality"] for series in json.loads(answer.read())}
        if len(kinds) >= 3:
            return
        time.sleep(0.2)


def measure(studies: list[list[Path]], url: str, memory: Memory, folder: Path) -> None:
    for name, files in zip(("first", "second"), studies, strict=False):
        uid, began = send(files), time.monotonic()
        wait_for(url, uid)
        print(f"{name} study ({len(files)} slices): {time.monotonic() - began:.0f} s from its last slice", flush=True)
    began, uids = time.monotonic(), [send(files) for files in studies[2:]]
    for uid in uids:
        wait_for(url, uid)
    seconds = time.monotonic() - began
    if uids:
        print(f"{len(uids)} at once: {seconds:.0f} s, {len(uids) / seconds * 3600:.0f} an hour", flush=True)
    print(f"at most {memory.node:.0f} MB of the node and {memory.worker:.0f} MB of its worker")
    print(json.dumps(status(folder)["deliveries"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--forward", default="ORTHANC@127.0.0.1:4242")
    parser.add_argument("--url", default="http://127.0.0.1:8042")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "adn", "node", asked.out, "--port", PORT, "--forward", asked.forward]
    process = subprocess.Popen([str(word) for word in command], stdout=sys.stderr)
    try:
        until_heard()
        measure(studies_of(asked.studies), asked.url, Memory(process.pid), asked.out)
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
