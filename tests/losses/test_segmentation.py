"""L_F by hand, and against MONAI."""

import math

import pytest
import torch

from adn.losses.segmentation import (
    binary_cross_entropy,
    generalised_dice,
    over_levels,
    soft_dice,
)
from given import given

SHAPE = (2, 1, 5, 10, 20)  # 1,000 voxels a scan


def lesion(voxels):
    """The first scan has a lesion of so many voxels, the second ten more."""
    reference = torch.zeros(SHAPE).flatten(1)
    reference[0, :voxels] = 1
    reference[1, : voxels + 10] = 1
    return reference.reshape(SHAPE)


def test_cross_entropy_by_hand():
    half = torch.full(SHAPE, 0.5)
    assert binary_cross_entropy(half, lesion(10), 1000).tolist() == pytest.approx([math.log(2)] * 2)
    assert binary_cross_entropy(half, lesion(10), 2000).tolist() == pytest.approx([math.log(2) / 2] * 2)
    quarter = binary_cross_entropy(torch.full(SHAPE, 0.25), lesion(100), 1000)
    assert float(quarter[0]) == pytest.approx(0.1 * math.log(4) - 0.9 * math.log(0.75), rel=1e-5)


def test_cross_entropy_stays_finite_for_confidently_wrong_predictions():
    p = torch.zeros(SHAPE, requires_grad=True)
    loss = binary_cross_entropy(p, torch.ones(SHAPE), 1000)
    assert loss.tolist() == pytest.approx([-math.log(1e-6)] * 2, rel=1e-4)
    loss.sum().backward()
    assert given(p.grad).isfinite().all()


def test_a_box_and_the_full_grid_give_the_same_cross_entropy():
    """Outside the box probability and reference are 0."""
    box, reference = torch.rand(SHAPE), lesion(40)
    grown, marked = (torch.nn.functional.pad(x, (2, 2, 3, 3, 1, 1)) for x in (box, reference))
    voxels = grown[0].numel()
    full = binary_cross_entropy(grown, marked, voxels)
    assert torch.allclose(full, binary_cross_entropy(box, reference, voxels), atol=2e-6)


def test_dice_of_a_box_and_the_full_grid_differ_by_the_share_of_the_background_only():
    """Its weight is 1 / background², so twice the lesion's share of the box bounds the difference."""
    torch.manual_seed(0)
    reference = lesion(10)
    probability = (0.7 * reference + 0.1 * torch.rand(SHAPE)).clamp(0, 1)
    grown = [torch.nn.functional.pad(x, (2, 2, 3, 3, 1, 1)) for x in (probability, reference)]
    difference = generalised_dice(*grown) - generalised_dice(probability, reference)
    assert (difference.abs() < torch.tensor([2 * 10, 2 * 20]) / 1000).all()


def test_dice_of_the_perfect_the_missed_and_the_empty():
    reference = lesion(10)
    assert generalised_dice(reference, reference).abs().max() < 1e-6
    missed = generalised_dice(torch.zeros(SHAPE), reference)
    assert float(missed[0]) == pytest.approx(1 - (2 / 990) / (10 / 10**2 + (1000 + 990) / 990**2), abs=1e-6)  # 0.980
    assert missed.min() > 0.95  # MONAI's defaults on one channel: 0.38
    assert torch.equal(generalised_dice(torch.rand(SHAPE), torch.zeros(SHAPE)), torch.zeros(2))


def test_voxels_that_do_not_count_add_nothing_and_get_no_gradient():
    torch.manual_seed(0)
    p, reference = (torch.rand(SHAPE) * 0.8 + 0.1).requires_grad_(True), lesion(10)
    counted = torch.ones(SHAPE)
    counted[..., :10] = 0  # the lesion's first ten voxels of the first scan, among others
    cut, rest = p[..., 10:], reference[..., 10:]
    assert torch.allclose(binary_cross_entropy(p, reference, 1000, counted), binary_cross_entropy(cut, rest, 1000))
    assert torch.allclose(generalised_dice(p, reference, counted), generalised_dice(cut, rest))
    (binary_cross_entropy(p, reference, 1000, counted) + generalised_dice(p, reference, counted)).sum().backward()
    assert torch.count_nonzero(given(p.grad)[..., :10]) == 0
    assert torch.count_nonzero(given(p.grad)[..., 10:]) > 0


def test_an_empty_scan_sends_no_gradient_and_a_full_one_a_finite_one():
    p = torch.rand(SHAPE, requires_grad=True)
    reference = lesion(10)
    reference[1] = 0
    generalised_dice(p, reference).sum().backward()
    assert torch.count_nonzero(given(p.grad)[1]) == 0
    assert given(p.grad).isfinite().all()
    assert (given(p.grad)[0][reference[0] > 0] < 0).all()  # more probability inside: less loss
    assert (given(p.grad)[0][reference[0] == 0] > 0).all()


@pytest.mark.parametrize("index", [3, 500])
def test_the_gradient_is_the_finite_difference(index):
    torch.manual_seed(0)
    p, reference, step = torch.rand(SHAPE) * 0.8 + 0.1, lesion(10), 0.05
    for loss in (generalised_dice, lambda p, g: binary_cross_entropy(p, g, 100)):
        leaf = p.clone().requires_grad_(True)
        loss(leaf, reference).sum().backward()
        up, down = p.clone(), p.clone()
        up.flatten()[index] += step
        down.flatten()[index] -= step
        slope = (loss(up, reference).sum() - loss(down, reference).sum()) / (2 * step)
        assert float(slope) == pytest.approx(float(given(leaf.grad).flatten()[index]), rel=0.1, abs=1e-5)


