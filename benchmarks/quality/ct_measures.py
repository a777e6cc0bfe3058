"""The appearance of a head CT in numbers, without a reference: the same functions measure real and virtual scans.

Every function takes a `Study`. Lengths in mm, densities in HU; NaN if a scan has too little to measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from adn.space.geometry import bounding_box

BINS_HU = np.arange(-10.0, 61.0, 1.0)
LAGS_MM = np.arange(0.0, 5.01, 0.25)
DEEP_MM = 18.0  # farther than this from the inner table CSF is ventricle (or Sylvian fissure), not sulcus
PATCH_MM, WINDOW_MM = 12.0, 5.0


@dataclass(frozen=True, eq=False)
class Study:
    """One scan or slice. hu, brain, infarct: (D, H, W), D to superior, H to posterior, W to patient left."""

    name: str
    hu: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    brain: NDArray[np.bool_]
    infarct: NDArray[np.bool_] | None = None

    @classmethod
    def cropped(
        cls,
        name: str,
        hu: NDArray,
        spacing_mm: tuple[float, float, float],
        brain: NDArray[np.bool_],
        infarct: NDArray[np.bool_] | None = None,
    ) -> Study:
        """A study of the brain's bounding box and 8 voxels in plane about it."""
        box = bounding_box(brain, (0, 8, 8))
        return cls(
            name, np.asarray(hu[box], np.float32), spacing_mm, brain[box], None if infarct is None else infarct[box]
        )

    @cached_property
    def depth_mm(self) -> NDArray[np.float32]:
        """Distance in plane from the brain's border, mm, 0 outside."""
        step = self.spacing_mm[1:]
        slices = [ndi.distance_transform_edt(x, step) if x.any() else np.zeros(x.shape) for x in self.brain]
        return np.stack(slices).astype(np.float32)  # type: ignore[arg-type]

    @cached_property
    def blurred(self) -> NDArray[np.float32]:
        """HU blurred by 1.5 mm in plane."""
        return self.smooth(1.5)

    def smooth(self, sigma_mm: float) -> NDArray[np.float32]:
        """HU blurred in plane, bone and air clipped so that they do not reach far into the brain."""
        sigma = (0.0, sigma_mm / self.spacing_mm[1], sigma_mm / self.spacing_mm[2])
        return ndi.gaussian_filter(np.clip(self.hu, -20, 100), sigma)  # type: ignore[return-value]


def brain_histogram(study: Study) -> NDArray[np.float64]:
    """Density per HU (`BINS_HU`) of voxels at least 3 mm inside the brain."""
    counts, _ = np.histogram(study.hu[study.depth_mm > 3], BINS_HU)
    return counts / max(counts.sum(), 1)


def brain_mode_hu(study: Study) -> float:
    """The most common density in the blurred brain."""
    counts, edges = np.histogram(study.blurred[study.depth_mm > 5], np.arange(10, 60, 0.5))
    return float(edges[ndi.uniform_filter1d(counts.astype(float), 5).argmax()] + 0.25)


def ventricle_hu(study: Study) -> float:
    """Median of ventricular CSF: deep, 12 HU or more darker than the brain's mode after blurring, eroded by 1.5 mm."""
    dark = (study.depth_mm > DEEP_MM) & (study.blurred < brain_mode_hu(study) - 12)
    core = np.stack([ndi.distance_transform_edt(x, study.spacing_mm[1:]) > 1.5 for x in dark])  # type: ignore[operator]
    return float(np.median(study.hu[core])) if core.sum() > 60 else float("nan")


