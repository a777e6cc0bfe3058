"""A server over a stand-in pipeline, and scans that tell the stand-in what to do."""

import io
import time
import zipfile

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("fastapi")
import stub_pipeline
from fastapi.testclient import TestClient

from adn.server.app import create_app
from adn.server.cases import Cases
from adn.server.jobs import Jobs
from adn.server.models import Limits

ADDRESS = "http://127.0.0.1:8765"
FINAL = ("done", "failed", "cancelled")


def nifti(order=stub_pipeline.FINE):
    data = np.zeros((4, 4, 4), np.int16)
    data[0, 0, 0] = order
    return nib.Nifti1Image(data, np.eye(4)).to_bytes()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return buffer.getvalue()


def upload(client, *contents, names=None, **query):
    """POST one case; the response."""
    names = names or [f"{i}.bin" for i in range(len(contents))]
    parts = [("files", (name, content)) for name, content in zip(names, contents, strict=True)]
    return client.post("/api/cases", files=parts, params=query)


def wait(client, case_id, states=FINAL, step=None, seconds=60):
    """The case as soon as it is in one of these states (and this step runs)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        case = client.get(f"/api/cases/{case_id}").json()
        running = [one["name"] for one in case["steps"] if one["state"] == "running"]
        if case["state"] in states and (step is None or step in running):
            return case
        time.sleep(0.05)
    raise AssertionError(f"still {case['state']}, wanted {states}")


def server(folder, **limits):
    """An application that is not started yet."""
    limits = Limits(**limits)
    cases = Cases(folder, waiting=limits.waiting)
    return create_app(cases, Jobs(cases, predict=stub_pipeline.predict), limits=limits)


def client_of(app, address=ADDRESS):
    return TestClient(app, base_url=address, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cases")


@pytest.fixture(scope="module")
def client(folder):
    """One server for all tests of a file, with a worker that is loaded once."""
    with client_of(server(folder, upload_mb=1, unpacked_mb=2, files=20, waiting=3)) as client:
        yield client
