"""The cost of checking that every acquired slice is found again in the volume made from a DICOM series.

    python benchmarks/speed/slice_check.py SERIES...

CPU seconds of the check and of the whole of `adn.open_scan`, the lowest of three runs.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import adn
from adn.io import dicom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", nargs="+")
    spent = [0.0]
    check = dicom._check_found_again

    def timed(*given: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return check(*given, **named)
        finally:
            spent[0] += time.process_time() - start

    dicom._check_found_again = timed
    print("| series | check, s | open_scan, s |\n|---|---|---|")
    for name in parser.parse_args().series:
        rows = []
        for _ in range(3):
            spent[0], start = 0.0, time.process_time()
            adn.open_scan(name)
            rows.append((spent[0], time.process_time() - start))
        print(f"| {name} | {min(row[0] for row in rows):.3f} | {min(row[1] for row in rows):.2f} |")


if __name__ == "__main__":
    main()
