"""A server over a stand-in pipeline, what is sent to it, and scans that tell the stand-in what to do."""

import io
import time
import zipfile

import nibabel as nib
import numpy as np
from fastapi.testclient import TestClient

from adn.server.app import create_app
from adn.server.cases import Cases
from adn.server.jobs import Jobs
from adn.server.models import Limits
from server import stub_pipeline

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