@pytest.mark.parametrize("voxels", [1, 10, 300])
def test_dice_equals_that_of_monai_with_two_channels(voxels):
    losses = pytest.importorskip("monai.losses", reason="MONAI is not installed")
    monai = losses.GeneralizedDiceLoss(smooth_nr=0.0, smooth_dr=1e-12, reduction="mean")
    torch.manual_seed(0)
    reference = lesion(voxels)
    for probability in (torch.rand(SHAPE), 0.9 * reference, torch.zeros(SHAPE)):
        ours = generalised_dice(probability, reference)
        for i in range(2):
            p, g = probability[i : i + 1], reference[i : i + 1]
            theirs = monai(torch.cat([p, 1 - p], 1), torch.cat([g, 1 - g], 1))
            assert float(ours[i]) == pytest.approx(float(theirs), abs=2e-6)


def test_each_scan_is_scored_separately_and_in_full_precision():
    torch.manual_seed(0)
    p, reference = torch.rand(SHAPE), lesion(10)
    alone = torch.cat([generalised_dice(p[i : i + 1], reference[i : i + 1]) for i in range(2)])
    assert torch.equal(generalised_dice(p, reference), alone)
    assert generalised_dice(p.bfloat16(), reference).dtype == torch.float32
    assert binary_cross_entropy(p.bfloat16(), reference, 1000).dtype == torch.float32


def both(p, reference, counted, voxels):
    return binary_cross_entropy(p, reference, voxels, counted).mean() + generalised_dice(p, reference, counted).mean()


def pyramid(reference):
    """What is right at three levels, as probabilities."""
    sides = [(4, 8, 8), (2, 4, 4), (2, 2, 2)]  # the deepest halves in plane only
    return [torch.nn.functional.adaptive_max_pool3d(reference, s).requires_grad_(True) for s in sides]


def one_voxel():
    reference = torch.zeros(1, 1, 4, 8, 8)
    reference[0, 0, 1, 2, 3] = 1
    return reference


def test_perfect_levels_cost_nothing_and_gradients_reach_each():
    reference, counted = one_voxel(), torch.ones(1, 1, 4, 8, 8)
    finest, *coarser = pyramid(reference)
    assert all(level.sum() == 1 for level in coarser)  # one voxel of infarct is asked for at every level
    perfect = over_levels(both(finest, reference, counted, 256), coarser, reference, counted, 256, both)
    assert float(perfect.detach()) == pytest.approx(0, abs=1e-4)
    blank = [torch.full_like(level, 0.3).requires_grad_(True) for level in (finest, *coarser)]
    over_levels(both(blank[0], reference, counted, 256), blank[1:], reference, counted, 256, both).backward()
    assert all(given(level.grad).abs().min() > 0 for level in blank)


def test_levels_are_weighted_1_half_and_a_quarter_over_their_own_voxels():
    def voxels(p, reference, counted, grid_voxels):
        return torch.tensor(float(grid_voxels))

    reference, counted = one_voxel(), torch.ones(1, 1, 4, 8, 8)
    _, *coarser = pyramid(reference)  # 32 and 8 of 256 voxels
    found = over_levels(torch.tensor(1000.0), coarser, reference, counted, 1024, voxels)
    assert float(found) == pytest.approx((1000 + 128 / 2 + 32 / 4) / 1.75)
    assert float(over_levels(torch.tensor(3.0), (), reference, counted, 1024, voxels)) == 3.0


def test_a_coarse_voxel_counts_if_all_its_fine_voxels_do():
    reference, counted = one_voxel(), torch.ones(1, 1, 4, 8, 8)
    counted[0, 0, 1, 2, 2] = 0  # beside the infarct, in the same coarse voxel
    seen = []
    over_levels(torch.zeros(()), pyramid(reference)[1:2], reference, counted, 256,
                lambda p, g, c, n: seen.append((g * c, c)) or torch.zeros(()))  # fmt: skip
    assert float(seen[0][0].sum()) == 0
    assert float(seen[0][1].sum()) == 31


def test_cross_entropy_over_the_brain_of_each_scan():
    half = torch.full(SHAPE, 0.5)
    found = binary_cross_entropy(half, lesion(10), torch.tensor([1000, 500]))
    assert found.tolist() == pytest.approx([math.log(2), 2 * math.log(2)])


def test_batch_dice_is_pooled_and_smoothed_by_the_given_number_of_voxels():
    """10 and 20 voxels of lesion, half of them found in one scan, none in the other: 2 · 5 / (5 + 30)."""
    reference = lesion(10)
    found = torch.zeros(SHAPE).flatten(1)
    found[0, :5] = 1
    found = found.reshape(SHAPE)
    assert float(soft_dice(found, reference)) == pytest.approx(1 - 10 / 35)
    assert float(soft_dice(found, reference, smooth=20.0)) == pytest.approx(1 - 30 / 55)
    nothing = torch.zeros(SHAPE)
    assert float(soft_dice(nothing, nothing, smooth=20.0)) == 0
    assert float(soft_dice(found, nothing, smooth=20.0)) == pytest.approx(1 - 20 / 25)
    counted = 1 - found  # what is silent counts on neither side
    assert float(soft_dice(found, reference * counted, counted)) == 1
