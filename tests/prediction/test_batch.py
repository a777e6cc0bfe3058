"""Many scans: each gets its outcome, whatever happens to the others."""

from pathlib import Path

import pytest

from adn.errors import InputError
from adn.prediction.batch import Outcome, Request, Task, overall_code, predict_one, process_all
from stand_ins import by_name


def run(names, out, jobs):
    tasks = [Task(Path(f"{name}.nii.gz"), name) for name in names]
    outcomes = list(process_all(tasks, Request(out), jobs, 1, by_name))
    assert sorted(o.task.case for o in outcomes) == sorted(names)
    return {outcome.task.case: outcome for outcome in outcomes}


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_failing_scan_does_not_stop_the_rest(tmp_path, jobs):
    outcomes = run(["a", "bad", "bug", "b"], tmp_path, jobs)
    assert {case: outcome.code for case, outcome in outcomes.items()} == {"a": 0, "bad": 2, "bug": 1, "b": 0}
    assert outcomes["bad"].error == "bad.nii.gz is not a head CT."
    assert outcomes["bad"].row == {"case": "bad", "error": "bad.nii.gz is not a head CT."}
    assert "report it" in outcomes["bug"].error


def test_a_process_that_dies_is_reported_for_its_own_scan_and_leaves_nothing(tmp_path):
    outcomes = run(["a", "crash", "b", "c"], tmp_path, jobs=2)
    assert {case: outcome.code for case, outcome in outcomes.items()} == {"a": 0, "crash": 1, "b": 0, "c": 0}
    assert "-9" in outcomes["crash"].error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_loads_its_model_once(tmp_path, jobs):
    outcomes = run(["a", "b", "c", "d", "e"], tmp_path, jobs)
    assert len({outcome.row["device"] for outcome in outcomes.values()}) <= jobs


def test_exit_codes():
    def code(*codes):
        return overall_code([Outcome(Task(Path("x"), "x"), c) for c in codes])

    assert [code(0), code(0, 0)] == [0, 0]
    assert [code(2), code(2, 2)] == [2, 2]
    assert [code(1), code(1, 2)] == [1, 1]
    assert [code(0, 2), code(0, 1), code(0, 1, 2)] == [3, 3, 3]


def test_an_earlier_result_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "case").mkdir()
    with pytest.raises(InputError, match="--overwrite"):
        predict_one(Task(Path("absent.nii.gz"), "case"), Request(tmp_path), {})
