"""What an archive costs besides prediction, and whether it loses anything: python benchmarks/speed/archive.py KIND.

overhead   wall and CPU time per scan for 1,000 scans with a stub that takes no time, on one worker
kills      kills 20 workers at random during 1,000 scans with a stub of 50 ms on 4: how many were lost or done twice
memory     peak memory of client and scheduler while 100,000 scans go through a stub
scaling    SCAN: a real scan under 60 names on one worker and on two, alternately, each with one thread

Needs the extra `archive`. --scans N makes a smaller trial run.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

KILLS = 20
TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

import psutil  # noqa: E402

from adn.archives.ledger import Counts  # noqa: E402
from adn.archives.run import Event, OnEvent, local_client, predict_archive  # noqa: E402
from adn.archives.work import Job  # noqa: E402
from adn.prediction.batch import Networks, Predictor, Request  # noqa: E402
from stub_archive import Stub  # noqa: E402


@contextmanager
def workers(count: int, **environment: str):
    """A client with `count` workers that can import the stub."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ.update(environment, PYTHONPATH=os.pathsep.join(paths))
    client = local_client(count, 1)
    client.wait_for_workers(count)
    try:
        yield client
    finally:
        cluster = client.cluster
        client.close()
        if cluster is not None:
            cluster.close()


def archive_of(folder: Path, count: int) -> Path:
    """A folder of empty scans."""
    for number in range(count):
        place = folder / "in" / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"s{number:06d}.nii.gz").touch()
    return folder / "in"


def run(folder: Path, client, work: type = Stub, name: str = "out", source: str = "in", tell: OnEvent | None = None):
    """Counts and seconds."""
    job = Job(Request(folder / name), Networks(), work=work)
    began = time.monotonic()
    return predict_archive([str(folder / source)], job, client, tell), time.monotonic() - began


def overhead(folder: Path, count: int) -> None:
    archive_of(folder, count)
    with workers(1) as client:
        cpu = time.process_time()
        counts, seconds = run(folder, client)
        cpu = time.process_time() - cpu
    print(
        f"{counts.done} scans: {seconds / count * 1e3:.1f} ms each, "
        f"{cpu / count * 1e3:.1f} ms CPU of client and scheduler"
    )


def kills(folder: Path, count: int) -> None:
    archive_of(folder, count)
    log, stop, killed = folder / "log", threading.Event(), []
    chance = random.Random(0)

    def kill() -> None:
        while len(killed) < KILLS and not stop.wait(chance.uniform(0.2, 0.8)):
            processes = [one for one in psutil.Process().children(recursive=True) if working(one)]
            if processes:
                victim = chance.choice(processes)
                victim.send_signal(signal.SIGKILL)
                killed.append(victim.pid)

    with workers(4, ADN_STUB_SECONDS="0.05", ADN_STUB_LOG=str(log)) as client:
        thread = threading.Thread(target=kill)
        thread.start()
        counts, seconds = run(folder, client)
        stop.set()
        thread.join()
    begun = Counter(log.read_text().split())
    folders = sum(1 for _ in (folder / "out").glob("*/result.json"))
    twice = sum(number > 1 for number in begun.values())
    lost = count - folders - counts.failed - counts.set_aside
    print(f"{len(killed)} workers killed in {seconds:.0f} s: {counts}, {folders} results, lost {lost}, ")
    print(f"computed to the end twice {twice}, in the table {rows(folder)} lines; set aside, though nothing is wrong")
    print(f"with them, since two kills met them: {counts.set_aside}")
    if len(killed) < KILLS:
        raise SystemExit(f"the scans were done before {KILLS} workers were killed: take more scans")


def working(process: psutil.Process) -> bool:
    """Whether it is a worker, and not one of multiprocessing's own helper processes."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def rows(folder: Path) -> int:
    """Number of rows in the table; checks that every case is there once."""
    from pyarrow import parquet

    cases = parquet.read_table(folder / "out" / "results.parquet", columns=["case"])["case"].to_pylist()
    assert len(cases) == len(set(cases)), "a case is there twice"
    return len(cases)


def memory(folder: Path, count: int) -> None:
    """Peak memory, and how it grows: the resident memory at each tenth."""
    archive_of(folder, count)
    own, grown = psutil.Process(), {}

    def tell(event: Event | None, counts: Counts, more: bool) -> None:
        grown.setdefault(10 * counts.done // count, own.memory_info().rss / 2**20)

    with workers(1) as client:
        before = own.memory_info().rss / 2**20
        counts, seconds = run(folder, client, tell=tell)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{counts.done} scans in {seconds:.0f} s: client and scheduler {before:.0f} MB before, {most:.0f} MB at most; "
        f"at each tenth {', '.join(f'{mb:.0f}' for mb in grown.values())}"
    )


def scaling(folder: Path, scan: Path, count: int) -> None:
    """scan: a file or a folder of DICOM."""
    links = [folder / f"s{number:03d}{''.join(scan.suffixes)}" for number in range(count)]
    for link in links:  # a scan that is listed twice under one path is predicted once
        link.symlink_to(scan.resolve())
    (folder / "in.csv").write_text("\n".join(["path", *map(str, links), ""]))
    found: dict[int, list[float]] = {1: [], 2: []}
    for turn, number in enumerate((1, 2, 2, 1)):
        with workers(number) as client:
            counts, seconds = run(folder, client, Predictor, f"out-{turn}", "in.csv")
        if counts.done != count:
            raise SystemExit(f"not all of {count} scans were predicted: {counts}")
        found[number].append(seconds)
        print(f"{number} workers: {seconds:.0f} s", flush=True)
    print(f"two workers are {sum(found[1]) / sum(found[2]):.2f} times as fast as one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("overhead", "kills", "memory", "scaling"))
    parser.add_argument("scan", type=Path, nargs="?")
    parser.add_argument("--scans", type=int)
    asked = parser.parse_args()
    usual = {"overhead": 1000, "kills": 1000, "memory": 100_000, "scaling": 60}
    count = asked.scans or usual[asked.kind]
    with tempfile.TemporaryDirectory() as name:
        if asked.kind == "scaling":
            scaling(Path(name), asked.scan, count)
        else:
            {"overhead": overhead, "kills": kills, "memory": memory}[asked.kind](Path(name), count)


if __name__ == "__main__":
    main()
