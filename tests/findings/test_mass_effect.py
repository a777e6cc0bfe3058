"""Midline shift, possible blood and age on a brain that lies in MNI space."""

import numpy as np
import pytest

from adn.answers import Age, AnswerOptions, Answers, MassEffect, NotAssessable, VolumeLimit
from adn.errors import InputError
from adn.findings.age import age, old_parts
from adn.findings.answers import Known, answer
from adn.findings.blood import blood
from adn.findings.mass_effect import mass_effect
from adn.findings.measure import versus_limit
from adn.findings.quality import old_remarks
from adn.findings.twins import twins_of
from adn.remarks import Remark
from adn.space.geometry import Grid
from adn.space.volume import Volume


def scan(shift_mm=0.0, ball=None, ball_hu=65.0, noise_hu=0.0) -> tuple[Volume, Volume, np.ndarray, np.ndarray]:
    """A brain of 35 HU with frontal horns, septum and third ventricle, moved to the left; a ball at MNI LPS mm."""
    grid = Grid.centred((30, 184, 148), (5.0, 1.0, 1.0))
    mni = np.linalg.inv(grid.index_from_frame)
    mni[:3, 3] += (0.0, 17.0, 10.0)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(index @ mni[:3, :3].T + mni[:3, 3], -1, 0)
    brain = (x / 70) ** 2 + ((y - 17) / 88) ** 2 + ((z - 10) / 70) ** 2 < 1
    hu = np.where(brain, 35.0, 1000.0)
    across = np.abs(x - shift_mm)
    hu[brain & (across > 1.5) & (across < 9) & (y > -24) & (y < 6) & (z > 4) & (z < 24)] = 6.0
    hu[brain & (across < 3) & (y > 2) & (y < 26) & (z > -4) & (z < 10)] = 6.0
    inside = np.zeros(grid.shape, bool)
    if ball:
        inside = np.linalg.norm(np.stack([x, y, z], -1) - ball, axis=-1) < 12
        hu[inside] = ball_hu
    hu += np.random.default_rng(0).normal(0, noise_hu, grid.shape) if noise_hu else 0.0
    return Volume(hu.astype(np.float32), grid), Volume(brain.astype(np.uint8), grid, "label"), inside, mni


@pytest.mark.parametrize("shift_mm", [0.0, 3.0, -6.0, 8.0])
def test_the_shift_is_found_on_its_side(shift_mm):
    volume, brain, _, mni = scan(shift_mm, noise_hu=3.0)
    twins = twins_of(volume, brain, np.zeros(volume.grid.shape, np.uint8), mni)
    found = mass_effect(volume, twins, mni, np.eye(4))
    assert isinstance(found, MassEffect)
    assert found.septum_shift_mm == pytest.approx(shift_mm, abs=1.0)
    assert found.pineal_shift_mm == pytest.approx(shift_mm, abs=1.0)


def test_the_dark_rim_of_a_bleed_is_not_mistaken_for_the_third_ventricle():
    volume, brain, _, mni = scan(2.0, ball=(-26.0, 14.0, 2.0), ball_hu=70.0, noise_hu=2.0)
    _, _, wider, _ = scan(ball=(-22.0, 14.0, 2.0))
    rim = wider & (volume.data < 60) & (volume.data > 20)
    volume = volume.with_data(np.where(rim, np.float32(18.0), volume.data))
    found = mass_effect(volume, twins_of(volume, brain, np.zeros(volume.grid.shape, np.uint8), mni), mni, np.eye(4))
    assert isinstance(found, MassEffect)
    assert found.pineal_shift_mm == pytest.approx(2.0, abs=1.0)


@pytest.mark.parametrize("noise_hu", [0.0, 6.0])
def test_a_brain_without_ventricles_has_no_midline(noise_hu):
    volume, brain, _, mni = scan()
    noise = np.random.default_rng(1).normal(0, noise_hu, volume.grid.shape).astype(np.float32)
    flat = volume.with_data(np.where(brain.data > 0, np.float32(35.0) + noise, volume.data))
    twins = twins_of(flat, brain, np.zeros(volume.grid.shape, np.uint8), mni)
    assert mass_effect(flat, twins, mni, np.eye(4)) == NotAssessable("not_seen")


def test_a_bleed_is_reported_with_its_side_and_place():
    volume, brain, inside, mni = scan(ball=(-40.0, -20.0, 24.0))
    found = blood(volume, brain, mni, np.eye(4))
    assert found.seen
    assert found.volume_ml == pytest.approx(inside.sum() * volume.grid.voxel_ml, rel=0.35)
    assert found.parts[0].side == "right"
    assert found.parts[0].territory == "middle cerebral artery, superior branch"


