"""Which images of a result folder the viewer shows, and how; and how missing ones are made (aligned ones, the scan)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.io import read_volume, write_volume
from adn.prepare.resample import resample
from adn.report.folder import SCAN_PARTS, SUFFIX, read_result, rebuilt_scan
from adn.results import Prediction
from adn.server.models import Layer
from adn.space.affine import Affine
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume

ALIGNED = "aligned_"
FINEST_MM = 1.0  # voxel size of the aligned images; finer voxels would only add bytes
MARGIN_MM = 5.0  # around the brain
AIR_HU = -1024.0
SCAN, MASK = "scan", "brain_mask"


class Look(NamedTuple):
    """How an image is shown."""

    title: str
    kind: Literal["scan", "mask", "map"]
    unit: str
    range: tuple[float, float]
    colour: str


LOOKS = {
    SCAN: Look("Scan", "scan", "HU", (0.0, 80.0), "gray"),
    "infarct": Look("Infarct", "mask", "label", (0.0, 1.0), "red"),
    "infarct_probability": Look("Infarct probability", "map", "1", (0.1, 1.0), "hot"),
    "relative_hypodensity": Look("Relative hypodensity", "map", "1", (0.05, 0.3), "viridis"),
    "asymmetry_total": Look("Asymmetry A", "map", "HU", (2.0, 20.0), "inferno"),
    "asymmetry_pathological": Look("Pathological asymmetry P", "map", "HU", (2.0, 20.0), "inferno"),
    "asymmetry_intrinsic": Look("Intrinsic asymmetry Q", "map", "HU", (2.0, 20.0), "viridis"),
    "salient": Look("Salient scan X̂ (only pathology stays)", "map", "HU", (0.0, 80.0), "gray"),
    "compensated": Look("Compensated scan X̃ (pathology filled)", "map", "HU", (0.0, 80.0), "gray"),
    MASK: Look("Brain outline", "mask", "label", (0.0, 1.0), "blue"),
}


def layers(names: Iterable[str], result: Mapping[str, Any]) -> list[Layer]:
    """The layers of a result folder. names: its files' names. result: the content of its result.json."""
    there = set(names)
    if {f"{part}{SUFFIX}" for part in SCAN_PARTS} <= there:
        there.add(f"{SCAN}{SUFFIX}")
    found = [_layer(name, "scan", f"{name}{SUFFIX}") for name in LOOKS if f"{name}{SUFFIX}" in there]
    if "aligned_from_scan" in result and f"{MASK}{SUFFIX}" in there:
        found += [_layer(layer.name, "aligned", f"{ALIGNED}{layer.file}") for layer in found]
    return found


def _layer(name: str, space: Literal["scan", "aligned"], file: str) -> Layer:
    look = LOOKS[name]
    shown: dict[str, Any] = look._asdict()
    if (name, space) == (SCAN, "aligned"):
        shown["title"] = "Aligned brain"
    return Layer(name=name, space=space, file=file, **shown)


def write_views(prediction: Prediction, folder: Path) -> None:
    """Add to a result folder the scan itself and every layer in the aligned frame."""
    volumes = {name: getattr(prediction, name) for name in LOOKS if name != SCAN}
    volumes[SCAN] = prediction.scan.volume
    mask, matrix = prediction.brain_mask, prediction.aligned_from_scan
    grid = aligned_grid(mask, matrix)

    def write(name: str) -> None:
        if name == SCAN and not (folder / f"{SCAN}{SUFFIX}").exists():
            write_volume(_small(volumes[SCAN]), folder / f"{SCAN}{SUFFIX}")
        write_volume(aligned(name, volumes[name], mask, matrix, grid), folder / f"{ALIGNED}{name}{SUFFIX}")

    with ThreadPoolExecutor(max_workers=2) as pool:  # compression releases the interpreter's lock
        list(pool.map(write, volumes))


def make_view(file: str, results: Path, target: Path) -> None:
    """Write one layer that a result folder lacks to `target`. file: as `layers` names it."""
    name = file.removesuffix(SUFFIX).removeprefix(ALIGNED)
    source = results / f"{name}{SUFFIX}"
    volume = rebuilt_scan(results) if name == SCAN and not source.is_file() else read_volume(source)
    if not file.startswith(ALIGNED):
        write_volume(_small(volume), target)
        return
    mask = read_volume(results / f"{MASK}{SUFFIX}")
    matrix = np.array(read_result(results)["aligned_from_scan"])
    write_volume(aligned(name, volume, mask, matrix, aligned_grid(mask, matrix)), target)


def aligned_grid(mask: Volume, aligned_from_scan: NDArray[np.float64]) -> Grid:
    """An upright SPL grid around the brain, mirror-symmetric about x = 0, with the scan's spacing but at least 1 mm.

    Its world is the aligned frame, written as RAS mm.
    """
    spl = mask.reoriented("SPL").grid.spacing_mm
    spacing = np.maximum(spl, FINEST_MM)
    steps = [max(1, int(4.0 // step)) for step in mask.grid.spacing_mm]
    index = np.argwhere(mask.data[:: steps[0], :: steps[1], :: steps[2]] > 0) * steps
    place = Affine(aligned_from_scan).apply(index)
    low, high = place.min(0) - MARGIN_MM, place.max(0) + MARGIN_MM
    high[0] = max(-low[0], high[0])
    low[0] = -high[0]
    shape = np.ceil((high - low)[::-1] / spacing).astype(int) + 1  # of S, P, L
    centre_lps = (low + high) / 2
    centre = (-centre_lps[0], -centre_lps[1], centre_lps[2])
    return Grid.centred(tuple(shape.tolist()), tuple(spacing.tolist()), centre)


def aligned(name: str, volume: Volume, mask: Volume, aligned_from_scan: NDArray[np.float64], grid: Grid) -> Volume:
    """A layer resampled linearly to the aligned grid; masks are thresholded at 0.5, grey images show only the brain."""
    matrix = np.linalg.inv(aligned_from_scan) @ RAS_FROM_LPS @ grid.affine
    look = LOOKS[name]
    if look.kind == "mask":
        return Volume((_sample(volume.data, matrix, grid) >= 0.5).astype(np.uint8), grid, "label")
    if look.colour != "gray":
        return Volume(_sample(volume.data, matrix, grid), grid, look.unit)
    inside = mask.data > 0  # voxels outside have no weight, so that bone does not leak into the brain's edge
    values, weight = _sample(volume.data * inside, matrix, grid), _sample(inside, matrix, grid)
    data = np.where(weight >= 0.5, values / np.maximum(weight, 0.5), np.float32(AIR_HU))
    return Volume(data, grid, look.unit)


def _sample(data: NDArray, matrix: NDArray[np.float64], grid: Grid) -> NDArray[np.float32]:
    """data(matrix · index) as float32, linear, 0 outside."""
    return resample(np.ascontiguousarray(data, np.float32), matrix, grid.shape)


def _small(scan: Volume) -> Volume:
    """The scan as whole HU in int16, as scanners store it: a third of the bytes."""
    rounded = np.rint(scan.data)
    whole = np.abs(rounded - scan.data).max() < 0.01 and np.abs(rounded).max() < 2**15
    return scan.with_data(rounded.astype(np.int16) if whole else scan.data.astype(np.float32))
