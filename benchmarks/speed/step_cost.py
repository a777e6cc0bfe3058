"""Where time and memory of one `adn predict` go: wall seconds, CPU seconds and peak memory of each step.

    python benchmarks/speed/step_cost.py SCAN... [--scans-of-a-process N]

Each scan gets a separate process, from import to the files on disk; with N > 1 it predicts the scan N times and shows
the last. Memory is the kernel's count of peak resident memory within the step (Linux). Also runs with older versions of
adn: set PYTHONPATH to their `src`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Steps:
    """Seconds and memory since a step began; a step ends where the next one begins."""

    def __init__(self) -> None:
        self.name, self.found = "", dict[str, tuple[float, float, float]]()
        self.begin("import and weights")

    def begin(self, name: str) -> None:
        """End the step before and begin this one; '' only ends."""
        wall, cpu = time.perf_counter(), cpu_seconds()
        if self.name:
            self.found[self.name] = (wall - self.wall, cpu - self.cpu, most_resident_mb())
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
        self.name, self.wall, self.cpu = name, time.perf_counter(), cpu_seconds()

    def lines(self) -> list[str]:
        """A Markdown table."""
        walls, cpus, most = (list(column) for column in zip(*self.found.values(), strict=True))
        rows = [*self.found.items(), ("all", (sum(walls), sum(cpus), max(most)))]
        head = ["| step | wall s | CPU s | peak MB |", "|---|--:|--:|--:|"]
        return [*head, *(f"| {name} | {wall:.2f} | {cpu:.2f} | {mb:.0f} |" for name, (wall, cpu, mb) in rows)]


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children it has waited for, including time in the kernel."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def most_resident_mb() -> float:
    """Peak resident memory since the last reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def measure(scan: Path, times: int) -> None:
    """Predict the scan `times` times and print the last."""
    steps = Steps()
    import adn
    from adn.report import save_prediction

    weights = adn.load_model()
    for number in range(times):
        steps.begin("read")
        if number:
            steps.found.clear()
        opened = adn.open_scan(scan)
        prediction = adn.predict(opened, weights, progress=steps.begin)
        steps.begin("write")
        with tempfile.TemporaryDirectory() as folder:
            save_prediction(prediction, Path(folder))
        steps.begin("")
        del prediction, opened
    print("\n".join([f"{scan.name}, adn {adn.__version__}", "", *steps.lines(), ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--scans-of-a-process", type=int, default=1, dest="times", metavar="N")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.scans[0], arguments.times)
        return
    for scan in arguments.scans:
        command = [sys.executable, __file__, str(scan), "--one", "--scans-of-a-process", str(arguments.times)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
