"""Anything but a head CT in HU, or too little of one, is not assessable; a head is. Each kind has its reason."""

import numpy as np
import pytest

from adn.findings.assessable import _ends_of_rows, air_level_hu, assess, flat_share, tissue_contrast_hu
from adn.findings.quality import finding_remarks, mask_remarks, quality_remarks
from adn.findings.territory import can_register
from adn.lang import words
from adn.remarks import blocking
from adn.results import Measurements, Quality
from adn.space.affine import Affine
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume

SHAPE, SPACING_MM = (32, 100, 84), (5.0, 2.2, 2.2)


def phantom(scale=(1.0, 1.0, 1.0), noise=4.0, brain=lambda z, y, x: np.where(np.sin(x / 7) > 0.3, 26.0, 36.0)):
    """A head of 130 × 170 × 130 mm of brain, and its mask. scale: of the voxel size, as a false header has it."""
    place = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING_MM, strict=True)]
    z, y, x = np.meshgrid(*place, indexing="ij")
    level = np.sqrt((x / 65) ** 2 + (y / 85) ** 2 + (z / 65) ** 2)
    hu = np.where(level < 1, brain(z, y, x), np.where(level < 1.08, 1000.0, -1000.0))
    hu = hu + np.random.default_rng(0).normal(0, noise, SHAPE) if noise else hu
    spacing = tuple(step * factor for step, factor in zip(SPACING_MM, scale, strict=True))
    grid = Grid.centred(SHAPE, spacing)
    return Volume(hu.astype(np.float32), grid), Volume((level < 1).astype(np.uint8), grid, "label")


def cut(volume, slices, rows=slice(None), columns=slice(None)):
    data = volume.data[slices, rows, columns]
    return Volume(data, Grid.centred(data.shape, volume.grid.spacing_mm), volume.unit)


def kinds(volume, mask):
    """Of the remarks that block."""
    to_mm = Grid.centred(volume.grid.shape, volume.grid.spacing_mm).index_from_frame
    found = (*mask_remarks(volume, mask), *assess(volume, mask, np.linalg.inv(to_mm).astype(np.float64)))
    return {remark.kind for remark in blocking(found)}


def test_a_head_is_assessable():
    assert kinds(*phantom()) == set()
    assert kinds(*phantom(noise=10.0)) == set()


@pytest.mark.parametrize("slices", [slice(16, 17), slice(8, 20), slice(0, 24), slice(10, 32)])
def test_a_part_of_a_head_is_assessable(slices):
    assert kinds(*(cut(one, slices) for one in phantom())) == set()


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ((0.5, 0.5, 0.5), {"brain_size"}),
        ((0.5, 1.0, 1.0), {"brain_size"}),
        ((1.0, 0.5, 1.0), {"brain_size", "brain_small"}),
        ((1.0, 1.0, 0.5), {"brain_size", "brain_small"}),
        ((0.7, 0.7, 0.7), {"brain_size"}),
        ((2.0, 2.0, 2.0), {"brain_size", "brain_large"}),
        ((1.0, 1.4, 1.4), {"brain_size"}),
    ],
)
def test_impossible_head_sizes_block(scale, expected):
    found = kinds(*phantom(scale))
    assert "brain_size" in found
    assert found <= expected | {"brain_small", "brain_large"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda hu: hu * 0.5, "air_level"),
        (lambda hu: hu * 1.5, "air_level"),
        (lambda hu: hu * 2.0, "brain_bright"),
        (lambda hu: hu + 30.0, "brain_bright"),
        (lambda hu: hu - 30.0, "brain_dark"),
        (lambda hu: np.round((np.clip(hu, -1024, 3071) + 1024) / 4095 * 255), "brain_bright"),
    ],
)
def test_other_units_are_noticed(change, expected):
    volume, mask = phantom()
    assert expected in kinds(volume.with_data(change(volume.data).astype(np.float32)), mask)


def test_labels_are_not_a_scan():
    volume, mask = phantom(noise=0.0, brain=lambda z, y, x: np.where(np.abs(x) < 20, 20.0, 40.0))
    assert flat_share(volume, mask) > 0.9
    assert "values_flat" in kinds(volume, mask)


def test_a_ball_of_water_in_a_skull_is_not_a_brain():
    volume, mask = phantom(brain=lambda z, y, x: 33.0)
    assert tissue_contrast_hu(volume, mask) < 2.0
    assert kinds(volume, mask) == {"tissue_alike"}