def grey_white_hu(study: Study) -> float:
    """Cortex minus deep white matter above the basal ganglia, blurred by 1.5 mm in plane.

    White matter: median deeper than 17 mm and 5 mm from voxels 12 HU darker than the brain's mode. Cortex: 85th
    percentile at 5 to 14 mm from the inner table, 1 mm from voxels that dark. Slices: from 55 % to 90 % of the brain's
    height, or all of a single slice. A thin ribbon in a thick slice shows about half of its true contrast, in real and
    virtual scans alike.
    """
    smooth, depth, mode = study.blurred, study.depth_mm, brain_mode_hu(study)
    planes = np.flatnonzero(study.brain.any((1, 2)))
    if len(planes) > 5:
        planes = planes[int(0.55 * len(planes)) : int(0.9 * len(planes))]
    smooth, depth = smooth[planes], depth[planes]
    light = [(depth[i] > 0) & (smooth[i] > mode - 12) for i in range(len(planes))]
    away = np.stack([ndi.distance_transform_edt(x, study.spacing_mm[1:]) for x in light])  # type: ignore[arg-type]
    usual = np.abs(smooth - mode) < 14
    white, cortex = smooth[usual & (depth > 17) & (away > 5)], smooth[usual & (depth > 5) & (depth < 14) & (away > 1)]
    if min(white.size, cortex.size) < 300:
        return float("nan")
    return float(np.percentile(cortex, 85) - np.median(white))


def local_sd(study: Study) -> NDArray[np.float32]:
    """Standard deviation within 5 mm squares about each voxel."""
    size = (1, *(max(round(WINDOW_MM / s), 3) for s in study.spacing_mm[1:]))
    hu = np.clip(study.hu, -50, 120).astype(np.float64)
    mean = ndi.uniform_filter(hu, size)  # type: ignore[arg-type]
    return np.sqrt(np.maximum(ndi.uniform_filter(hu**2, size) - mean**2, 0)).astype(np.float32)  # type: ignore[arg-type]


def noise(study: Study, sd: NDArray[np.float32]) -> dict[str, float]:
    """The noise level and where it is higher. sd: `local_sd`.

    level: mode of the local SD in the brain, 6 mm or more from bone (global noise level, Christianson et al. 2015).
    behind_bone: 20th percentile of the local SD at 5–12 mm from the inner table, divided by the same deeper than
    30 mm. low_high: of the lowest third of the brain, divided by that of the upper third.
    """
    depth = study.depth_mm
    counts, edges = np.histogram(sd[depth > 6], np.arange(0.5, 20, 0.1))
    level = float(edges[ndi.uniform_filter1d(counts.astype(float), 7).argmax()] + 0.05)
    planes = np.flatnonzero((depth > 6).any((1, 2)))
    third = max(len(planes) // 3, 1)
    low, high = (sd[p][depth[p] > 8] for p in (planes[:third], planes[-third:]))
    return {
        "level": level,
        "behind_bone": _ratio(sd[(depth > 5) & (depth < 12)], sd[depth > 30]),
        "low_high": _ratio(low, high) if len(planes) >= 6 else float("nan"),
    }


def _ratio(a: NDArray, b: NDArray) -> float:
    return float(np.percentile(a, 20) / np.percentile(b, 20)) if min(a.size, b.size) > 200 else float("nan")


def autocorrelation(study: Study, sd: NDArray[np.float32], patches: int = 120) -> NDArray[np.float64]:
    """In-plane autocorrelation at `LAGS_MM`, mean of both axes, of the most homogeneous 12 mm squares of the brain.

    Homogeneous: local SD among the lowest fifth; each square less its own quadratic surface.
    """
    depth = study.depth_mm
    sides = [max(round(PATCH_MM / s), 6) for s in study.spacing_mm[1:]]
    inside = depth > PATCH_MM * 0.75
    if inside.sum() < 500:
        return np.full(LAGS_MM.shape, np.nan)
    centres = np.argwhere(inside & (sd < np.percentile(sd[inside], 20)))
    chosen = np.random.default_rng(0).permutation(len(centres))[:patches]
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in sides), indexing="ij")
    surface = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    sums: list[list[float]] = [[], []]
    count = [min(int(LAGS_MM[-1] / s) + 2, n - 2) for s, n in zip(study.spacing_mm[1:], sides, strict=True)]
    products = [np.zeros(c) for c in count]
    for z, row, column in centres[chosen]:
        top, left = row - sides[0] // 2, column - sides[1] // 2
        patch = study.hu[z, top : top + sides[0], left : left + sides[1]].astype(np.float64)
        if patch.shape != tuple(sides):
            continue
        flat = patch.reshape(-1)
        rest = (flat - surface @ np.linalg.lstsq(surface, flat, rcond=None)[0]).reshape(sides)
        for axis in (0, 1):
            r = np.moveaxis(rest, axis, 0)
            products[axis] += [float((r[: len(r) - k] * r[k:]).mean()) for k in range(count[axis])]
    for axis in (0, 1):
        lags = np.arange(count[axis]) * study.spacing_mm[1 + axis]
        sums[axis] = list(np.interp(LAGS_MM, lags, products[axis] / products[axis][0]))
    return np.mean(sums, axis=0)


