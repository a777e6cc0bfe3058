"""Scores of Table 1: rules without training, limits chosen out of fold, patients and paired tests."""

import numpy as np
import pytest
import rules
import table_1_scores
from cases import RulerCase
from patients import Found

from adn import Grid, Volume
from adn.io import write_volume

GRID = Grid.centred((12, 80, 80), (5.0, 2.0, 2.0))
ALIGNED = np.diag([1.0, -1.0, -1.0, 1.0])


def straight():
    """Array index → LPS mm about the mid-plane, which lies in the middle of W."""
    matrix = np.zeros((4, 4))
    matrix[0, 2], matrix[1, 1], matrix[2, 0], matrix[3, 3] = 2.0, 2.0, 5.0, 1.0
    matrix[:3, 3] = [-79.0, -79.0, -27.5]
    return matrix


def head():
    """A brain of 34 HU with 30 HU in a block on one side, and that block."""
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in GRID.shape], indexing="ij")
    brain = (y / 34) ** 2 + (x / 28) ** 2 <= 1
    block = (abs(z) < 4) & (abs(y) < 10) & (x > 8) & (x < 22)
    hu = np.where(brain, np.where(block, 30.0, 34.0), 0.0).astype(np.float32)
    return Volume(hu, GRID, "HU"), Volume(brain.astype(np.uint8), GRID, "label"), block


def test_both_rules_find_a_darker_block_on_its_side_only():
    ct, brain, block = head()
    for found in (rules.darker(ct, brain, straight()), rules.water(ct, brain, straight()) >= 5.0):
        assert 2 * (found & block).sum() / (found.sum() + block.sum()) > 0.7
        assert not found[:, :, :38].any()


def test_a_limit_is_chosen_on_the_other_folds():
    def rows(first, second):
        return [{"fold": 0, "dice": first}, {"fold": 1, "dice": second}, {"fold": 2, "dice": second}]

    kept = table_1_scores.out_of_fold({1.0: rows(0.9, 0.1), 2.0: rows(0.2, 0.5)})
    assert {row["fold"]: row["dice"] for row in kept} == {0: 0.2, 1: 0.1, 2: 0.1}


@pytest.fixture
def one(tmp_path):
    ct, brain, block = head()
    seen = np.ones(GRID.shape, np.uint8)
    seen[0] = 0
    for name, volume in (("ct", ct), ("infarct", ct.with_data(block.astype(np.uint8), "label")),
                         ("seen", ct.with_data(seen, "label"))):  # fmt: skip
        write_volume(volume, tmp_path / f"{name}.nii.gz")
    files = [tmp_path / f"{name}.nii.gz" for name in ("ct", "infarct", "seen")]
    found = Found(block, block.astype(np.float32), brain.data > 0, straight())
    return table_1_scores.Judged(RulerCase("c", "outlined", "P", *files), 2, found), block


def test_scores_of_a_perfect_and_of_an_empty_row(one):
    judged, block = one
    row = judged.row(block)
    assert (row["dice"], row["hd95_mm"], row["hd95_all_voxels_mm"], row["error_ml"]) == (1.0, 0.0, 0.0, 0.0)
    assert (row["side_right"], row["lesion_f1"], row["patient"], row["fold"]) == (1, 1.0, "P", 2)
    assert row["darker_hu"] == pytest.approx(4.0, abs=0.1)
    empty = judged.row(np.zeros_like(block))
    assert (empty["dice"], empty["hd95_mm"], empty["side_right"]) == (0.0, None, 0)


def test_unacquired_slices_are_not_scored(one):
    judged, block = one
    more = block.copy()
    more[0] = True
    assert judged.row(more)["dice"] == 1.0
