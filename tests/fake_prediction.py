"""A made-up `Prediction`: an ellipsoid head, a lesion on a known side, in any axis order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from adn.remarks import Remark
from adn.results import Measurements, Prediction, Provenance, Quality, Scan, Side, TerritoryShare
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume

SHAPE = (14, 61, 47)  # slices, rows, columns: odd and anisotropic
SPACING_MM = (9.0, 3.5, 3.7)
LESION_MM = {"left": -40.0, "right": 40.0}  # world x, RAS


def _measured(lesion: np.ndarray, side: Side, axes: str, voxel_ml: float) -> Measurements:
    """Of a lesion in SPL order that is 6 HU darker than 33; slices as a file of these axes counts them."""
    ml = float(lesion.sum() * voxel_ml)
    slices = np.flatnonzero(lesion.any(axis=(1, 2)))
    if "I" in axes:
        slices = np.sort(len(lesion) - 1 - slices)
    return Measurements(
        volume_ml=ml,
        side=side if ml else "none",
        left_ml=ml if side == "left" else 0.0,
        right_ml=ml if side == "right" else 0.0,
        slices=tuple(slices.tolist()),
        mean_hu=27.0 if ml else None,
        mirror_hu=33.0 if ml else None,
        hu_ratio=27 / 33 if ml else None,
    )


def _positions(grid: Grid) -> list[Any]:
    """x, y, z about the grid's centre, RAS mm; of an upright grid along one axis each, which broadcast."""
    lines = np.meshgrid(*map(np.arange, grid.shape), indexing="ij", sparse=True)
    rows = zip(grid.affine[:3, :3], grid.affine[:3, 3] - grid.centre_mm, strict=True)
    return [sum((step * line for step, line in zip(row, lines, strict=True) if step), start) for row, start in rows]


def make_prediction(
    side: Side = "left",
    axes: str = "LAS",
    case: str = "case",
    source: str = "nifti",
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    affine: np.ndarray | None = None,
    noise_hu: float = 0.0,
    remarks: tuple[Remark, ...] = (),
) -> Prediction:
    """shape and spacing_mm: slices, rows, columns. axes: the file's axis order. affine: SPL, to override (oblique)."""
    grid = Grid.centred(shape, spacing_mm) if affine is None else Grid(shape, affine)
    x, y, z = _positions(grid)
    head = (x / 75) ** 2 + (y / 95) ** 2 + (z / 60) ** 2
    brain = head < 0.8
    lesion = np.zeros(shape, bool)
    if side in LESION_MM:
        lesion = ((x - LESION_MM[side]) / 18) ** 2 + (y / 25) ** 2 + (z / 20) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, noise_hu, shape) if noise_hu else 0.0
    hu = (np.where(brain, 33.0, np.where(head < 1, 900.0, -1000.0)) - 6.0 * lesion + noise).astype(np.float32)
    total = 6.0 * lesion.astype(np.float32) + np.float32(1.0) * brain

    def home(array: np.ndarray, unit: str = "HU") -> Volume:
        return Volume(array, grid, unit).reoriented(axes)

    infarct = home(lesion.astype(np.uint8), "label")
    found = _measured(lesion, side, axes, grid.voxel_ml)
    made = Provenance(
        "0.1.0", "tiny", "tiny-1", "ab" * 32, "fp32", "cpu", 0.5, {"torch": "2.11"}, {"read": 0.25, "align": 1.0}
    )
    ml = found.volume_ml
    return Prediction(
        case=case,
        scan=Scan("name of the file", home(hu), source),
        infarct=infarct,
        infarct_probability=home(lesion.astype(np.float32), "1"),
        brain_mask=home(brain.astype(np.uint8), "label"),
        asymmetry_total=home(total),
        asymmetry_pathological=home(6.0 * lesion.astype(np.float32)),
        asymmetry_intrinsic=home(brain.astype(np.float32)),
        salient=home(hu + brain),
        compensated=home((hu + 6 * lesion).astype(np.float32)),
        pose_network=RigidTransform.from_parameters((0, 1.0, -6.0), (2.0, 0, 0)),
        pose=RigidTransform.from_parameters((0, 1.5, -7.0), (2.5, 0, 0)),
        measurements=found,
        provenance=made,
        relative_hypodensity=home(0.18 * lesion.astype(np.float32), "1"),
        quality=Quality(float(brain.sum() * grid.voxel_ml), 6.0, 4.0, noise_hu, False, False, 0.0),
        territories=(TerritoryShare("middle cerebral artery, superior branch", side, ml),) if ml else (),  # type: ignore[arg-type]
        aligned_from_scan=np.linalg.inv(grid.reoriented(axes).index_from_frame).astype(np.float64),
        remarks=remarks,
    )


def lay_on_atlas(folder):
    """The phantom's brain on the atlas's, in a folder of results, and ASPECTS answered."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    mni = np.diag([1.1, 1.1, 1.4, 1.0])
    mni[1:3, 3] = 17.0, 10.0
    result["mni_from_aligned"] = mni.tolist()
    result["answers"]["aspects"] = {"because": None, "left": 10, "right": 10}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
