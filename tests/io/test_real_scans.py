from pathlib import Path

import numpy as np
import pytest

from adn.errors import InputError
from adn.io import open_scan

HEADS = Path(__file__).parents[2] / ".." / "shared" / "data" / "head_ct"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not HEADS.is_dir(), reason="../shared/data is absent")]


def test_ge_tilt_and_gaps():
    scan = open_scan(HEADS / "ge_hispeed_tilt18")
    assert scan.volume.data.shape == (512, 611, 56)
    assert scan.volume.grid.spacing_mm[2] == pytest.approx(2.62, abs=0.01)
    assert "18.5 degrees" in scan.remarks[0].sentence
    assert "1.1 to 7.0 mm" in scan.warnings[0]
    assert scan.padding is not None
    assert 0.3 < scan.padding.data.mean() < 0.4
    assert scan.volume.data.min() == -1024


def test_aisd_tilt():
    scan = open_scan(HEADS / "aisd_0091454")
    assert scan.volume.data.shape == (512, 541, 14)
    assert [remark.sentence for remark in scan.remarks] == ["A gantry tilt of 6.0 degrees was corrected."]
    assert scan.warnings == ()
    assert open_scan(HEADS / "aisd_0091454" / "005.dcm").name == "aisd_0091454"


def test_nifti_and_offset_values():
    scan = open_scan(HEADS / "invesalius_cranium.nii.gz")
    assert np.isfinite(scan.volume.data).all()
    assert "Thin slices" in scan.remarks[0].sentence
    assert open_scan(HEADS / "phantom_philips_tilt-18.nii.gz").source == "nifti"  # no brain, but HU: prepare refuses it
    with pytest.raises(InputError, match="from 0 to 3926"):
        open_scan(HEADS / "slicer_cthead_64")
