"""Virtual patients from files: load heads and lesion masks, draw, render, write data sets."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from adn.errors import InputError
from adn.geometry import Grid, RigidTransform, reorient_array
from adn.io.nifti import write_volume
from adn.synth.anatomy import MNI_HALF_MM, Head, TissuePriors, head_from_codes, make_head
from adn.synth.lesions import LesionMask, crop_mask, procedural_mask
from adn.synth.plan import Choices, InfarctPlan, PatientPlan, draw_patient
from adn.synth.render import Lattice, VirtualPatient, render
from adn.synth.template import template_codes
from adn.synth.tissues import BRAIN_CODES, codes_from_freesurfer
from adn.volume import Volume

log = logging.getLogger(__name__)
STRATA_ML = (0.5, 5.0, 30.0, 70.0, 1e9)
REGISTRATION_VERSION = 2  # raise when registration changes, so that cached ones are made anew


@dataclass(frozen=True)
class Library:
    """Where anatomy and lesions come from. None: the MNI priors of the installed nilearn, procedural infarcts."""

    heads: tuple[Path, ...] = ()
    lesions: tuple[Path, ...] = ()

    @classmethod
    def from_folders(cls, anatomy: Path | None = None, lesions: Path | None = None, split: str = "all") -> Library:
        """List label maps and lesion masks. split: 'train', 'val', 'test' (method.md section 7) or 'all'.

        Heads are split by order of name (10, 2, 4 of 16), lesions by a hash of the subject's name (70, 10, 20 %).
        """
        heads = _listing(anatomy, "label maps") if anatomy else []
        masks = _listing(lesions, "lesion masks") if lesions else []
        if split != "all":
            part = {"train": slice(0, 10), "val": slice(10, 12), "test": slice(12, 16)}[split]
            heads = heads[part] or heads
            masks = [path for path in masks if lesion_split(path) == split]
        return cls(tuple(heads), tuple(masks))

    def choices(self, **settings: float) -> Choices:
        """What `draw_patient` may choose from."""
        names = tuple(str(i) for i in range(len(self.heads))) or ("mni",)
        return Choices(heads=names, lesions=self.strata(), **settings)

    @lru_cache(maxsize=8)  # noqa: B019 - a library is small and lives as long as the program
    def strata(self) -> tuple[tuple[str, ...], ...]:
        """Lesion names by volume stratum; those under 0.5 mL are left out (not seen on 5 mm CT)."""
        bins: list[list[str]] = [[] for _ in STRATA_ML[1:]]
        for path, volume in zip(self.lesions, lesion_volumes_ml(self.lesions), strict=True):
            place = int(np.searchsorted(STRATA_ML, volume, side="right")) - 1
            if 0 <= place < len(bins):
                bins[place].append(path.name)
        return tuple(tuple(names) for names in bins) if self.lesions else ()

    def head(self, name: str) -> Head:
        """The head that a plan names; loaded once."""
        return _mni_head() if name == "mni" else _load_head(self.heads[int(name)])

    def lesion(self, plan: InfarctPlan, generator: torch.Generator) -> LesionMask:
        """The mask of a plan, real or procedural."""
        if not plan.source:
            return procedural_mask(plan, generator)
        return _load_lesion(next(path for path in self.lesions if path.name == plan.source))


def lesion_split(path: Path) -> str:
    """'train', 'val' or 'test', by a hash of the file's name."""
    place = int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % 10
    return "train" if place < 7 else "val" if place < 8 else "test"


def _listing(folder: Path, what: str) -> list[Path]:
    found = sorted(p for p in Path(folder).glob("*.nii*")) if Path(folder).is_dir() else []
    if not found:
        raise InputError(f"{folder}: needs a folder of {what} (.nii, .nii.gz), found none; check the path.")
    return found


def _spl(image: Any) -> tuple[NDArray, Grid]:
    """An image's array and grid with axes D, H, W growing to superior, posterior, left."""
    grid = Grid(image.shape[:3], image.affine)  # type: ignore[arg-type]
    array = reorient_array(np.asanyarray(image.dataobj), grid.axes, "SPL")  # type: ignore[attr-defined]
    return np.ascontiguousarray(array), grid.reoriented("SPL")


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "adn"


