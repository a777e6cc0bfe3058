"""`predict`: a head CT in, infarct and asymmetry maps out, all on the scan's own grid."""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib import metadata

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.answers import AnswerOptions
from adn.asymmetry import SIGN
from adn.config import Recipe
from adn.findings.age import old_parts
from adn.findings.answers import Known, answer
from adn.findings.assessable import assess
from adn.findings.hypodensity import relative_hypodensity
from adn.findings.measure import measure, volume_interval
from adn.findings.quality import (
    bright_ml,
    cut_ends,
    finding_remarks,
    left_out_remarks,
    mask_remarks,
    mass_remarks,
    method_remarks,
    noise_hu,
    old_remarks,
    quality_remarks,
)
from adn.findings.territory import can_register, mni_from_aligned, territory_shares
from adn.findings.tissue_levels import level_remarks
from adn.findings.twins import twins_of
from adn.io.converter import converter_version
from adn.prediction.model import Model
from adn.prediction.pipeline import Located, OnScan, Steps, as_rigid, home, infer, locate
from adn.prepare import SkullStripper
from adn.remarks import Remark, blocking
from adn.results import (
    Measurements,
    Prediction,
    Provenance,
    Quality,
    Scan,
)
from adn.space.geometry import Grid, reorient_array, reorient_box
from adn.space.units import unit_to_hu
from adn.space.volume import BoxVolume, Volume
from adn.space.warp import mirror, warp
from adn.work.memory import release_memory
from adn.work.progress import StepProgress


def predict(
    scan: Scan,
    model: Model,
    *,
    strip: SkullStripper | None = None,
    threshold: float | None = None,
    progress: StepProgress | None = None,
    options: AnswerOptions | None = None,
) -> Prediction:
    """Find the infarct in one scan.

    scan: from `open_scan`. strip: finds the brain; None: the tissue network, or the classical stripper where its result
    is not plausible (docs/brain-and-tissue.md). threshold: on the probability on the scan's voxels; None takes the
    recipe's. progress: called with the name of each step (`pipeline.STEPS`). options: the user's choices about the
    answers. Raises InputError where there is no brain.
    """
    steps = Steps(progress)
    located = locate(scan, model, strip=strip, steps=steps)
    with steps.step("disentangle and segment"):
        maps = infer(located, model)
    with steps.step("carry home"):
        on_scan = home(maps, located, model.recipe, threshold)
    del maps
    prediction = assemble(scan, located, on_scan, model, steps, options)
    release_memory()
    return prediction


