"""Virtual patients as folders on disk: draw them or take a fixed set, render on the scanner's grid, write files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from adn.errors import InputError
from adn.io import open_scan
from adn.io.atomic import atomic_folder, scratch_folder
from adn.io.dicom_series import write_ct_series
from adn.io.digest import sha256_bytes
from adn.io.nifti import write_volume
from adn.prepare.resample import resample
from adn.results import DISCLAIMER
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan
from adn.virtual.presets.manifest import load_preset
from adn.virtual.render import FINEST_SLICE_MM, VirtualPatient, render
from adn.work.progress import Progress

FIELD_OF_VIEW_MM, HALF_HEAD_MM = 240.0, 105.0
Format = Literal["nifti", "dicom"]


def render_plan(
    plan: PatientPlan,
    library: Library,
    lattice: Lattice,
    device: torch.device | str = "cpu",
    slice_sample_mm: float = FINEST_SLICE_MM,
) -> VirtualPatient:
    """The same as `render`, with a library's head and lesions."""
    head = library.head(plan.head)
    with torch.no_grad():
        return render(plan, head, lattice, library.lesion, device, slice_sample_mm)


def scanner_lattice(plan: PatientPlan, matrix: int | None = None, sheared: bool = False) -> Lattice:
    """The scanner's own grid: axial slices over the scanned range, with the field of view around the head.

    sheared: with a tilted gantry, keep slices as acquired, each straight above the last; otherwise stack them at right
    angles to their plane, as converters do. matrix: pixels per row (None: drawn, up to 512).
    """
    scanner = plan.scanner
    size = matrix or min(round(FIELD_OF_VIEW_MM / scanner.pixel_mm / 8) * 8, 512)
    pixel = FIELD_OF_VIEW_MM / matrix if matrix else scanner.pixel_mm
    # the table is moved just far enough for the head to fit the field of view
    room = max(size * pixel / 2 - HALF_HEAD_MM, 3.0)
    x, y, _ = plan.translation_mm
    centre = (x - min(max(x, -room), room), y - min(max(y, -room), room), (scanner.above_mm - scanner.below_mm) / 2)
    to_patient = plan.pose.inverse() @ RigidTransform.from_parameters((0.0, 0.0, 0.0), centre)
    tilt, step = scanner.tilt_deg, scanner.step_mm
    if tilt and not sheared:
        to_patient = to_patient @ RigidTransform.from_parameters((tilt, 0.0, 0.0))
        step *= math.cos(math.radians(tilt))
    slices = max(round((scanner.below_mm + scanner.above_mm) / step), 2)
    return Lattice((slices, size, size), (step, pixel, pixel), to_patient, True, tilt if sheared else 0.0)


