"""Inspects one case before training and reports each problem with its cause and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.datasets.labels import read_label_image
from adn.datasets.layouts import Case
from adn.datasets.orientation import SURE, SUSPECT, best_flip, fits
from adn.datasets.problems import OF_MASK, UNREADABLE, VALUES, Finding, Label, Problem
from adn.errors import InputError
from adn.findings.quality import mask_remarks
from adn.io import open_scan
from adn.io.choice import choose
from adn.io.digest import sha256
from adn.io.head_ct import NotHounsfieldError
from adn.io.series import folder_files, read_headers
from adn.io.stacks import gaps_mm
from adn.prepare import strip_skull
from adn.results import Scan
from adn.space.labels import TissueLabel
from adn.space.volume import Volume

_CONTENT_HU = (0, 80)  # brain range that is hashed as content, regardless of what a converter did to air and bone
_OUTSIDE_SHARE, _OUTSIDE_SURE = 0.1, 0.5  # shares of a mask outside the brain
_BRAIN_MEAN_HU = (5.0, 75.0)
_GAP = 1.5  # a gap this many times wider than both neighbouring ones means a lost slice


@dataclass(frozen=True)
class Inspection:
    """The result for one case. content, mask_content: hashes of its HU and of its mask; None if unreadable or empty.

    fit: see `adn.datasets.orientation.fits`. scan, infarct: for a picture; infarct is None if it is on another grid.
    """

    case: Case
    findings: tuple[Finding, ...]
    size: str = ""
    infarct_ml: float | None = None
    content: str | None = None
    mask_content: str | None = None
    fit: Mapping[str, float] = field(default_factory=dict)
    scan: Volume | None = None
    infarct: Volume | None = None


def inspect_case(case: Case) -> Inspection:
    """Inspect one case on its own. Every problem becomes a finding; nothing is raised for bad input."""
    notes = _Notes(case.name)
    try:
        scan = open_scan(case.ct)
    except NotHounsfieldError as error:
        notes.add("not HU", True, str(error), "Export the CT again with its rescale slope and intercept applied.")
        return Inspection(case, tuple(notes.found))
    except InputError as error:
        notes.add("unreadable CT", True, str(error), "Copy or convert the scan again, or leave the case out.")
        return Inspection(case, tuple(notes.found))
    volume = scan.volume.reoriented("SPL")
    size = "×".join(str(n) for n in volume.grid.shape) + " of " + "×".join(f"{s:.3g}" for s in volume.grid.spacing_mm)
    brain = _brain(case, scan, notes)
    seen = _seen(case, volume, notes)
    _slices(case, scan, volume, brain, seen, notes)
    _contrast(scan, notes)
    infarct = _infarct(case, volume, seen, notes)
    fit: dict[str, float] = {}
    if infarct is not None and brain is not None:
        fit = _place(case, volume, brain, infarct, notes)
    if case.tissue:
        _labels(case.tissue, "tissue map", tuple(TissueLabel), volume, notes)
    if case.ignore:
        _labels(case.ignore, "ignore mask", (0, 1), volume, notes)
    return Inspection(
        case,
        tuple(notes.found),
        f"{size} mm",
        None if infarct is None else float(infarct.data.sum()) * volume.grid.voxel_ml,
        _content(volume),
        sha256(infarct.data.tobytes()) if infarct is not None and infarct.data.any() else None,
        fit,
        volume,
        infarct,
    )


class _Notes:
    """Collects the findings of one case."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[Finding] = []

    def add(self, kind: Problem, blocks: bool, cause: str, remedy: str) -> None:
        self.found.append(Finding(self.name, kind, blocks, cause, remedy))


