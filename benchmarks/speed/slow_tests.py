"""The slowest tests: wall seconds, and CPU seconds with setup and child processes, which other work hardly changes.

    python benchmarks/speed/slow_tests.py [--top 50] [TESTS ...]

TESTS: files or folders, as pytest takes them; default: all. A fixture's cost falls on the first test that uses it.
Sorted by CPU seconds; much longer wall seconds mean waiting. Sums by file follow, largest first.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest


class Clock:
    """A pytest plugin. seconds: CPU and wall, by test."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        """Add up what one test costs."""
        before, start = sum(os.times()[:4]), time.perf_counter()
        yield
        self.seconds[item.nodeid] = sum(os.times()[:4]) - before, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--top", type=int, default=50)
    arguments = parser.parse_args()
    clock = Clock()
    pytest.main(["-q", *arguments.tests], plugins=[clock])
    files: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for name, (cpu, wall) in clock.seconds.items():
        file = name.partition("::")[0]
        files[file] = files[file][0] + cpu, files[file][1] + wall
    print("CPU\twall")
    for found in (clock.seconds, files):
        for name, (cpu, wall) in sorted(found.items(), key=lambda one: -one[1][0])[: arguments.top]:
            print(f"{cpu:.1f}\t{wall:.1f}\t{name}")
    total = [sum(seconds) for seconds in zip(*clock.seconds.values(), strict=True)]
    print(f"{total[0]:.0f}\t{total[1]:.0f}\tall {len(clock.seconds)}")


if __name__ == "__main__":
    main()
