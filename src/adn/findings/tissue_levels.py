"""Are grey matter, white matter and fluid as bright as on CT? Measured at their usual places in MNI space.

On CT, grey matter is several HU brighter than white matter, and fluid is darker than both. On T1-weighted MR, white
matter is brightest; on T2-weighted MR, fluid is. FLAIR and diffusion images have the same order as CT: scaled to CT's
brightness, they cannot be told apart from it.
"""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.prepare.coarse import block_mean
from adn.remarks import Remark
from adn.space.affine import Affine
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

# Measured on CT and MR: `benchmarks/quality/tissue_levels.py`, docs/reliability.md.
GREY_ABOVE_WHITE_HU = (-2.0, 19.0)  # T1-weighted MR lies below
WHITE_ABOVE_FLUID_HU = -5.0  # at least; T2-weighted MR lies below; CT with blood in the ventricles, near 0
WHITE_HU = (14.0, 39.0)
_FINE_MM = 3.0
_INSIDE = 0.9  # least share of a point's surroundings inside the brain, in the scan and in the template
_LEAST_PLACES = 500  # of 8 mm; a brain has 3000
_WITHIN_HU = (-10.0, 80.0)
_ROUNDS = 5  # of reweighting, which discounts abnormal tissue: blood, oedema, calcification


class Levels(NamedTuple):
    """HU of pure tissue, estimated from places of 8 mm."""

    grey: float
    white: float
    fluid: float


def level_remarks(volume: Volume, mask: Volume, mni_from_scan: NDArray[np.float64]) -> tuple[Remark, ...]:
    """A blocking remark where tissues are not as bright, or as far apart, as on CT; none where that is unknown.

    volume: HU, SPL. mask: brain, same grid. mni_from_scan: array index → MNI, LPS mm.
    """
    found = tissue_levels(volume, mask, mni_from_scan)
    if found is None:
        return ()
    least, most = GREY_ABOVE_WHITE_HU
    as_on_ct = (
        least < found.grey - found.white < most
        and found.white - found.fluid > WHITE_ABOVE_FLUID_HU
        and WHITE_HU[0] < found.white < WHITE_HU[1]
    )
    values = {"grey_hu": found.grey, "white_hu": found.white, "fluid_hu": found.fluid}
    return () if as_on_ct else (Remark("tissue_levels", values, blocks=True),)


def tissue_levels(volume: Volume, mask: Volume, mni_from_scan: NDArray[np.float64]) -> Levels | None:
    """How bright each tissue is, by least squares over its usual places in MNI space; None: too little is in view.

    Parameters as for `level_remarks`.
    """
    tissue, points = _template()
    inside, value = _sampled(volume, mask, mni_from_scan, points, tissue.shape[1:])
    used = (inside > _INSIDE) & (tissue.sum(axis=0) > _INSIDE)
    if used.sum() < _LEAST_PLACES:
        return None
    shares = tissue[:, used].T
    hu = np.clip(value[used] / inside[used], *_WITHIN_HU)
    weights = np.ones(len(hu))
    levels = np.zeros(3)
    for _ in range(_ROUNDS):
        levels = np.linalg.lstsq(shares * weights[:, None], hu * weights, rcond=None)[0]
        away = np.abs(hu - shares @ levels)
        usual = 1.5 * 1.4826 * max(float(np.median(away)), 0.1)
        weights = 1.0 / np.maximum(1.0, away / usual)
    return Levels(*(float(level) for level in levels))


def _template() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of grey matter, white matter and fluid (3, D, H, W), and points (D · 2 · H · 2 · W · 2, 3) MNI LPS mm."""
    with (resources.files("adn.findings.territory") / "mni_brain.npz").open("rb") as file:
        stored = np.load(file)
        tissue, spacing, centre = stored["tissue"] / 255.0, float(stored["spacing_mm"]), stored["centre_mm"]
    z, y, x = ((np.arange(2 * n) - (2 * n - 1) / 2) * spacing / 2 for n in tissue.shape[1:])
    return tissue, np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], -1).reshape(-1, 3) + centre


def _sampled(
    volume: Volume, mask: Volume, mni_from_scan: NDArray, points: NDArray, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of brain, and value times that share, averaged over the points in each template voxel (D, H, W)."""
    from scipy.ndimage import map_coordinates

    brain = mask.data > 0
    box = bounding_box(brain)
    inside = brain[box].astype(np.float32)
    maps = (inside, np.clip(volume.data[box], -50.0, 100.0).astype(np.float32) * inside)
    depth, height, width = (max(1, round(_FINE_MM / step)) for step in volume.grid.spacing_mm)
    scan_from_index = np.diag([float(depth), float(height), float(width), 1.0])
    scan_from_index[:3, 3] = [part.start + (f - 1) / 2 for part, f in zip(box, (depth, height, width), strict=True)]
    index = Affine(np.linalg.inv(mni_from_scan @ scan_from_index)).apply(points)
    fine = tuple(2 * side for side in shape)
    read = (
        map_coordinates(block_mean(one, (depth, height, width)), index.T, order=1, mode="constant", prefilter=False)
        for one in maps
    )
    share, value = (block_mean(one.reshape(fine), (2, 2, 2)).astype(np.float64) for one in read)
    return share, value
