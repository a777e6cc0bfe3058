"""The lattice of voxels to render, and smooth values at its sample points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adn.space.geometry import RigidTransform

COARSE_STRIDE = 6  # samples between nodes of the coarse lattice


@dataclass(frozen=True)
class Lattice:
    """(D, H, W) voxels of spacing_mm about the frame's origin; voxel p reads patient(pose · p), LPS mm.

    native: the lattice is the scanner's own: its slices are the scan's slices. Else the scan's slices are simulated and
    interpolated, as if the scan were resampled to a model grid. tilt_deg: gantry tilt of a native lattice. Its rows
    then rise towards the back while the slices are stacked straight up: it is sheared, like a tilted DICOM series.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    pose: RigidTransform
    native: bool = False
    tilt_deg: float = 0.0

    @property
    def axes(self) -> NDArray[np.float64]:
        """Directions (columns) along W, H and D before the pose; a sheared model lattice keeps its rows' y."""
        tilt = math.radians(self.tilt_deg)
        row = (0.0, math.cos(tilt), math.sin(tilt)) if self.native else (0.0, 1.0, math.tan(tilt))
        return np.array([(1.0, 0.0, 0.0), row, (0.0, 0.0, 1.0)]).T


class Samples:
    """A lattice's sample points, `factor` per voxel and axis, and smooth values there.

    Smooth values are computed on a coarse lattice of the same extent and interpolated with one small matrix per axis.
    In plane, samples are ordered before voxels, (fy, H, fx, W), so that a voxel's mean is a sum of whole rows.
    """

    def __init__(self, lattice: Lattice, factor: tuple[int, int, int], device: torch.device | str) -> None:
        nodes, self.weights = [], []
        for n, f, step in zip(lattice.shape, factor, lattice.spacing_mm, strict=True):
            position = (torch.arange(n * f, dtype=torch.float32) + 0.5) * (step / f) - n * step / 2
            count = max(math.ceil((n * f - 1) / COARSE_STRIDE), 1) + 1
            nodes.append(torch.linspace(float(position[0]), float(position[-1]), count))
            place = torch.arange(n * f, dtype=torch.float32) * ((count - 1) / max(n * f - 1, 1))
            self.weights.append((1 - (place[:, None] - torch.arange(count)).abs()).clamp(min=0))
        for axis in (1, 2):
            by_sample = self.weights[axis].unflatten(0, (lattice.shape[axis], factor[axis]))
            self.weights[axis] = by_sample.transpose(0, 1).flatten(0, 1).contiguous()
        self.weights = [weight.to(device) for weight in self.weights]
        m = torch.tensor(lattice.pose.matrix, dtype=torch.float32)
        left, posterior, superior = (m[:3, :3] @ torch.tensor(lattice.axes, dtype=torch.float32)).T
        z, y, x = (axis[..., None] for axis in nodes)
        coarse = m[:3, 3] + (z * superior)[:, None, None] + (y * posterior)[:, None] + x * left
        self.coarse_mm = coarse.to(device)  # (d, h, w, 3), LPS mm in the patient's aligned frame
        self.rows = (factor[1], lattice.shape[1], factor[2], lattice.shape[2])

    def smooth(self, coarse: Tensor, slices: slice) -> Tensor:
        """Coarse values (C, d, h, w) → (C, samples) of some slices."""
        z, y, x = self.weights
        planes = torch.einsum("sd,cdhw->cshw", z[slices], coarse)
        return (y @ planes @ x.T).flatten(1)

    def voxel_sums(self, values: Tensor) -> Tensor:
        """Sums (slices, H, W) over the samples of each voxel in plane."""
        parts = values.view(-1, *self.rows)
        return sum(parts[:, i, :, j] for i in range(self.rows[0]) for j in range(self.rows[2]))  # type: ignore[return-value]
