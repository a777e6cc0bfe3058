"""What `adn predict` finds and costs on given scans: volume, side, seconds, peak memory; each in a separate process.

CPU seconds add up all threads; if other programs run, they say more than wall seconds.

python benchmarks/speed/predict_cost.py SCAN... [--out DIR] [--weights NAME|PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(scan: Path, out: Path, weights: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of one `adn predict`."""
    command = [str(Path(sys.executable).parent / "adn"), "predict", str(scan), "-o", str(out), "--quiet", *weights]
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{scan}: adn predict failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    weights = ["--weights", arguments.weights] if arguments.weights else []
    out = arguments.out or Path(tempfile.mkdtemp())
    for scan in arguments.scans:
        before = set(out.glob("*/result.json"))
        seconds, cpu, megabytes = run(scan, out, weights)
        (path,) = set(out.glob("*/result.json")) - before
        result = json.loads(path.read_text())
        steps = ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items())
        print(
            f"{result['case']}: {result['volume_ml']:.1f} mL, {result['side']}; {seconds:.1f} s in all ({steps}); "
            f"{cpu:.1f} s of CPU; brain by {result.get('stripper', 'classical')}; "
            f"peak {megabytes:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
