"""CPU seconds of a process's first scan and of later ones, as in a server, a node or a worker.

    python benchmarks/speed/warm_cost.py SCAN... [--times 3] [--avx2]

Each scan gets a separate process, which predicts it repeatedly, from file to report, with the networks loaded once;
what the process spends before its first scan (such as imports) counts towards the first. Threads as OMP_NUM_THREADS
says. --avx2: as on a processor that has AVX2 but neither AVX-512 nor bf16; networks then compute in fp32.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from step_cost import cpu_seconds

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}  # read by torch when it is loaded


def without_bf16() -> None:
    """Make adn treat this processor as one without bf16 instructions."""
    from adn.nn import precision

    precision._cpu_has_bf16 = lambda: False


def measure(scan: Path, times: int) -> None:
    """CPU seconds, system time and children (dcm2niix) included, of each of `times` + 1 predictions; prints them."""
    import resource

    from adn.prediction.batch import Networks, Request, Task, predict_one

    networks, seconds, before = Networks(), [], 0.0
    started = time.perf_counter()
    for _ in range(times + 1):
        with tempfile.TemporaryDirectory() as folder:
            predict_one(Task(scan, "scan"), Request(Path(folder)), networks)
        seconds.append(cpu_seconds() - before)
        before = cpu_seconds()
    warm = sorted(seconds[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{scan.name}: first {seconds[0]:.1f} s of CPU, next {warm[len(warm) // 2]:.1f} s ({warm[0]:.1f} to "
        f"{warm[-1]:.1f}, n = {times}); {time.perf_counter() - started:.0f} s in all, peak {peak:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        if arguments.avx2:
            without_bf16()
        measure(arguments.scans[0], arguments.times)
        return
    for scan in arguments.scans:
        command = [sys.executable, __file__, str(scan), "--one", "--times", str(arguments.times)]
        environment = os.environ | (AVX2 if arguments.avx2 else {})
        subprocess.run([*command, "--avx2"] if arguments.avx2 else command, check=True, env=environment)


if __name__ == "__main__":
    main()
