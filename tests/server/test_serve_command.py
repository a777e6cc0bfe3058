"""`adn serve` as a program, with all network access from the machine blocked."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
from adn.cli import app  # noqa: E402
from adn.results import DISCLAIMER  # noqa: E402
from server.stub_server import nifti, wait  # noqa: E402

PROGRAM = "import sys; from adn.cli import main; sys.exit(main())"


@contextmanager
def serving(*arguments, cwd):
    """The process, a client for its address, and a file in which tries to get out are noted."""
    refused = cwd / "refused.txt"
    path = os.pathsep.join([str(Path(__file__).parent / "blocked"), os.environ.get("PYTHONPATH", "")])
    settings = os.environ | {"PYTHONPATH": path, "ADN_TEST_REFUSED": str(refused), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments), "--port", "0", "--no-open"]
    process = subprocess.Popen(
        command, cwd=cwd, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), address + process.stdout.read()
        about, disclaimer = process.stdout.readline(), process.stdout.readline().strip()
        assert (about.endswith("Ctrl-C stops.\n"), disclaimer) == (True, DISCLAIMER)
        with httpx.Client(base_url="http://127.0.0.1:" + re.split(r"[:/?]+", address)[2], timeout=60) as client:
            for _ in range(200):
                try:
                    client.get("/api/info")
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            yield process, client, address, refused
    finally:
        process.kill()
        process.wait()


def stop(process, number=signal.SIGINT):
    process.send_signal(number)
    words, _ = process.communicate(timeout=60)
    return words


def test_the_network_block_works(tmp_path):
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    settings = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent / "blocked"),
        "ADN_TEST_REFUSED": str(tmp_path / "refused"),
    }
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True)
    assert "the network is blocked" in done.stderr
    assert "192.0.2.1" in (tmp_path / "refused").read_text()


def test_a_local_server_needs_no_network_and_stops_cleanly(tmp_path):
    with serving("serve", "cases", cwd=tmp_path) as (process, client, address, refused):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        for path in ("/", "/api/docs", "/api/openapi.json", "/static/app.js"):
            assert client.get(path).status_code == 200
        case = client.post("/api/cases", files=[("files", ("a", nifti()))]).json()
        assert wait(client, case["id"])["error"]["detail"].startswith("The scan: ")  # the real pipeline: 4 × 4 × 4
        with pytest.raises(OSError, match=r"refused|unreachable"):  # bound to this machine only
            socket.create_connection((_outer_address(), int(client.base_url.port or 0)), 2)
        second = subprocess.run(
            [sys.executable, "-c", PROGRAM, "serve", "cases", "--no-open", "--port", "0"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert (second.returncode, "another 'adn serve'" in second.stderr) == (2, True)
        words = stop(process)
        assert words == "Stopped.\n"
    assert process.returncode == 0
    assert not refused.exists(), refused.read_text()


def _outer_address():
    """An address of this machine that is not loopback, or one that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return probe.getsockname()[0]
        except OSError:
            return "192.0.2.1"


def test_serving_other_hosts_generates_and_prints_a_token(tmp_path):
    with serving("serve", "cases", "--host", "0.0.0.0", cwd=tmp_path) as (process, client, address, _):
        token = address.partition("?token=")[2]
        assert len(token) >= 32
        assert client.get("/api/cases").status_code == 401
        assert client.get("/api/cases", headers={"Authorization": f"Bearer {token}"}).json() == []
        stop(process, signal.SIGTERM)
    assert process.returncode == 0


def test_a_missing_extra_is_reported_in_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("adn.cli.page.find_spec", lambda name: None if name == "uvicorn" else True)
    monkeypatch.setattr("adn.cli.terminal.unwind_on_signals", lambda: None)
    for arguments in (["serve", str(tmp_path / "cases")], ["view", str(tmp_path)]):
        monkeypatch.setattr(sys, "argv", ["adn", *arguments])
        assert app.main() == 2
        assert "pip install 'adn-stroke[serve]'" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_patient_gets_the_same_mask_as_on_the_command_line_without_network(tmp_path):
    def adn(*arguments):
        subprocess.run([sys.executable, "-c", PROGRAM, *arguments, "-q"], cwd=tmp_path, check=True)

    adn("synth", "-n", "1", "--seed", "1", "-o", "patient")
    (scan,) = tmp_path.glob("patient/*/ct.nii.gz")
    adn("predict", str(scan), "-o", "out")
    (mask,) = tmp_path.glob("out/*/infarct.nii.gz")
    with serving("serve", "cases", cwd=tmp_path) as (process, client, _, refused):
        case = client.post("/api/cases", files=[("files", ("ct.nii.gz", scan.read_bytes()))]).json()
        case = wait(client, case["id"], seconds=600)
        assert case["state"] == "done", case["error"]
        assert all(step["state"] == "done" and step["seconds"] >= 0 for step in case["steps"])
        assert len(case["layers"]) == 20
        served = client.get(f"/api/cases/{case['id']}/files/infarct.nii.gz").content
        assert hashlib.sha256(served).hexdigest() == hashlib.sha256(mask.read_bytes()).hexdigest()
        ours, theirs = case["results"], json.loads((mask.parent / "result.json").read_text())
        assert (ours["volume_ml"], ours["side"]) == (theirs["volume_ml"], theirs["side"])
        assert "Stopped." in stop(process)
    assert not refused.exists(), refused.read_text()
