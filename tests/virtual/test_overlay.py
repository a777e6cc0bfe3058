"""Infarcts laid on real brains, and taken out of them."""

import json

import numpy as np
import pytest
import torch

from adn.config_mix import LaidConfig
from adn.space.warp import mirror
from adn.virtual.lesions import BRAIN, LesionMask
from adn.virtual.overlay import (
    Overlay,
    Shape,
    Twin,
    donor_shape,
    draw_overlay,
    draw_twin,
    lay,
    lay_one,
    mask_shape,
    replace_by_twin,
)
from given import given

SPACING = (5.0, 2.4, 2.4)
CONFIG = LaidConfig()


def ball(radius_mm=15.0, spacing=(2.0, 2.0, 2.0)):
    sides = [int(2 * radius_mm / mm) + 1 for mm in spacing]
    lines = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(sides, spacing, strict=True)]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    return ((z**2 + y**2 + x**2) <= radius_mm**2).float()


SHAPES = {"ball": Shape("ball", ball(), (2.0, 2.0, 2.0), (0.5, 0.4, 0.75))}


def phantom(spacing=SPACING, noise_hu=1.0, seed=0):
    """A brain of 33 HU as an ellipsoid of 140 × 160 × 130 mm, HU and mask, with noise."""
    half = (75.0, 85.0, 70.0)
    sides = [2 * int(h / mm) for h, mm in zip(half, spacing, strict=True)]
    lines = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(sides, spacing, strict=True)]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    brain = (z / 70) ** 2 + (y / 80) ** 2 + (x / 65) ** 2 <= 1
    hu = 33 + noise_hu * torch.randn(brain.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(brain, hu, 0.0), brain


def overlay(**changes):
    values = {"shape": "ball", "place": (0.5, 0.4, 0.75), "scale": 1.0, "flip": False, "edge_mm": 1.5,
              "drop_hu": 6.0, "gain": 1.0, "patchy": 0.2, "seed": 3}  # fmt: skip
    return Overlay(**{**values, **changes})


@pytest.mark.parametrize("spacing", [SPACING, (5.0, 1.0, 1.0), (2.5, 0.8, 0.8)])
def test_the_same_infarct_at_any_spacing(spacing):
    hu, brain = phantom(spacing)
    laid = given(lay(hu, brain, spacing, SHAPES["ball"], overlay()))
    assert laid.volume_ml == pytest.approx(14.1, rel=0.15)  # a ball of 15 mm
    assert laid.drop_hu == pytest.approx(6.0, abs=1.2)
    at = laid.infarct.nonzero().float().mean(0)
    shares = [(float(a) - lo) / (hi - lo) for a, (lo, hi) in zip(at, bounds(brain), strict=True)]
    assert shares == pytest.approx([0.5, 0.4, 0.75], abs=0.03)


def bounds(mask):
    index = mask.nonzero()
    return list(zip(index.min(0).values.tolist(), index.max(0).values.tolist(), strict=True))


def test_arrays_are_accepted_like_tensors():
    hu, brain = phantom()
    laid = given(lay(hu.numpy(), brain.numpy().astype(np.uint8), SPACING, SHAPES["ball"], overlay()))
    assert torch.equal(laid.hu, given(lay(hu, brain, SPACING, SHAPES["ball"], overlay())).hu)


def test_a_draw_is_replayed_through_json():
    hu, brain = phantom()
    laid = given(lay_one(torch.Generator().manual_seed(5), hu, brain, SPACING, SHAPES, CONFIG))
    again = Overlay.from_dict(json.loads(json.dumps(laid.overlay.to_dict())))
    assert again == laid.overlay
    assert torch.equal(given(lay(hu, brain, SPACING, SHAPES["ball"], again)).hu, laid.hu)
    other = given(lay_one(torch.Generator().manual_seed(6), hu, brain, SPACING, SHAPES, CONFIG))
    assert other.overlay != laid.overlay


def test_only_parenchyma_darkens_and_ignored_voxels_do_not():
    hu, brain = phantom()
    hu[:, :, 52:54] = torch.where(brain, 5.0, 0.0)[:, :, 52:54]  # fluid
    silent = torch.zeros_like(brain)
    silent[15] = True
    laid = given(lay(hu, brain, SPACING, SHAPES["ball"], overlay(), silent))
    changed = laid.hu != hu
    assert laid.infarct.any()
    assert not (changed & ~brain).any()
    assert not changed[15].any()
    assert not laid.infarct[15].any()
    assert not laid.infarct[:, :, 52:54].any()
    assert float((hu - laid.hu)[:, :, 52:54].max()) < 0.1
    assert (laid.hu <= hu).all()


def test_invisible_infarcts_are_drawn_again():
    hu, brain = phantom()
    faint = LaidConfig(drop_hu=0.5, drop_sd_hu=0.0, drop_range_hu=(0.0, 14.0))
    assert lay_one(torch.Generator().manual_seed(0), hu, brain, SPACING, SHAPES, faint) is None
    laid = [lay_one(torch.Generator().manual_seed(s), hu, brain, SPACING, SHAPES, CONFIG) for s in range(10)]
    assert all(x is None or (x.drop_hu >= 1.5 and 1.0 <= x.volume_ml <= 220) for x in laid)
    assert sum(x is not None for x in laid) > 6


def test_nothing_is_placed_outside_the_brain():
    hu, brain = phantom()
    assert lay(hu, brain, SPACING, SHAPES["ball"], overlay(place=(0.5, 3.0, 0.5))) is None
    assert lay(hu, torch.zeros_like(brain), SPACING, SHAPES["ball"], overlay()) is None


def test_a_flip_mirrors_shape_and_place():
    sides = [draw_overlay(torch.Generator().manual_seed(s), SHAPES, CONFIG, 140.0) for s in range(40)]
    assert {o.flip for o in sides} == {True, False}
    assert all((o.place[2] < 0.5) == o.flip for o in sides)
    lopsided = Shape(
        "ball", torch.cat([torch.zeros(8, 8, 8), torch.ones(8, 8, 8)], 2), (2.0, 2.0, 2.0), (0.5, 0.5, 0.5)
    )
    hu, brain = phantom(noise_hu=0.0)
    laid = [
        given(lay(hu, brain, SPACING, lopsided, overlay(place=(0.5, 0.5, 0.5), flip=f, patchy=0.0)))
        for f in (False, True)
    ]
    assert torch.equal(mirror(laid[0].infarct), laid[1].infarct)


def test_a_partial_head_gets_a_mask_at_any_height():
    whole = {draw_overlay(torch.Generator().manual_seed(s), SHAPES, CONFIG, 140.0).place[0] for s in range(9)}
    part = {draw_overlay(torch.Generator().manual_seed(s), SHAPES, CONFIG, 40.0).place[0] for s in range(9)}
    assert whole == {0.5}
    assert len(part) == 9


def test_a_mask_in_mni_keeps_size_and_place():
    data = torch.zeros((30, 20, 24), dtype=torch.uint8)
    data[10:20, 4:14, 6:18] = 255
    index_from_mni = np.eye(4)
    index_from_mni[:3, 3] = (-30.0, 5.0, -2.0)  # mm of the first voxel: 30, -5, 2
    shape = mask_shape("box", LesionMask(data, index_from_mni))
    assert float(shape.extent.sum()) * 8 == pytest.approx(10 * 10 * 12)
    centre, axes = BRAIN
    middle = (30 + 11.5, -5 + 8.5, 2 + 14.5)  # x, y, z
    expected = [(m - c + a) / (2 * a) for m, c, a in zip(middle, centre, axes, strict=True)]
    assert shape.place == pytest.approx(expected[::-1])


def test_a_donors_differences_are_moved_elsewhere():
    hu, brain = phantom(noise_hu=0.0)
    infarct = torch.zeros_like(brain)
    infarct[12:18, 20:30, 40:48] = True
    shape = given(donor_shape("p", torch.where(infarct, hu - 7, hu), brain, infarct, SPACING))
    assert given(shape.drop_hu).median() == pytest.approx(7.0, abs=0.2)
    assert shape.extent.shape == (6, 10, 8)
    laid = given(lay(hu, brain, SPACING, shape, overlay(place=(0.5, 0.6, 0.3), edge_mm=0.5)))
    assert laid.drop_hu == pytest.approx(7.0, abs=1.0)
    assert donor_shape("p", hu, brain, infarct | mirror(infarct), SPACING) is None


def test_a_region_is_replaced_by_its_mirror_image():
    hu, brain = phantom(noise_hu=2.0)
    infarct = torch.zeros_like(brain)
    infarct[12:18, 20:34, 40:52] = True
    dark = torch.where(infarct, hu - 12, hu)
    filled, replaced = replace_by_twin(dark, brain, infarct, Twin((0, 1), 0.0, 1), SPACING)
    assert torch.equal(replaced, infarct)
    inner = torch.zeros_like(brain)
    inner[12:18, 24:30, 44:48] = True
    assert filled[inner].mean() == pytest.approx(33.0, abs=0.5)
    assert filled[inner].std() == pytest.approx(2.0, abs=0.3)
    far = ~(torch.nn.functional.max_pool3d(infarct[None, None].float(), (1, 11, 11), 1, (0, 5, 5))[0, 0] > 0)
    assert torch.equal(filled[far], dark[far])
    assert not torch.equal(filled[inner], mirror(dark)[inner])  # not the same noise


def test_a_region_on_both_sides_has_no_mirror_image():
    hu, brain = phantom()
    region = torch.zeros_like(brain)
    region[12:18, 20:34, 5:53] = True
    filled, replaced = replace_by_twin(hu, brain, region, Twin((0, 1), 1.0, 1), SPACING)
    assert replaced.sum() < 0.1 * region.sum()
    assert torch.equal(filled[:12], hu[:12])


def test_twins_are_drawn_from_the_generator():
    first, again = (draw_twin(torch.Generator().manual_seed(4)) for _ in range(2))
    assert first == again
    assert abs(first.shift[1]) == 1
    assert abs(first.shift[0]) <= 1
