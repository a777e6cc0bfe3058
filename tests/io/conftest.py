"""Tests of where voxels lie do not ask whether the head is upside down: that takes three quarters of `open_scan` on a
phantom, which resembles no head, and `test_upright.py`, `test_scan.py` and `test_real_scans.py` hold it."""

import pytest

ABOUT_PLACES = {"test_archive", "test_choice", "test_dicom", "test_frames", "test_itk", "test_nifti", "test_stacks"}


@pytest.fixture(autouse=True)
def _does_not_ask_whether_it_is_turned(request, monkeypatch):
    if request.path.stem in ABOUT_PLACES:
        monkeypatch.setattr("adn.io.upright.turned_remarks", lambda volume: [])
