"""`adn data check`: inspects each case of a data set on its own, then compares all cases with each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adn.datasets.compare import compare_cases
from adn.datasets.inspection import Inspection
from adn.datasets.layouts import Case, find_cases
from adn.datasets.page import inspect_and_draw, write_page, write_table
from adn.datasets.problems import Finding
from adn.datasets.splits import read_rows
from adn.io.atomic import check_writable
from adn.work.pool import Failure, map_processes
from adn.work.progress import Progress

TABLE, PAGE = "check.csv", "check.html"


@dataclass(frozen=True)
class Check:
    """The result. inspections: sorted by case name, without volumes. findings: those that block training come first.

    failed: cases that could not be inspected, and why (for example, a process ran out of memory).
    """

    inspections: tuple[Inspection, ...]
    findings: tuple[Finding, ...]
    failed: tuple[tuple[Case, Failure], ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether training would fail, or learn something false."""
        return any(one.blocks for one in self.findings)


def check_data(
    data: Path,
    out: Path | None = None,
    split: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Check:
    """List every problem of a data set, with its cause and remedy.

    data: any layout of `find_cases`. out: folder for check.csv and check.html, a page with a picture of every case.
    split: a CSV from `adn split`, to check for leaks. jobs: cases at a time; None: one per core. progress: called with
    (done, all). Raises InputError if there are no cases or the split cannot be read, OutputError if `out` is not
    writable.
    """
    if out is not None:
        check_writable(out)
    cases, parts = find_cases(data), read_rows(split) if split else None
    pictures: dict[str, bytes] = {}
    inspections: list[Inspection] = []
    failed: list[tuple[Case, Failure]] = []
    for done, (case, found) in enumerate(map_processes(inspect_and_draw, cases, jobs), start=1):
        if isinstance(found, Failure):
            failed.append((case, found))
        else:
            inspections.append(found[0])
            pictures[case.name] = found[1]
        if progress:
            progress(done, len(cases))
    inspections.sort(key=lambda one: one.case.name)
    findings = [*compare_cases(inspections, parts), *(finding for one in inspections for finding in one.findings)]
    findings.sort(key=lambda one: not one.blocks)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_table(findings, out / TABLE)
        write_page(str(data), inspections, findings, pictures, out / PAGE)
    return Check(tuple(inspections), tuple(findings), tuple(failed))
