"""`Affine`: a 4 × 4 matrix that maps points; the numpy counterpart of `warp.move_points`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Affine:
    """An affine map between two frames, `to = linear · from + offset`.

    matrix: 4 × 4, last row (0, 0, 0, 1). Maps compose with `@`: `(a @ b).apply(p)` is `a.apply(b.apply(p))`.
    """

    matrix: NDArray[np.floating]  # kept as float64

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)  # a copy: the caller's stays writable
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @property
    def linear(self) -> NDArray[np.floating]:
        """The 3 × 3 part, which maps directions."""
        return self.matrix[:3, :3]

    @property
    def offset(self) -> NDArray[np.floating]:
        """The image of the origin, (3,)."""
        return self.matrix[:3, 3]

    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points (…, 3)."""
        return np.asarray(np.asarray(points) @ self.linear.T + self.offset, np.float64)

    def inverse(self) -> Affine:
        """The inverse map. Raises numpy.linalg.LinAlgError if there is none."""
        return Affine(np.linalg.inv(self.matrix))

    def __matmul__(self, other: Affine) -> Affine:
        return Affine(self.matrix @ other.matrix)
