"""Small replicas of AISD, in exactly its layout, made of the phantom head: PNGs, masks and DICOM of each case."""

from __future__ import annotations

import atexit
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from adn.datasets.aisd.importer import import_aisd
from adn.space.geometry import Grid
from adn.space.volume import Volume
from phantoms import ball, head, write_dicom_series

WINDOW_HU = (-10.0, 90.0)


def half_head(seed: int = 0, step_mm: float = 5.0) -> Volume:
    """The phantom from its widest place up, as head CTs start at the skull base; each seed with vessels of its own."""
    whole = head((round(150 / step_mm), 96, 80), (step_mm, 2.0, 2.0))
    cut = round(60 / step_mm)
    affine = whole.grid.affine.copy()
    affine[:3, 3] += affine[:3, 0] * cut
    volume = Volume(whole.data[cut:].copy(), Grid((whole.data.shape[0] - cut, 96, 80), affine))
    rng = np.random.default_rng(seed)
    inside = np.argwhere(volume.data == 32)
    for place in inside[rng.choice(len(inside), 60)]:
        spot = tuple(slice(max(0, x - r), x + r + 1) for x, r in zip(place, (1, 3, 3), strict=True))
        volume.data[spot] = np.where(volume.data[spot] == 32, rng.integers(20, 60), volume.data[spot])
    volume.data[ball(volume.grid)] = 6.0
    return volume


@cache
def _series(seed: int, label: int, step_mm: float, tilt_deg: float, gaps: tuple[float, ...] | None) -> Path:
    """One head's DICOM series, and its labels as one: made once, copied by every test that needs it."""
    folder = Path(tempfile.mkdtemp(prefix="adn-replica-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    volume = half_head(seed, step_mm)
    truth = volume.with_data(np.where(ball(volume.grid), np.float32(label), np.float32(0)), "label")
    write_dicom_series(volume, folder / "CT", tilt_deg=tilt_deg, gaps=gaps)
    write_dicom_series(truth, folder / "labels", tilt_deg=tilt_deg, gaps=gaps, outside_hu=0.0, order=0)
    return folder


def grey(hu: np.ndarray, window: tuple[float, float] = WINDOW_HU) -> np.ndarray:
    """8-bit levels of a window, cut off as a viewer does."""
    return np.clip((hu - window[0]) / (window[1] - window[0]) * 255, 0, 255).astype(np.uint8)


@dataclass
class Replica:
    """One case's slices as acquired, from below: pictures and labels (n, rows, columns); DICOM files beside them."""

    case: str
    pictures: np.ndarray
    labels: np.ndarray
    root: Path

    def write_pngs(self, *, doubled: bool = False, kinds: tuple[str, ...] = ("image", "mask")) -> None:
        """`image/<id>/000.png …` and `mask/<id>/000.png …` in the order that the arrays have."""
        for kind, stack in (("image", self.pictures), ("mask", self.labels)):
            folder = self.root / kind / (kind if doubled else "") / self.case
            if kind in kinds:
                folder.mkdir(parents=True)
                for number, plane in enumerate(stack):
                    Image.fromarray(np.ascontiguousarray(plane)).save(folder / f"{number:03d}.png")


def write_replica(
    root: Path,
    case: str,
    *,
    seed: int = 0,
    label: int = 2,
    step_mm: float = 5.0,
    window: tuple[float, float] = WINDOW_HU,
    dicom: bool = True,
    tilt_deg: float = 0.0,
    gaps: list[float] | None = None,
) -> Replica:
    """Write `dicom/<id>/CT/*.dcm` of one head (unless `dicom` is False) and return its PNG stacks, not yet written."""
    made = _series(seed, label, step_mm, tilt_deg, None if gaps is None else tuple(gaps))
    if dicom:
        shutil.copytree(made / "CT", root / "dicom" / case / "CT")
    hu, labels = (
        np.stack([pydicom.dcmread(path).pixel_array for path in sorted((made / name).iterdir())])
        for name in ("CT", "labels")
    )
    pictures, labels = grey(hu, window), labels.astype(np.uint8)
    return Replica(case, pictures, labels, root)


def pack(root: Path) -> None:
    """Turn the trees into AISD's downloads: image.zip, mask.zip, dicom-0.tar.gz."""
    for kind in ("image", "mask"):
        with zipfile.ZipFile(root / f"{kind}.zip", "w") as out:
            for path in sorted((root / kind).rglob("*.png")):
                out.write(path, path.relative_to(root))
    with tarfile.open(root / "dicom-0.tar.gz", "w:gz", compresslevel=1) as out:
        for folder in sorted((root / "dicom").iterdir()):
            out.add(folder, folder.name)


def imported(root, **settings):
    """Import and give the lines by case."""
    return {line.case: line for line in import_aisd(root, root / "out", **settings)}
