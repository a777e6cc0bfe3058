"""CPAISD's 8-bit slices as studies in HU, and as stacks that adn can read; see `cpaisd.py` for what is assumed."""

from __future__ import annotations

from pathlib import Path

import ct_measures as ct
import numpy as np
from ct_measures import Study
from numpy.typing import NDArray
from scipy import ndimage as ndi

from adn.space.geometry import Grid
from adn.space.volume import Volume

BRAIN_HU, CSF_HU = 33.0, 7.0  # anchors of an 8-bit slice's window
PIXEL_MM = 0.45  # not stored in the pictures; a usual head field of view
SLICES, SLICE_MM, BRAIN_MM2, OUTSIDE_HU = 16, 5.0, 17_500.0, -1000.0


def slice_brain(levels: NDArray) -> NDArray[np.bool_]:
    """The brain in one 8-bit slice: what bone encloses. Empty if the skull is too open to tell."""
    bone = levels >= 160
    closed = np.pad(bone, 40)
    closed = ndi.binary_closing(closed, iterations=12)[40:-40, 40:-40]
    inside = ndi.binary_fill_holes(closed) & ~ndi.binary_dilation(bone, iterations=3)  # type: ignore[operator]
    parts, count = ndi.label(ndi.binary_opening(inside, iterations=3))  # type: ignore[misc]
    if not count:
        return np.zeros(bone.shape, bool)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return largest if largest.sum() > 30000 else np.zeros(bone.shape, bool)


def cpaisd_studies(folder: Path) -> tuple[list[Study], tuple[float, float]]:
    """Slices with expert core and penumbra in HU, and the (lower, upper) end of their window as estimated."""
    from PIL import Image

    found = []
    for path in sorted((folder / "images").glob("*.png")):
        levels = np.asarray(Image.open(path), np.float32)
        mask = np.greater(np.asarray(Image.open(folder / "masks" / path.name)), 127)
        brain = slice_brain(levels)
        if brain.any():
            spacing = (5.0, PIXEL_MM, PIXEL_MM)
            found.append(Study.cropped(path.stem, levels[None], spacing, brain[None], np.any(mask, axis=-1)[None]))
    brain = np.median([ct.brain_mode_hu(s) for s in found])
    csf = np.nanmedian([ct.ventricle_hu(s) for s in found])
    per_level = (BRAIN_HU - CSF_HU) / (brain - csf)
    low = BRAIN_HU - per_level * brain
    scaled = [Study(s.name, low + per_level * s.hu, s.spacing_mm, s.brain, s.infarct) for s in found]
    return scaled, (float(low), float(low + 255 * per_level))


def cpaisd_core(folder: Path, study: Study) -> NDArray[np.bool_]:
    """The core (drawn red; penumbra is green) of one of these studies, on its voxels."""
    from PIL import Image

    levels = np.asarray(Image.open(folder / "images" / f"{study.name}.png"), np.float32)
    mask = np.greater(np.asarray(Image.open(folder / "masks" / f"{study.name}.png")), 127)
    brain = slice_brain(levels)
    cropped = Study.cropped(study.name, levels[None], study.spacing_mm, brain[None], mask[None, ..., 0])
    return np.asarray(cropped.infarct, bool)


def as_stack(study: Study) -> tuple[Volume, Volume]:
    """CT and brain mask: a stack of copies of one slice."""
    hu = np.repeat(np.where(study.brain, study.hu, OUTSIDE_HU), SLICES, axis=0).astype(np.float32)
    pixel_mm = float(np.sqrt(BRAIN_MM2 / study.brain.sum()))
    grid = Grid.centred(hu.shape, (SLICE_MM, pixel_mm, pixel_mm))
    return Volume(hu, grid), Volume(np.repeat(study.brain, SLICES, axis=0).astype(np.uint8), grid, "label")
