"""Which DICOM images form one stack of slices, proved by their positions. Numbers are not trusted.

A series may hold more than one stack: parts that were scanned again, phases, two fields of view, the same images twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError

if TYPE_CHECKING:
    from adn.io.series import Header, Series

SAME_PLACE_MM = 0.1  # two slices nearer than this are one place; positions are rounded to 0.01 or so
SAME_PLACE_SHARE = 0.25  # of the distance between slices, where that is less
UNEVEN_SHARE = 0.1  # of the median distance between slices
UNEVEN_MM = 0.3
ORIENTATION_DEG = 0.1
SPACING_SHARE = 1e-3
LINE_MM = 0.5  # slices may lie this far from one straight line, or half a pixel
_FEWEST = 3  # slices of a stack that was scanned again


def stacks(headers: Sequence[Header]) -> list[list[Header]]:
    """Headers of one series, plane and matrix as stacks, each without two slices at one place.

    Images of equal pixels at equal places count once. A series stays whole where its slices fill one regular stack in
    any order; it is taken apart by field of view, acquisition or instance number where parts of it overlap.
    """
    if any(header.multi_frame for header in headers):
        return [[header] for header in headers]
    if not all(_placed(header) for header in headers) or _at_one_place(headers):
        return [list(headers)]
    return apart(_without_copies(headers))


def apart(images: Sequence[Header]) -> list[list[Header]]:
    """Images of one plane and matrix, which are no copies of one another, as stacks: see `stacks`."""
    if _at_one_place(images):
        return [list(images)]
    found = [list(images)]
    for key in (_view, _name, _acquisition, _run_of(images)):
        found = [part for stack in found for part in _parted(stack, key)]
    return [part for stack in found for part in _one_a_place(stack)]


def check_stack(series: Series, where: Path) -> None:
    """Raise InputError, naming the tag, unless all slices share one plane and lie on one line at different places."""
    headers = [image for header in series.headers for image in header.each or (header,)]
    if min(headers[0].shape) < 1:
        raise _wrong(where, "Rows or Columns", "is absent or 0")
    absent = [tag for tag, given in (("ImagePositionPatient", _has_position), ("PixelSpacing", _has_spacing)) if not
              all(map(given, headers))]  # fmt: skip
    if absent:
        raise _wrong(where, absent[0], "is absent")
    places = np.concatenate([header.positions for header in headers])
    if _at_one_place(headers):
        raise _wrong(where, "ImagePositionPatient", f"is the same for all {len(places)} slices")
    if len(places) != len(series.positions) and any(header.multi_frame for header in series.headers):
        raise _wrong(where, "ImagePositionPatient", "puts several frames of the file at the same places")
    spacings = np.array([header.spacing_mm for header in headers])
    if np.ptp(spacings, axis=0).max() > SPACING_SHARE * spacings.min():
        raise _wrong(where, "PixelSpacing", f"differs within the series ({spacings.min():g} to {spacings.max():g} mm)")
    rescaled = {(header.slope, header.intercept) for header in headers}
    if len(rescaled) > 1 and any(header.multi_frame for header in series.headers):
        raise _wrong(where, "RescaleSlope or RescaleIntercept", "differs among the frames of the file")
    turned = max(_angle_deg(headers[0], header) for header in headers)
    if turned > ORIENTATION_DEG:
        raise _wrong(where, "ImageOrientationPatient", f"differs within the series by {turned:.1f} degrees")
    off_mm = _off_line_mm(series)
    if off_mm > max(LINE_MM, max(headers[0].spacing_mm) / 2):
        raise _wrong(where, "ImagePositionPatient", f"puts slices up to {off_mm:.1f} mm beside the line of the others")


def gaps_mm(series: Series) -> NDArray[np.float64]:
    """Distances between neighbouring slices across their planes, mm."""
    return np.abs(np.diff(series.positions @ series.first.normal))


def uneven(gaps: NDArray) -> bool:
    """True where the distances differ enough to misplace structures if taken as equal."""
    if len(gaps) < 2:
        return False
    middle = float(np.median(gaps))
    return float(np.abs(gaps - middle).max()) > max(UNEVEN_SHARE * middle, UNEVEN_MM)


def _wrong(where: Path, tag: str, what: str) -> InputError:
    return InputError(
        f"needed slices whose places are known, but {tag} {what}: nothing is guessed. Export the series "
        "again from the archive, or give the scan as NIfTI.",
        where,
    )


def _has_position(header: Header) -> bool:
    return len(header.positions) == header.frames


def _has_spacing(header: Header) -> bool:
    return bool(np.isfinite(header.spacing_mm).all())


def _placed(header: Header) -> bool:
    return header.orientation is not None and len(header.positions) == 1


def _at_one_place(headers: Sequence[Header]) -> bool:
    """True where headers put everything at one place, as some exports do: no stack can be made of them."""
    places = np.concatenate([header.positions for header in headers])
    return len(places) > _FEWEST and bool(np.ptp(places, axis=0).max() < SAME_PLACE_MM)


def _angle_deg(one: Header, other: Header) -> float:
    if one.orientation is None or other.orientation is None:
        return 0.0 if one.orientation is other.orientation else 180.0
    sides = [float(one.orientation[part] @ other.orientation[part]) for part in (slice(0, 3), slice(3, 6))]
    return float(np.degrees(np.arccos(np.clip(min(sides), -1.0, 1.0))))


def _off_line_mm(series: Series) -> float:
    """How far the slice farthest from the straight line through all of them lies beside it, mm."""
    points = series.positions
    if len(points) < 3:
        return 0.0
    heights = points @ series.first.normal
    line = np.stack([heights, np.ones_like(heights)], axis=1)
    rest = points - line @ np.linalg.lstsq(line, points, rcond=None)[0]
    return float(np.linalg.norm(rest, axis=1).max())


def _heights(headers: Iterable[Header]) -> NDArray[np.float64]:
    headers = list(headers)
    return np.array([float(header.positions[0] @ headers[0].normal) for header in headers])


def _nearest_mm(heights: NDArray) -> float:
    """What counts as one place among these heights."""
    gaps = np.diff(np.unique(np.round(heights, 2)))
    gaps = gaps[gaps > SAME_PLACE_MM / 2]
    return min(SAME_PLACE_MM, SAME_PLACE_SHARE * float(np.median(gaps))) if len(gaps) else SAME_PLACE_MM


def _parted(headers: list[Header], key: Callable[[Header], Any]) -> list[list[Header]]:
    """Apart by `key` where the parts overlap in height and do not fill each other's gaps evenly; else as it is."""
    parts: dict[Any, list[Header]] = {}
    for header in headers:
        parts.setdefault(key(header), []).append(header)
    if len(parts) < 2 or _regular(headers):
        return [headers]
    ranges = [(min(heights), max(heights)) for heights in (_heights_in(part, headers[0]) for part in parts.values())]
    slack = SAME_PLACE_MM / 2
    overlap = any(a[0] < b[1] - slack and b[0] < a[1] - slack for a, b in combinations(ranges, 2))
    touch = any(a == b for a, b in combinations(ranges, 2))
    return _first_fit(list(parts.values())) if overlap or touch else [headers]