def half_width_mm(curve: NDArray[np.float64]) -> float:
    """Lag at which an autocorrelation has fallen to one half."""
    below = np.flatnonzero(curve < 0.5)
    if not len(below) or below[0] == 0:
        return float("nan")
    k = int(below[0])
    return float(LAGS_MM[k - 1] + 0.25 * (curve[k - 1] - 0.5) / (curve[k - 1] - curve[k]))


def infarct_contrast_hu(study: Study) -> float:
    """Median of the infarct minus that of its mirror image, in the slice where the infarct is largest.

    The mirror line is found in that slice: least mean difference between the blurred brain and its reflection.
    """
    if study.infarct is None or not study.infarct.any():
        return float("nan")
    z = int(study.infarct.sum((1, 2)).argmax())
    brain, infarct = study.brain[z], study.infarct[z] & study.brain[z]
    if infarct.sum() * study.spacing_mm[1] * study.spacing_mm[2] < 100:
        return float("nan")
    picture = np.where(brain, study.smooth(3.0)[z], 0.0)
    twin = _reflect(infarct.astype(np.float32), *_mirror_line(picture, study.spacing_mm[1])) > 0.5
    twin &= brain & ~study.infarct[z]
    if twin.sum() < 0.3 * infarct.sum():
        return float("nan")
    return float(np.median(study.hu[z][infarct]) - np.median(study.hu[z][twin]))


def _reflect(picture: NDArray, angle: float, offset: float) -> NDArray:
    """Mirror about a line: angle of its normal, and offset (pixels) from the picture's centre along that."""
    n = np.array([np.sin(angle), np.cos(angle)])  # (row, column)
    matrix = np.eye(2) - 2 * np.outer(n, n)
    centre = (np.array(picture.shape) - 1) / 2 + offset * n
    return ndi.affine_transform(picture, matrix, centre - matrix @ centre, order=1)  # type: ignore[arg-type]


def _mirror_line(picture: NDArray, pixel_mm: float) -> tuple[float, float]:
    """Angle (radians) and offset (pixels) of the line about which a slice is most like its mirror image."""
    shrink = max(round(2.0 / pixel_mm), 1)
    small = ndi.zoom(picture, 1 / shrink, order=1)
    rows, columns = np.nonzero(small > 0)  # type: ignore[arg-type]
    place = np.stack([rows, columns], 1) - (np.array(small.shape) - 1) / 2
    best = (np.inf, 0.0, 0.0)
    angles, spread, step = np.deg2rad(np.arange(-44, 45, 4.0)), 6.0, 2.0
    for _ in range(3):
        for angle in angles:
            middle = (
                float(place.mean(0) @ [np.sin(angle), np.cos(angle)]) if best[0] == np.inf or step == 2 else best[2]
            )
            for offset in middle + np.arange(-spread, spread + 0.1, step):
                loss = float(np.abs(small - _reflect(small, float(angle), float(offset))).mean())  # type: ignore[arg-type]
                best = min(best, (loss, float(angle), float(offset)))
        width = angles[1] - angles[0]
        angles, spread, step = best[1] + np.linspace(-width, width, 7), spread / 3, step / 3
    return best[1], best[2] * picture.shape[0] / small.shape[0]
