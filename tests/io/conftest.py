"""Tests of voxel positions skip the check for upside-down heads."""

import pytest

ABOUT_PLACES = {"test_archive", "test_choice", "test_dicom", "test_frames", "test_itk", "test_nifti", "test_stacks"}


@pytest.fixture(autouse=True)
def _upright(request):
    if request.path.stem in ABOUT_PLACES:
        request.getfixturevalue("taken_as_upright")
