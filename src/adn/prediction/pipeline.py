"""The one pipeline from a scan to a mask, in three stages: `locate` the brain, `infer` the maps, bring them `home`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.brain import CLASSICAL, Brain, find_brain
from adn.config import CalibrationConfig, GridConfig, NetworkConfig, Recipe
from adn.errors import InputError
from adn.findings.measure import without_small
from adn.findings.parts import without_unlikely
from adn.metrics.calibration import LEAST
from adn.nn.refine import refine_pose
from adn.prediction.model import Model
from adn.prepare import Conformed, SkullStripper, conform, strip_skull
from adn.results import Scan
from adn.space.geometry import Grid, RigidTransform, bounding_box
from adn.space.volume import Volume
from adn.space.warp import warp
from adn.work.memory import keep_freed_memory, release_memory
from adn.work.progress import StepProgress

_LARGE_LAYER = 2**24  # values; for larger layers the C library requests memory from the system every time
STEPS = ("strip skull", "conform", "align", "disentangle and segment", "carry home", "measure")


@dataclass(frozen=True, eq=False)
class Located:
    """Where a scan's brain lies and how the head is turned. Volumes and masks are in SPL order.

    volume: the scan, HU. brain: its mask on the scan's voxels, and who found it. conformed: the brain on the model
    grid. image: the same as a tensor, (1, 1, D, H, W). pose_network, pose: aligned brain → model grid, (1, 4, 4),
    before and after refinement. aligned_from_scan: 4 × 4, see the function of that name.
    """

    volume: Volume
    brain: Brain
    conformed: Conformed
    image: Tensor
    pose_network: Tensor
    pose: Tensor
    aligned_from_scan: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Maps:
    """The networks' output on the aligned model grid. stack: (3, D, H, W), probability, A and P in [0, 1]."""

    stack: Tensor


@dataclass(frozen=True, eq=False)
class OnScan:
    """The networks' output on the scan's voxels in SPL order, (D, H, W).

    infarct: uint8, 0 or 1: probability ≥ threshold. found: the probability within `place`, where parts smaller than the
    recipe's smallest are lowered to just below the threshold. place: the brain's box, or all of the scan; the
    probability is 0 outside. box: holds the brain. total, pathological: A and P as shares of the window in that box, 0
    outside the brain. left_out_ml: volume of parts lowered because they do not look like an infarct.
    """

    infarct: NDArray[np.uint8]
    found: NDArray[np.float32]
    place: tuple[slice, ...]
    box: tuple[slice, ...]
    total: NDArray[np.float32]
    pathological: NDArray[np.float32]
    threshold: float
    left_out_ml: float = 0.0

    @property
    def probability(self) -> NDArray[np.float32]:
        """The probability on all voxels, (D, H, W), as a new array."""
        probability = np.zeros(self.infarct.shape, np.float32)
        probability[self.place] = self.found
        return probability


