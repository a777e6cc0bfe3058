"""How often a contrast agent is noticed by its bright vessels, and how often a plain scan is mistaken for one.

    python benchmarks/quality/contrast.py [--plain SCANS...] [--virtual DIR --every N] -o CONTRAST.csv

--plain: files, DICOM folders or folders of cases with ct.nii.gz, none of them enhanced. --virtual: cases of
`adn synth`; vessels are drawn into every Nth: arteries and veins as tubes of anatomical diameter, placed by the brain's
box, the superior sagittal sinus along the midline. HU are drawn for three times after the injection: arterial (arteries
200 to 450 HU, as CT angiography aims for; veins 80 to 300), venous (arteries 110 to 200, veins 110 to 220), late (both
85 to 140). No real enhanced head was available.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from adn.errors import InputError
from adn.io import open_scan, read_volume
from adn.io.vessels import ENHANCED_MM2, bright_mm2
from adn.space.volume import Volume

Line = tuple[float, tuple[tuple[float, float, float], ...]]  # diameter, mm, and points, MNI LPS mm, of the left side
ARTERIES: tuple[Line, ...] = (
    (4.0, ((16, 0, -40), (14, 0, -22), (12, -4, -12))),  # internal carotid
    (2.7, ((12, -4, -12), (36, -4, -14))),  # middle cerebral and its branches
    (1.9, ((36, -4, -14), (41, 5, 8), (45, 22, 15))),
    (1.9, ((36, -4, -14), (40, -12, 5), (44, -20, 12))),
    (1.4, ((41, 5, 8), (57, 10, 14), (60, 22, 32), (52, 36, 52))),
    (1.4, ((40, -12, 5), (52, -20, 18), (46, -28, 40))),
    (1.4, ((45, 22, 15), (60, 40, 18), (54, 60, 30))),
    (2.1, ((12, -4, -12), (2, -14, -10), (2, -38, 6))),  # anterior cerebral
    (2.0, ((2, -38, 6), (2, -30, 24), (2, -5, 34), (2, 25, 30), (2, 42, 15))),
    (1.5, ((2, -36, 18), (2, -20, 46), (2, 20, 54), (2, 40, 60))),
    (3.2, ((0, 20, -45), (0, 18, -15))),  # basilar
    (2.0, ((0, 18, -15), (18, 26, -12), (22, 50, -5), (12, 80, 5))),  # posterior cerebral
)
VEINS: tuple[Line, ...] = (
    (1.8, ((2, -5, 12), (2, 35, 10))),  # internal cerebral
    (5.0, ((0, 38, 6), (0, 46, 8))),  # of Galen
    (4.5, ((0, 46, 8), (0, 85, -8))),  # straight sinus
    *((2.2, ((45, y, 48), (25, y + 6, 66), (6, y + 10, 76))) for y in (-30, 0, 30)),  # cortical
)
BOX = {"half": 70.0, "front": -70.0, "length": 175.0, "top": 80.0}  # of the MNI brain, mm
TIMES = {  # HU of arteries, of veins
    "arterial": ((200, 450), (80, 300)),
    "venous": ((110, 200), (110, 220)),
    "late": ((85, 140), (85, 140)),
}
BLOOD_HU, SINUS_MM, BLUR_MM = 48.0, 9.0, 0.45


def tube_points(lines: tuple[Line, ...], rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Points (n, 3) within the tubes of both sides, and the mm³ that each stands for."""
    places, volumes = [], []
    for diameter, points in lines:
        sides = (1.0,) if all(point[0] == 0 for point in points) else (1.0, -1.0)
        for side in sides:
            stops = np.array(points, float) * [side, 1, 1]
            for start, stop in pairwise(stops):
                length = float(np.linalg.norm(stop - start))
                count, around = max(2, int(length / 0.5)), max(1, int(diameter**2 * np.pi))
                along = (stop - start) / length
                across = np.cross(along, [1, 0, 0] if abs(along[0]) < 0.9 else [0, 1, 0])
                across /= np.linalg.norm(across)
                angle = rng.uniform(0, 2 * np.pi, (count, around, 1))
                radius = diameter / 2 * np.sqrt(rng.uniform(0, 1, (count, around, 1)))
                middle = start + (np.arange(count)[:, None, None] + 0.5) / count * (stop - start)
                disc = np.cos(angle) * across + np.sin(angle) * np.cross(along, across)
                places.append((middle + radius * disc).reshape(-1, 3))
                volumes.append(np.full(count * around, diameter**2 * np.pi / 4 * length / count / around))
    return np.concatenate(places), np.concatenate(volumes)


