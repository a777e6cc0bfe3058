"""Where voxels lie: `Grid` (array index to patient millimetres) and `RigidTransform` (millimetres and degrees).

Two coordinate systems meet here. *World* is NIfTI's RAS in mm (x to the right, y anterior, z superior), used by
affines. *Frame* is LPS in mm about a grid's centre (x to patient left, y posterior, z superior), used by poses: its
axes are the W, H and D axes of the model grid, so an in-plane rotation is a rotation about z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adn.errors import InputError
from adn.space.affine import Affine

_RAS_AXES = {"R": (0, 1.0), "L": (0, -1.0), "A": (1, 1.0), "P": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SAME_VOXEL = 0.01  # rounding error, in voxels, of an affine written with few decimals
_SINGLE = 1e-4  # precision, in voxels, with which files store affines


@dataclass(frozen=True, eq=False)
class FiledPlace:
    """What a NIfTI header says about the position of its voxels, kept if readers disagree on its meaning.

    affine: 4 × 4, RAS mm, as interpreted by adn. fields: header fields by name. Images written on the same grid get the
    same fields, so that any reader shows both in the same place.
    """

    affine: NDArray[np.float64]
    fields: Mapping[str, NDArray]


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxels in patient space.

    shape: voxels along the three array axes. affine: 4 × 4, array index → RAS mm (NIfTI convention). filed: see
    `FiledPlace`; None if all readers of the file agree.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    filed: FiledPlace | None = None

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)  # a copy: the caller's stays writable
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise InputError(
                "The affine is singular or not finite, so voxels have no place in the patient. "
                "Write the image again with a valid orientation."
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def centred(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
        axes: str = "SPL",
    ) -> Grid:
        """An axis-aligned grid centred at `centre_mm` (RAS) whose array axes point towards `axes`."""
        affine = np.eye(4)
        affine[:3, :3] = 0.0
        for column, (code, step) in enumerate(zip(axes, spacing_mm, strict=True)):
            row, sign = _RAS_AXES[code]
            affine[row, column] = sign * step
        middle = (np.array(shape) - 1) / 2
        affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ middle
        return cls(shape, affine)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each array axis, mm."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(a), float(b), float(c)

    @cached_property
    def voxel_ml(self) -> float:
        """Volume of one voxel, mL."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @cached_property
    def axes(self) -> str:
        """Anatomical direction of each array axis, such as 'SPL' (the nearest one, for oblique grids)."""
        return "".join(code for code, _ in _closest_axes(self.affine))

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """The grid's centre, RAS mm."""
        middle = (np.array(self.shape, dtype=np.float64) - 1) / 2
        return Affine(self.affine).apply(middle)

    @property
    def index_from_frame(self) -> NDArray[np.float64]:
        """4 × 4: LPS mm about the grid's centre → array index."""
        world_from_frame = RAS_FROM_LPS.copy()
        world_from_frame[:3, 3] = self.centre_mm
        return np.asarray(np.linalg.inv(self.affine) @ world_from_frame, dtype=np.float64)

    def reoriented(self, axes: str) -> Grid:
        """The same voxels with array axes permuted and flipped so that they point towards `axes`.

        Directions stay bit-equal (only columns move and change sign).
        """
        order, flips = axis_changes(self.axes, axes)
        affine = self.affine[:, [*order, 3]].copy()
        shape = tuple(self.shape[i] for i in order)
        for column, flip in enumerate(flips):
            if flip:
                affine[:3, 3] += affine[:3, column] * (shape[column] - 1)
                affine[:3, column] *= -1.0
        return Grid((shape[0], shape[1], shape[2]), affine, self.filed)

    def same_as(self, other: Grid, tolerance: float = SAME_VOXEL) -> bool:
        """Whether shapes are equal and no voxel is off by more than `tolerance` voxels along any axis."""
        return self.shape == other.shape and self.voxels_apart(other.affine) <= tolerance + _SINGLE

    def voxels_apart(self, affine: NDArray[np.float64]) -> float:
        """Largest displacement of any voxel under another affine, in voxels along a single array axis."""
        moved = _corners(self.shape) @ (np.linalg.inv(self.affine) @ affine - np.eye(4))[:3].T
        return float(np.abs(moved).max())

    def mm_apart(self, affine: NDArray[np.float64]) -> float:
        """Largest displacement of any voxel under another affine, mm."""
        moved = _corners(self.shape) @ (self.affine - affine)[:3].T
        return float(np.linalg.norm(moved, axis=1).max())

    def __repr__(self) -> str:
        size = "×".join(str(n) for n in self.shape)
        step = "×".join(f"{s:.4g}" for s in self.spacing_mm)
        return f"Grid({size}, {step} mm, {self.axes})"