def assemble(
    scan: Scan,
    located: Located,
    on_scan: OnScan,
    model: Model,
    steps: Steps | None = None,
    options: AnswerOptions | None = None,
) -> Prediction:
    """Measure what was found in a scan, and put everything on the axes of its file. steps: times the measuring."""
    steps, options = steps or Steps(), options or AnswerOptions()
    volume, mask, recipe = located.volume, located.brain.mask, model.recipe
    polarity = recipe.network.polarity
    with steps.step("measure"):
        mni = mni_from_scan(located)
        quality, remarks = judge(scan, located, recipe, mni)
        twins, old_ml = None, 0.0
        if not blocking(remarks):
            twins = twins_of(volume, mask, on_scan.infarct, located.aligned_from_scan)
            old = old_parts(twins, on_scan.infarct) if polarity == "dark" else np.zeros(mask.data.shape, bool)
            old_ml = float(old.sum()) * volume.grid.voxel_ml
            if old_ml and not options.keep_old:
                on_scan = unmarked(old, on_scan)
                twins = twins_of(volume, mask, on_scan.infarct, located.aligned_from_scan)
        hypodensity = SIGN[polarity] * relative_hypodensity(volume, mask, located.aligned_from_scan)
        measurements = measure(on_scan.infarct, volume, mask, located.aligned_from_scan)
        if errors := recipe.calibration.volume_errors:
            measurements = replace(measurements, volume_interval_ml=volume_interval(measurements.volume_ml, errors))
        territories = () if mni is None else territory_shares(on_scan.infarct, volume.grid.voxel_ml, mni)
        remarks = (
            *remarks,
            *old_remarks(old_ml, left_out=not options.keep_old),
            *left_out_remarks(on_scan.left_out_ml),
            *finding_remarks(measurements, as_rigid(located.pose), places=mni is not None),
            *method_remarks(recipe.method, aligns=recipe.align.apply),
        )
        frame = None if mni is None else mni @ np.linalg.inv(located.aligned_from_scan)
        known = Known(remarks, quality.bright_ml, measurements.volume_interval_ml, options, old_ml)
        answers = answer(volume, mask, twins, located.aligned_from_scan, frame, known)
        remarks = (*remarks, *mass_remarks(answers.mass_like))
    return Prediction(
        case=scan.name,
        scan=scan,
        infarct=_as_filed(on_scan.infarct, scan, "label"),
        infarct_probability=_box_as_filed(on_scan.found, on_scan.place, scan, "1"),
        brain_mask=_as_filed((mask.data > 0).astype(np.uint8), scan, "label"),
        **_asymmetries(scan, located, on_scan, recipe),
        pose_network=as_rigid(located.pose_network),
        pose=as_rigid(located.pose),
        measurements=_slices_as_filed(measurements, scan.volume.grid),
        provenance=_provenance(model, on_scan.threshold, steps.seconds, located.brain.stripper),
        relative_hypodensity=_box_as_filed(hypodensity, on_scan.box, scan, "1"),
        quality=quality,
        territories=territories,
        aligned_from_scan=located.aligned_from_scan @ _spl_from_stored(scan.volume.grid),
        remarks=remarks,
        polarity=polarity,
        answers=answers,
        mni_from_aligned=frame,
    )


def unmarked(part: NDArray[np.bool_], on_scan: OnScan) -> OnScan:
    """Unmark a part: lower its probability to just below the threshold, so that no mask made from it shows the part."""
    below = np.nextafter(np.float32(on_scan.threshold), np.float32(0))
    infarct, found, own = on_scan.infarct.copy(), on_scan.found.copy(), part[on_scan.place]
    infarct[part], found[own] = 0, np.minimum(found[own], below)
    return replace(on_scan, infarct=infarct, found=found)


def judge(
    scan: Scan, located: Located, recipe: Recipe, mni: NDArray[np.float64] | None
) -> tuple[Quality, tuple[Remark, ...]]:
    """Quality of a scan and the remarks it calls for, before any finding; blocking ones make it not assessable.

    mni: from `mni_from_scan`.
    """
    volume, mask = located.volume, located.brain.mask
    release_memory()
    quality = _quality(located, recipe)
    remarks = (
        *scan.remarks,
        *located.brain.remarks,
        *mask_remarks(volume, mask),
        *assess(volume, mask, located.aligned_from_scan),
        *(() if mni is None else level_remarks(volume, mask, mni)),
        *quality_remarks(quality, recipe.network.polarity),
    )
    release_memory()
    return quality, remarks


def _asymmetries(scan: Scan, located: Located, on_scan: OnScan, recipe: Recipe) -> dict[str, Volume]:
    """A, P, Q, X̂ and X̃ in HU on the axes of the scan's file, by their names in `Prediction`."""
    release_memory()
    window, network, box = recipe.grid.window_hu, recipe.network, on_scan.box
    a_hu, whole_p_hu = unit_to_hu(on_scan.total, window), unit_to_hu(on_scan.pathological, window)
    p_hu = np.minimum(whole_p_hu, a_hu)
    q_hu = a_hu - p_hu
    sign, ct = SIGN[network.polarity], located.volume.data[box]
    # what is added to the scan is the recipe's own P and Q, which may exceed the maps' share of A
    salient = sign * (q_hu if network.clamp_q else a_hu - whole_p_hu)
    salient += ct
    compensated = sign * (p_hu if network.clamp_compensated else whole_p_hu)
    compensated += ct
    return {
        "asymmetry_total": _box_as_filed(a_hu, box, scan, "HU"),
        "asymmetry_pathological": _box_as_filed(p_hu, box, scan, "HU"),
        "asymmetry_intrinsic": _box_as_filed(q_hu, box, scan, "HU"),
        "salient": _box_as_filed(salient, box, scan, "HU", scan_around=True),
        "compensated": _box_as_filed(compensated, box, scan, "HU", scan_around=True),
    }


