"""A small head with a skull, ventricles and a lesion, scanned in any pose."""

from __future__ import annotations

import numpy as np

from adn.comparison.register import Head
from adn.space.affine import Affine
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume


def scanned(
    pose: RigidTransform | None = None,
    shape: tuple[int, int, int] = (30, 70, 58),
    spacing_mm: tuple[float, float, float] = (5.0, 3.1, 3.3),
    lesion_mm: float = 18.0,
    width: float = 1.0,
    extra: bool = False,
) -> Head:
    """pose: of the head in the scan, LPS mm: head(p) lies at scan(pose · p). width: of the skull, 1 is usual.

    lesion_mm: radius. extra: a second, small lesion on the other side.
    """
    pose = pose or RigidTransform.identity()
    grid = Grid.centred(shape, spacing_mm)
    head_from_index = pose.inverse().matrix @ np.linalg.inv(grid.index_from_frame)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(Affine(head_from_index).apply(index), -1, 0)
    x = x / width
    radius = (x / 62) ** 2 + ((y + 3 * (z > 0)) / 78) ** 2 + ((z - 2) / 60) ** 2
    brain = radius < 0.8
    hu = np.where(brain, 34.0, np.where(radius < 1.0, 700.0, -1000.0))
    hu[brain & (((np.abs(x) - 12) / 7) ** 2 + ((y + 12) / 22) ** 2 + ((z - 10) / 12) ** 2 < 1)] = 8.0
    hu[brain & ((x / 20) ** 2 + ((y - 40) / 14) ** 2 + ((z + 25) / 12) ** 2 < 1)] = 60.0
    lesion = brain & ((x - 36) ** 2 + (y - 5) ** 2 + (z - 5) ** 2 < lesion_mm**2)
    if extra:
        lesion |= brain & ((x + 36) ** 2 + (y + 20) ** 2 + (z - 20) ** 2 < 9.0**2)
    hu = (hu - 7.0 * lesion + np.random.default_rng(shape[0]).normal(0, 2.0, shape)).astype(np.float32)
    return Head(
        Volume(hu, grid),
        Volume(brain.astype(np.uint8), grid, "label"),
        Volume(lesion.astype(np.uint8), grid, "label"),
        head_from_index,
    )


def true_matrix(first: Head, second: Head) -> np.ndarray:
    """Index in the first scan → index in the second."""
    return np.linalg.inv(second.aligned_from_index) @ first.aligned_from_index
