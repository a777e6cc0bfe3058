"""One scan of a comparison, read from a result folder, and whether it can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adn.comparison.growth import Growth
from adn.comparison.register import Head, Match, laid_on
from adn.errors import InputError
from adn.io import read_volume
from adn.remarks import Remark, blocking
from adn.report.folder import SUFFIX, read_result, read_scan
from adn.report.words import reasons
from adn.space.volume import Volume


@dataclass(frozen=True)
class TimePoint:
    """One scan of a comparison, in SPL order. case: its name. result: the content of its result.json.

    growth, match: against the first scan; None for the first itself.
    """

    case: str
    head: Head
    result: dict[str, Any]
    growth: Growth | None = None
    match: Match | None = None

    @property
    def axes(self) -> str:
        """Axis order of the scan's file, such as 'LAS'."""
        return str(self.result["grid"]["axes"])

    @property
    def interval_ml(self) -> tuple[float, float] | None:
        """Interval that holds 80 % of true volumes, mL; None if the weights are not calibrated for it."""
        interval = self.result.get("volume_interval_ml")
        return None if interval is None else (float(interval[0]), float(interval[1]))


def read_time_point(results: Path, given: Path, case: str | None = None) -> TimePoint:
    """A scan with its masks. given: the path that messages name. case: its name; by default the result's.

    Raises InputError where it cannot be compared: results of an older version, not assessable, only part of a head.
    """
    result = read_result(results)
    if not {"aligned_from_scan", "remarks", "grid"} <= result.keys():
        raise InputError("needed results of this version, but these are older: predict the scan again.", given)
    remarks = [Remark(one["kind"], one["values"], one["blocks"]) for one in result["remarks"]]
    if blocking(remarks):
        because = reasons(remarks)
        raise InputError(f"needed a scan that can be judged, but it is not assessable, because {because}.", given)
    if any(remark.kind == "part_of_head" for remark in remarks):
        raise InputError(
            "needed a whole head, but only a part of one was scanned, so growth cannot be measured.", given
        )
    stored = read_scan(results)
    scan = stored.with_data(np.asarray(stored.data, np.float32)).reoriented("SPL")
    brain, infarct = (read_volume(results / f"{name}{SUFFIX}").reoriented("SPL") for name in ("brain_mask", "infarct"))
    stored_from_spl = np.linalg.inv(stored.grid.affine) @ scan.grid.affine
    aligned = np.array(result["aligned_from_scan"]) @ stored_from_spl
    return TimePoint(case or result["case"], Head(scan, brain, infarct, aligned), result)


def laid(first: TimePoint, point: TimePoint) -> tuple[Volume, Volume]:
    """Scan (HU) and infarct (0 or 1) of a follow-up on the first scan's voxels, SPL."""
    assert point.match is not None, "the first scan is not moved"
    scan = laid_on(point.head.scan.data, point.match, first.head.scan, outside=-1024.0)
    infarct = laid_on(point.head.infarct.data > 0, point.match, first.head.scan) >= 0.5
    grid = first.head.scan.grid
    return Volume(np.rint(scan).astype(np.int16), grid), Volume(infarct.astype(np.uint8), grid, "label")