def _cached_json(key: str, make: Callable[[], dict]) -> dict:
    """Read a small result from the user's cache, or make and keep it. An unwritable cache is no error."""
    path = _cache_folder() / f"{key}.json"
    if path.is_file():
        return json.loads(path.read_text())
    value = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(value))
        os.replace(temporary, path)
    except OSError:
        log.info("cannot write the cache %s; it is made again next time", path.parent)
    return value


def lesion_volumes_ml(paths: Sequence[Path]) -> list[float]:
    """Volume of each mask, mL; remembered between runs."""
    listing = "\n".join(f"{p.name} {p.stat().st_size}" for p in paths)
    key = "lesions-" + hashlib.sha256(listing.encode()).hexdigest()[:16]

    def measure() -> dict:
        volumes = []
        for path in paths:
            image = nib.load(path)  # type: ignore[attr-defined]
            voxel = abs(np.linalg.det(image.affine[:3, :3])) / 1000  # type: ignore[attr-defined]
            volumes.append(float((np.asanyarray(image.dataobj) > 0).sum() * voxel))  # type: ignore[attr-defined]
        return {"volumes_ml": volumes}

    return _cached_json(key, measure)["volumes_ml"]


@lru_cache(maxsize=64)
def _load_lesion(path: Path) -> LesionMask:
    array, grid = _spl(nib.load(path))  # type: ignore[attr-defined]
    # array index (d, h, w) ← RAS mm; turned to (w, h, d) ← LPS mm
    index = np.linalg.inv(grid.affine)[[2, 1, 0, 3]] @ np.diag([-1.0, -1.0, 1.0, 1.0])
    return crop_mask(array > 0, index.astype(np.float64))


