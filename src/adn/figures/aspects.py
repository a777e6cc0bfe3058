"""The two standard levels of ASPECTS with its regions, those that lost their point in colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.answers import NotAssessable
from adn.atlas import ASPECTS_REGIONS, AspectsRegion
from adn.figures.display import axial_stack, crop_to, stack_spacing_mm, stroke_window_hu
from adn.figures.panels import INFARCT_COLOUR, INK, Board, Label, board, outline, outline_plane, show
from adn.findings.aspects import SIDES, regions_at
from adn.results import Prediction
from adn.space.affine import Affine
from adn.space.geometry import reorient_array

LEVELS_MM = (6.0, 32.0)  # MNI z of the level of the basal ganglia and of the one above
_SHORT: dict[AspectsRegion, str] = {"caudate": "C", "lentiform": "L", "internal capsule": "IC", "insula": "I"}
_REGION_COLOUR = "#7fd0ff"
_LABEL_MM = 9.0  # distance at which names of neighbouring deep regions do not overlap
_LEAST_MM2 = 40.0  # smallest area of a region in a slice; slivers are left out


def standard_slices(prediction: Prediction) -> tuple[int, int]:
    """The slices at the two standard levels, as stored in the file."""
    mni = prediction.mni_from_aligned
    if mni is None:
        raise ValueError("standard_slices needs a prediction whose place in MNI space is known.")
    scan = prediction.scan.volume
    axis = next(i for i, letter in enumerate(scan.grid.axes) if letter in "SI")
    middle = np.array([(n - 1) / 2 for n in scan.grid.shape])
    index = np.tile(middle, (scan.grid.shape[axis], 1))
    index[:, axis] = np.arange(scan.grid.shape[axis])
    centre_z = Affine(mni @ prediction.aligned_from_scan).apply(index)[:, 2]
    low, high = (int(np.abs(centre_z - level).argmin()) for level in LEVELS_MM)
    return low, high


def aspects_picture(prediction: Prediction) -> Board | None:
    """Both levels side by side: regions outlined and named, red if they lost their point. None without a score."""
    score = prediction.answers.aspects
    if isinstance(score, NotAssessable) or prediction.mni_from_aligned is None:
        return None
    scan, crop = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0)
    affected = {(finding.region, finding.side) for finding in score.regions if finding.affected}
    window_hu = stroke_window_hu(scan, prediction.brain_mask)
    _, row_mm, column_mm = stack_spacing_mm(scan)
    sheet = board(scan, crop, 1, 2, panel_in=3.6)
    for panel, index in zip(sheet.panels[0], standard_slices(prediction), strict=True):
        show(panel, scan, index, crop, limits_hu=window_hu, label=f"slice {index}", font_pt=11)
        number, left = _regions_in_slice(prediction, index)
        names = []
        for place, region in enumerate(ASPECTS_REGIONS, start=1):
            for side in SIDES:
                here = ((number == place) & (left == (side == "left")))[crop]
                if here.sum() * row_mm * column_mm < _LEAST_MM2:
                    continue
                colour = INFARCT_COLOUR if (region, side) in affected else _REGION_COLOUR
                outline_plane(panel, here, colour, 0.9)
                row, column = (float(np.median(x)) for x in np.nonzero(here))
                names.append((row * row_mm, column * column_mm, _SHORT.get(region, region), colour))
        for (y, x), (_, _, name, colour) in zip(apart([n[:2] for n in names], _LABEL_MM), names, strict=True):
            place = (x / column_mm + 0.5) / here.shape[1], (y / row_mm + 0.5) / here.shape[0]
            panel.labels.append(Label(name, *place, 8, colour=colour, rim=False, bold=True))
        outline(panel, prediction.infarct, index, crop, INK, width=0.7)
    return sheet


def apart(places_mm: list[tuple[float, float]], least_mm: float) -> NDArray[np.float64]:
    """Places of names, (n, 2) mm, each pushed away from those nearer than `least_mm`; others stay where they are."""
    places = np.array(places_mm, dtype=np.float64).reshape(-1, 2)
    for _ in range(100):
        between = places[:, None] - places[None]
        distance = np.linalg.norm(between, axis=-1)
        np.fill_diagonal(distance, np.inf)
        lacking = np.clip(least_mm - distance, 0, None)
        if not (lacking > 1e-3).any():
            break
        way = np.where(distance[..., None] > 1e-6, between / np.maximum(distance, 1e-6)[..., None], (1.0, 0.0))
        places = places + (lacking[..., None] * way).sum(axis=1) / 2
    return places


def _regions_in_slice(prediction: Prediction, index: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Regions of one slice in radiological display, brain only, and where the left side is."""
    scan = prediction.scan.volume
    axis = next(i for i, letter in enumerate(scan.grid.axes) if letter in "SI")
    shape = tuple(1 if i == axis else n for i, n in enumerate(scan.grid.shape))
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    places[..., axis] = index
    found = regions_at(Affine(prediction.mni_from_aligned @ prediction.aligned_from_scan).apply(places))  # type: ignore[operator]
    stored = "S" if "S" in scan.grid.axes else "I"
    number, left = (reorient_array(x, scan.grid.axes, f"{stored}PL")[0] for x in found)
    return number * (axial_stack(prediction.brain_mask)[index] > 0), left
