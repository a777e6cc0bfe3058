"""Worker processes: they unwind when told to, and when nobody is left to tell them. And when garbage is collected."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adn.work.process import Worker, collecting_later, end
from stand_ins import half_write

PARENT = (
    "import sys; from adn.work.process import Worker; from stand_ins import half_write; "
    "w = Worker(half_write, sys.argv[1])"
)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_an_ended_worker_has_removed_what_it_half_wrote(tmp_path):
    worker = Worker(half_write, str(tmp_path / "half"))
    until((tmp_path / "half").exists)
    end([worker])
    assert not (tmp_path / "half").exists()
    assert worker.process.exitcode == 130


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_worker_whose_parent_is_killed_unwinds_too(tmp_path):
    half, tests = tmp_path / "half", str(Path(__file__).parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{PARENT}; w.process.join()", str(half)], env=os.environ | {"PYTHONPATH": tests}
    )
    until(half.exists)
    parent.kill()
    parent.wait()
    until(lambda: not half.exists())


def test_garbage_is_collected_again_afterwards_whatever_happened():
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
