"""A server that restarts: waiting cases continue, interrupted ones are repeated, finished ones stay."""

import json
import time

from server.stub_pipeline import SLOW
from server.stub_server import client_of, nifti, server, upload, wait


def made(client, order=0):
    return upload(client, nifti(order)).json()["id"]


def test_stopping_returns_running_work_to_the_queue_and_a_restart_continues(tmp_path):
    with client_of(server(tmp_path)) as client:
        first, slow, last = made(client), made(client, SLOW), made(client)
        done = wait(client, first)
        wait(client, slow, ("running",), "write")
    assert [path.name for path in tmp_path.glob("*/.*")] == []  # the worker has cleaned up
    states = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/case.json")}
    assert {states[case]["state"] for case in (slow, last)} == {"queued"}
    assert states[slow]["attempts"] == 0
    with client_of(server(tmp_path)) as client:
        assert client.get(f"/api/cases/{first}").json() == done
        client.post(f"/api/cases/{slow}/cancel")
        assert wait(client, last)["state"] == "done"
        assert made(client) not in states


def after_a_crash(tmp_path, state, attempts=1, results=False):
    """The case that a server finds which was killed while it worked."""
    with client_of(server(tmp_path, waiting=1)) as client:
        case = made(client, SLOW)
        wait(client, case, ("running",))
    home = tmp_path / case
    record = json.loads((home / "case.json").read_text())
    (home / "case.json").write_text(json.dumps(record | {"state": state, "attempts": attempts}))
    (home / ".scan-1.partial-1-0000000000").mkdir()
    (tmp_path / ".scratch.partial-1-0000000000").mkdir()
    if results:
        (home / "scan-1").mkdir()
        (home / "scan-1" / "result.json").write_text("{}")
    return case


def test_a_case_killed_once_is_run_again(tmp_path):
    case = after_a_crash(tmp_path, "running")
    with client_of(server(tmp_path)) as client:
        assert wait(client, case, ("running",))["state"] == "running"
        assert not (tmp_path / ".scratch.partial-1-0000000000").exists()
        assert not (tmp_path / case / ".scan-1.partial-1-0000000000").exists()


def test_a_case_killed_twice_fails_with_a_clear_message(tmp_path):
    case = after_a_crash(tmp_path, "running", attempts=2)
    with client_of(server(tmp_path)) as client:
        found = client.get(f"/api/cases/{case}").json()
    assert found["state"] == "failed"
    assert "stopped twice" in found["error"]["detail"]
    assert not (tmp_path / case / "upload").exists()


def test_a_case_killed_after_its_results_were_written_is_done(tmp_path):
    case = after_a_crash(tmp_path, "running", results=True)
    with client_of(server(tmp_path)) as client:
        assert client.get(f"/api/cases/{case}").json()["state"] == "done"


def test_folders_of_other_programs_are_left_alone(tmp_path):
    for name, text in (("notes", "hello"), ("old", '{"id": "old"}'), ("copied", '{"id": "0000000000000000"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "case.json").write_text(text)
    with client_of(server(tmp_path)) as client:
        assert client.get("/api/cases").json() == []
    assert len(list(tmp_path.glob("*/case.json"))) == 3


def test_the_page_answers_while_a_scan_is_processed(client):
    slow = made(client, SLOW)
    wait(client, slow, ("running",))
    began = time.monotonic()
    for _ in range(20):
        assert client.get("/api/info").status_code == 200
    assert time.monotonic() - began < 5
    assert client.delete(f"/api/cases/{slow}").status_code == 204
