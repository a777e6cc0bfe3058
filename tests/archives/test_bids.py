"""The levels of a BIDS App: derivatives for participants, one by one or at once, and one table over all of them."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adn.archives import work
from adn.archives.bids import predict_participants, summarize_group
from adn.archives.work import Job
from adn.cli.app import app
from adn.errors import InputError
from adn.prediction.batch import Networks, Request
from stub_archive import Stub


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for name in (
        "sub-01/ct/sub-01",
        "sub-02/ses-a/ct/sub-02_ses-a",
        "sub-02/ses-b/ct/sub-02_ses-b",
        "sub-bad/ct/sub-bad",
    ):
        file = folder / f"{name}_ct.nii.gz"
        file.parent.mkdir(parents=True)
        file.touch()
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return folder


def predict(data, out, *labels):
    return predict_participants(data, Job(Request(out), Networks(), "bids", Stub), labels)


def results(out):
    return sorted(path.name for path in out.rglob("*_result.json"))


def test_one_participant_is_predicted_and_then_the_others(data, tmp_path):
    out = tmp_path / "out"
    assert predict(data, out, "02") == [0, 0]
    before = (out / "sub-02" / "ses-a" / "ct" / "sub-02_ses-a_desc-adn_result.json").stat().st_mtime_ns
    assert predict(data, out) == [0, 0, 0, 2]
    assert before == (out / "sub-02" / "ses-a" / "ct" / "sub-02_ses-a_desc-adn_result.json").stat().st_mtime_ns
    assert results(out) == [f"{name}_desc-adn_result.json" for name in ("sub-01", "sub-02_ses-a", "sub-02_ses-b")]
    facts = json.loads((out / "dataset_description.json").read_text())
    assert (facts["DatasetType"], facts["GeneratedBy"][0]["Name"]) == ("derivative", "adn")


def test_results_may_be_inside_the_data_set(data):
    out = data / "derivatives" / "adn"
    assert predict(data, out, "sub-01") == predict(data, out, "sub-01") == [0]
    assert len(results(out)) == 1


def test_the_group_has_one_table_and_a_summary(data, tmp_path):
    out = tmp_path / "out"
    predict(data, out)
    summary = summarize_group(out)
    assert summary.startswith("3 scans of 2 participants; 0 not assessable.\nOf the others 3 have an infarct marked")
    assert "median 1.5 mL" in summary
    assert (out / "summary.txt").read_text() == summary
    with (out / "results.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["case"] for row in rows] == ["sub-01", "sub-02_ses-a", "sub-02_ses-b"]
    assert rows[0]["volume_ml"] == "1.5"
    assert rows[0]["error"] == rows[0]["mean_hu"] == "n/a"


def test_a_volume_of_0_is_kept_in_the_table_and_mixed_weights_are_reported(data, tmp_path):
    out = tmp_path / "out"
    predict(data, out, "01", "02")
    file = out / "sub-01" / "ct" / "sub-01_desc-adn_result.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "volume_ml": 0.0, "side": "none", "weights": "other"}))
    assert "These differ" in summarize_group(out)
    assert (out / "results.tsv").read_text().splitlines()[1].split("\t")[4] == "0.0"


def test_missing_inputs_are_named(data, tmp_path):
    with pytest.raises(InputError, match=r"needed scans of sub-09.*no sub-09/"):
        predict(data, tmp_path / "out", "01", "09")
    with pytest.raises(InputError, match="run that level first"):
        summarize_group(tmp_path)
    with pytest.raises(InputError, match=r"dataset_description\.json"):
        predict(tmp_path, tmp_path / "out")


def test_the_command_accepts_labels_as_bids_runners_give_them(data, tmp_path, monkeypatch):
    monkeypatch.setattr(work.Job.__init__, "__defaults__", ("cases", Stub, work.adn.__version__))
    call = ["bids", str(data), str(tmp_path / "out"), "participant", "--participant_label", "01", "sub-02"]
    ended = CliRunner().invoke(app, [*call, "--skip_bids_validator"])
    assert ended.exit_code == 0, ended.output
    assert "3 of 3 scans done" in ended.output
    assert CliRunner().invoke(app, ["bids", str(data), str(tmp_path / "out"), "participant"]).exit_code == 3
    ended = CliRunner().invoke(app, ["bids", str(data), str(tmp_path / "out"), "group"])
    assert "3 scans of 2 participants" in ended.output


@pytest.mark.slow
def test_the_bids_validator_accepts_it(data, tmp_path):
    validator = shutil.which("bids-validator-deno", path=f"{Path(sys.executable).parent}")
    if validator is None:
        pytest.skip("needs bids-validator-deno")
    predict(data, tmp_path / "out")
    summarize_group(tmp_path / "out")
    said = subprocess.run([validator, tmp_path / "out"], capture_output=True, text=True, timeout=300)
    assert (said.returncode, "[ERROR]" in said.stdout) == (0, False), said.stdout
