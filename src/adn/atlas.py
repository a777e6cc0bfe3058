"""Arterial territories of the brain in MNI space, for locating infarcts and for placing virtual ones."""

from __future__ import annotations

from typing import Literal

Territory = Literal[
    "middle cerebral artery, superior branch",
    "middle cerebral artery, inferior branch",
    "lenticulostriate",
    "anterior cerebral artery",
    "posterior cerebral artery",
    "thalamus",
    "cerebellum",
    "brainstem",
]
Supply = Literal[
    "middle cerebral artery",
    "anterior cerebral artery",
    "posterior cerebral artery",
    "thalamus",
    "cerebellum",
    "brainstem",
]
Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float]]  # centre and half axes, (x, y, z) mm
# Territories of the left side as ellipsoids in MNI LPS mm (x to the left, y to the back, z up), after the usual maps
# (Tatu et al. 2012); a point belongs to the one in which it lies deepest.
REGIONS: dict[Territory, tuple[Ellipsoid, ...]] = {
    "middle cerebral artery, superior branch": (((46, -22, 22), (22, 36, 34)), ((44, 16, 40), (22, 30, 26))),
    "middle cerebral artery, inferior branch": (((54, 8, -14), (20, 44, 20)), ((50, 46, 18), (22, 28, 28))),
    "lenticulostriate": (((24, -4, 6), (13, 24, 17)),),
    "anterior cerebral artery": (((8, -42, 24), (14, 34, 44)), ((8, 12, 52), (13, 40, 26))),
    "posterior cerebral artery": (((16, 76, 4), (18, 32, 26)), ((26, 34, -16), (15, 26, 9))),
    "thalamus": (((11, 18, 8), (10, 15, 11)),),
    "cerebellum": (((26, 64, -36), (28, 32, 24)),),
    "brainstem": (((4, 26, -32), (12, 15, 26)),),
}
# The artery that supplies a territory, its branches merged; where several do, the part of the brain.
SUPPLY: dict[Territory, Supply] = {
    "middle cerebral artery, superior branch": "middle cerebral artery",
    "middle cerebral artery, inferior branch": "middle cerebral artery",
    "lenticulostriate": "middle cerebral artery",
    "anterior cerebral artery": "anterior cerebral artery",
    "posterior cerebral artery": "posterior cerebral artery",
    "thalamus": "thalamus",
    "cerebellum": "cerebellum",
    "brainstem": "brainstem",
}
AspectsRegion = Literal["caudate", "lentiform", "internal capsule", "insula", "M1", "M2", "M3", "M4", "M5", "M6"]
# In the usual reading order; `findings/aspects_regions.npz` numbers them from 1 in this order.
ASPECTS_REGIONS: tuple[AspectsRegion, ...] = (
    *("caudate", "lentiform", "internal capsule", "insula"),
    *("M1", "M2", "M3", "M4", "M5", "M6"),
)
