"""A small head with an infarct, written as a case with its masks; tests then damage one thing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from adn.io import write_volume
from adn.space.geometry import Grid
from adn.space.volume import Volume

SHAPE, SPACING_MM = (24, 72, 64), (6.0, 3.0, 3.0)
INFARCT_MM = (28.0, -30.0, 12.0)  # left, in front, above the middle: no flip puts it on itself
VENTRICLE_HU, TISSUE_HU, INFARCT_HU = 8.0, 34.0, 24.0


@lru_cache(maxsize=1)
def patient(seed: int = 0) -> dict[str, Volume]:
    """ct (HU), infarct and brain on one SPL grid: air, scalp, skull, brain with ventricles, one dark ball."""
    grid = Grid.centred(SHAPE, SPACING_MM)
    index = np.indices(SHAPE).reshape(3, -1).astype(float)
    frame = np.linalg.inv(grid.index_from_frame)
    x, y, z = (frame[:3, :3] @ index + frame[:3, 3:]).reshape(3, *SHAPE)
    distance = np.sqrt((x / 66) ** 2 + (y / 82) ** 2 + (z / 62) ** 2)
    brain = distance < 1
    infarct = np.sqrt(sum((a - b) ** 2 for a, b in zip((x, y, z), INFARCT_MM, strict=True))) < 17
    hu = np.full(SHAPE, -1000.0)
    hu[distance < 1.18] = 30.0
    hu[distance < 1.1] = 900.0
    hu[brain] = TISSUE_HU
    hu[(np.hypot(x, z - 5) < 9) & (np.abs(y) < 40)] = VENTRICLE_HU
    hu[infarct] = INFARCT_HU
    hu += np.random.default_rng(seed).normal(0, 3, SHAPE)
    volumes = {"ct": (hu.astype(np.int16), "HU"), "infarct": (infarct, "label"), "brain": (brain, "label")}
    return {
        name: Volume(data.astype(np.uint8) if unit == "label" else data, grid, unit)
        for name, (data, unit) in volumes.items()
    }


def write_patient(folder: Path, **changed: Volume | None) -> Path:
    """Write the case, with some of its volumes replaced or (None) left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, volume in {**patient(), **changed}.items():
        if volume is not None:
            write_volume(volume, folder / f"{name}.nii.gz")
    return folder
