"""The head that `fuzz.py` mutates: a small virtual patient with landmarks planted in the air around the head."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import adn
from adn.io.dicom_series import write_ct_series
from adn.space.geometry import Grid
from adn.space.volume import Volume

SEED, MATRIX = 1, 64  # the patient: 64 × 64 × 24 voxels of 3.75 × 3.75 × 7 mm
FIRST_HU, STEP_HU, RING_HU = 1500, 12, 1400  # every landmark has its own value, above all bone at this resolution
A_SLICE = 2
CORNERS = ((5, 6), (5, 57), (58, 6), (57, 58))  # row, column: air
TILT_DEG = 14.0


@dataclass(frozen=True)
class Base:
    """volume: SPL. plain, tilted: the same voxels as DICOM, one file a slice, as bytes; tilted by a leaning gantry."""

    volume: Volume
    plain: tuple[bytes, ...]
    tilted: tuple[bytes, ...]


def landmark_hu() -> NDArray[np.int16]:
    """Every landmark's value, in the order of slices."""
    return (FIRST_HU + STEP_HU * np.arange(A_SLICE * 24)).astype(np.int16)


def make_base() -> Base:
    """The virtual head with its landmarks: each 3 × 3 pixels of 1400 HU about one of its own value."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (case,) = adn.synthesize(1, folder / "vp", seed=SEED, matrix=MATRIX)
        volume = adn.open_scan(case / "ct.nii.gz").volume.reoriented("SPL")
        hu = np.rint(volume.data).astype(np.int16).clip(-1024, 1300)
        for number, value in enumerate(landmark_hu()):
            z = number // A_SLICE
            row, column = CORNERS[(number * 3 + z) % 4]
            row, column = row + z % 3, column - z % 4 if column > 32 else column + z % 4
            hu[z, row - 1 : row + 2, column - 1 : column + 2] = RING_HU
            hu[z, row, column] = value
        plain = Volume(hu.astype(np.float32), volume.grid)
        series = []
        for tilt_deg, where in ((0.0, "plain"), (TILT_DEG, "tilted")):
            affine = volume.grid.affine.copy()
            affine[:3, 1] = _turn(tilt_deg) @ affine[:3, 1]  # a tilted gantry: slices lean, their stack stands
            leaning = Volume(plain.data, Grid(volume.grid.shape, affine))
            files = write_ct_series(leaning, folder / where, name="FUZZ", seed="fuzz", comment="made up")
            series.append(tuple(file.read_bytes() for file in files))
    return Base(plain, *series)


def _turn(angle_deg: float) -> NDArray[np.float64]:
    """About the axis from right to left."""
    sine, cosine = np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
