"""A head made of ellipsoids and cylinders: brain, skull with an open base, orbits, neck, headrest."""

from __future__ import annotations

import numpy as np

from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume

BRAIN_MM = (66.0, 84.0, 64.0)  # semi-axes: left, posterior, superior
SKULL_MM, SCALP_MM = 7.0, 7.0
CANAL_MM, FORAMEN_MM = 8.0, 14.0


def head(
    shape: tuple[int, int, int] = (44, 128, 112),
    spacing_mm: tuple[float, float, float] = (5.0, 1.8, 1.8),
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    noise_hu: float = 4.0,
    bone_hu: float = 900.0,
    shift_mm: float = -20.0,
) -> tuple[Volume, Volume]:
    """A head CT in HU and its brain mask; `shift_mm` moves the grid's middle up from the brain's centre."""
    grid = Grid.centred(shape, spacing_mm, (3.0, -8.0, 40.0))
    index = np.indices(shape).reshape(3, -1).astype(float)
    frame = np.linalg.inv(grid.index_from_frame)
    points = frame[:3, :3] @ index + frame[:3, 3:]
    points[2] += shift_mm
    x, y, z = (RigidTransform.from_parameters(rotation_deg).matrix[:3, :3] @ points).reshape(3, *shape)

    def ellipsoid(extra: float) -> np.ndarray:
        a, b, c = (r + extra for r in BRAIN_MM)
        return (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1.0

    def sphere(cx: float, cy: float, cz: float, radius: float) -> np.ndarray:
        return (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= radius**2

    brain = ellipsoid(0.0)
    axis = np.hypot(x, y - 15.0)  # the spinal canal's
    below = z < -0.6 * BRAIN_MM[2]
    hu = np.full(shape, -1000.0)
    hu[(np.hypot(x / 60.0, (y - 10.0) / 70.0) < 1) & below] = 50.0  # neck
    hu[ellipsoid(SKULL_MM + SCALP_MM)] = 30.0
    skull = ellipsoid(SKULL_MM) & ~brain
    hu[skull & ~((axis < FORAMEN_MM) & below)] = bone_hu
    outside = ~ellipsoid(SKULL_MM)
    hu[(axis < CANAL_MM + 4) & below & outside & (np.abs(z % 30.0) > 8.0)] = bone_hu  # vertebrae with gaps
    hu[(axis < CANAL_MM) & below & outside] = 15.0
    for side in (-32.0, 32.0):
        hu[sphere(side, -82.0, -28.0, 17.0) & ~ellipsoid(2.0)] = -80.0  # orbit
        hu[sphere(side, -92.0, -28.0, 11.0) & ~ellipsoid(2.0)] = 15.0
        hu[(np.hypot(x - side, z + 28.0) < 3.0) & (y < -40.0) & skull] = 30.0  # optic canal
    ripple = np.sin(x / 5.0) * np.sin(y / 6.0) * np.sin(z / 7.0)
    hu[brain] = np.where(ripple[brain] > 0.0, 37.0, 28.0)
    hu[np.hypot(x, z - 5.0)[...] < 8.0] = np.where(brain, 6.0, hu)[np.hypot(x, z - 5.0) < 8.0]  # ventricles
    falx = (np.abs(x) < 1.0) & (z > 35.0) & brain
    hu[falx] = 300.0  # calcified
    hu[sphere(40.0, 10.0, 10.0, 12.0)] = 75.0  # blood
    rest = np.abs(np.hypot(points.reshape(3, *shape)[0], points.reshape(3, *shape)[1] + 10.0) - 108.0) < 2.0
    hu[rest & (points.reshape(3, *shape)[1] > 40.0) & (hu < -500.0)] = 150.0
    rng = np.random.default_rng(0)
    hu += noise_hu * rng.standard_normal(shape)
    hu[:, :3] = -1024.0  # padding
    return Volume(hu.clip(-1024.0, 3000.0).astype(np.float32), grid), Volume(brain.astype(np.uint8), grid, "label")


def dice(a: Volume, b: Volume) -> float:
    first, second = a.data > 0, b.data > 0
    return float(2.0 * (first & second).sum() / (first.sum() + second.sum()))
