"""Hyperdense arteries of virtual patients as tubes: the first part of a middle cerebral artery, or the basilar."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from adn.virtual.draw import RandomDraws
from adn.virtual.plan import BrightPlan

Artery = Literal["middle cerebral", "basilar"]
# courses in MNI, LPS mm; of the middle cerebral artery on the left: from the carotid's end to the insula
COURSES: dict[Artery, tuple[tuple[float, float, float], ...]] = {
    "middle cerebral": ((11.0, -4.0, -16.0), (18.0, -6.0, -17.0), (26.0, -5.0, -16.0), (34.0, -2.0, -14.0)),
    "basilar": ((0.0, 18.0, -44.0), (0.0, 11.0, -34.0), (0.0, 9.0, -26.0), (0.0, 13.0, -15.0)),
}
_RADIUS_MM: dict[Artery, tuple[float, float]] = {"middle cerebral": (1.3, 2.0), "basilar": (1.5, 2.2)}
_HU, _LENGTH_MM, _OFF_MM = (52.0, 75.0), (10.0, 22.0), 1.5
_STEP_MM = 1.2


def draw_artery(generator: torch.Generator, artery: Artery, left: bool = True) -> tuple[BrightPlan, ...]:
    """Draw a tube as a chain of balls, 10 to 22 mm long, of 52 to 75 HU. left: side of a middle cerebral artery."""
    d = RandomDraws(generator)
    course = np.array(COURSES[artery]) + [d.uniform(-_OFF_MM, _OFF_MM) for _ in range(3)]
    course *= [1.0 if left or artery == "basilar" else -1.0, 1.0, 1.0]
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))]
    length = min(d.within(_LENGTH_MM), float(along[-1]))
    start = d.uniform(0.0, float(along[-1]) - length)
    radius, hu = d.within(_RADIUS_MM[artery]), d.within(_HU)
    places = np.arange(start, start + length, _STEP_MM)
    return tuple(
        BrightPlan("artery", (float(x), float(y), float(z)), (radius, radius, radius), hu)
        for x, y, z in zip(*(np.interp(places, along, axis) for axis in course.T), strict=True)
    )
