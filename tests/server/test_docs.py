"""docs/server.md is true: its example runs, its operations are the API's; steps are those of the pipeline."""

import re
from pathlib import Path

import httpx
import pytest

from adn.server.models import STEPS, Limits
from server.stub_server import client_of, nifti

TEXT = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")


def test_the_python_example_runs(client, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("scan.nii.gz").write_bytes(nifti())
    monkeypatch.setattr(httpx, "Client", lambda base_url: client_of(client.app, base_url))
    monkeypatch.setattr("adn.server.jobs.Jobs.start", lambda self: None)  # the app of `client` lives already
    monkeypatch.setattr("adn.server.jobs.Jobs.close", lambda self: None)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(code, {})
    assert "'case': 'scan-1'" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nii.gz", "result.json", "infarct.nii.gz"}


def test_every_operation_is_in_the_documented_table(client):
    for path in client.get("/api/openapi.json").json()["paths"]:
        assert f"{path.replace('case_id', 'id')}`" in TEXT


def test_limits_match_the_documentation():
    limits = Limits()
    assert (limits.upload_mb, limits.unpacked_mb, limits.files) == (1024, 4096, 5000)
    assert limits.unpacked_ratio == 100
    text = " ".join(TEXT.split())
    for words in ("1 GiB and 5,000 files", "4 GiB, 5,000 files and 100 times its size", f"{limits.waiting} cases wait"):
        assert words in text


def test_steps_match_the_pipeline():
    pipeline = pytest.importorskip("adn.prediction.pipeline")
    assert list(STEPS) == ["read", "load", *pipeline.STEPS, "write"]