def _brain(case: Case, scan: Scan, notes: _Notes) -> NDArray[np.bool_] | None:
    """The brain mask (SPL): the case's own if usable, else from skull stripping; None if there is neither."""
    volume = scan.volume.reoriented("SPL")
    given = _labels(case.brain, "brain mask", (0, 1), volume, notes) if case.brain else None
    if given is not None and given.data.any():
        mean = float(volume.data[given.data > 0].mean())
        if _BRAIN_MEAN_HU[0] <= mean <= _BRAIN_MEAN_HU[1]:
            mask = given
        else:
            notes.add(
                "brain mask",
                True,
                f"The scan's mean under the brain mask is {mean:.0f} HU: this is not brain.",
                "Check its orientation, or delete the file: adn then strips the skull itself.",
            )
            return None
    else:
        if given is not None:
            notes.add("brain mask", True, "The brain mask is empty.", "Delete the file: adn then strips the skull.")
        try:
            mask = strip_skull(volume)
        except InputError as error:
            notes.add("no brain", True, str(error), "Leave the case out, or give a brain mask (brain.nii.gz).")
            return None
    for remark in mask_remarks(volume, mask):
        remedy = "Look at the picture; leave the case out if it is no whole non-contrast head."
        notes.add(OF_MASK[remark.kind], False, remark.sentence, remedy)
    return mask.data > 0


def _labels(path: Path, what: Label, allowed: Sequence[int], volume: Volume, notes: _Notes) -> Volume | None:
    """A label image on the scan's grid (SPL, uint8), or None after noting what is wrong."""
    try:
        labels = read_label_image(path).reoriented("SPL")
    except InputError as error:
        notes.add(UNREADABLE[what], True, str(error), "Save the file again as NIfTI.")
        return None
    values = np.unique(labels.data)
    strange = [value for value in values if value not in allowed]
    if strange:
        some = ", ".join(f"{value:g}" for value in values[:6]) + (", …" if len(values) > 6 else "")
        how = (
            "Resample with nearest neighbour, not linear."
            if any(value != int(value) for value in strange)
            else f"Save it with the values {', '.join(map(str, allowed))} only."
        )
        notes.add(VALUES[what], True, f"{path.name} holds {some}; needed {', '.join(map(str, allowed))} only.", how)
    if not labels.grid.same_as(volume.grid):
        _differing_grids(path, what, labels, volume, notes)
        return None
    return None if strange else labels.with_data(labels.data.astype(np.uint8))


def _seen(case: Case, volume: Volume, notes: _Notes) -> NDArray[np.bool_]:
    """Which slices (SPL) were acquired: all of them if the case does not say."""
    seen = _labels(case.seen, "mask of what was seen", (0, 1), volume, notes) if case.seen else None
    if seen is None:
        return np.ones(len(volume.data), bool)
    acquired = np.asarray(seen.data.any(axis=(1, 2)))
    if not acquired.any():
        notes.add("nothing seen", True, "seen.nii.gz is empty: no slice was acquired.", "Save it again, or delete it.")
    elif not acquired.all():
        cause = f"Of {len(acquired)} slices {acquired.sum()} were acquired; the others are not trained on or scored."
        notes.add("part of a head", False, cause, "Nothing to do if seen.nii.gz is right.")
    return acquired


def _differing_grids(path: Path, what: Label, labels: Volume, volume: Volume, notes: _Notes) -> None:
    if labels.grid.shape != volume.grid.shape:
        cause = f"{path.name} lies on {labels.grid}, its CT on {volume.grid}."
        remedy = "Resample it to the CT (nearest neighbour); for DICOM, first write the CT with 'adn data export'."
    else:
        away = float(np.linalg.norm(labels.grid.centre_mm - volume.grid.centre_mm))
        cause = f"{path.name} has the CT's shape, but its header places it elsewhere (centres {away:.1f} mm apart)."
        remedy = "If it was drawn on this CT, give it the CT's header (affine); else resample it (nearest neighbour)."
    notes.add("grids differ", True, cause, f"{remedy} ({what})")


def _infarct(case: Case, volume: Volume, seen: NDArray[np.bool_], notes: _Notes) -> Volume | None:
    """The infarct mask, restricted to acquired slices."""
    if case.infarct is None:
        notes.add(
            "no mask",
            False,
            "There is no infarct mask, so the case is not trained on.",
            "Add <case>/infarct.nii.gz; an empty mask says that there is no infarct.",
        )
        return None
    infarct = _labels(case.infarct, "infarct mask", (0, 1), volume, notes)
    if infarct is not None and not infarct.data.any():
        notes.add(
            "empty mask",
            False,
            f"{case.infarct.name} is empty: the case counts as a patient without infarct.",
            "Keep it if that is right; otherwise save the mask again.",
        )
    return None if infarct is None else infarct.with_data(infarct.data * seen[:, None, None])