class Steps:
    """Reports each step as it begins, and records how long each took. seconds: wall time by step name."""

    def __init__(self, progress: StepProgress | None = None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Wrap one of `STEPS`. Memory that earlier steps freed is first returned to the system."""
        release_memory()
        if self.progress:
            self.progress(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def locate(scan: Scan, model: Model, *, strip: SkullStripper | None = None, steps: Steps | None = None) -> Located:
    """Find the brain, bring it to the model grid, and find how the head is turned.

    strip: finds the brain; None: the tissue network, or the classical stripper where its result is not plausible.
    Raises InputError, which names the scan, where there is no brain.
    """
    steps = steps or Steps()
    volume = scan.volume.reoriented("SPL")
    try:
        with steps.step("strip skull"):
            brain = _find_brain(volume, model, strip)
        with steps.step("conform"):
            conformed = conform(volume, brain.mask, model.recipe.grid)
    except InputError as error:
        raise InputError(error.what, scan.name) from error
    with steps.step("align"), torch.inference_mode(False), torch.no_grad():
        image = torch.from_numpy(conformed.brain.data)[None, None].to(model.device)
        pose_network = model.network.align(image)
        shown = conformed.scanned
        scanned = None if shown is None else torch.from_numpy(shown)[None, None].to(model.device)
        pose = refine_pose(model.network.align, image, pose_network, model.recipe, scanned)
    matrix = aligned_from_scan(conformed, as_rigid(pose), model.recipe.grid)
    return Located(volume, brain, conformed, image, pose_network, pose, matrix)


def infer(located: Located, model: Model) -> Maps:
    """Run the networks on the aligned brain, in one box or in several overlapping ones, which are averaged."""
    grid, image = model.recipe.grid, located.image
    box = grid.box or grid.shape
    large = math.prod(box) * model.recipe.network.channels[0] > _LARGE_LAYER
    with keep_freed_memory(large), torch.inference_mode(False), torch.no_grad():
        aligned = warp(image, located.pose, grid.spacing_mm)
        total = torch.zeros((3, *grid.shape), device=image.device)
        count = torch.zeros(grid.shape, device=image.device)
        for places in boxes_at_once(box_corners(aligned[0, 0] > 0, box), box, model.recipe.network):
            boxes = torch.cat([aligned[(..., *place)] for place in places])
            with torch.autocast(image.device.type, torch.bfloat16, enabled=model.precision == "bf16"):
                output = model.network.from_aligned(boxes, located.pose)
            parts = output.parts
            found = [output.infarct_probability_aligned, parts.total_asymmetry, parts.pathological_asymmetry]
            for place, maps in zip(places, torch.cat(found, 1), strict=True):
                total[(slice(None), *place)] += maps
                count[place] += 1
        stack = total / count.clamp(min=1)
        stack[0] = _calibrated(stack[0], model.recipe.calibration)
        return Maps(stack)


def _calibrated(probability: Tensor, calibration: CalibrationConfig) -> Tensor:
    """σ(scale · logit + shift), 0 where nothing was computed."""
    scale, shift = calibration.logit_scale, calibration.logit_shift
    if (scale, shift) == (1.0, 0.0):
        return probability
    logit = probability.double().clamp(LEAST, 1 - LEAST).logit()
    return torch.where(probability > 0, torch.sigmoid(scale * logit + shift).float(), probability)


def home(maps: Maps, located: Located, recipe: Recipe, threshold: float | None = None) -> OnScan:
    """Bring the maps back to the scan's voxels, and mark the infarct there.

    threshold: on the probability on the scan's voxels; None takes the recipe's.
    """
    threshold = recipe.threshold if threshold is None else threshold
    volume, mask, matrix = located.volume, located.brain.mask, located.aligned_from_scan
    inside, voxel_ml = mask.data > 0, volume.grid.voxel_ml
    box = place = bounding_box(inside)
    found, total, pathological = carry_home(maps.stack, matrix, recipe.grid, inside)
    if not (recipe.network.zero_outside and threshold > 0):  # otherwise nothing is marked outside the brain's box
        place = tuple(slice(0, side) for side in inside.shape)
        found = _everywhere(found, maps, located, recipe)
    found = without_small(found, threshold, recipe.smallest_ml, voxel_ml)
    seen = np.count_nonzero(found >= threshold)
    release_memory()
    if recipe.calibration.parts:
        found = without_unlikely(found, threshold, volume, mask, matrix, recipe.calibration.parts)
    infarct = np.zeros(inside.shape, np.uint8)
    infarct[place] = found >= threshold
    left_out_ml = (seen - np.count_nonzero(infarct)) * voxel_ml
    return OnScan(infarct, found, place, box, total, pathological, threshold, left_out_ml)


def _everywhere(found: NDArray[np.float32], maps: Maps, located: Located, recipe: Recipe) -> NDArray[np.float32]:
    """The probability on all voxels of the scan. found: the probability in the box around the brain."""
    inside = located.brain.mask.data > 0
    if not recipe.network.zero_outside:
        return carry_home(maps.stack[:1], located.aligned_from_scan, recipe.grid, np.ones_like(inside))[0]
    probability = np.zeros(inside.shape, np.float32)
    probability[bounding_box(inside)] = found
    return probability


def _find_brain(volume: Volume, model: Model, strip: SkullStripper | None) -> Brain:
    """Find the brain with the given stripper, else the tissue network and its fallback, else the classical one."""
    if strip is not None:
        return Brain(strip(volume), getattr(strip, "__name__", type(strip).__name__))
    if model.tissue is None:
        return Brain(strip_skull(volume), CLASSICAL)
    return replace(find_brain(volume, model.tissue), tissue=None)  # not needed here, and as large as the scan


def box_corners(inside: Tensor, box: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Where brain boxes start: the centred box if it holds the brain, else two along each axis where it does not.

    inside: (D, H, W) bool, aligned. W is never shifted: the mid-plane stays in the middle.
    """
    starts: list[list[int]] = []
    for axis in (0, 1):
        used = inside.any(dim=tuple(a for a in range(3) if a != axis)).nonzero().flatten()
        size, side = inside.shape[axis], box[axis]
        centred = (size - side) // 2
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (centred, centred + side)
        if low >= centred and high <= centred + side:
            starts.append([centred])
        else:
            ends = {min(max(low, 0), size - side), min(max(high - side, 0), size - side)}
            starts.append(sorted(ends))
    return [(d, h, (inside.shape[2] - box[2]) // 2) for d in starts[0] for h in starts[1]]


def boxes_at_once(
    corners: list[tuple[int, int, int]], box: tuple[int, int, int], network: NetworkConfig
) -> list[list[tuple[slice, ...]]]:
    """The boxes that start at `corners`, in groups to give to the networks together.

    All in one group where the networks read slice by slice, so that shared slices are computed once; else one by one.
    """
    places = [tuple(slice(a, a + n) for a, n in zip(corner, box, strict=True)) for corner in corners]
    apart = {network.d_backbone, network.f_backbone} == {"slicewise"}
    return [places] if apart else [[place] for place in places]


def as_rigid(pose: Tensor) -> RigidTransform:
    """The first of a batch of poses (B, 4, 4)."""
    return RigidTransform(pose[0].double().cpu().numpy())


def aligned_from_scan(conformed: Conformed, pose: RigidTransform, grid: GridConfig) -> NDArray[np.float64]:
    """4 × 4: index of the scan in SPL order → LPS mm in the aligned frame (x > 0 is patient left)."""
    frame_from_model = np.linalg.inv(Grid.centred(grid.shape, grid.spacing_mm).index_from_frame)
    model_from_scan = np.linalg.inv(conformed.scan_index_from_model_index())
    return pose.inverse().matrix @ frame_from_model @ model_from_scan


def carry_home(
    maps: Tensor, mm_from_scan: NDArray[np.float64], grid: GridConfig, inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Resample aligned maps (C, D, H, W) once, linearly, onto the scan's voxels in SPL order; 0 where not `inside`.

    mm_from_scan: as returned by `aligned_from_scan`. grid: the maps' grid. Returns the bounding box of `inside`,
    (C, d, h, w).
    """
    matrix = torch.from_numpy(mm_from_scan).to(maps.device)
    sides = [n * s / 2 for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    matrix = matrix[:3] / torch.tensor(sides[::-1], dtype=matrix.dtype, device=maps.device)[:, None]
    depth, *crop = bounding_box(inside)
    y, x = (torch.arange(part.start, part.stop, dtype=matrix.dtype, device=maps.device) for part in crop)
    plane = y[:, None, None] * matrix[:, 1] + x[None, :, None] * matrix[:, 2] + matrix[:, 3]
    result = np.zeros((maps.shape[0], depth.stop - depth.start, len(y), len(x)), np.float32)
    for z in range(depth.start, depth.stop):
        place = np.nonzero(inside[z, crop[0], crop[1]])
        points = (plane[place] + float(z) * matrix[:, 0]).float()
        values = F.grid_sample(maps[None], points[None, None, None], align_corners=False)[0, :, 0, 0]
        result[:, z - depth.start][:, *place] = values.clamp(0, 1).cpu().numpy()
    return result