@lru_cache(maxsize=1)
def _priors() -> tuple[NDArray, NDArray, Grid]:
    """MNI grey and white matter probabilities that nilearn's wheel carries, SPL 1 mm."""
    folder = resources.files("nilearn") / "datasets" / "data"
    maps = []
    for kind in ("gm", "wm"):
        with resources.as_file(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz") as path:
            array, grid = _spl(nib.load(path))  # type: ignore[attr-defined]
            maps.append(array.astype(np.float32) / 255)
    return maps[0], maps[1], grid


@lru_cache(maxsize=1)
def _tissue_priors() -> TissuePriors:
    grey, white, grid = _priors()
    side = int(2 * MNI_HALF_MM)
    x = torch.from_numpy(np.stack([grey, white]))[None]
    pads = [(side - n) // 2 for n in x.shape[:1:-1]]
    x = F.pad(x, [v for n, p in zip(x.shape[:1:-1], pads, strict=True) for v in (p, side - n - p)])
    # an odd margin moves the centre by half a voxel
    odd = [0.5 * ((side - n) % 2) for n in grid.shape[::-1]]
    right, anterior, superior = grid.centre_mm
    return TissuePriors(F.avg_pool3d(x, 4), (-right + odd[0], -anterior + odd[1], superior + odd[2]))


@lru_cache(maxsize=1)
def _mni_head() -> Head:
    grey, white, grid = _priors()
    right, anterior, superior = grid.centre_mm
    codes, centre = template_codes(grey, white, (-right, -anterior, superior))
    brain = np.argwhere(np.isin(codes, BRAIN_CODES)).mean(0)
    offset = (brain - (np.array(codes.shape) - 1) / 2)[::-1].copy()
    offset[0] = -centre[0]  # the priors are symmetric about MNI x = 0
    head_from_aligned, mni_from_aligned = np.eye(4), np.eye(4)
    head_from_aligned[:3, 3] = offset
    mni_from_aligned[:3, 3] = offset + np.array(centre)
    return make_head("mni", codes, head_from_aligned, mni_from_aligned)


@lru_cache(maxsize=16)
def _load_head(path: Path) -> Head:
    array, grid = _spl(nib.load(path))  # type: ignore[attr-defined]
    if max(abs(s - 1.0) for s in grid.spacing_mm) > 0.01:
        raise InputError(f"{path}: needs label maps of 1 mm, found {grid.spacing_mm} mm; resample it (nearest).")
    codes = codes_from_freesurfer(array, path.name)
    where = np.argwhere(codes > 0)
    box = tuple(slice(a, b) for a, b in zip(where.min(0), where.max(0) + 1, strict=True))
    codes, labels = codes[box], np.rint(array[box]).astype(np.int32)
    digest = hashlib.sha256(codes.tobytes()).hexdigest()[:16]

    def register() -> dict:
        log.info("registering %s to MNI space (once)", path.name)
        head = head_from_codes(path.name, codes, _tissue_priors(), labels)
        return {"plane": head.head_from_aligned.tolist(), "mni": head.mni_from_aligned.tolist()}

    known = _cached_json(f"head-{REGISTRATION_VERSION}-{digest}", register)
    return make_head(path.name, codes, np.array(known["plane"]), np.array(known["mni"]))


def render_plan(
    plan: PatientPlan, library: Library, lattice: Lattice, device: torch.device | str = "cpu"
) -> VirtualPatient:
    """Render with a library's head and lesions."""
    head = library.head(plan.head)
    with torch.no_grad():
        return render(plan, head, lattice, library.lesion, device)


def scanner_lattice(plan: PatientPlan, matrix: int | None = None) -> Lattice:
    """The scanner's own grid: axial slices over the head, field of view about 230 mm."""
    pixel = plan.scanner.pixel_mm
    size = matrix or min(round(236 / pixel / 8) * 8, 512)
    pixel = pixel if matrix is None else 236 / matrix
    slices = round(165 / plan.scanner.slice_mm)
    centred = RigidTransform(_about_head(plan))
    return Lattice((slices, size, size), (plan.scanner.slice_mm, pixel, pixel), centred, native=True)


def _about_head(plan: PatientPlan) -> NDArray:
    """Scanner position → aligned frame: the pose's inverse, with the couch under the head (limited shift)."""
    return plan.pose.inverse().matrix


def write_case(plan: PatientPlan, library: Library, folder: Path, matrix: int | None = None) -> None:
    """Render one patient on its scanner's grid and write ct, infarct, tissue, brain and plan.json, atomically."""
    lattice = scanner_lattice(plan, matrix)
    patient = render_plan(plan, library, lattice)
    grid = Grid.centred(lattice.shape, lattice.spacing_mm)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        for name, data, unit in (
            ("ct", patient.ct.round().clamp(-1024, 3071).to(torch.int16), "HU"),
            ("infarct", patient.infarct.to(torch.uint8), "label"),
            ("tissue", patient.tissue, "label"),
            ("brain", patient.brain.to(torch.uint8), "label"),
        ):
            # stored as scanners' converters do: left to right first, slices last
            volume = Volume(data.numpy(), grid, unit).reoriented("LAS")
            write_volume(volume, temporary / f"{name}.nii.gz")
        record = {"plan": plan.to_dict(), "head": library.head(plan.head).name}
        (temporary / "plan.json").write_text(json.dumps(record, indent=1))
        temporary.chmod(0o755)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def synthesize(
    n: int,
    out: Path | str,
    seed: int = 0,
    anatomy: Path | str | None = None,
    lesions: Path | str | None = None,
    matrix: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write n virtual patients to out/vp-0000 and so on; those already there are kept, so a stopped run resumes.

    seed: patient i depends on (seed, i) only. anatomy, lesions: folders of FreeSurfer label maps with skull and of
    infarct masks in MNI space; None: the MNI priors in nilearn and procedural infarcts. matrix: pixels per row (None:
    drawn, up to 512). progress: called with (done, n). Returns the case folders. Raises InputError where a folder that
    is there holds another patient.
    """
    library = Library.from_folders(Path(anatomy) if anatomy else None, Path(lesions) if lesions else None)
    choices = library.choices()
    folders = []
    for i in range(n):
        folder = Path(out) / f"vp-{i:04d}"
        plan = draw_patient(patient_generator(seed, i), choices)
        if folder.exists():
            _require_same(plan, folder)
        else:
            write_case(plan, library, folder, matrix)
        folders.append(folder)
        if progress:
            progress(i + 1, n)
    return folders


def _require_same(plan: PatientPlan, folder: Path) -> None:
    """Raise InputError where a folder holds another patient than the one about to be made."""
    path = folder / "plan.json"
    if not path.is_file() or PatientPlan.from_dict(json.loads(path.read_text(encoding="utf-8"))["plan"]) != plan:
        raise InputError(
            f"{folder}: holds another patient (another seed, anatomy or version made it); give an empty folder."
        )


def patient_generator(seed: int, index: int) -> torch.Generator:
    """The generator of patient `index` of a data set."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
