"""Contrast-enhanced vessels are noticed in the image, and nothing in unenhanced heads is mistaken for them."""

import numpy as np
import pytest

from adn.io import open_scan
from adn.io.vessels import bright_mm2, enhanced_remarks
from given import given
from phantoms import head, with_vessels, write_dicom_series


def test_vessels_are_measured_in_half_of_the_slices():
    assert bright_mm2(head()) == 0.0
    assert bright_mm2(with_vessels()) == pytest.approx(128.0, rel=0.15)
    (remark,) = enhanced_remarks(with_vessels())
    assert remark.kind == "contrast_seen"
    assert "made for non-contrast CT" in remark.sentence


@pytest.mark.parametrize("axes", ["SPL", "RAI", "LSA"])
def test_the_array_direction_does_not_matter(axes):
    assert bright_mm2(with_vessels().reoriented(axes)) == bright_mm2(with_vessels())


def test_thin_slices_and_their_noise_are_averaged():
    noise = np.random.default_rng(0)
    thin = head((150, 96, 80), (1.0, 2.0, 2.0))
    noisy = thin.with_data(thin.data + noise.normal(0, 18, thin.data.shape).astype(np.float32))
    assert given(bright_mm2(noisy)) < 3.0


def test_calcification_in_few_slices_and_blood_are_not_vessels():
    volume = head()
    data = volume.data.copy()
    data[12:16, 40:44, 36:44] = 300.0  # plexus
    data[10:20, 60:70, 30:50] = np.where(data[10:20, 60:70, 30:50] == 32.0, 85.0, data[10:20, 60:70, 30:50])  # bleed
    assert enhanced_remarks(volume.with_data(data)) == []


def test_too_few_slices_are_not_judged():
    volume = with_vessels()
    assert bright_mm2(type(volume)(volume.data[12:18], volume.grid.centred((6, 96, 80), (5.0, 2.0, 2.0)))) is None


def test_a_recorded_contrast_agent_is_reported_once(tmp_path):
    write_dicom_series(with_vessels(), tmp_path / "said", tags={"ContrastBolusAgent": "IOHEXOL"})
    write_dicom_series(with_vessels(), tmp_path / "silent")
    assert [remark.kind for remark in open_scan(tmp_path / "said").remarks] == ["contrast_recorded"]
    assert [remark.kind for remark in open_scan(tmp_path / "silent").remarks] == ["contrast_seen"]
