"""Whether the scan can be judged: a head CT in HU, of a head's size, within the field of view. If not, remarks block.

Limits lie far outside what real and virtual heads measure (docs/reliability.md); none of those is blocked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.findings.quality import CUT_MM2, brain_median_hu, cut_ends, middle_planes
from adn.remarks import Remark
from adn.space.affine import Affine
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

LEAST_MEDIAN_HU = 13.0  # lowest median of a brain; heads have 17 to 40
AIR_HU = (-1100.0, -900.0)
LEAST_CONTRAST_HU = 2.0  # between the quartiles of tissue; heads have 4 to 13
MOST_MIRRORED = 0.6  # share of voxels equal to their mirror twin; 0.1 by chance
MOST_REPEATED = 0.95  # share of voxels equal to those of the next slice; 0.8 where resampling doubled slices
MOST_FLAT = 0.6  # share of neighbouring voxels that are equal; scans have 0.05 to 0.25, label maps 0.9
LEAST_WIDTH_MM, LEAST_LENGTH_MM, LEAST_HEIGHT_MM = 95.0, 115.0, 85.0  # smallest brain; heads have 111, 135 and 100
MOST_WIDTH_MM, MOST_LENGTH_MM = 180.0, 225.0  # heads have up to 150 and 201
LEAST_AREA_CM2 = 25.0  # of brain in the largest slice; whole heads have 120 and more
_DARK_HU, _LEAST_DARK = -300.0, 0.02
_FLOOR_SHARE = 0.5  # share of dark voxels at the very lowest value: padding, or a floor at which values were clipped
_MANY_VOXELS = 2**22  # above this, every second voxel along each axis is enough


def assess(volume: Volume, mask: Volume, aligned_from_scan: NDArray[np.float64]) -> tuple[Remark, ...]:
    """What makes a scan not assessable, as blocking remarks: its values, the brain's size, a field of view cut short.

    volume: HU, SPL. mask: brain, same grid, not empty. aligned_from_scan: array index → LPS mm in the aligned frame.
    """
    return (*_value_remarks(volume, mask), *_size_remarks(mask, aligned_from_scan), *_field_remarks(mask))


def _value_remarks(volume: Volume, mask: Volume) -> list[Remark]:
    """Values that are not HU, or were not measured."""
    found = []
    median_hu = brain_median_hu(volume, mask)
    if median_hu < LEAST_MEDIAN_HU:
        found.append(Remark("brain_dark", {"median_hu": median_hu}, blocks=True))
    air_hu = air_level_hu(volume)
    if air_hu is not None and not AIR_HU[0] <= air_hu <= AIR_HU[1]:
        found.append(Remark("air_level", {"air_hu": air_hu}, blocks=True))
    flat = flat_share(volume, mask)
    if flat > MOST_FLAT:
        found.append(Remark("values_flat", {"flat_percent": 100 * flat}, blocks=True))
    mirrored = mirrored_share(volume, mask)
    if mirrored > MOST_MIRRORED:
        found.append(Remark("halves_equal", {"equal_percent": 100 * mirrored}, blocks=True))
    if repeated_share(volume, mask) > MOST_REPEATED:
        found.append(Remark("slices_equal", blocks=True))
    contrast_hu = tissue_contrast_hu(volume, mask)
    if contrast_hu < LEAST_CONTRAST_HU:
        found.append(Remark("tissue_alike", {"contrast_hu": contrast_hu}, blocks=True))
    return found


def air_level_hu(volume: Volume) -> float | None:
    """The most common value of air, HU; None where the scan shows hardly any air, or only a fill value."""
    every = 2 if volume.data.size > _MANY_VOXELS else 1
    values = volume.data[::every, ::every, ::every]
    dark = values[values < _DARK_HU]
    if dark.size < _LEAST_DARK * values.size:
        return None
    usual = dark[(dark >= AIR_HU[0]) & (dark <= AIR_HU[1])]
    if usual.size >= _LEAST_DARK * values.size:
        return float(np.median(usual))
    lowest = dark.min()
    return None if (dark == lowest).mean() > _FLOOR_SHARE else float(np.median(dark[dark > lowest]))


def flat_share(volume: Volume, mask: Volume) -> float:
    """Share of neighbouring brain voxels in a row that are exactly equal; noise leaves few."""
    box = bounding_box(mask.data > 0)
    inside, values = mask.data[box] > 0, volume.data[box]
    both = inside[:, :, 1:] & inside[:, :, :-1]
    return float((values[:, :, 1:] == values[:, :, :-1])[both].mean()) if both.any() else 0.0


def mirrored_share(volume: Volume, mask: Volume) -> float:
    """Share of the brain exactly equal to its mirror twin in the row, as where one half was copied onto the other.

    The mirror line is searched for near the brain's middle, on every fourth slice.
    """
    depth, height, columns = bounding_box(mask.data > 0)
    part = (slice(depth.start, depth.stop, 4), height)
    inside, values = mask.data[part] > 0, volume.data[part]
    width, found = values.shape[2], 0.0
    for ends in range(columns.start + columns.stop - 1 - 4, columns.start + columns.stop - 1 + 5):
        low, high = max(0, ends - width + 1), min(width - 1, ends) + 1  # columns whose twin, ends - column, is there
        twin = slice(ends - high + 1, ends - low + 1)
        own = slice(low, high)
        both = inside[:, :, own] & inside[:, :, twin][:, :, ::-1]
        both[:, :, (high - low) // 2] = False  # the middle is its own twin
        if both.any():
            equal = values[:, :, own] == values[:, :, twin][:, :, ::-1]
            found = max(found, float(equal[both].mean()))
    return found


def repeated_share(volume: Volume, mask: Volume) -> float:
    """Share of the brain exactly equal to the next slice: 1 for copies of one slice, 0 for a single slice."""
    box = bounding_box(mask.data > 0)
    inside, values = mask.data[box] > 0, volume.data[box]
    both = inside[1:] & inside[:-1]
    return float((values[1:] == values[:-1])[both].mean()) if both.any() else 0.0


def tissue_contrast_hu(volume: Volume, mask: Volume) -> float:
    """How far apart grey matter, white matter and fluid lie: interquartile range of the smoothed brain, HU."""
    planes = middle_planes(volume, mask)
    if planes is None:
        return 0.0
    low, high = np.percentile(planes.smooth[planes.inside], [25, 75])
    return float(high - low)


def _size_remarks(mask: Volume, aligned_from_scan: NDArray[np.float64]) -> list[Remark]:
    """A brain that is too small or too large for a head, as far as the scan shows it."""
    inside = mask.data > 0
    area_cm2 = inside.sum(axis=(1, 2)) * mask.grid.voxel_ml * 10.0 / mask.grid.spacing_mm[0]
    widest = int(area_cm2.argmax())
    if area_cm2[widest] < LEAST_AREA_CM2:
        return [Remark("little_brain", {"area_cm2": float(area_cm2[widest])}, blocks=True)]
    place = Affine(aligned_from_scan).apply(_ends_of_rows(inside))
    width_mm, length_mm, height_mm = (float(side) for side in np.ptp(place, axis=0))
    sides = {"width_mm": width_mm, "length_mm": length_mm, "height_mm": height_mm + mask.grid.spacing_mm[0]}
    whole = not any(cut_ends(mask))
    passed = max(area_cm2[0], area_cm2[-1]) < area_cm2[widest] / 2  # the brain's middle lies within the scan
    too_large = width_mm > MOST_WIDTH_MM or length_mm > MOST_LENGTH_MM
    too_small = passed and (width_mm < LEAST_WIDTH_MM or length_mm < LEAST_LENGTH_MM)
    too_low = whole and sides["height_mm"] < LEAST_HEIGHT_MM
    return [Remark("brain_size", sides, blocks=True)] if too_large or too_small or too_low else []


def _ends_of_rows(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Indices (n, 3) of the first and last voxel of each row: the outermost points, however the head is turned."""
    box = bounding_box(inside)
    part = inside[box]
    z, y = np.nonzero(part.any(axis=2))
    rows = part[z, y]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([z, y, x], axis=1) for x in (first, last)])
    return ends + [side.start for side in box]


def _field_remarks(mask: Volume) -> list[Remark]:
    """A brain that the field of view cuts off in plane, judged as a cut end of the scan is."""
    inside = mask.data > 0
    depth_mm, height_mm, width_mm = mask.grid.spacing_mm
    rows = int(inside[:, 0].sum() + inside[:, -1].sum()) * depth_mm * width_mm
    columns = int(inside[:, :, 0].sum() + inside[:, :, -1].sum()) * depth_mm * height_mm
    cut_mm2 = rows + columns
    return [Remark("field_cut", {"cut_cm2": cut_mm2 / 100.0}, blocks=True)] if cut_mm2 > CUT_MM2 else []
