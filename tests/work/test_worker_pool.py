"""Work in several processes: each item gets its result, whatever happens to the others; workers clean up."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adn.work.exits import BAD_INPUT, OUR_FAULT, overall_code
from adn.work.pool import Failure, Worker, end, map_processes, thread_settings
from given import loose
from stand_ins import Counting, half_write

PARENT = (
    "import sys; from adn.work.pool import Worker; from stand_ins import half_write; "
    "w = Worker(half_write, sys.argv[1])"
)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_a_terminated_worker_removes_its_half_written_files(tmp_path):
    worker = Worker(half_write, str(tmp_path / "half"))
    until((tmp_path / "half").exists)
    end([worker])
    assert not (tmp_path / "half").exists()
    assert worker.process.exitcode == 130


def test_the_number_of_threads_applies_to_every_library():
    found = thread_settings(3)
    assert set(found.values()) == {"3"}
    assert {name.split("_")[0] for name in found} == {"OMP", "MKL", "OPENBLAS", "ITK"}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_worker_whose_parent_is_killed_cleans_up_too(tmp_path):
    half, root = tmp_path / "half", Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{PARENT}; w.process.join()", str(half)],
        env=os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root / 'tests'}"},
    )
    until(half.exists)
    parent.kill()
    parent.wait()
    until(lambda: not half.exists())


def run(numbers, folder, jobs):
    def clean_up(number):
        (folder / f"half-{number}").unlink()

    found = list(map_processes(Counting(folder), numbers, jobs, 1, clean_up=clean_up))
    assert sorted(number for number, _ in found) == sorted(numbers)
    assert list(folder.iterdir()) == []
    return dict(found)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_keeps_its_state_from_item_to_item(tmp_path, jobs):
    found = loose(run([1, 2, 3, 4, 5], tmp_path, jobs))
    last = {process: max(n for p, n in found.values() if p == process) for process, _ in found.values()}
    assert len(last) <= jobs
    assert sum(last.values()) == 5
    assert (os.getpid() in last) == (jobs == 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_item_that_fails_stops_no_other(tmp_path, jobs):
    found = run([1, 0, 2], tmp_path, jobs)
    assert found[0] == Failure(BAD_INPUT, "0 is not a number to work on.")
    assert not isinstance(found[1], Failure)
    assert not isinstance(found[2], Failure)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_process_that_dies_fails_its_own_item_and_is_replaced(tmp_path):
    found = run([1, -1, 2, -2, 3, 4], tmp_path, jobs=2)
    died = {number: result for number, result in found.items() if isinstance(result, Failure)}
    assert set(died) == {-1, -2}
    assert all(result.code == OUR_FAULT and "-9" in result.error for result in died.values())


def test_a_reader_that_stops_early_ends_the_processes(tmp_path):
    coming = map_processes(Counting(tmp_path), list(range(1, 50)), 2, 1)
    next(coming)
    loose(coming).close()
    until(lambda: not multiprocessing.active_children())


def test_exit_codes():
    assert [overall_code(codes) for codes in ([], [0], [0, 0])] == [0, 0, 0]
    assert [overall_code(codes) for codes in ([2], [2, 2])] == [2, 2]
    assert [overall_code(codes) for codes in ([1], [1, 2])] == [1, 1]
    assert [overall_code(codes) for codes in ([0, 2], [0, 1], [0, 1, 2])] == [3, 3, 3]
