"""Provides the heads and lesion masks of virtual patients, from files or from the package's own data."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from adn.config_draws import PatientsConfig
from adn.errors import InputError, OutputError
from adn.io.atomic import atomic_path
from adn.io.cache import cache_folder
from adn.io.digest import sha256
from adn.metrics.strata import LARGE_ML, SEEN_ML, SMALL_ML
from adn.space.geometry import Grid, bounding_box, reorient_array
from adn.virtual.anatomy import MNI_HALF_MM, Head, TissuePriors, head_from_codes, make_head
from adn.virtual.draw import Choices, draw_acute
from adn.virtual.lesions import LesionMask, crop_mask, procedural_mask
from adn.virtual.overlay import Shape, mask_shape
from adn.virtual.plan import InfarctPlan
from adn.virtual.template import template_codes
from adn.virtual.tissue_codes import BRAIN_CODES, codes_from_freesurfer

log = logging.getLogger(__name__)
STRATA_ML = (SEEN_ML, 5.0, SMALL_ML, LARGE_ML, 1e9)
_FEWEST_HEADS = 3
PROCEDURAL_SHAPES = 60
MNI_SCALE = 0.9  # the template has 2.07 L inside the skull, people have 1.5 L on average
REGISTRATION_VERSION = 2  # raise when registration changes, so that cached ones are computed again


@dataclass(frozen=True, eq=False)
class Library:
    """The source of anatomy and lesions. Empty: the MNI priors of the package and procedural infarcts.

    heads, lesions: name in plans → file. registrations: those already known, in the cache's format.
    """

    heads: Mapping[str, Path] = field(default_factory=dict)
    lesions: Mapping[str, Path] = field(default_factory=dict)
    registrations: Mapping[str, dict] = field(default_factory=dict)

    @classmethod
    def from_folders(cls, anatomy: Path | None = None, lesions: Path | None = None, split: str = "all") -> Library:
        """List label maps and lesion masks. split: 'train', 'val', 'test' (docs/method.md, section 7) or 'all'.

        Heads are split in the order of their names (`head_parts`), lesions by a hash of the subject (70, 10, 20 %). If
        there are too few to split, every part takes all heads, or procedural infarcts, and a warning says so.
        """
        heads = _listing(anatomy, "label maps") if anatomy else []
        masks = _listing(lesions, "lesion masks") if lesions else []
        if split != "all":
            heads = _heads_of(heads, split)
            chosen = [path for path in masks if lesion_split(path) == split]
            if masks and not chosen:
                log.warning("none of %d lesion masks belongs to '%s': its infarcts are procedural", len(masks), split)
            masks = chosen
        return cls({path.name: path for path in heads}, {path.name: path for path in masks})

    def choices(self, patients: PatientsConfig = PatientsConfig()) -> Choices:  # noqa: B008 - it is frozen
        """What `draw_patient` may choose from. patients: the ranges of everything else."""
        return Choices(heads=tuple(self.heads) or ("mni",), lesions=self.strata(), patients=patients)

    @lru_cache(maxsize=8)  # noqa: B019 - a library is small and lives as long as the program
    def strata(self) -> tuple[tuple[str, ...], ...]:
        """Lesion names by volume stratum; those under `SEEN_ML` are left out."""
        bins: list[list[str]] = [[] for _ in STRATA_ML[1:]]
        for name, volume in zip(self.lesions, lesion_volumes_ml(tuple(self.lesions.values())), strict=True):
            place = int(np.searchsorted(STRATA_ML, volume, side="right")) - 1
            if 0 <= place < len(bins):
                bins[place].append(name)
        return tuple(tuple(names) for names in bins) if self.lesions else ()

    @lru_cache(maxsize=32)  # noqa: B019 - as above
    def head(self, name: str) -> Head:
        """The head that a plan names; loaded once. Raises InputError if the library lacks it."""
        if name == "mni":
            return _mni_head()
        return _load_head(_among(self.heads, name, "label map"), self.registrations)

    def lesion(self, plan: InfarctPlan, generator: torch.Generator) -> LesionMask:
        """The mask of a plan, real or procedural. Raises InputError if the library lacks it."""
        if not plan.source:
            return procedural_mask(plan, generator)
        return _load_lesion(_among(self.lesions, plan.source, "lesion mask"))

    def shapes(self, least_ml: float = 1.0) -> dict[str, Shape]:
        """The lesion masks of at least `least_ml` as shapes to lay on real brains, by name.

        A library without masks gives some procedural infarcts.
        """
        if not self.lesions:
            return dict(_procedural_shapes(least_ml))
        volumes = lesion_volumes_ml(tuple(self.lesions.values()))
        return {
            name: mask_shape(name, _load_lesion(path))
            for (name, path), volume_ml in zip(self.lesions.items(), volumes, strict=True)
            if volume_ml >= least_ml
        }


def head_parts(count: int) -> dict[str, slice]:
    """Which of `count` heads are for training, validation and test: 10, 2 and 4 of 16, or about these shares.

    Each part has at least one. Heads after the 16th are left out, so that the first sixteen stay in their parts.
    """
    train, held_out = (10, 2) if count > 12 else (count - max(count // 8, 1) - max(count // 4, 1), max(count // 8, 1))
    return {"train": slice(0, train), "val": slice(train, train + held_out), "test": slice(train + held_out, 16)}


def _heads_of(heads: list[Path], split: str) -> list[Path]:
    """The heads of one part; all of them, with a warning, if there are too few to split."""
    if len(heads) >= _FEWEST_HEADS:
        return heads[head_parts(len(heads))[split]]
    if heads:
        log.warning(
            "training, validation and test share the same %d head(s), because there are fewer than %d: "
            "scores on them say little about other heads",
            len(heads),
            _FEWEST_HEADS,
        )
    return heads


@lru_cache(maxsize=2)
def _procedural_shapes(least_ml: float) -> dict[str, Shape]:
    ill = PatientsConfig().with_infarcts(healthy_share=0.0)
    choices, shapes = Choices(heads=("mni",), patients=ill), {}
    for place in range(PROCEDURAL_SHAPES):
        generator = torch.Generator().manual_seed(place)
        plan = draw_acute(generator, choices)[0]
        if plan.volume_ml >= least_ml:
            name = f"procedural-{place}"
            shapes[name] = mask_shape(name, procedural_mask(plan, generator))
    return shapes


def _among(files: Mapping[str, Path], name: str, what: str) -> Path:
    if name not in files:
        raise InputError(
            f"The plan needs the {what} {name}, but the folder you gave does not have it; give the folder that the "
            "patient was made from."
        )
    return files[name]


def lesion_subject(path: Path) -> str:
    """The subject of a lesion file: its name up to the end of BIDS's `sub-<label>`, else its name without suffixes."""
    named = re.match(r".*?sub-[A-Za-z0-9]+", path.name)
    return named[0] if named else path.name.split(".")[0]


