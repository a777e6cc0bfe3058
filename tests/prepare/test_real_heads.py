"""The stripper on real scans, where ../shared/data lies beside the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
import pytest

from adn.config import GridConfig
from adn.errors import InputError
from adn.findings.quality import mask_remarks
from adn.prepare import conform, strip_skull
from adn.space.geometry import Grid
from adn.space.volume import Volume
from given import loose

HEADS = Path(__file__).resolve().parents[3] / "shared" / "data" / "head_ct"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not HEADS.is_dir(), reason="needs ../shared/data/head_ct beside the checkout"),
]


def _load(path: Path) -> Volume:
    image = loose(nib.load(path))
    return Volume(image.get_fdata(dtype=np.float32), Grid(image.shape, image.affine))


def _read(name: str, tmp_path: Path) -> Volume:
    if name.endswith(".nii.gz"):
        return _load(HEADS / name)
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "ct", "-o", str(tmp_path), str(HEADS / name)]
    subprocess.run(command, check=True, capture_output=True)
    return _load(next(tmp_path.glob("*_Tilt_*.nii")))


@pytest.mark.parametrize("name", ["ge_hispeed_tilt18", "aisd_0091454", "invesalius_cranium.nii.gz"])
def test_a_real_head_is_stripped(name: str, tmp_path: Path) -> None:
    scan = _read(name, tmp_path)
    mask = strip_skull(scan)
    volume_ml = mask.data.sum() * mask.grid.voxel_ml
    assert 900 < volume_ml < 1900
    assert mask_remarks(scan, mask) == ()
    result = conform(scan, mask, GridConfig())
    assert result.mask.data.sum() * result.mask.grid.voxel_ml == pytest.approx(volume_ml, rel=0.02)
    values = result.brain.data[result.mask.data > 0] * 80.0
    assert 20 < np.median(values) < 45


def test_hollow_skull_phantom_holds_no_brain() -> None:
    with pytest.raises(InputError, match="no brain was found"):
        strip_skull(_load(HEADS / "phantom_philips_tilt-18.nii.gz"))