def test_hardly_any_visible_brain_blocks():
    assert kinds(*(cut(one, slice(28, 29)) for one in phantom())) == {"little_brain"}


def test_a_field_of_view_that_cuts_the_brain_blocks():
    volume, mask = phantom()
    assert "field_cut" in kinds(
        cut(volume, slice(None), columns=slice(0, 45)), cut(mask, slice(None), columns=slice(0, 45))
    )
    assert "field_cut" in kinds(cut(volume, slice(None), slice(0, 55)), cut(mask, slice(None), slice(0, 55)))


def test_clipped_or_filled_air_does_not_count_as_air_level():
    volume, _ = phantom()
    assert air_level_hu(volume) == pytest.approx(-1000.0, abs=1.0)
    assert air_level_hu(volume.with_data(volume.data.clip(-100, 200))) is None
    assert air_level_hu(volume.with_data(volume.data.clip(-500, 200))) is None
    assert air_level_hu(volume.with_data(np.where(volume.data < -500, -2000.0, volume.data))) is None


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        (Quality(1300.0, 6.0, 4.0, 12.0, False, False, 0.0), []),
        (Quality(1300.0, 6.0, 4.0, 25.0, False, False, 0.0), ["noisy"]),
        (Quality(1300.0, 20.0, 13.0, 4.0, False, False, 0.0), []),
        (Quality(1300.0, 20.0, 16.0, 4.0, False, False, 0.0), ["asymmetric"]),
    ],
)
def test_extreme_noise_or_asymmetry_blocks(quality, expected):
    assert [remark.kind for remark in blocking(quality_remarks(quality, "dark"))] == expected


def test_every_blocking_kind_gives_its_reason():
    remarks = [*quality_remarks(Quality(1300.0, 20.0, 16.0, 25.0, False, False, 0.0), "dark")]
    for scale in ((0.5, 0.5, 0.5), (2.0, 2.0, 2.0)):
        volume, mask = phantom(scale)
        remarks += mask_remarks(volume, mask)
    for remark in blocking(remarks):
        assert words().has(f"reasons.{remark.kind}")
        assert "{" not in remark.reason


def test_copied_halves_and_copied_slices_are_not_a_scan():
    volume, mask = phantom()
    data = volume.data.copy()
    data[:, :, 42:] = data[:, :, :42][:, :, ::-1]
    assert kinds(volume.with_data(data), mask) == {"halves_equal"}
    shifted = [Volume(np.roll(one.data, 3, 2), one.grid, one.unit) for one in (volume.with_data(data), mask)]
    assert kinds(*shifted) == {"halves_equal"}
    middle = (np.repeat(one.data[16:17], 32, 0) for one in (volume, mask))
    assert "slices_equal" in kinds(*(one.with_data(data) for one, data in zip((volume, mask), middle, strict=True)))


def test_slices_and_pixels_doubled_by_resampling_are_assessable():
    volume, mask = phantom()
    for axis in range(3):
        affine = volume.grid.affine.copy()
        affine[:3, axis] /= 2
        halved = Grid(np.repeat(mask.data, 2, axis).shape, affine)
        assert kinds(*(Volume(np.repeat(one.data, 2, axis), halved, one.unit) for one in (volume, mask))) == set()


@pytest.mark.parametrize(
    ("slices", "possible"),
    [(slice(None), True), (slice(14, 32), True), (slice(0, 12), False), (slice(12, 19), False), (slice(24, 32), False)],
)
def test_territories_are_named_only_where_the_head_can_be_placed(slices, possible):
    _, mask = phantom()
    assert can_register(cut(mask, slices)) is possible


def test_an_unknown_territory_is_reported():
    found = Measurements(10.0, "left", 10.0, 0.0, (3,), 27.0, 33.0, 0.8)
    kinds_of = [remark.kind for remark in finding_remarks(found, RigidTransform.identity(), places=False)]
    assert kinds_of == ["territory_unknown"]
    assert finding_remarks(found, RigidTransform.identity()) == ()


def test_the_ends_of_rows_bound_all_voxels_in_any_orientation():
    draw = np.random.default_rng(0)
    inside = draw.random((6, 9, 11)) > 0.7
    for _ in range(5):
        turned = Affine(np.vstack([draw.normal(size=(3, 4)), [0, 0, 0, 1]]))
        all_of_them, ends = (
            np.ptp(turned.apply(index), axis=0) for index in (np.argwhere(inside), _ends_of_rows(inside))
        )
        assert np.allclose(all_of_them, ends)
