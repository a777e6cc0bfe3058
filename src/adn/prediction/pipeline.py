"""`predict`: a head CT in, infarct and asymmetry maps out, all on the scan's own grid."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.asymmetry import SIGN
from adn.brain import CLASSICAL, Brain, TissueModel, find_brain, load_tissue
from adn.config import Recipe
from adn.errors import InputError, WeightsError
from adn.findings.hypodensity import relative_hypodensity
from adn.findings.measure import measure, without_small
from adn.findings.quality import bright_ml, cut_ends, inspect_mask, noise_hu
from adn.findings.territory import mni_from_aligned, territory_shares
from adn.io.weights import WeightsFile, find_weights, read_weights
from adn.nn.adn import ADN
from adn.nn.baselines import Baseline, build_model
from adn.nn.ensemble import Ensemble, join
from adn.nn.precision import choose_device, choose_precision, made_ready
from adn.nn.refine import refine_pose
from adn.prepare import Conformed, SkullStripper, conform, strip_skull
from adn.recipes import ensemble_from_toml, recipe_from_dict
from adn.results import (
    MAX_ASYMMETRY_HU,
    MAX_BRIGHT_ML,
    MAX_NOISE_HU,
    Prediction,
    Provenance,
    Quality,
    Scan,
    TerritoryShare,
)
from adn.space.geometry import Grid, RigidTransform, bounding_box, reorient_array
from adn.space.units import unit_to_hu
from adn.space.volume import Volume
from adn.space.warp import mirror, warp

log = logging.getLogger(__name__)
Progress = Callable[[str], None]
BRIGHT = (
    "These weights look for bright lesions, such as bleeds: read 'bright lesion' where files and report say 'infarct'."
)
STEPS = ("strip skull", "conform", "align", "disentangle and segment", "carry home", "measure")


@dataclass(frozen=True, eq=False)
class Model:
    """Networks ready to predict, with where they came from. precision: 'fp32' or 'bf16'.

    tissue: finds the brain; None: the classical stripper does.
    """

    network: ADN | Baseline | Ensemble
    recipe: Recipe
    weights: WeightsFile
    device: torch.device
    precision: str
    tissue: TissueModel | None = None


def load_model(weights: str | Path | None = None, device: str = "auto", precision: str = "auto") -> Model:
    """Load weights by name or path (None: the default that ships). Raises as `find_weights` does."""
    found, target = find_weights(weights), choose_device(device)
    parts = [_load_network(path) for path in found.members or (found.path,)]
    network, recipe = join(parts, ensemble_from_toml(found.path), found.name) if found.members else parts[0]
    tissue = load_tissue(device=device, precision=precision)
    return Model(made_ready(network, target), recipe, found, target, choose_precision(precision, target), tissue)


def _load_network(path: Path) -> tuple[ADN | Baseline, Recipe]:
    tensors, values = read_weights(path)
    recipe = recipe_from_dict(values)
    network = build_model(recipe)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: does not fit the networks of its recipe '{recipe.name}'.") from error
    return network, recipe


def predict(
    scan: Scan,
    model: Model,
    *,
    strip: SkullStripper | None = None,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Find the infarct in one scan.

    scan: from `open_scan`. strip: finds the brain; None: the tissue network, and the classical stripper where what that
    found is not plausible (docs/brain-and-tissue.md). threshold: on the probability after it went home; None takes the
    recipe's. progress: called with the name of each step (`STEPS`). Raises InputError where there is no brain.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        if progress:
            progress(name)
        start = time.perf_counter()
        yield
        seconds[name] = round(time.perf_counter() - start, 3)

    threshold = model.recipe.threshold if threshold is None else threshold
    volume = scan.volume.reoriented("SPL")
    try:
        with step("strip skull"):
            found = _find_brain(volume, model, strip)
            mask = found.mask
            remarks = (*found.warnings, *inspect_mask(volume, mask))
        with step("conform"):
            conformed = conform(volume, mask, model.recipe.grid)
    except InputError as error:
        raise InputError(f"{scan.name}: {error}") from error
    with torch.inference_mode(False), torch.no_grad():
        brain = torch.from_numpy(conformed.brain.data)[None, None].to(model.device)
        with step("align"):
            pose_network = model.network.align(brain)
            pose = refine_pose(model.network.align, brain, pose_network, model.recipe)
        with step("disentangle and segment"):
            maps = infer_maps(model, brain, pose)
    refined = RigidTransform(pose[0].double().cpu().numpy())
    with step("carry home"):
        inside = mask.data > 0
        probability, total, pathological = carry_home(maps, conformed, refined, model.recipe, inside)
        network, window = model.recipe.network, model.recipe.grid.window_hu
        if not network.zero_outside:
            everywhere = np.ones_like(inside)
            probability = carry_home(maps[:1], conformed, refined, model.recipe, everywhere)[0]
        box = bounding_box(inside)  # most of a scan lies outside
        a_hu, whole_p_hu = unit_to_hu(total[box], window), unit_to_hu(pathological[box], window)
        p_hu = np.minimum(whole_p_hu, a_hu)
        # what is added to the scan is the recipe's own P and Q, which may go further than the maps' share of A
        filled_q_hu = a_hu - (p_hu if network.clamp_q else whole_p_hu)
        filled_p_hu = p_hu if network.clamp_compensated else whole_p_hu
        sign = SIGN[network.polarity]
        probability = without_small(probability, threshold, model.recipe.smallest_ml, volume.grid.voxel_ml)
        infarct = (probability >= threshold).astype(np.uint8)

    def on_scan(data: NDArray, unit: str) -> Volume:
        return Volume(reorient_array(data, "SPL", scan.volume.grid.axes), scan.volume.grid, unit)

    def added(values: NDArray, ground: NDArray) -> Volume:
        ground[box] += values
        return on_scan(ground, "HU")

    def spread(values: NDArray) -> Volume:
        return added(values, np.zeros(inside.shape, np.float32))

    with step("measure"):
        aligned = aligned_from_scan(conformed, refined, model.recipe)
        measurements = measure(infarct, volume, mask, aligned)
        hypodensity = relative_hypodensity(volume, mask, aligned)
        if sign < 0:
            hypodensity = -hypodensity
        territories: tuple[TerritoryShare, ...] = ()
        if infarct.any():
            mni = mni_from_aligned(volume, mask, aligned) @ aligned
            territories = territory_shares(infarct, volume.grid.voxel_ml, mni)
        quality = _quality(volume, mask, brain, pose, model.recipe)
    if "I" in scan.volume.grid.axes:  # the file stores its slices downwards
        last = volume.grid.shape[0] - 1
        measurements = replace(measurements, slices=tuple(sorted(last - i for i in measurements.slices)))
    return Prediction(
        case=scan.name,
        scan=scan,
        infarct=on_scan(infarct, "label"),
        infarct_probability=on_scan(probability, "1"),
        brain_mask=on_scan(inside.astype(np.uint8), "label"),
        asymmetry_total=spread(a_hu),
        asymmetry_pathological=spread(p_hu),
        asymmetry_intrinsic=spread(a_hu - p_hu),
        salient=added(sign * filled_q_hu, volume.data.copy()),
        compensated=added(sign * filled_p_hu, volume.data.copy()),
        pose_network=RigidTransform(pose_network[0].double().cpu().numpy()),
        pose=refined,
        measurements=measurements,
        provenance=_provenance(model, threshold, seconds, found.stripper),
        relative_hypodensity=on_scan(hypodensity, "1"),
        quality=quality,
        territories=territories,
        aligned_from_scan=aligned @ _spl_from_stored(scan.volume.grid),
        warnings=(*scan.warnings, *remarks, *doubts(quality, network.polarity), *method_remarks(model.recipe)),
        polarity=network.polarity,
    )


def _find_brain(volume: Volume, model: Model, strip: SkullStripper | None) -> Brain:
    """By the stripper given, else by the tissue network with its fallback, else the classical one."""
    if strip is not None:
        return Brain(strip(volume), getattr(strip, "__name__", type(strip).__name__))
    if model.tissue is None:
        return Brain(strip_skull(volume), CLASSICAL)
    return replace(find_brain(volume, model.tissue), tissue=None)  # not needed here, and as large as the scan


def infer_maps(model: Model, brain: Tensor, pose: Tensor) -> Tensor:
    """Probability, A and P on the aligned model grid, (3, D, H, W), from one brain box or overlapping ones."""
    grid, network = model.recipe.grid, model.network
    aligned = warp(brain, pose, grid.spacing_mm)
    box = grid.box or grid.shape
    total = torch.zeros((3, *grid.shape), device=brain.device)
    count = torch.zeros(grid.shape, device=brain.device)
    for corner in box_corners(aligned[0, 0] > 0, box):
        place = tuple(slice(a, a + n) for a, n in zip(corner, box, strict=True))
        with torch.autocast(brain.device.type, torch.bfloat16, enabled=model.precision == "bf16"):
            output = network.from_aligned(aligned[(..., *place)], pose)
        parts = output.parts
        maps = [output.infarct_probability_aligned, parts.total_asymmetry, parts.pathological_asymmetry]
        total[(slice(None), *place)] += torch.cat(maps)[:, 0]
        count[place] += 1
    return total / count.clamp(min=1)


def box_corners(inside: Tensor, box: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Where brain boxes start: the centred box if it holds the brain, else two along each axis that it does not fit.

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


def aligned_from_scan(conformed: Conformed, pose: RigidTransform, recipe: Recipe) -> NDArray[np.float64]:
    """4 × 4: index of the scan in SPL order → LPS mm in the aligned frame (x > 0 is patient left)."""
    local = Grid.centred(recipe.grid.shape, recipe.grid.spacing_mm)
    frame_from_model = np.linalg.inv(local.index_from_frame)
    model_from_scan = np.linalg.inv(conformed.scan_index_from_model_index())
    return pose.inverse().matrix @ frame_from_model @ model_from_scan


def carry_home(
    maps: Tensor, conformed: Conformed, pose: RigidTransform, recipe: Recipe, inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Aligned maps (C, D, H, W) on the scan's voxels in SPL order, one linear resampling, 0 outside the brain."""
    matrix = torch.from_numpy(aligned_from_scan(conformed, pose, recipe)).to(maps.device)
    sides = [n * s / 2 for n, s in zip(recipe.grid.shape, recipe.grid.spacing_mm, strict=True)]
    matrix = matrix[:3] / torch.tensor(sides[::-1], dtype=matrix.dtype, device=maps.device)[:, None]
    result = np.zeros((maps.shape[0], *inside.shape), np.float32)
    rows, columns = (np.flatnonzero(inside.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    y = torch.arange(rows[0], rows[-1] + 1, dtype=matrix.dtype, device=maps.device)
    x = torch.arange(columns[0], columns[-1] + 1, dtype=matrix.dtype, device=maps.device)
    plane = y[:, None, None] * matrix[:, 1] + x[None, :, None] * matrix[:, 2] + matrix[:, 3]
    crop = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    for z in np.flatnonzero(inside.any(axis=(1, 2))):
        points = (plane + float(z) * matrix[:, 0]).float()
        values = F.grid_sample(maps[None], points[None, None], align_corners=False)[0, :, 0].clamp(0, 1).cpu().numpy()
        result[:, z, crop[0], crop[1]] = values * inside[z, crop[0], crop[1]]
    return result


def _quality(volume: Volume, mask: Volume, brain: Tensor, pose: Tensor, recipe: Recipe) -> Quality:
    """brain: (1, 1, D, H, W) on the model grid. volume, mask: the scan in SPL order."""
    depth, height, width = recipe.grid.spacing_mm
    coarse = F.avg_pool3d(brain, (1, 2, 2))
    aligned = warp(coarse, pose, (depth, 2 * height, 2 * width))
    lower, upper = recipe.grid.window_hu

    def mean_difference_hu(x: Tensor) -> float:
        return float((x - mirror(x)).abs().sum() / (x > 0).sum().clamp(min=1)) * (upper - lower)

    base_cut, vertex_cut = cut_ends(mask)
    return Quality(
        brain_ml=float((mask.data > 0).sum()) * mask.grid.voxel_ml,
        asymmetry_before_hu=mean_difference_hu(coarse),
        asymmetry_after_hu=mean_difference_hu(aligned),
        noise_hu=noise_hu(volume, mask),
        base_cut=base_cut,
        vertex_cut=vertex_cut,
        bright_ml=bright_ml(volume, mask),
    )


def doubts(quality: Quality, polarity: str) -> list[str]:
    """Warnings about a prediction as a whole."""
    found = []
    if polarity == "bright":
        found.append(BRIGHT)
    elif quality.bright_ml > MAX_BRIGHT_ML:
        found.append(
            f"{quality.bright_ml:.1f} mL in the brain measure 55 to 95 HU, away from bone: this may be blood. "
            "Bleeding is not assessed: look for it before anything else."
        )
    if quality.noise_hu > MAX_NOISE_HU:
        found.append(
            f"The scan is noisy ({quality.noise_hu:.0f} HU in tissue): early infarcts are hard to tell from noise."
        )
    if quality.asymmetry_after_hu > MAX_ASYMMETRY_HU:
        found.append(
            f"The two hemispheres differ a lot after alignment ({quality.asymmetry_after_hu:.0f} HU on average): "
            "the alignment may have failed, or the brain is deformed."
        )
    return found


def method_remarks(recipe: Recipe) -> list[str]:
    """What must be known of predictions by another method than ADN."""
    if recipe.method == "adn":
        return []
    aligned = "" if recipe.align.apply else " It takes the head as it lies, so sides and asymmetries are rough."
    return [f"The method '{recipe.method}' does not disentangle: P is the asymmetry where it marks.{aligned}"]


def _spl_from_stored(grid: Grid) -> NDArray[np.float64]:
    """4 × 4: array index as stored → array index in SPL order. Whole numbers: axes move and turn round."""
    return np.rint(np.linalg.inv(grid.reoriented("SPL").affine) @ grid.affine) + 0.0


def _provenance(model: Model, threshold: float, seconds: dict[str, float], stripper: str) -> Provenance:
    names = ("torch", "numpy", "nibabel", "SimpleITK", "dcm2niix")
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
    return Provenance(
        adn_version=metadata.version("adn-stroke"),
        recipe=model.recipe.name,
        weights=model.weights.name,
        weights_sha256=model.weights.sha256,
        precision=model.precision,
        device=model.device.type,
        threshold=threshold,
        versions=versions,
        seconds=seconds,
        stripper=stripper,
    )