def _as_filed(data: NDArray, scan: Scan, unit: str) -> Volume:
    """An array in SPL order as a volume on the axes of the scan's file."""
    return Volume(reorient_array(data, "SPL", scan.volume.grid.axes), scan.volume.grid, unit)


def _box_as_filed(
    values: NDArray[np.float32], box: tuple[slice, ...], scan: Scan, unit: str, *, scan_around: bool = False
) -> Volume:
    """The same for values in a box in SPL order. scan_around: fill the rest from the scan, else with 0."""
    grid = scan.volume.grid
    place = reorient_box(box, grid.reoriented("SPL").shape, "SPL", grid.axes)
    return BoxVolume(reorient_array(values, "SPL", grid.axes), place, scan.volume, unit, scan_around=scan_around)


def _slices_as_filed(measurements: Measurements, grid: Grid) -> Measurements:
    """The measurements with slices numbered as the file stores them, which may be downwards."""
    if "I" not in grid.axes:
        return measurements
    last = grid.shape[grid.axes.index("I")] - 1
    return replace(measurements, slices=tuple(sorted(last - i for i in measurements.slices)))


def mni_from_scan(located: Located) -> NDArray[np.float64] | None:
    """4 × 4: array index → MNI, LPS mm; None where the scan shows too little of the head for registration."""
    volume, mask, aligned = located.volume, located.brain.mask, located.aligned_from_scan
    return mni_from_aligned(volume, mask, aligned) @ aligned if can_register(mask) else None


def _quality(located: Located, recipe: Recipe) -> Quality:
    volume, mask = located.volume, located.brain.mask
    depth, height, width = recipe.grid.spacing_mm
    coarse = F.avg_pool3d(located.image, (1, 2, 2))
    aligned = warp(coarse, located.pose, (depth, 2 * height, 2 * width))
    base_cut, vertex_cut = cut_ends(mask)
    return Quality(
        brain_ml=float((mask.data > 0).sum()) * mask.grid.voxel_ml,
        asymmetry_before_hu=_mean_difference_hu(coarse, recipe),
        asymmetry_after_hu=_mean_difference_hu(aligned, recipe),
        noise_hu=noise_hu(volume, mask),
        base_cut=base_cut,
        vertex_cut=vertex_cut,
        bright_ml=bright_ml(volume, mask),
    )


def _mean_difference_hu(brain: Tensor, recipe: Recipe) -> float:
    """Mean difference, HU per brain voxel, between a brain (1, 1, D, H, W) and its mirror image."""
    lower, upper = recipe.grid.window_hu
    return float((brain - mirror(brain)).abs().sum() / (brain > 0).sum().clamp(min=1)) * (upper - lower)


def _spl_from_stored(grid: Grid) -> NDArray[np.float64]:
    """4 × 4: array index as stored → array index in SPL order. Whole numbers: axes are permuted and flipped."""
    return np.rint(np.linalg.inv(grid.reoriented("SPL").affine) @ grid.affine) + 0.0


def _provenance(model: Model, threshold: float, seconds: dict[str, float], stripper: str) -> Provenance:
    names = ("torch", "numpy", "nibabel", "SimpleITK")
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
    versions["dcm2niix"] = converter_version()
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
        licence=model.weights.licence,
    )
