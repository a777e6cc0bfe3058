"""Tissue labels are what files and networks hold."""

import numpy as np
import pytest
import torch

from adn.space.labels import TISSUES, TissueLabel


def test_label_values_match_the_files():
    assert {label.name: int(label) for label in TissueLabel} == {"OUTSIDE": 0, "GM": 1, "WM": 2, "CSF": 3}
    assert tuple(TissueLabel)[1:] == TISSUES  # so that an index among the tissues is one less than the label


@pytest.mark.parametrize("voxels", [np.array([0, 1, 2, 3], np.uint8), torch.tensor([0, 1, 2, 3], dtype=torch.uint8)])
def test_arrays_and_tensors_compare_with_them(voxels):
    for label in TissueLabel:
        assert (voxels == label).tolist() == [place == label for place in range(4)]
