"""Finds which DICOM images form one stack of slices. Positions decide; instance numbers are not trusted.

A series may hold more than one stack: repeated parts, phases, two fields of view, or the same images twice.
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

SAME_PLACE_MM = 0.1  # slices closer than this are at the same position; positions are rounded to 0.01 or so
SAME_PLACE_SHARE = 0.25  # of the distance between slices, if that is less
UNEVEN_SHARE = 0.1  # of the median distance between slices
UNEVEN_MM = 0.3
ORIENTATION_DEG = 0.1
SPACING_SHARE = 1e-3
LINE_MM = 0.5  # slices may lie this far from one straight line, or half a pixel if that is more
_FEWEST = 3  # slices that a repeated part must have


def stacks(headers: Sequence[Header]) -> list[list[Header]]:
    """Split headers of one series, plane and matrix into stacks with no two slices at the same position.

    Images with identical pixels and position count once. A series stays whole if its slices, in any order, fill one
    regular stack; if parts of it overlap, it is split by field of view, stack ID, acquisition or instance number.
    """
    if any(header.multi_frame for header in headers):
        return [[header] for header in headers]
    if not all(_placed(header) for header in headers) or _at_one_place(headers):
        return [list(headers)]
    return apart(_without_copies(headers))


def apart(images: Sequence[Header]) -> list[list[Header]]:
    """Split images of one plane and matrix, without duplicates, into stacks; see `stacks`."""
    if _at_one_place(images):
        return [list(images)]
    found = [list(images)]
    for key in (_view, _name, _acquisition, _run_of(images)):
        found = [part for stack in found for part in _split_by(stack, key)]
    return [part for stack in found for part in _one_per_position(stack)]


def check_stack(series: Series, where: Path) -> None:
    """Raise InputError, naming the tag, unless all slices are parallel and lie on one line at distinct positions."""
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
        raise _wrong(where, "ImagePositionPatient", f"puts slices up to {off_mm:.1f} mm off the line of the others")


def gaps_mm(series: Series) -> NDArray[np.float64]:
    """Distances between neighbouring slices, perpendicular to their planes, mm."""
    return np.abs(np.diff(series.positions @ series.first.normal))


def uneven(gaps: NDArray) -> bool:
    """Whether the distances differ enough to misplace structures if they were treated as equal."""
    if len(gaps) < 2:
        return False
    middle = float(np.median(gaps))
    return float(np.abs(gaps - middle).max()) > max(UNEVEN_SHARE * middle, UNEVEN_MM)


def _wrong(where: Path, tag: str, what: str) -> InputError:
    return InputError(
        f"needed slices at known positions, but {tag} {what}, and adn does not guess. Export the series "
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
    """Whether all headers give the same position, as in some exports, so that no stack can be built."""
    places = np.concatenate([header.positions for header in headers])
    return len(places) > _FEWEST and bool(np.ptp(places, axis=0).max() < SAME_PLACE_MM)


def _angle_deg(one: Header, other: Header) -> float:
    if one.orientation is None or other.orientation is None:
        return 0.0 if one.orientation is other.orientation else 180.0
    sides = [float(one.orientation[part] @ other.orientation[part]) for part in (slice(0, 3), slice(3, 6))]
    return float(np.degrees(np.arccos(np.clip(min(sides), -1.0, 1.0))))


def _off_line_mm(series: Series) -> float:
    """Largest distance of a slice from the straight line fitted to all of them, mm."""
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
    """Largest distance at which two of these heights count as the same position, mm."""
    gaps = np.diff(np.unique(np.round(heights, 2)))
    gaps = gaps[gaps > SAME_PLACE_MM / 2]
    return min(SAME_PLACE_MM, SAME_PLACE_SHARE * float(np.median(gaps))) if len(gaps) else SAME_PLACE_MM


def _split_by(headers: list[Header], key: Callable[[Header], Any]) -> list[list[Header]]:
    """Split by `key` if the parts overlap in height without filling each other's gaps evenly; otherwise unchanged."""
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
    """Whether all slices together are evenly spaced, at distinct positions."""
    heights = np.sort(_heights(headers))
    gaps = np.diff(heights)
    return bool((gaps > _nearest_mm(heights)).all()) and not uneven(gaps)


def _first_fit(parts: list[list[Header]]) -> list[list[Header]]:
    """Merge parts that do not overlap: each rotation of one scan may have its own acquisition number."""
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
    """The run of instance numbers that a slice belongs to: within a run, slices go up or down without turning back."""
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
    """Sort by instance number; of images with equal pixels at the same position, keep the first."""
    ordered = sorted(headers, key=lambda header: (header.instance_number or 0, str(header.path)))
    kept: list[int] = []
    for place, rivals in enumerate(_at_the_same_place(ordered)):
        earlier = [ordered[rival] for rival in kept if rival in rivals]
        one = ordered[place]
        if not any(_view(other) == _view(one) and _pixels(other) == _pixels(one) for other in earlier):
            kept.append(place)
    return [ordered[place] for place in kept]


def _one_per_position(headers: list[Header]) -> list[list[Header]]:
    """Split so that no stack has two images at the same position."""
    found: list[list[int]] = [[]]
    for place, rivals in enumerate(_at_the_same_place(headers)):
        free = next((stack for stack in found if not rivals & set(stack)), None)
        if free is None:
            found.append(free := [])
        free.append(place)
    return [[headers[place] for place in stack] for stack in found]


def _at_the_same_place(headers: Sequence[Header]) -> list[set[int]]:
    """For each image, the indices of the others at its position."""
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
    """The raw pixel data, regardless of the header."""
    from pydicom import config, dcmread

    with config.disable_value_validation():
        data = dcmread(header.path, force=True, specific_tags=["PixelData"])
    return bytes(data.get("PixelData") or b"")
