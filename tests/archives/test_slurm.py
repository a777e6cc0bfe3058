"""The Python code of docs/how-to/cluster.md on a real one-node Slurm cluster from Debian."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from adn.archives.ledger import Counts
from adn.archives.work import Job
from node.strangers import free_port, until
from stub_archive import Stub

pytest.importorskip("distributed", reason="needs the extra 'archive'")
pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue")

pytestmark = [pytest.mark.slurm, pytest.mark.filterwarnings("ignore")]  # those of dask's packages are not ours

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md"
SCANS = 120
SETTINGS = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Slurm with one node of two cores, its files below tmp_path."""
    if any(shutil.which(name) is None for name in ("munged", "slurmctld", "slurmd", "sbatch")) or os.getuid() != 0:
        pytest.skip("needs Slurm and to be root: apt install slurm-wlm munge")
    for name in ("state", "spool"):
        (tmp_path / name).mkdir()
    host = socket.gethostname().split(".")[0]
    text = SETTINGS.format(host=host, home=tmp_path, controller=free_port(), node=free_port())
    (tmp_path / "slurm.conf").write_text(text)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    key = tmp_path / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    files = {"key-file": key, "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
    options = [f"--{name}={tmp_path / file}" for name, file in {**files, "seed-file": "munge.seed"}.items()]
    try:
        subprocess.run(["munged", "--force", *options], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["slurmctld", "-c"], check=True)
        subprocess.run(["slurmd"], check=True)
        until(lambda: "idle" in told("sinfo", "-h", "-o", "%T"), 60)
        yield
    finally:
        with suppress(Exception):  # a node that is stopped while a job ends would stay
            until(lambda: not told("squeue", "-h"), 60)
        for name in ("slurmd", "slurmctld", "munged"):
            if (pid := tmp_path / f"{name}.pid").exists():
                os.kill(int(pid.read_text()), signal.SIGTERM)


def told(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def code_of_the_page(exchanged):
    """The Python below the heading about Slurm. exchanged: what stands there in place of a path or number."""
    lines = PAGE.read_text(encoding="utf-8").partition("**Slurm**")[2].splitlines()[1:]
    block = [line[4:] for line in lines[: next(n for n, line in enumerate(lines) if line[:1].strip())]]
    code = "\n".join(block).strip()
    assert code.startswith("import dask")
    for old, new in exchanged.items():
        assert old in code
        code = code.replace(old, new)
    return code


def test_workers_are_slurm_jobs_and_ending_one_loses_nothing(slurm, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setenv("ADN_STUB_LOG", str(log))
    monkeypatch.setenv("ADN_STUB_SECONDS", "0.25")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(Job.__init__, "__defaults__", ("cases", Stub, Job.version))
    monkeypatch.chdir(tmp_path)  # Slurm writes what jobs say into the folder that they were begun from
    (tmp_path / "in").mkdir()
    for number in range(SCANS):
        (tmp_path / "in" / f"s{number:03d}.nii.gz").touch()
    cancelled = []

    def cancel():
        until(lambda: log.exists() and len(log.read_text().split()) > 10, 120)
        cancelled.append(told("squeue", "-h", "-t", "running", "-o", "%A").split()[0])
        told("scancel", cancelled[0])

    found = []
    code = code_of_the_page(
        {
            "/data/archive": str(tmp_path / "in"),
            "/data/results": str(tmp_path / "out"),
            "maximum=100": "maximum=2",
            "print(": "found.append(",
        }
    )
    space: dict[str, Any] = {"found": found}
    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        exec(code, space)
    finally:
        thread.join()
        if "cluster" in space:
            space["cluster"].close()
    assert found == [Counts(done=SCANS)]
    assert len(cancelled) == 1
    assert sorted(log.read_text().split()) == [f"s{number:03d}" for number in range(SCANS)]
    jobs = {path.name for path in tmp_path.glob("slurm-*.out")}
    assert f"slurm-{cancelled[0]}.out" in jobs
    assert len(jobs) > 1
