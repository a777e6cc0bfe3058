"""The slowest tests by CPU seconds, setup and child processes included, so that other work does not count.

    python benchmarks/speed/slow_tests.py [--top 50] [TESTS ...]

TESTS: files or folders, as pytest takes them; default: all. A fixture's cost falls on the first test that uses it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

import pytest


class Clock:
    """A pytest plugin. seconds: by test."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        """Add up what one test costs."""
        before = sum(os.times()[:4])
        yield
        self.seconds[item.nodeid] = sum(os.times()[:4]) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--top", type=int, default=50)
    arguments = parser.parse_args()
    clock = Clock()
    pytest.main(["-q", *arguments.tests], plugins=[clock])
    for name, seconds in sorted(clock.seconds.items(), key=lambda one: -one[1])[: arguments.top]:
        print(f"{seconds:.1f}\t{name}")


if __name__ == "__main__":
    main()
