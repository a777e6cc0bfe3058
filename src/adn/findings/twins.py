"""A scan in blocks of about 2 mm in plane beside its mirror image; findings about tissue are measured on these.

Blocks average noise out before values meet a limit in HU, so that a limit does not clip noise on one side only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adn.prepare.coarse import block_mean
from adn.prepare.resample import resample
from adn.space.affine import Affine
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

IN_PLANE_MM, ALONG_MM = 2.0, 5.0
_KEPT_HU = (-50.0, 200.0)  # values are clipped here: bone and air at the brain's edge count no further
_ALL_BRAIN = 0.95  # share of a block
_ALL_TWIN = 0.9


@dataclass(frozen=True, eq=False)
class Twins:
    """Blocks of a scan, (D, H, W) in SPL order, over the box around its brain.

    hu: means, −50 to 200. brain: True in blocks that are brain throughout. infarct: marked share of each, 0 to 1.
    mirror_…: the same for the mirror twin. aligned_from_block: 4 × 4, block index → LPS mm about the mid-sagittal
    plane. factors: voxels per block along each axis; start, stop: the voxels at which the blocks begin and end.
    """

    hu: NDArray[np.float32]
    brain: NDArray[np.bool_]
    infarct: NDArray[np.float32]
    mirror_hu: NDArray[np.float32]
    mirror_brain: NDArray[np.bool_]
    mirror_infarct: NDArray[np.float32]
    aligned_from_block: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    factors: tuple[int, int, int]
    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def block_ml(self) -> float:
        """Volume of a block."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def twins_of(volume: Volume, mask: Volume, infarct: NDArray[np.uint8], aligned_from_scan: NDArray[np.float64]) -> Twins:
    """Blocks of a scan and of its mirror image.

    volume: HU, SPL. mask: brain, same grid, not empty. infarct: (D, H, W), > 0 inside. aligned_from_scan: array index →
    LPS mm in the aligned frame.
    """
    spacing = volume.grid.spacing_mm
    aims = (ALONG_MM, IN_PLANE_MM, IN_PLANE_MM)
    i, j, k = (max(1, round(aim / step)) for aim, step in zip(aims, spacing, strict=True))
    if aims[0] / spacing[0] < 1.5:
        i = 1
    factors = (i, j, k)
    box = bounding_box(mask.data > 0)
    hu = block_mean(np.clip(volume.data[box], *_KEPT_HU), factors)
    brain = block_mean(mask.data[box] > 0, factors)
    marked = block_mean(infarct[box] > 0, factors)
    start = (box[0].start, box[1].start, box[2].start)
    block = np.diag([*map(float, factors), 1.0])
    block[:3, 3] = [s + (f - 1) / 2 for s, f in zip(start, factors, strict=True)]
    aligned = aligned_from_scan @ block
    twin = _twin(aligned)
    whole = brain > _ALL_BRAIN
    known = resample(whole.astype(np.float32), twin)
    mirror = (resample(hu * whole, twin) / np.maximum(known, 1e-3)).astype(np.float32)
    a, b, c = (step * factor for step, factor in zip(spacing, factors, strict=True))
    return Twins(
        hu=hu,
        brain=whole,
        infarct=marked,
        mirror_hu=mirror,
        mirror_brain=known > _ALL_TWIN,
        mirror_infarct=resample(marked, twin),
        aligned_from_block=aligned,
        spacing_mm=(a, b, c),
        factors=factors,
        start=start,
        stop=(box[0].stop, box[1].stop, box[2].stop),
    )


def marked_anew(twins: Twins, infarct: NDArray[np.uint8]) -> Twins:
    """The same blocks with another mark. infarct: (D, H, W) on the scan's voxels, > 0 inside."""
    box = tuple(slice(*ends) for ends in zip(twins.start, twins.stop, strict=True))
    marked = block_mean(infarct[box] > 0, twins.factors)
    return replace(twins, infarct=marked, mirror_infarct=resample(marked, _twin(twins.aligned_from_block)))


def _twin(aligned_from_block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Block index → its mirror twin's, 4 × 4."""
    return np.linalg.inv(aligned_from_block) @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ aligned_from_block


def places(twins: Twins, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where every block lies, (D, H, W, 3) LPS mm. matrix: 4 × 4, the aligned frame → the frame wanted."""
    index = np.stack(np.meshgrid(*map(np.arange, twins.hu.shape), indexing="ij"), axis=-1)
    return Affine(matrix @ twins.aligned_from_block).apply(index)
