"""Tissues as bright as on MR block the verdict; tissues as bright as on CT do not."""

import numpy as np
import pytest

from adn.findings.tissue_levels import _template, level_remarks, tissue_levels
from adn.space.affine import Affine
from adn.space.geometry import Grid
from adn.space.volume import Volume


def brain_of(grey, white, fluid, slices=slice(None)):
    """MNI's brain with such tissues as a scan, its mask, and array index → LPS mm."""
    tissue, points = _template()
    grid = Grid.centred((36, 72, 60), (5.0, 3.0, 3.0))
    aligned_from_scan = np.linalg.inv(grid.index_from_frame)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    cells = np.rint((Affine(aligned_from_scan).apply(index)[:, ::-1] - points.min(0)[::-1]) / 8.0 - 0.25).astype(int)
    known = ((cells >= 0) & (cells < tissue.shape[1:])).all(1)
    cells[~known] = 0
    shares = (tissue[:, cells[:, 0], cells[:, 1], cells[:, 2]] * known).reshape(3, *grid.shape)
    inside = shares.sum(0) > 0.5
    values = np.tensordot([grey, white, fluid], shares, 1) / np.maximum(shares.sum(0), 0.1)
    values = np.where(inside, values + np.random.default_rng(0).normal(0, 4, grid.shape), 0.0).astype(np.float32)
    start = np.eye(4)
    start[0, 3] = slices.start or 0
    cut = Grid(values[slices].shape, grid.affine @ start)
    mask = Volume(inside[slices].astype(np.uint8), cut, "label")
    return Volume(values[slices], cut), mask, aligned_from_scan @ start


def test_the_brightness_of_each_tissue_is_found():
    found = tissue_levels(*brain_of(37.0, 29.0, 8.0))
    assert found is not None
    assert found == pytest.approx((37.0, 29.0, 8.0), abs=6.0)
    assert 4.0 < found.grey - found.white < 14.0


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        ((32.0, 45.0, 14.0), "T1"),
        ((20.0, 14.0, 48.0), "T2"),
        ((33.0, 24.0, 45.0), "PD"),
        ((23.0, 31.0, 52.0), "CT inverted"),
        ((47.0, 41.0, 20.0), "DWI"),
        ((46.0, 22.0, 16.0), "PET"),
    ],
)
def test_tissue_order_of_mr_and_of_inverted_ct_blocks(levels, name):
    (remark,) = level_remarks(*brain_of(*levels))
    assert remark.blocks
    assert remark.kind == "tissue_levels"
    assert "not as bright as on CT" in remark.reason


def test_ct_and_a_partial_head_do_not_block():
    assert level_remarks(*brain_of(37.0, 29.0, 8.0)) == ()
    assert level_remarks(*brain_of(32.0, 45.0, 14.0, slice(18, 19))) == ()