def _corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(8, 4): homogeneous indices of the corner voxels."""
    return np.array([[*corner, 1.0] for corner in product(*((0, n - 1) for n in shape))])


def _closest_axes(affine: NDArray) -> list[tuple[str, int]]:
    """The RAS letter and world row nearest to each array axis; each world row is used once (greedy on the largest)."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    strength = np.abs(cosines)
    result: list[tuple[str, int]] = [("", -1)] * 3
    for _ in range(3):
        row, column = np.unravel_index(int(np.argmax(strength)), strength.shape)
        letters = ("LR", "PA", "IS")[row]
        result[column] = (letters[int(cosines[row, column] > 0)], int(row))
        strength[row, :] = -1.0
        strength[:, column] = -1.0
    return result


def axis_changes(from_axes: str, to_axes: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """How to turn an array with axes `from_axes` into one with `to_axes`: transpose order, then flips."""
    rows = [_RAS_AXES[code][0] for code in from_axes]
    order = tuple(rows.index(_RAS_AXES[code][0]) for code in to_axes)
    flips = tuple(from_axes[source] != code for source, code in zip(order, to_axes, strict=True))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def reorient_array(array: NDArray, from_axes: str, to_axes: str) -> NDArray:
    """Permute and flip a 3D array so that its axes point towards `to_axes`. A view, without interpolation."""
    order, flips = axis_changes(from_axes, to_axes)
    return array.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def reorient_box(
    box: Sequence[slice], shape: Sequence[int], from_axes: str, to_axes: str
) -> tuple[slice, slice, slice]:
    """The same box of voxels in the array that `reorient_array` returns. shape: of the array with `from_axes`."""
    order, flips = axis_changes(from_axes, to_axes)
    sides = [
        slice(shape[i] - box[i].stop, shape[i] - box[i].start) if flip else box[i]
        for i, flip in zip(order, flips, strict=True)
    ]
    return sides[0], sides[1], sides[2]


def bounding_box(inside: NDArray[np.bool_], margins: Sequence[int] | None = None) -> tuple[slice, ...]:
    """Slices of the smallest box that holds every True voxel, grown by `margins` voxels within the array.

    inside: must be True somewhere.
    """
    box: list[slice] = []
    rest: Any = inside
    for side, margin in zip(inside.shape, margins or (0,) * inside.ndim, strict=True):
        used = np.flatnonzero(rest.any(axis=tuple(range(1, rest.ndim))))
        box.append(slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + margin + 1, side)))
        rest = rest[used[0] : used[-1] + 1].any(axis=0)
    return tuple(box)


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A rigid motion in a grid's frame (LPS mm about the centre), as one 4 × 4 matrix.

    As a pose it *pulls*: `aligned(p) = image(matrix · p)`. Motions compose with `@` and invert exactly.
    """

    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls) -> RigidTransform:
        """No motion."""
        return cls(np.eye(4))

    @classmethod
    def from_parameters(
        cls,
        rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
        translation_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> RigidTransform:
        """From angles about (x: pitch, y: roll, z: in-plane) and a shift along (left, posterior, superior).

        matrix = Translate · Rz · Ry · Rx.
        """
        pitch, roll, in_plane = np.deg2rad(rotation_deg)
        cx, sx, cy, sy, cz, sz = (f(a) for a in (pitch, roll, in_plane) for f in (np.cos, np.sin))
        rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        matrix = np.eye(4)
        matrix[:3, :3] = rz @ ry @ rx
        matrix[:3, 3] = translation_mm
        return cls(matrix)

    @property
    def rotation_deg(self) -> tuple[float, float, float]:
        """Angles about (x: pitch, y: roll, z: in-plane), degrees."""
        r = self.matrix[:3, :3]
        pitch = np.arctan2(r[2, 1], r[2, 2])
        roll = np.arcsin(np.clip(-r[2, 0], -1.0, 1.0))
        in_plane = np.arctan2(r[1, 0], r[0, 0])
        a, b, c = np.rad2deg([pitch, roll, in_plane])
        return float(a), float(b), float(c)

    @property
    def translation_mm(self) -> tuple[float, float, float]:
        """Shift along (left, posterior, superior), mm."""
        x, y, z = self.matrix[:3, 3]
        return float(x), float(y), float(z)

    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        """Move points (…, 3) in LPS mm."""
        return Affine(self.matrix).apply(points)

    def inverse(self) -> RigidTransform:
        """The exact inverse (transpose of the rotation)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.matrix[:3, :3].T
        matrix[:3, 3] = -self.matrix[:3, :3].T @ self.matrix[:3, 3]
        return RigidTransform(matrix)

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        return RigidTransform(self.matrix @ other.matrix)

    def __repr__(self) -> str:
        rotation = ", ".join(f"{v:.4f}" for v in self.rotation_deg)
        shift = ", ".join(f"{v:.4f}" for v in self.translation_mm)
        return f"RigidTransform.from_parameters(rotation_deg=({rotation}), translation_mm=({shift}))"
