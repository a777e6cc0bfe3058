"""An archive is predicted completely and resumes after a stop; a scan that kills its worker stops nothing else."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from adn.archives import run
from adn.archives.layout import Layout
from adn.archives.ledger import Counts
from adn.archives.run import predict_archive
from adn.archives.work import Job
from adn.errors import AdnError, InputError, OutputError
from adn.prediction.batch import Networks, Request
from given import given, loose
from stub_archive import Here, Stub

pytest.importorskip("distributed", reason="needs the extra 'archive'")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'archive'")


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "bad", "c", "d"):
        (tmp_path / "in" / f"{name}.nii.gz").touch()
    return partial(go, tmp_path)


def go(home, client, layout: Layout = "cases", **options):
    job = Job(Request(home / "out", **options.pop("request", {})), Networks(), layout, Stub)
    return predict_archive([str(home / "in")], job, client, **options)


def cases(folder):
    return sorted(row["case"] for row in parquet.read_table(folder / "out" / "results.parquet").to_pylist())


def test_all_scans_get_a_folder_and_a_line_in_the_table(archive, tmp_path):
    told = []
    counts = archive(Here(), tell=lambda event, counts, more: told.append(event))
    assert counts == Counts(done=4, failed=1)
    assert cases(tmp_path) == ["a", "b", "bad", "c", "d"]
    assert sorted(path.parent.name for path in (tmp_path / "out").glob("*/result.json")) == ["a", "b", "c", "d"]
    assert [event.error for event in told if event and event.error] == [
        f"{tmp_path / 'in' / 'bad.nii.gz'}: is not a head CT."
    ]
    assert not (tmp_path / "out" / ".adn-work").exists()


def test_a_second_run_processes_unfinished_and_deleted_results(archive, tmp_path):
    with pytest.raises(AdnError, match="run the same command again"):
        archive(Here(stop_after=2))
    done = {path.parent.name for path in (tmp_path / "out").glob("*/result.json")}
    again = Here()
    assert archive(again) == Counts(done=4, failed=1)
    assert not done & set(again.seen) - {"a", "b", "c", "d", "bad"}
    for file in (tmp_path / "out" / "a").iterdir():
        file.unlink()
    (tmp_path / "out" / "a").rmdir()
    last = Here()
    archive(last)
    assert last.seen == ["a"]
    archive(last, retry_failed=True)
    assert last.seen == ["a", "bad"]
    assert cases(tmp_path) == ["a", "b", "bad", "c", "d"]


def test_results_missing_from_the_ledger_are_adopted(archive, tmp_path):
    job = Job(Request(tmp_path / "out"), Networks(), "cases", Stub)
    archive(Here())
    from adn.archives.ledger import Item

    item = Item(1, "a", "a.nii.gz", ("absent.nii.gz",))
    assert loose(job(item))["volume_ml"] == 1.5  # read, not predicted


def test_results_as_bids_derivatives(archive, tmp_path):
    assert archive(Here(), layout="bids") == Counts(done=4, failed=1)
    assert (tmp_path / "out" / "sub-a" / "ct" / "sub-a_label-infarct_desc-adn_mask.nii.gz").is_file()
    assert archive(Here(), layout="bids") == Counts(done=4, failed=1)
    with pytest.raises(OutputError, match="another `layout`"):
        archive(Here())


@pytest.mark.slow
def test_the_bids_validator_accepts_it(archive, tmp_path):
    validator = shutil.which("bids-validator-deno", path=f"{Path(sys.executable).parent}")
    if validator is None:
        pytest.skip("needs bids-validator-deno")
    archive(Here(), layout="bids")
    said = subprocess.run([validator, tmp_path / "out"], capture_output=True, text=True, timeout=300)
    assert (said.returncode, "[ERROR]" in said.stdout) == (0, False), said.stdout


def test_contradictory_options_are_refused(archive, tmp_path):
    with pytest.raises(InputError, match="`overwrite` is not for archives"):
        archive(Here(), request={"overwrite": True})
    with pytest.raises(InputError, match="does not fit the BIDS layout"):
        archive(Here(), layout="bids", request={"dicom_seg": True})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(OutputError, match="something other"):
        archive(Here())


@pytest.mark.slow
def test_a_scan_that_kills_its_worker_is_set_aside_after_two_tries(archive, tmp_path, monkeypatch):
    """With real processes."""
    log = tmp_path / "log"
    monkeypatch.setenv("ADN_STUB_LOG", str(log))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "in" / "crash.nii.gz").touch()
    errors = []
    with closing(run.local_client(2, 1)) as client:
        counts = archive(client, tell=lambda event, *_: errors.append(event.error) if event else None)
        given(client.cluster).close()
    assert counts == Counts(done=4, failed=1, set_aside=1)
    assert sorted(log.read_text().split()) == ["a", "b", "c", "d"]
    assert sum("set aside, as the process working on it died 2 times" in error for error in errors) == 1


def test_itk_uses_the_number_of_threads_of_its_worker(archive, monkeypatch):
    name = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    archive(Here())
    assert os.environ[name] == "3"
