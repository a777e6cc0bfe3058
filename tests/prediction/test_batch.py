"""Many scans: each gets its outcome, whatever happens to the others."""

import gc
from functools import partial
from pathlib import Path

import pytest

from adn.errors import OutputError
from adn.prediction import batch
from adn.prediction.batch import (
    RESULTS_TABLE,
    Networks,
    Request,
    Task,
    collecting_later,
    predict_all,
    predict_one,
    predict_scans,
)
from stand_ins import ByName


def run(names, out, jobs):
    tasks = [Task(Path(f"{name}.nii.gz"), name) for name in names]
    outcomes = list(predict_all(tasks, Request(out), Networks(), jobs, ByName))
    assert sorted(o.task.case for o in outcomes) == sorted(names)
    return {outcome.task.case: outcome for outcome in outcomes}


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_failing_scan_does_not_stop_the_others(tmp_path, jobs):
    outcomes = run(["a", "bad", "bug", "b"], tmp_path, jobs)
    assert {case: outcome.code for case, outcome in outcomes.items()} == {"a": 0, "bad": 2, "bug": 1, "b": 0}
    assert outcomes["bad"].error == "bad.nii.gz is not a head CT."
    assert outcomes["bad"].row == {"case": "bad", "scan": "bad.nii.gz", "error": "bad.nii.gz is not a head CT."}
    assert "report it" in outcomes["bug"].error


def test_a_process_that_dies_is_reported_for_its_own_scan_and_leaves_nothing(tmp_path):
    outcomes = run(["a", "crash", "b", "c"], tmp_path, jobs=2)
    assert {case: outcome.code for case, outcome in outcomes.items()} == {"a": 0, "crash": 1, "b": 0, "c": 0}
    assert "-9" in outcomes["crash"].error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def by_name(monkeypatch):
    """`predict_scans` with a stand-in for the pipeline."""
    monkeypatch.setattr(batch, "predict_all", partial(predict_all, work=ByName))


def test_outcomes_come_in_the_order_of_the_scans_and_make_a_table(by_name, tmp_path):
    told, scans = [], [tmp_path / f"{name}.nii.gz" for name in ("b", "bad", "a")]
    outcomes = predict_scans(scans, Request(tmp_path / "out"), Networks(), jobs=2, tell=told.append)
    assert [outcome.task.case for outcome in outcomes] == ["b", "bad", "a"]
    assert sorted(map(id, told)) == sorted(map(id, outcomes))
    lines = (tmp_path / "out" / RESULTS_TABLE).read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["b", "bad", "a"]
    with pytest.raises(OutputError, match="set `overwrite`"):
        predict_scans(scans, Request(tmp_path / "out"), Networks())


def test_one_scan_makes_no_table(by_name, tmp_path):
    (outcome,) = predict_scans([tmp_path / "a.nii.gz"], Request(tmp_path / "out"), Networks())
    assert outcome.row["volume_ml"] == 12.34
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_loads_its_model_once(tmp_path, jobs):
    outcomes = run(["a", "b", "c", "d", "e"], tmp_path, jobs)
    assert len({outcome.row["device"] for outcome in outcomes.values()}) <= jobs


def test_an_earlier_result_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "case").mkdir()
    with pytest.raises(OutputError, match="set `overwrite`"):
        predict_one(Task(Path("absent.nii.gz"), "case"), Request(tmp_path), Networks())


def test_garbage_collection_is_always_enabled_again():
    @collecting_later()
    def fails():
        assert not gc.isenabled()
        raise ValueError("an accident")

    with pytest.raises(ValueError, match="an accident"):
        fails()
    assert gc.isenabled()
    gc.disable()
    with collecting_later():
        pass
    assert not gc.isenabled()  # as it was
    gc.enable()