def scanner_grid(lattice: Lattice) -> Grid:
    """The grid of a lattice in the scanner's world: SPL, centred, sheared if the gantry is tilted."""
    upright = Grid.centred(lattice.shape, lattice.spacing_mm)
    affine = upright.affine.copy()
    _, down, up = lattice.axes[:, 1]
    affine[:3, 1] = np.array([0.0, -down, up]) * lattice.spacing_mm[1]
    middle = (np.array(lattice.shape) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ middle
    return Grid(lattice.shape, affine)


def write_case(
    plan: PatientPlan, library: Library, folder: Path, matrix: int | None = None, format: Format = "nifti"
) -> None:
    """Render one patient on its scanner's grid and write its folder, complete or not at all.

    Files: ct.nii.gz (HU) or dicom/*.dcm; infarct.nii.gz, tissue.nii.gz (1 GM, 2 WM, 3 CSF) and brain.nii.gz on the CT's
    grid; plan.json. With a tilted gantry, DICOM slices are slanted, and the NIfTI file is their conversion by dcm2niix.
    """
    lattice = scanner_lattice(plan, matrix, sheared=True)
    patient = render_plan(plan, library, lattice)
    grid = scanner_grid(lattice)
    # axis order as converters write it: left to right first, slices last
    ct = Volume(patient.ct.round().clamp(-1024, 3071).to(torch.int16).numpy(), grid).reoriented("LAS")
    with atomic_folder(folder) as temporary, scratch_folder() as scratch:
        if format == "dicom" or lattice.tilt_deg:
            place = temporary if format == "dicom" else scratch
            ct = _through_dicom(ct, plan, place / "dicom", folder.name)
        if format == "nifti":
            write_volume(ct, temporary / "ct.nii.gz")
        truth = {"infarct": patient.infarct, "tissue": patient.tissue, "brain": patient.brain}
        labels = {name: Volume(data.to(torch.uint8).numpy(), grid, "label") for name, data in truth.items()}
        carried = {name: _carry(volume, ct.grid) for name, volume in labels.items()}
        for name, volume in carried.items():
            write_volume(volume, temporary / f"{name}.nii.gz")
        x, y, z, offset_mm = patient.midplane
        record = {
            "note": DISCLAIMER,
            "head": plan.head,
            "infarct_ml": round(int(carried["infarct"].data.sum()) * ct.grid.voxel_ml, 3),
            "midplane": {"normal_ras": [-x, -y, z], "offset_mm": offset_mm},  # the points with normal · p = offset
            "plan": plan.to_dict(),
        }
        (temporary / "plan.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _through_dicom(ct: Volume, plan: PatientPlan, folder: Path, name: str) -> Volume:
    """Write the series and read it back, which straightens slanted slices."""
    seed = json.dumps([plan.to_dict(), ct.grid.shape])
    write_ct_series(ct, folder, name=name, seed=seed, comment=f"Virtual patient made by adn. {DISCLAIMER}")
    read = open_scan(folder).volume
    return read.with_data(np.rint(read.data).astype(np.int16))


def _carry(labels: Volume, grid: Grid) -> Volume:
    """Resample labels to another grid: nearest voxel, 0 outside.

    Both grids have the same slices, at most shifted along their columns, so the nearest voxel gives the same result as
    the rule for masks (linear in each label's share, thresholded at ½).
    """
    turned = labels.reoriented(grid.axes)
    if turned.grid.same_as(grid):
        return turned.with_data(turned.data)
    matrix = np.linalg.inv(turned.grid.affine) @ grid.affine
    return Volume(resample(turned.data, matrix, grid.shape, "nearest"), grid, labels.unit)


def synthesize(
    n: int,
    out: Path | str,
    seed: int = 0,
    anatomy: Path | str | None = None,
    lesions: Path | str | None = None,
    matrix: int | None = None,
    progress: Progress | None = None,
    format: Format = "nifti",
) -> list[Path]:
    """Write n virtual patients to `out/vp-0000` and so on. Existing ones are kept, so a run can be resumed.

    seed: patient i depends on (seed, i) only. anatomy, lesions: folders of FreeSurfer label maps with skull and of
    infarct masks in MNI space; None: the MNI priors and procedural infarcts. matrix: pixels per row (None:
    drawn, up to 512). progress: called with (done, n). format: the CT as ct.nii.gz, or as a series in `dicom/`. Returns
    the case folders. Raises InputError if an existing folder holds another patient.
    """
    library = Library.from_folders(Path(anatomy) if anatomy else None, Path(lesions) if lesions else None)
    choices = library.choices()
    plans = (draw_patient(patient_generator(seed, i), choices) for i in range(n))
    return _write_all(plans, n, library, Path(out), matrix, format, progress)


def synthesize_preset(
    preset: str,
    out: Path | str,
    anatomy: Path | str | None = None,
    lesions: Path | str | None = None,
    count: int | None = None,
    progress: Progress | None = None,
    format: Format = "nifti",
) -> list[Path]:
    """Write the patients of a fixed set, such as 'vp52', to `out/vp-0000` and so on. A run can be resumed.

    preset: a name from `presets.PRESETS`. anatomy, lesions: folders with the files that the set's manifest names;
    their SHA-256 is checked first. count: write only this many patients (None: all). progress, format: as in
    `synthesize`. Returns the case folders. Raises InputError if the name is unknown, a file is missing or differs from
    the manifest's, or an existing folder holds another patient.
    """
    fixed = load_preset(preset)
    library = fixed.library(Path(anatomy) if anatomy else None, Path(lesions) if lesions else None)
    plans = [patient.plan for patient in fixed.patients[:count]]
    return _write_all(plans, len(plans), library, Path(out), None, format, progress)


def _write_all(
    plans: Iterable[PatientPlan],
    n: int,
    library: Library,
    out: Path,
    matrix: int | None,
    format: Format,
    progress: Progress | None,
) -> list[Path]:
    folders = []
    for i, plan in enumerate(plans):
        folder = out / f"vp-{i:04d}"
        if folder.exists():
            _require_same(plan, folder, format)
        else:
            write_case(plan, library, folder, matrix, format)
        folders.append(folder)
        if progress:
            progress(i + 1, n)
    return folders


def _require_same(plan: PatientPlan, folder: Path, format: Format) -> None:
    """Raise InputError if a folder holds a patient other than the planned one, or its CT in another format."""
    path = folder / "plan.json"
    if not path.is_file() or _plan_record(path) != json.loads(json.dumps(plan.to_dict())):
        raise InputError(
            f"{folder}: holds another patient (of another seed, anatomy or version); choose an empty folder."
        )
    if not (folder / {"nifti": "ct.nii.gz", "dicom": "dicom"}[format]).exists():
        raise InputError(f"{folder}: holds this patient, but its CT is not {format}; choose an empty folder.")


def _plan_record(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["plan"]
    except (ValueError, KeyError, TypeError):
        return None


def patient_generator(seed: int, index: int) -> torch.Generator:
    """The generator of patient `index` of a data set."""
    digest = sha256_bytes(f"{seed}/{index}")
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