def _place(case: Case, volume: Volume, brain: NDArray[np.bool_], infarct: Volume, notes: _Notes) -> dict[str, float]:
    """Note a mask that looks flipped or lies outside the brain; return its fit (see `orientation.fits`)."""
    mask = infarct.data > 0
    fit = fits(volume.data, brain, mask, volume.grid.spacing_mm)
    flip, gain = best_flip(fit)
    if gain >= SUSPECT:
        name = case.infarct.name if case.infarct else "The mask"
        certainty = "fits the scan only" if gain >= SURE else "would fit the scan better"
        notes.add(
            "flipped mask",
            gain >= SURE,
            f"{name} {certainty} after {flip} (by {gain:.1f} HU).",
            "Look at the picture; flip the mask's array and keep its header, or convert scan and mask with one tool.",
        )
    elif mask.any() and (outside := float((mask & ~brain).sum() / mask.sum())) > _OUTSIDE_SHARE:
        notes.add(
            "outside the brain",
            outside > _OUTSIDE_SURE,
            f"{outside:.0%} of the mask lies outside the brain.",
            "Look at the picture: a mask of another scan, or of another grid?",
        )
    return fit


def _slices(
    case: Case,
    scan: Scan,
    volume: Volume,
    brain: NDArray[np.bool_] | None,
    seen: NDArray[np.bool_],
    notes: _Notes,
) -> None:
    """Note missing, blank or repeated slices among the acquired ones, and remarks from reading the scan."""
    remedy = "Export the whole series again; if slices are lost, leave the case out."
    if scan.source == "dicom" and case.ct.suffix != ".zip":
        series, _ = choose(read_headers(folder_files(case.ct)), case.ct)
        gaps = gaps_mm(series)
        holes = missing_slices(gaps)
        if holes:
            where = ", ".join(f"{gaps[i]:.1f} mm after slice {i + 1}" for i in holes)
            notes.add(
                "slices missing", True, f"Between slices {np.median(gaps):.1f} mm apart there are {where}.", remedy
            )
    used = np.flatnonzero(brain.any(axis=(1, 2))) if brain is not None else np.arange(len(volume.data))
    looked_at = [int(i) for i in range(used[0], used[-1] + 1) if seen[i]]
    blank = [i for i in looked_at if volume.data[i].min() == volume.data[i].max()]
    twice = [
        i
        for i in looked_at
        if i + 1 in looked_at and i not in blank and np.array_equal(volume.data[i], volume.data[i + 1])
    ]
    if blank:
        notes.add("slices missing", True, f"Slices {_listing(blank)} (from below, from 0) hold one value only.", remedy)
    if twice:
        notes.add("slices missing", True, f"Slices {_listing(twice)} (from below, from 0) equal the next one.", remedy)
    for remark in scan.remarks:
        if remark.kind not in ("contrast_recorded", "contrast_seen"):  # see `_contrast`
            notes.add("reading", False, remark.sentence, "Nothing to do if the picture looks right.")


def missing_slices(gaps_mm: NDArray) -> list[int]:
    """Indices of gaps much wider than both neighbours, where a slice is lost (protocols change the gap only once)."""
    return [
        i
        for i, gap in enumerate(gaps_mm)
        if len(gaps_mm) > 2 and gap > _GAP * max(gaps_mm[j] for j in (i - 1, i + 1) if 0 <= j < len(gaps_mm))
    ]


def _listing(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")


def _contrast(scan: Scan, notes: _Notes) -> None:
    remedy = "adn is made for non-contrast CT: take the scan from before the injection, or leave the case out."
    for remark in scan.remarks:
        if remark.kind == "contrast_recorded":
            notes.add("contrast agent", True, "The DICOM headers record a contrast agent.", remedy)
        if remark.kind == "contrast_seen":
            notes.add("contrast agent", False, remark.sentence, remedy)


def _content(volume: Volume) -> str:
    """A hash of the scan's content, independent of file format, axis order, and treatment of air and bone."""
    values = np.clip(np.rint(volume.data), *_CONTENT_HU).astype(np.uint8)
    return sha256(f"{values.shape}", values.tobytes())