@pytest.mark.parametrize(("hu", "old"), [(5.0, True), (25.0, False)])
def test_tissue_as_dark_as_fluid_looks_old(hu, old):
    volume, brain, inside, mni = scan(ball=(40.0, -20.0, 30.0), ball_hu=hu)
    found = age(twins_of(volume, brain, inside.astype(np.uint8), mni))
    assert isinstance(found, Age)
    assert found.looks_old == old


@pytest.mark.parametrize(("hu", "old"), [(5.0, True), (25.0, False)])
def test_a_part_that_is_fluid_throughout_is_old_and_the_other_part_is_not(hu, old):
    volume, brain, ball, mni = scan(ball=(40.0, -20.0, 30.0), ball_hu=hu)
    marked = ball.astype(np.uint8)
    marked[10:13, 120:140, 40:60] = 1  # a part of plain tissue far away
    found = old_parts(twins_of(volume, brain, marked, mni), marked)
    np.testing.assert_array_equal(found, ball if old else np.zeros_like(ball))


def test_tissue_of_a_scan_that_is_too_dark_is_not_mistaken_for_fluid():
    volume, brain, ball, mni = scan(ball=(40.0, -20.0, 30.0), ball_hu=27.0)
    marked = ball.astype(np.uint8)
    dark = volume.with_data(np.where(brain.data > 0, volume.data - 15.0, volume.data).astype(np.float32))
    twins = twins_of(dark, brain, marked, mni)
    assert float(np.median(twins.hu[twins.infarct > 0.9])) == pytest.approx(12.0, abs=1.0)
    assert not old_parts(twins, marked).any()
    assert age(twins) == Age(0.0, looks_old=False)


def test_a_part_that_is_half_fluid_is_kept():
    volume, brain, ball, mni = scan(ball=(40.0, -20.0, 30.0), ball_hu=25.0)
    half = ball & (np.arange(ball.shape[1])[:, None] < np.argwhere(ball)[:, 1].mean())
    volume = volume.with_data(np.where(half, np.float32(5.0), volume.data))
    marked = ball.astype(np.uint8)
    assert not old_parts(twins_of(volume, brain, marked, mni), marked).any()


def test_an_old_infarct_has_a_remark():
    assert [x.kind for x in old_remarks(3.0, left_out=True)] == ["old_left_out"]
    assert [x.kind for x in old_remarks(3.0, left_out=False)] == ["old_marked"]
    assert old_remarks(0.0, left_out=True) == ()


def test_a_scan_that_is_not_assessable_gets_no_answer():
    volume, brain, inside, mni = scan()
    blocked = Remark("little_brain", {"area_cm2": 1.0}, blocks=True)
    twins = twins_of(volume, brain, inside.astype(np.uint8), mni)
    assert answer(volume, brain, twins, mni, np.eye(4), Known([blocked], 0.0)) == Answers()
    assert answer(volume, brain, None, mni, np.eye(4), Known([], 0.0)) == Answers()


def test_midline_and_score_are_not_judged_on_a_partial_scan():
    volume, brain, inside, mni = scan()
    part = Remark("part_of_head", {"slices": 5, "height_mm": 25.0})
    twins = twins_of(volume, brain, inside.astype(np.uint8), mni)
    found = answer(volume, brain, twins, mni, np.eye(4), Known([part], 0.0))
    assert found.aspects == found.mass_effect == NotAssessable("part_of_head")
    assert found.water_uptake == NotAssessable("no_infarct")


@pytest.mark.parametrize(
    ("interval", "limit_ml", "against"),
    [((71.0, 90.0), 70.0, "above"), ((10.0, 69.0), 70.0, "below"), ((69.0, 71.0), 70.0, "cannot_tell"),
     ((71.0, 90.0), 100.0, "below")],
)  # fmt: skip
def test_a_limit_is_judged_by_the_interval(interval, limit_ml, against):
    assert versus_limit(interval, limit_ml) == VolumeLimit(limit_ml, against)


def test_without_an_interval_a_limit_cannot_be_judged():
    assert versus_limit(None, 70.0) == NotAssessable("no_interval")


@pytest.mark.parametrize("limit_ml", [0.0, -5.0, 2000.0, float("nan")])
def test_a_limit_must_be_a_possible_brain_volume(limit_ml):
    with pytest.raises(InputError, match="volume limit must be"):
        AnswerOptions(limit_ml)