def lesion_split(path: Path) -> str:
    """'train', 'val' or 'test', by a hash of the subject, so that all files of one subject are in one part."""
    # the suffix of SOOP's files keeps the split that the first trained weights used
    place = int(sha256(f"{lesion_subject(path)}_lesion.nii.gz"), 16) % 10
    return "train" if place < 7 else "val" if place < 8 else "test"


def _listing(folder: Path, what: str) -> list[Path]:
    found = sorted(p for p in Path(folder).glob("*.nii*")) if Path(folder).is_dir() else []
    if not found:
        raise InputError(f"{folder}: needs a folder of {what} (.nii, .nii.gz), but holds none; check the path.")
    return found


def _spl(image: Any) -> tuple[NDArray, Grid]:
    """An image's array and grid with axes D, H, W growing to superior, posterior, left."""
    grid = Grid(image.shape[:3], image.affine)  # type: ignore[arg-type]
    array = reorient_array(np.asanyarray(image.dataobj), grid.axes, "SPL")  # type: ignore[attr-defined]
    return np.ascontiguousarray(array), grid.reoriented("SPL")


def _cached_json(key: str, make: Callable[[], dict]) -> dict:
    """Read a small result from the user's cache, or compute and store it. An unwritable cache is not an error."""
    path = cache_folder() / f"{key}.json"
    if path.is_file():
        return json.loads(path.read_text())
    value = make()
    try:
        with atomic_path(path, make_folder=True) as temporary:
            temporary.write_text(json.dumps(value))
    except OutputError:
        log.info("cannot write the cache %s, so this is computed again next time", path.parent)
    return value


def lesion_volumes_ml(paths: Sequence[Path]) -> list[float]:
    """Volume of each mask, mL; cached."""
    listing = "\n".join(f"{p.name} {p.stat().st_size}" for p in paths)
    key = "lesions-" + sha256(listing)[:16]

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
    """MNI grey and white matter probabilities, SPL 1 mm (`priors/LICENSE.md`)."""
    folder = resources.files("adn") / "virtual" / "priors"
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
    head_from_aligned, mni_from_aligned = (np.diag([1 / MNI_SCALE] * 3 + [1.0]) for _ in range(2))
    head_from_aligned[:3, 3] = offset
    mni_from_aligned[:3, 3] = offset + np.array(centre)
    return make_head("mni", codes, head_from_aligned, mni_from_aligned)


def _load_head(path: Path, registrations: Mapping[str, dict]) -> Head:
    codes, labels = _read_codes(path)
    known = registrations.get(_registration_key(codes)) or _register(path, codes, labels)
    return make_head(path.name, codes, np.array(known["plane"]), np.array(known["mni"]))


def _read_codes(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A label map's tissue codes and labels, (D, H, W) SPL 1 mm, cropped to the head."""
    array, grid = _spl(nib.load(path))  # type: ignore[attr-defined]
    if max(abs(s - 1.0) for s in grid.spacing_mm) > 0.01:
        raise InputError(f"{path}: needs label maps of 1 mm, found {grid.spacing_mm} mm; resample it (nearest).")
    codes = codes_from_freesurfer(array, path.name)
    box = bounding_box(codes > 0)
    return codes[box], np.rint(array[box]).astype(np.int32)


def _registration_key(codes: NDArray[np.uint8]) -> str:
    return f"head-{REGISTRATION_VERSION}-{sha256(codes.tobytes())[:16]}"


def _register(path: Path, codes: NDArray[np.uint8], labels: NDArray[np.int32]) -> dict:
    """A head's mid-sagittal plane and transform to MNI space, from the cache or computed."""

    def compute() -> dict:
        log.info("registering %s to MNI space (once)", path.name)
        head = head_from_codes(path.name, codes, _tissue_priors(), labels)
        return {"plane": head.head_from_aligned.tolist(), "mni": head.mni_from_aligned.tolist()}

    return _cached_json(_registration_key(codes), compute)


def read_registration(path: Path) -> tuple[str, dict]:
    """Key and value of a label map's registration, for `Library.registrations`."""
    codes, labels = _read_codes(path)
    return _registration_key(codes), _register(path, codes, labels)
