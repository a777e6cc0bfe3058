"""Real and virtual slices side by side: same window, same size, same levels.

    python benchmarks/studies/side_by_side.py --real SCAN [--cpaisd DIR] [--anatomy DIR --lesions DIR] -o PICTURE.png

Columns: the real scan, two slices of CPAISD per level (8-bit slices whose levels are nearly HU; they carry no pixel
size, so each is scaled to a typical head's length), two virtual patients on label maps of real heads, two made from
the MNI priors. Only these slices are rendered, with the noise, kernel and thickness of each plan.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from adn.io import open_scan
from adn.prepare import strip_skull
from adn.space.geometry import RigidTransform
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan

WINDOW_HU = (-5.0, 80.0)
LEVELS = (0.22, 0.42, 0.58, 0.76)  # of the brain's height
HEIGHT_MM = (-38.0, -10.0, 12.0, 36.0)  # the same about the brain's centre, for virtual patients
SIZE_MM, PIXEL_MM, HEAD_MM = (220.0, 176.0), 0.5, 190.0
CPAISD = (("10026", "10337"), ("10538", "11871"), ("11263", "10124"), ("10270", "10745"))
LABELS = (
    "real: GE HiSpeed",
    "real: CPAISD",
    "real: CPAISD",
    "virtual: real head",
    "virtual: real head",
    "virtual: MNI",
    "virtual: MNI",
)


def framed(hu: NDArray, pixel_mm: tuple[float, float], centre: NDArray) -> NDArray:
    """A slice on the page's pixels, (rows, columns), about a point (row, column)."""
    shape = tuple(round(s / PIXEL_MM) for s in SIZE_MM)
    scale = PIXEL_MM / np.array(pixel_mm)
    start = centre - scale * (np.array(shape) - 1) / 2
    return ndi.affine_transform(hu, scale, start, shape, order=1, cval=-1000.0)  # type: ignore[arg-type]


def real_slices(path: Path) -> list[NDArray]:
    scan = open_scan(path).volume.reoriented("SPL")
    brain = strip_skull(scan).data > 0
    planes = np.flatnonzero(brain.any((1, 2)))
    chosen = [int(planes[0] + level * len(planes)) for level in LEVELS]
    centre = np.array(ndi.center_of_mass(brain.any(0)))
    return [framed(scan.data[z], scan.grid.spacing_mm[1:], centre) for z in chosen]


def cpaisd_slice(path: Path) -> NDArray:
    from PIL import Image

    levels = np.asarray(Image.open(path), np.float32)
    parts, _ = ndi.label(levels > 120)  # type: ignore[misc]
    skull = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    rows, columns = np.nonzero(skull)
    pixel = HEAD_MM / (rows.max() - rows.min())
    centre = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
    return framed(levels, (pixel, pixel), centre)


def virtual_slices(library: Library, index: int, seed: int) -> list[NDArray]:
    """Slices of one drawn patient, lying as straight as the real ones."""
    plan: PatientPlan = draw_patient(patient_generator(seed, index), library.choices())
    plan = replace(plan, metal=(), scanner=replace(plan.scanner, slice_mm=5.0, step_mm=5.0, headrest=False))
    shape = tuple(round(s / plan.scanner.pixel_mm) for s in SIZE_MM)
    slices = []
    for height in HEIGHT_MM:
        pose = RigidTransform.from_parameters((-10.0, 0.0, plan.rotation_deg[2] / 5), (0.0, 0.0, height))
        lattice = Lattice((1, *shape), (5.0, plan.scanner.pixel_mm, plan.scanner.pixel_mm), pose, native=True)  # type: ignore[arg-type]
        hu = render_plan(plan, library, lattice).ct[0].numpy()
        slices.append(framed(hu, (plan.scanner.pixel_mm,) * 2, (np.array(hu.shape) - 1) / 2))  # type: ignore[arg-type]
    return slices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--cpaisd", type=Path, help="folder with images/*.png")
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    columns = [real_slices(options.real)]
    if options.cpaisd:
        for place in (0, 1):
            columns.append([cpaisd_slice(options.cpaisd / "images" / f"{names[place]}.png") for names in CPAISD])
    libraries = [Library.from_folders()]
    if options.anatomy and options.lesions:
        libraries.insert(0, Library.from_folders(options.anatomy, options.lesions, "val"))
    columns += [virtual_slices(library, index, options.seed) for library in libraries for index in (0, 1)]
    save(columns, options.out)


def save(columns: list[list[NDArray]], path: Path) -> None:
    """One grey picture: rows are levels."""
    from matplotlib.figure import Figure

    page = np.concatenate([np.concatenate(column, 0) for column in columns], 1)
    figure = Figure(figsize=(page.shape[1] / 200, page.shape[0] / 200 + 0.25), facecolor="black")
    axes = figure.add_axes((0, 0, 1, page.shape[0] / 200 / (page.shape[0] / 200 + 0.25)))
    axes.imshow(page, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], interpolation="antialiased")
    axes.set_axis_off()
    labels = LABELS if len(columns) == len(LABELS) else ["real"] + ["virtual"] * (len(columns) - 1)
    for place, label in enumerate(labels):
        figure.text((place + 0.5) / len(columns), 0.995, label, color="white", ha="center", va="top", fontsize=7)
    figure.savefig(path, dpi=120, facecolor="black")


if __name__ == "__main__":
    main()
