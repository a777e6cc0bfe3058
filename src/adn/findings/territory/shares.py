"""Which arterial territories an infarct lies in, by `adn.atlas`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from adn.atlas import REGIONS, Territory
from adn.results import TerritoryShare
from adn.space.affine import Affine
from adn.space.ellipsoids import depth


def territory_shares(
    infarct: NDArray, voxel_ml: float, mni_from_scan: NDArray[np.float64]
) -> tuple[TerritoryShare, ...]:
    """Volume by territory and side, largest first.

    infarct: (D, H, W), > 0 inside. mni_from_scan: 4 × 4, array index → MNI, LPS mm (x > 0 is patient left). A voxel
    belongs to the territory in which it lies deepest (`adn.atlas.REGIONS`).
    """
    index = np.argwhere(infarct > 0)
    if not len(index):
        return ()
    place = Affine(mni_from_scan).apply(index)
    left = place[:, 0] > 0
    place[:, 0] = np.abs(place[:, 0])
    names, nearest = list(REGIONS), deepest(place)
    shares = [
        TerritoryShare(name, "left" if side else "right", float(count * voxel_ml))
        for number, name in enumerate(names)
        for side in (True, False)
        if (count := int(((nearest == number) & (left == side)).sum()))
    ]
    return tuple(sorted(shares, key=lambda share: -share.volume_ml))


def territory_at(mni_mm: NDArray[np.floating]) -> Territory:
    """The territory of one place, (3,) MNI LPS mm, of either side."""
    x, y, z = mni_mm
    return list(REGIONS)[int(deepest(np.array([[abs(x), y, z]]))[0])]


def deepest(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of places (n, 3) on the left, the number of the region in which each lies deepest."""
    points = torch.from_numpy(place.T.astype(np.float32))
    return torch.stack([depth(points, REGIONS[name]) for name in REGIONS]).argmax(0).numpy()