def _heights_in(headers: list[Header], first: Header) -> list[float]:
    return [float(header.positions[0] @ first.normal) for header in headers]


def _regular(headers: list[Header]) -> bool:
    """True where all slices together lie at different places, evenly."""
    heights = np.sort(_heights(headers))
    gaps = np.diff(heights)
    return bool((gaps > _nearest_mm(heights)).all()) and not uneven(gaps)


def _first_fit(parts: list[list[Header]]) -> list[list[Header]]:
    """Parts that do not overlap stay together: rotations of one scan have an acquisition number each."""
    normal = parts[0][0]
    found: list[list[Header]] = []
    for part in parts:
        low, high = min(_heights_in(part, normal)), max(_heights_in(part, normal))
        for stack in found:
            if not any(low - SAME_PLACE_MM < height < high + SAME_PLACE_MM for height in _heights_in(stack, normal)):
                stack.extend(part)
                break
        else:
            found.append(list(part))
    return found


def _view(header: Header) -> tuple:
    """Field of view: spacing and orientation, rounded."""
    orientation = () if header.orientation is None else tuple(np.round(header.orientation, 2))
    return tuple(np.round(header.spacing_mm, 3)), orientation


def _name(header: Header) -> str:
    return header.stack


def _acquisition(header: Header) -> Any:
    return header.acquisition


def _run_of(headers: Sequence[Header]) -> Callable[[Header], int]:
    """Which run of instance numbers a slice is of: slices go up or down in one run, and start again in the next."""
    ordered = sorted(headers, key=lambda header: (header.instance_number or 0, str(header.path)))
    heights = _heights(ordered)
    runs, run, direction = {}, 0, 0.0
    for place, header in enumerate(ordered):
        step = heights[place] - heights[place - 1] if place else 0.0
        if direction and step * direction < 0:
            run, direction = run + 1, 0.0
        elif step:
            direction = float(np.sign(step))
        runs[header.path, header.frame] = run
    sizes = np.bincount(list(runs.values()))
    scanned_again = 1 < len(sizes) <= 4 and sizes.min() >= _FEWEST
    return lambda header: runs[header.path, header.frame] if scanned_again else 0


def _without_copies(headers: Sequence[Header]) -> list[Header]:
    """In the order of instance numbers; of images with equal pixels at one place, the first."""
    ordered = sorted(headers, key=lambda header: (header.instance_number or 0, str(header.path)))
    kept: list[int] = []
    for place, rivals in enumerate(_at_the_same_place(ordered)):
        earlier = [ordered[rival] for rival in kept if rival in rivals]
        one = ordered[place]
        if not any(_view(other) == _view(one) and _pixels(other) == _pixels(one) for other in earlier):
            kept.append(place)
    return [ordered[place] for place in kept]


def _one_a_place(headers: list[Header]) -> list[list[Header]]:
    """Images that lie where another one does begin a stack of their own."""
    found: list[list[int]] = [[]]
    for place, rivals in enumerate(_at_the_same_place(headers)):
        free = next((stack for stack in found if not rivals & set(stack)), None)
        if free is None:
            found.append(free := [])
        free.append(place)
    return [[headers[place] for place in stack] for stack in found]


def _at_the_same_place(headers: Sequence[Header]) -> list[set[int]]:
    """For each image, which others lie at its place."""
    heights = _heights(headers)
    near = _nearest_mm(heights)
    found: list[set[int]] = [set() for _ in headers]
    order = np.argsort(heights, kind="stable")
    for rank, one in enumerate(order):
        for other in order[rank + 1 :]:
            if heights[other] - heights[one] > near:
                break
            found[one].add(int(other))
            found[other].add(int(one))
    return found


def _pixels(header: Header) -> bytes:
    """The pixel data, whatever the header says."""
    from pydicom import config, dcmread

    with config.disable_value_validation():
        data = dcmread(header.path, force=True, specific_tags=["PixelData"])
    return bytes(data.get("PixelData") or b"")
