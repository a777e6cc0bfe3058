"""Jobs: steps, results, isolated failures, cancelling, shutting down the queue."""

import hashlib
import json
import time

import pytest

from adn.answers import AnswerOptions
from adn.errors import InputError
from adn.prediction.batch import UserOptions
from adn.server import cases
from adn.server.app import create_app
from adn.server.cases import Cases
from adn.server.jobs import Jobs
from server import stub_pipeline
from server.stub_pipeline import BAD, BUG, CRASH, FINE, SLOW
from server.stub_server import client_of, nifti, upload, wait


def made(client, order=FINE):
    response = upload(client, nifti(order))
    assert response.status_code == 201, response.text
    return response.json()["id"]


def test_an_uploaded_scan_gives_results(client, folder):
    response = upload(client, nifti(), names=["Doe^Jane.nii"])
    case = response.json()
    assert (response.status_code, case["state"], case["name"], case["read_only"]) == (201, "queued", "scan-1", False)
    assert [step["name"] for step in case["steps"]][:3] == ["read", "load", "strip skull"]
    with client.stream("GET", f"/api/cases/{case['id']}/events") as events:
        lines = [line for line in events.iter_lines() if line]
    states = [json.loads(line[6:])["state"] for line in lines if line.startswith("data: ")]
    assert states[-1] == "done"
    assert set(states) <= {"queued", "running", "done"}
    case = client.get(f"/api/cases/{case['id']}").json()
    assert case["results"]["case"] == "scan-1"
    assert case["started"] <= case["finished"]
    assert {step["name"]: step["state"] for step in case["steps"]}["write"] == "done"
    home = folder / case["id"]
    assert sorted(path.name for path in home.iterdir()) == ["case.json", "scan-1"]  # the upload is gone
    for file in case["files"]:
        response = client.get(f"/api/cases/{case['id']}/files/{file['name']}")
        assert len(response.content) == file["bytes"]
        assert hashlib.sha256(response.content).hexdigest() == file["sha256"]
        assert "content-disposition" not in response.headers
        saved = client.get(f"/api/cases/{case['id']}/files/{file['name']}?download=1")
        assert saved.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'
    assert [layer["name"] for layer in case["layers"]] == ["infarct"]
    assert client.delete(f"/api/cases/{case['id']}").status_code == 204
    assert not home.exists()
    assert client.get(f"/api/cases/{case['id']}").status_code == 404


def test_only_listed_files_are_served(client, folder):
    case = wait(client, made(client))
    (folder / case["id"] / "scan-1" / ".hidden").write_text("x")
    for name in ("case.json", "..%2Fcase.json", ".hidden", "%2Fetc%2Fpasswd", "nul%00", "aligned_infarct.nii.gz"):
        response = client.get(f"/api/cases/{case['id']}/files/{name}")
        assert response.status_code == 404, name
        assert response.headers["content-type"] == "application/problem+json"


def test_a_failed_case_does_not_affect_others(client, folder):
    bad, crash, bug, fine = made(client, BAD), made(client, CRASH), None, None
    bad, crash = wait(client, bad), wait(client, crash)
    bug, fine = wait(client, made(client, BUG)), wait(client, made(client))
    assert [case["state"] for case in (bad, crash, bug, fine)] == ["failed", "failed", "failed", "done"]
    assert bad["error"] == {"title": "This scan cannot be processed", "detail": "The scan: is not a head CT."}
    assert "exit code -9" in crash["error"]["detail"]
    assert "ZeroDivisionError" in bug["error"]["detail"]
    for case in (bad, crash, bug):
        assert [path.name for path in (folder / case["id"]).iterdir()] == ["case.json"]  # nothing half-written
        assert (case["files"], case["layers"], case["results"]) == ([], [], None)


def test_one_process_handles_all_scans(client):
    pids = {wait(client, made(client))["results"]["pid"] for _ in range(2)}
    assert len(pids) == 1


def test_cancelling_leaves_nothing_half_written_and_the_next_case_starts(client, folder):
    slow, waiting, after = made(client, SLOW), made(client), made(client)
    wait(client, slow, ("running",), "write")
    assert list((folder / slow).glob(".*.partial-*/half.nii.gz"))
    assert client.post(f"/api/cases/{waiting}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/api/cases/{slow}/cancel").json()["state"] == "cancelled"
    assert [path.name for path in (folder / slow).iterdir()] == ["case.json"]
    assert wait(client, after)["state"] == "done"
    assert client.post(f"/api/cases/{after}/cancel").json()["state"] == "done"
    states = [case["state"] for case in client.get("/api/cases").json()]
    assert states[:3] == ["done", "cancelled", "cancelled"]  # newest first


def test_the_queue_is_bounded_and_a_running_case_can_be_deleted(client, folder):
    slow = made(client, SLOW)
    wait(client, slow, ("running",))
    waiting = [made(client) for _ in range(3)]
    full = upload(client, nifti())
    assert (full.status_code, full.headers["retry-after"]) == (503, "60")
    assert full.json()["title"] == "Service Unavailable"
    assert client.delete(f"/api/cases/{slow}").status_code == 204
    assert not (folder / slow).exists()
    assert [wait(client, case)["state"] for case in waiting] == ["done"] * 3


def test_server_options_apply_to_every_case(tmp_path):
    cases = Cases(tmp_path)
    jobs = Jobs(
        cases, predict=stub_pipeline.predict, user_options=UserOptions("de", AnswerOptions(volume_limit_ml=50.0))
    )
    with client_of(create_app(cases, jobs)) as client:
        found = wait(client, made(client))["results"]
    assert (found["language"], found["limit_ml"]) == ("de", 50.0)


def test_an_unknown_language_is_refused_before_any_work():
    with pytest.raises(InputError, match="no language 'xx'"):
        UserOptions("xx")


def test_a_case_that_vanishes_during_processing_does_not_block_others(tmp_path, monkeypatch):
    """A page deletes what another has just cancelled: the thread that works on cases must outlive it."""
    cases = Cases(tmp_path)
    jobs = Jobs(cases, predict=stub_pipeline.predict)
    work_on, seen = jobs._work_on, []

    def vanishing(record):
        seen.append(record.id)
        if len(seen) == 1:
            cases.update(record.id, state="cancelled")
            cases.delete(cases.record(record.id))
            raise FileNotFoundError(record.id)
        work_on(record)

    monkeypatch.setattr(jobs, "_work_on", vanishing)
    with client_of(create_app(cases, jobs)) as client:
        first, second = made(client), made(client)
        assert wait(client, second)["state"] == "done"
    assert seen == [first, second]


def test_waiting_for_a_case_ends_when_its_upload_is_gone(client, folder, monkeypatch):
    removed = cases.remove_folder

    def slowly(path):
        time.sleep(0.3)
        removed(path)

    slow = made(client, SLOW)
    wait(client, slow, ("running",), "write")
    monkeypatch.setattr(cases, "remove_folder", slowly)
    assert client.post(f"/api/cases/{slow}/cancel").json()["state"] == "cancelled"
    assert [path.name for path in (folder / slow).iterdir()] == ["case.json"]
