"""`compare`: register follow-up scans to the first, measure how the infarct grew, refuse pairs that do not match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adn.comparison.growth import measure_growth
from adn.comparison.page import MARKER, write_comparison
from adn.comparison.register import Match, register
from adn.comparison.timepoint import TimePoint, laid, read_time_point
from adn.errors import InputError
from adn.io import write_volume
from adn.io.atomic import atomic_folder, check_folder_free
from adn.lang import ENGLISH, words
from adn.report.folder import SUFFIX
from adn.results import RESULT_FILE

if TYPE_CHECKING:
    from adn.prediction.batch import Networks

RESULTS = "results"  # folder for the results of inputs that were scans
# Two scans of one head exceed these, two different heads do not (benchmarks/quality/followup.py, docs/answers.md).
LEAST_BRAIN_DICE, LEAST_LIKENESS = 0.94, 0.65
LEAST_COVERED = 0.9  # least share of either scan's brain that the other covers


def compare(
    inputs: Sequence[Path],
    out: Path,
    networks: Networks | None = None,
    *,
    language: str = ENGLISH,
    overwrite: bool = False,
    tell: Callable[[str], object] | None = None,
) -> list[TimePoint]:
    """Compare follow-up scans with the first; write comparison.html, .json, .csv and images on its grid to `out`.

    inputs: result folders of `adn predict`, or scans, which are first predicted into `out/results`; the first is the
    baseline, the others follow in order of time. networks: used to predict scans. tell: called with the name of each
    input as work on it begins. Raises InputError where scans do not belong together, are not assessable or show only
    part of a head; OutputError where `out` exists already.
    """
    say = words(language)
    if len(inputs) < 2:
        raise InputError(f"A comparison needs a first scan and at least one follow-up scan, but got {len(inputs)}.")
    check_folder_free(out, marker=MARKER, overwrite=overwrite)
    with atomic_folder(out, marker=MARKER, overwrite=overwrite) as folder:
        points: list[TimePoint] = []
        for path in inputs:
            if tell:
                tell(path.name)
            results = path if (path / RESULT_FILE).is_file() else _predicted(path, folder, networks, language)
            point = read_time_point(results, path)
            if point.case in {one.case for one in points}:
                point = replace(point, case=f"{point.case}-{len(points) + 1}")
            points.append(against(points[0], point, path) if points else point)
        for point in points[1:]:
            _write_laid(points[0], point, folder)
        write_comparison(points, folder, say)
    return points


def against(first: TimePoint, point: TimePoint, given: Path) -> TimePoint:
    """A follow-up with its growth since the first scan. given: the path that messages name.

    Raises InputError where the two do not belong together.
    """
    if first.result.get("polarity") != point.result.get("polarity"):
        raise InputError(
            "needed scans that were predicted with weights for the same lesions, but one was for dark ones and the "
            "first for bright ones, or the other way round; predict both with the same weights.",
            given,
        )
    match = register(first.head, point.head)
    if match.brain_dice >= LEAST_BRAIN_DICE and match.covered < LEAST_COVERED:
        raise InputError(
            f"needed the whole brain in both scans, but one shows {100 * match.covered:.0f} % of the other's (at least "
            f"{100 * LEAST_COVERED:.0f} % is needed). Compare scans of the same part of the head.",
            given,
        )
    if not fits(match):
        raise InputError(
            f"needed scans of one patient, but this head does not match that of '{first.case}': the overlap of the "
            f"brains is {match.brain_dice:.3f} (at least {LEAST_BRAIN_DICE}), the similarity of the heads "
            f"{match.likeness:.3f} (at least {LEAST_LIKENESS}). Check whose scans these are.",
            given,
        )
    growth = measure_growth(first.head, point.head, match, (first.interval_ml, point.interval_ml))
    return replace(point, growth=growth, match=match)


def fits(match: Match) -> bool:
    """Whether two scans can show the same head."""
    return match.brain_dice >= LEAST_BRAIN_DICE and match.likeness >= LEAST_LIKENESS


def _predicted(scan: Path, folder: Path, networks: Networks | None, language: str) -> Path:
    """Predict an input that is a scan; returns its result folder."""
    from adn.io import case_names
    from adn.prediction.batch import Networks, Request, Task, UserOptions, predict_one

    place = folder / RESULTS
    there = {path.name for path in place.iterdir()} if place.is_dir() else set()
    (name,) = case_names([scan])
    if name in there:
        name = f"{name}-{len(there) + 1}"
    predict_one(Task(scan, name), Request(place, user_options=UserOptions(language)), networks or Networks())
    return place / name


def _write_laid(first: TimePoint, point: TimePoint, folder: Path) -> None:
    """Write the follow-up's scan and infarct on the voxels of the first."""
    scan, infarct = laid(first, point)
    for name, volume in (("scan", scan), ("infarct", infarct)):
        write_volume(volume.reoriented(first.axes), folder / f"{point.case}_{name}{SUFFIX}")
