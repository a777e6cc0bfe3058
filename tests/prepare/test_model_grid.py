"""Laws of bringing a brain to the model grid."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from adn.config import GridConfig
from adn.errors import InputError
from adn.prepare import conform
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume
from prepare.phantom import head

ALL_AXES = ["".join(c) for order in permutations(("LR", "PA", "SI")) for c in product(*order)]
GRID = GridConfig(spacing_mm=(5.0, 2.4, 2.4), shape=(40, 96, 88), box=None)


def _oblique(volume: Volume, degrees: tuple[float, float, float]) -> Volume:
    turn = np.eye(4)
    turn[:3, :3] = RigidTransform.from_parameters(degrees).matrix[:3, :3]
    return Volume(volume.data, Grid(volume.grid.shape, turn @ volume.grid.affine), volume.unit)


@pytest.fixture(scope="module")
def phantom() -> tuple[Volume, Volume]:
    return head()


def test_the_grid_is_axis_aligned_around_the_centroid(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = (_oblique(v, (8.0, -5.0, 12.0)) for v in phantom)
    result = conform(scan, truth, GRID)
    assert result.brain.grid.axes == "SPL"
    assert result.brain.grid.spacing_mm == pytest.approx(GRID.spacing_mm)
    assert np.count_nonzero(np.abs(result.brain.grid.affine[:3, :3]) > 1e-9) == 3
    index = np.argwhere(truth.data > 0).mean(0)
    centroid = truth.grid.affine[:3, :3] @ index + truth.grid.affine[:3, 3]
    assert result.brain.grid.centre_mm == pytest.approx(centroid, abs=1e-6)
    own = np.argwhere(result.mask.data > 0).mean(0)
    assert own == pytest.approx((np.array(GRID.shape) - 1) / 2, abs=0.3)


def test_every_axis_order_gives_identical_bits(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = (_oblique(v, (8.0, -5.0, 12.0)) for v in phantom)
    expected = conform(scan, truth, GRID)
    for axes in ALL_AXES:
        turned = scan.reoriented(axes)
        rounded = turned.grid.affine.copy()
        rounded[:3, 3] = rounded[:3, 3].astype(np.float32)  # as a file keeps it
        turned = Volume(turned.data, Grid(turned.grid.shape, rounded))
        mask = Volume(truth.reoriented(axes).data, turned.grid)
        result = conform(turned, mask, GRID)
        assert np.array_equal(result.brain.data, expected.brain.data)
        assert np.array_equal(result.mask.data, expected.mask.data)
        assert np.array_equal(result.scan_index_from_model_index(), expected.scan_index_from_model_index())


def test_matrix_agrees_with_the_two_grids(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = (_oblique(v, (3.0, 2.0, -9.0)).reoriented("LAS") for v in phantom)
    result = conform(scan, truth, GRID)
    expected = np.linalg.inv(result.scan_grid.affine) @ result.brain.grid.affine
    assert result.scan_grid.axes == "SPL"
    assert result.scan_index_from_model_index() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [((44, 128, 112), (5.0, 1.8, 1.8)), ((22, 250, 230), (9.0, 0.9, 0.9)), ((110, 110, 100), (2.0, 2.1, 2.1))],
)
def test_keeps_volume_and_mean(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> None:
    scan, truth = head(shape, spacing_mm)
    result = conform(scan, truth, GRID)
    before = truth.data.sum() * truth.grid.voxel_ml
    after = result.mask.data.sum() * result.mask.grid.voxel_ml
    assert after == pytest.approx(before, rel=0.02)
    mean_before = np.clip(scan.data[truth.data > 0] / 80.0, 0, 1).mean()
    assert result.brain.data[result.mask.data > 0].mean() == pytest.approx(mean_before, rel=0.01)


def test_no_bone_leaks_in_and_outside_is_zero(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = phantom
    flat = scan.with_data(np.where(truth.data > 0, 40.0, 1000.0).astype(np.float32))
    result = conform(flat, truth, GRID)
    inside = result.mask.data > 0
    assert result.brain.data[inside] == pytest.approx(0.5, abs=1e-5)
    assert not result.brain.data[~inside].any()
    assert result.brain.data.dtype == np.float32


def test_window_ends(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = phantom
    for hu, expected in ((-30.0, 0.0), (10.0, 0.0), (30.0, 0.5), (50.0, 1.0), (400.0, 1.0)):
        flat = scan.with_data(np.full(scan.data.shape, hu, np.float32))
        config = GRID.model_copy(update={"window_hu": (10.0, 50.0)})
        result = conform(flat, truth, config)
        assert result.brain.data[result.mask.data > 0] == pytest.approx(expected, abs=1e-5)


def test_mirror_image_gives_the_mirrored_brain(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = phantom
    there = conform(scan, truth, GRID)
    flipped = conform(scan.with_data(scan.data[:, :, ::-1]), truth.with_data(truth.data[:, :, ::-1]), GRID)
    difference = np.abs(flipped.brain.data[:, :, ::-1] - there.brain.data)
    both = (flipped.mask.data[:, :, ::-1] > 0) & (there.mask.data > 0)
    assert both.sum() > 0.995 * there.mask.data.sum()
    assert difference[both].max() < 1e-3


def test_fine_noise_is_averaged_not_sampled() -> None:
    scan, truth = head((110, 110, 100), (2.0, 2.1, 2.1), noise_hu=0.0)
    noise = np.random.default_rng(3).standard_normal(scan.data.shape) * 8.0
    result = conform(scan.with_data((40.0 + noise).astype(np.float32)), truth, GRID)
    inner = result.brain.data[20, 40:56, 36:52] * 80.0
    assert inner.std() < 0.75 * 8.0


def test_refuses_empty_mask_wrong_grid_and_no_fit(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = phantom
    with pytest.raises(InputError, match="empty"):
        conform(scan, truth.with_data(np.zeros_like(truth.data)), GRID)
    with pytest.raises(InputError, match="must lie on the scan's grid"):
        conform(scan, truth.reoriented("RAS"), GRID)
    with pytest.raises(InputError, match="fit the model grid"):
        conform(scan, truth, GridConfig(spacing_mm=(2.0, 1.0, 1.0), shape=(40, 96, 88), box=None))