def vessel_shares(brain: Volume, record: dict[str, Any], rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """The share of each voxel that is artery, and that is vein or sinus. record: the case's plan.json."""
    grid = brain.grid
    inside = np.argwhere(brain.data > 0)
    normal = np.array(record["midplane"]["normal_ras"])
    sign = 1.0 if normal[0] >= 0 else -1.0
    right, offset = sign * normal, sign * record["midplane"]["offset_mm"]
    up = np.array([0.0, 0.0, 1.0]) - right * right[2]
    up /= np.linalg.norm(up)
    axes = np.stack([right, np.cross(up, right), up])
    place = (inside @ grid.affine[:3, :3].T + grid.affine[:3, 3]) @ axes.T - np.array([offset, 0.0, 0.0])
    low, high = np.percentile(place, 0.2, axis=0), np.percentile(place, 99.8, axis=0)
    wide, long = max(-low[0], high[0]) / BOX["half"], (high[1] - low[1]) / BOX["length"]
    tall = (wide + long) / 2
    shares = []
    for lines in (ARTERIES, VEINS):
        points, mm3 = tube_points(lines, rng)
        ours = np.stack([-points[:, 0] * wide, high[1] - (points[:, 1] - BOX["front"]) * long,
                         high[2] - (BOX["top"] - points[:, 2]) * tall], 1)  # fmt: skip
        world = (ours + np.array([offset, 0.0, 0.0])) @ axes
        index_from_ras = np.linalg.inv(grid.affine)
        index = np.rint(world @ index_from_ras[:3, :3].T + index_from_ras[:3, 3]).astype(int)
        within = ((index >= 0) & (index < grid.shape)).all(axis=1)
        share = np.zeros(grid.shape, np.float32)
        np.add.at(share, tuple(index[within].T), mm3[within] * wide * long * tall / (1000 * grid.voxel_ml))
        shares.append(np.minimum(share, 1))
    depth = rim_depth_mm(brain)[tuple(inside.T)]
    rim = (place[:, 1] > high[1] - 25) | (place[:, 1] < low[1] + 25) | (place[:, 2] > high[2] - 15)
    sinus = rim & (np.abs(place[:, 0]) < SINUS_MM / 2 - 0.4 * depth) & (depth < SINUS_MM)
    sinus &= place[:, 2] > high[2] - 75 * tall
    shares[1][tuple(inside[sinus].T)] = 1
    return shares[0], shares[1]


def rim_depth_mm(brain: Volume) -> NDArray[np.float64]:
    """How deep each voxel lies below the brain's outline, within its axial slice."""
    upright = brain.reoriented("SPL")
    spacing = upright.grid.spacing_mm[1:]
    depth = [np.asarray(distance_transform_edt(plane > 0, sampling=spacing)) for plane in upright.data]
    return Volume(np.stack(depth), upright.grid).reoriented(brain.grid.axes).data


def with_agent(ct: Volume, shares: tuple[NDArray, NDArray], hu: tuple[float, float]) -> Volume:
    """The scan with vessels of these HU. shares: of arteries, of veins."""
    sigmas = [BLUR_MM / mm if mm < 2 else 0 for mm in ct.grid.spacing_mm]
    arteries, veins = (gaussian_filter(share, sigmas) for share in shares)
    added = arteries * (hu[0] - BLOOD_HU) + veins * (1 - np.minimum(arteries, 1)) * (hu[1] - BLOOD_HU)
    return ct.with_data((ct.data + added).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", type=Path, nargs="*", default=[])
    parser.add_argument("--virtual", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    found: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("group", "scan", "time", "bright_mm2"))

        def note(group: str, scan: str, time: str, bright: float | None) -> None:
            table.writerow((group, scan, time, "" if bright is None else round(bright, 2)))
            file.flush()
            found[group, time].append(bright)

        for path in arguments.plain:
            cases = sorted(path.glob("*/ct.nii.gz")) if path.is_dir() else []
            for case in cases or [path]:
                try:
                    packed = case.name.endswith(".nii.gz")
                    volume = read_volume(case) if packed else open_scan(case).volume
                    name = case.parent.name if cases else case.name
                    note(path.name if cases else path.parent.name, name, "none", bright_mm2(volume))
                except InputError as error:
                    print(error, flush=True)
        cases = sorted(arguments.virtual.glob("*/ct.nii.gz"))[:: arguments.every] if arguments.virtual else []
        for number, case in enumerate(cases):
            rng = np.random.default_rng(number)
            ct, brain = read_volume(case), read_volume(case.parent / "brain.nii.gz")
            shares = vessel_shares(brain, json.loads((case.parent / "plan.json").read_text(encoding="utf-8")), rng)
            note("virtual", case.parent.name, "none", bright_mm2(ct))
            for time, ranges in TIMES.items():
                hu = (rng.uniform(*ranges[0]), rng.uniform(*ranges[1]))
                note("virtual", case.parent.name, time, bright_mm2(with_agent(ct, shares, hu)))
    print("| scans | time after the agent | n | too few slices | noticed | largest mm² |\n|---|---|---|---|---|---|")
    for (group, time), values in sorted(found.items()):
        known = [value for value in values if value is not None]
        noticed = sum(value > ENHANCED_MM2 for value in known)
        few, most = len(values) - len(known), max(known, default=0)
        print(f"| {group} | {time} | {len(values)} | {few} | {noticed} | {most:.1f} |")


if __name__ == "__main__":
    main()
