"""Imports tissue maps made by other programs: SPM12's c1, c2 and c3, or any label image with a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.datasets.labels import read_label_image
from adn.errors import InputError
from adn.io import open_scan, write_volume
from adn.space.labels import TISSUES, TissueLabel
from adn.space.volume import Volume

_BY_NAME = {tissue.name: tissue for tissue in TISSUES}
SPM12 = ("c1", "c2", "c3")  # prefixes of GM, WM and CSF probabilities
MIN_BRAIN = 0.5  # minimum sum of the three probabilities
ROUNDED_MM = 0.1  # SPM and FreeSurfer round affines in their own ways
MIN_SHARE = 0.05  # minimum share of GM, and of WM, among labelled voxels; less means a wrong mapping

# FreeSurferColorLUT.txt: aseg, the parcels of aparc and wmparc
_CORTEX = (*range(1000, 3000), *range(11100, 13000))
_FREESURFER = {
    TissueLabel.GM: (3, *range(8, 14), 17, 18, 19, 20, 26, 27, 42, *range(47, 57), 58, 59, *_CORTEX),
    TissueLabel.WM: (2, 7, 16, 28, 41, 46, 60, 77, 78, 79, 85, *range(251, 256), *range(3000, 5003)),
    TissueLabel.CSF: (4, 5, 14, 15, 24, 31, 43, 44, 63, 72),
}
FREESURFER = {label: tissue for tissue, labels in _FREESURFER.items() for label in labels}


def parse_labels(text: str) -> dict[int, TissueLabel]:
    """Parse 'freesurfer', or 'LABEL=TISSUE,…' such as '1=GM,2=WM,3=CSF', into a tissue per label. Raises InputError."""
    if text.strip().lower() == "freesurfer":
        return dict(FREESURFER)
    try:
        pairs = [pair.split("=") for pair in text.split(",") if pair.strip()]
        mapping = {int(label): _BY_NAME[name.strip().upper()] for label, name in pairs}
    except (ValueError, KeyError):
        mapping = {}
    if not set(TISSUES[:2]) <= set(mapping.values()):
        raise InputError(
            f"A mapping of labels is 'freesurfer' or like '1=GM,2=WM,3=CSF', with GM and WM; got '{text}'."
        )
    return mapping


def import_tissue(
    case: Path, source: str | None = None, labels: Mapping[int, int] | None = None, overwrite: bool = False
) -> Path:
    """Write `tissue.nii.gz` (1 GM, 2 WM, 3 CSF, on the CT's grid) into a case folder; return its path.

    case: a folder with `ct.nii.gz`. source: name of a label image in that folder, read with `labels`; None: SPM12's
    probabilities, in files there that begin with c1, c2 and c3. Labels without a mapping count as outside the brain.
    Raises InputError if a file is missing, is on another grid, or cannot be such a map.
    """
    ct, out = case / "ct.nii.gz", case / "tissue.nii.gz"
    if not ct.is_file():
        raise InputError("needs a case folder with ct.nii.gz; give the folder that holds the CT and its maps.", case)
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already; set `overwrite` to replace it.")
    scan = open_scan(ct).volume
    if source is None:
        data = _from_probabilities(case, scan)
    elif labels is None:
        raise InputError("a label image needs its mapping, such as `labels` freesurfer.", case / source)
    else:
        data = _from_labels(case / source, labels, scan)
    write_volume(scan.with_data(data, "label"), out)
    return out


def _from_probabilities(case: Path, scan: Volume) -> NDArray[np.uint8]:
    maps = np.stack([_probability(_only(case, prefix), scan) for prefix in SPM12])
    if maps[:2].max() < 0.5:
        raise InputError(
            f"c1 and c2 reach {maps[:2].max():.2f} only; give SPM12's probabilities as it wrote them.", case
        )
    # in a tie the first wins: GM before WM before CSF
    return np.where(maps.sum(0) >= MIN_BRAIN, np.take(TISSUES, maps.argmax(0)), TissueLabel.OUTSIDE).astype(np.uint8)


def _only(case: Path, prefix: str) -> Path:
    found = sorted(path for path in case.iterdir() if path.name.startswith(prefix) and ".nii" in path.suffixes)
    if len(found) != 1:
        what = ", ".join(path.name for path in found) or "none"
        raise InputError(f"needs one file {prefix}*.nii of SPM12 beside ct.nii.gz, found {what}.", case)
    return found[0]


def _probability(path: Path, scan: Volume) -> NDArray[np.float32]:
    data = np.nan_to_num(_on_grid(path, scan).data)
    if data.min() < -0.01 or data.max() > 1.01:
        span = f"{data.min():.3g} to {data.max():.3g}"
        raise InputError(f"needed probabilities between 0 and 1, but the values reach from {span}.", path)
    return data


def _from_labels(path: Path, labels: Mapping[int, int], scan: Volume) -> NDArray[np.uint8]:
    if not path.is_file():
        raise InputError("no such file; give the name of the label image as it is in every case folder.", path)
    found = np.rint(_on_grid(path, scan).data).astype(np.int64)
    present, inverse = np.unique(found, return_inverse=True)
    table = np.array([labels.get(int(label), 0) for label in present], np.uint8)
    tissue = table[inverse].reshape(found.shape)
    total = max(int((tissue > 0).sum()), 1)
    if min(int((tissue == kind).sum()) for kind in TISSUES[:2]) < MIN_SHARE * total:
        values = ", ".join(str(int(label)) for label in present[:8]) + (", …" if len(present) > 8 else "")
        raise InputError(f"the mapping finds hardly any GM or WM among the labels {values}; check `labels`.", path)
    return tissue


def _on_grid(path: Path, scan: Volume) -> Volume:
    """Read an image in its scan's axis order. Raises InputError if it is on another grid."""
    image = read_label_image(path).reoriented(scan.grid.axes)
    rounded = image.grid.shape == scan.grid.shape and image.grid.mm_apart(scan.grid.affine) <= ROUNDED_MM
    if not rounded:
        raise InputError(
            f"needs the grid of ct.nii.gz, {scan.grid}, but has {image.grid}; write the maps in native space, "
            "or resample them onto the CT.",
            path,
        )
    return image
