"""L_T and L_DF combined as a recipe says, on small volumes with networks that output constants."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from adn.feed.samples import UNKNOWN_POSE, PosedBrain, Sample
from adn.losses.alignment import mirror_difference, plane_difference, reconstruction_difference
from adn.losses.disentanglement import disentanglement_terms
from adn.losses.segmentation import binary_cross_entropy, generalised_dice, soft_dice
from adn.nn.adn import ADN
from adn.nn.released_tissue import TissueMaps
from adn.recipes import recipe_from_dict
from adn.space.warp import invert_rigid, rigid_matrix, warp
from adn.training.baselines import baseline_objective
from adn.training.objectives import (
    align_objective,
    carry_sample,
    read_tissue,
    segment_objective,
    tissue_maps_objective,
)
from given import given, loose

SPACING, SHAPE = (6.0, 2.5, 2.0), (4, 10, 12)
VOXELS = math.prod(SHAPE)


def recipe(network=(), loss=(), align=()):
    return recipe_from_dict(
        {
            "name": "test",
            "grid": {"spacing_mm": SPACING, "shape": SHAPE, "box": SHAPE},
            "align": {"channels": [4], "shrink": 1, **dict(align)},
            "network": {"channels": [8, 8], **dict(network)},
            "loss": {"warm_start_epochs": 2, **dict(loss)},
        }
    )


class Constant(nn.Module):
    """Answers one logit everywhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(float(logit)))

    def forward(self, x):
        return torch.zeros_like(x[:, :1]) + self.logit


class Posed(nn.Module):
    """A T that knows one pose."""

    def __init__(self, in_plane_deg=0.0, x_mm=0.0):
        super().__init__()
        self.pose = rigid_matrix(torch.tensor([[0.0, 0.0, in_plane_deg]]), torch.tensor([[x_mm, 0.0, 0.0]]))

    def forward(self, brain):
        return self.pose.expand(len(brain), 4, 4)

    from_coarse = forward


def model(chosen, d=0.3, f=-0.5, t=None):
    return ADN(t or Posed(), Constant(d), Constant(f), chosen)


def batch(scans=2):
    torch.manual_seed(1)
    brain = torch.rand(scans, 1, *SHAPE)
    infarct = torch.zeros_like(brain)
    infarct[:, :, 1:3, 3:7, 2:5] = 1
    return Sample(brain, infarct, torch.randint(0, 4, brain.shape, dtype=torch.uint8))


def scalars(chosen, sample, epoch=9, aligned=True, tissue=None, **networks):
    return segment_objective(chosen, aligned, tissue)(model(chosen, **networks), sample, epoch)


@pytest.mark.parametrize("reconstruction", [False, True])
def test_l_t_is_a_plain_mean_or_relative_to_the_brain(reconstruction):
    brain, pose = batch().brain, Posed(12.0, 3.0)
    unknown = UNKNOWN_POSE.expand(len(brain), 4, 4)
    aligned = warp(brain, pose(brain), SPACING)
    expected = mirror_difference(aligned)
    if reconstruction:
        expected = expected + reconstruction_difference(brain, aligned, pose(brain), SPACING)
    for per_brain, value in ((False, expected), (True, expected / brain.mean((1, 2, 3, 4)))):
        chosen = recipe(align={"reconstruction": reconstruction, "per_brain": per_brain})
        found = align_objective(chosen)(pose, PosedBrain(brain, unknown), 0)
        assert float(found["loss"]) == pytest.approx(float(value.mean()), rel=1e-5)


def test_a_known_plane_is_weighted_by_the_recipe_and_an_unknown_one_is_not_used():
    brain, pose = batch().brain, Posed(12.0, 3.0)
    known = rigid_matrix(torch.tensor([[0.0, 0.0, 12.0]]), torch.tensor([[5.0, 0.0, 0.0]])).expand(len(brain), 4, 4)
    chosen = recipe(align={"plane_weight": 0.5})
    unknown = align_objective(chosen)(pose, PosedBrain(brain, UNKNOWN_POSE.expand(len(brain), 4, 4)), 0)
    there = align_objective(chosen)(pose, PosedBrain(brain, known), 0)
    assert float(unknown["plane_mm"]) == 0
    expected = plane_difference(pose(brain), known).mean()
    assert float(there["loss"] - unknown["loss"]) == pytest.approx(0.5 * float(expected), rel=1e-4)


def test_after_the_warm_start_the_loss_is_l_f_plus_lambda_l_d():
    chosen, sample = recipe(), batch()
    found = scalars(chosen, sample)
    carried = carry_sample(model(chosen), sample, aligned=True)
    parts, p = carried.output.parts, carried.output.infarct_probability_aligned
    terms = disentanglement_terms(parts, sample.infarct, sample.tissue, VOXELS, chosen.loss)
    l_d = sum(float(t.mean().detach()) for t in terms)
    l_f = float(binary_cross_entropy(p, sample.infarct, VOXELS).mean() + generalised_dice(p, sample.infarct).mean())
    assert float(found["l_d"]) == pytest.approx(l_d, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(l_f + 10 * l_d, rel=1e-5)
    heavier = scalars(recipe(loss={"weight_d": 3.0}), sample)
    assert float(heavier["loss"]) == pytest.approx(l_f + 3 * l_d, rel=1e-5)
    without = scalars(recipe(loss={"tissue": False}), sample)
    assert float(without["l_d"]) == pytest.approx(l_d - float(terms.tissue.mean()), rel=1e-5)


def test_cross_entropy_is_averaged_over_the_brain_and_counts_scans_without_infarct():
    chosen, sample = recipe(loss={"cross_entropy_over": "brain", "weight_d": 0.0}), batch()
    carried = carry_sample(model(chosen), sample, aligned=True)
    p, voxels = carried.output.infarct_probability_aligned, (carried.output.parts.aligned > 0).flatten(1).sum(1)
    bce = binary_cross_entropy(p, sample.infarct, voxels).mean()
    expected = bce + generalised_dice(p, sample.infarct).mean()
    assert float(scalars(chosen, sample)["loss"]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("dice", [False, True])
@pytest.mark.parametrize("replaces", [False, True])
def test_the_warm_start_is_added_to_l_d_or_replaces_it(dice, replaces):
    sample = batch()
    chosen = recipe(loss={"warm_start_dice": dice, "warm_start_replaces_d": replaces, "warm_start_weight": 10.0})
    gate = torch.sigmoid(torch.full_like(sample.brain, 0.3))
    warm = binary_cross_entropy(gate, sample.infarct, VOXELS).mean()
    if dice:
        warm = warm + generalised_dice(gate, sample.infarct).mean()
    cold, first, second = (scalars(chosen, sample, epoch) for epoch in (2, 0, 1))
    l_d = 0.0 if replaces else 10 * float(cold["l_d"])
    l_f = float(cold["bce"] + cold["dice_loss"])
    assert float(cold["loss"]) == pytest.approx(l_f + 10 * float(cold["l_d"]), rel=1e-5)
    assert float(first["loss"]) == float(second["loss"]) == pytest.approx(l_f + l_d + 10 * float(warm), rel=1e-5)


def test_the_warm_start_trains_d_on_the_infarct():
    chosen, sample = recipe({"p_form": "probability"}, {"warm_start_replaces_d": True}), batch()
    d = nn.Conv3d(1, 1, 1)  # its slope at a voxel is σ − G there
    network = ADN(Posed(), d, Constant(0.0), chosen)
    few, many = sample._replace(infarct=sample.infarct * 0), sample._replace(infarct=torch.ones_like(sample.infarct))
    slopes = []
    for target in (few, many):
        network.zero_grad()
        segment_objective(chosen, True)(network, target, 0)["loss"].backward()
        slopes.append(float(loose(d).bias.grad))
    assert slopes[0] > 0 > slopes[1]


def test_l_f_is_computed_in_the_space_set_by_the_recipe():
    """A T that turns by 20°: in input space O = T⁻¹(Ŷ) meets G itself, in aligned space Ŷ meets T(G)."""
    sample, t = batch(), Posed(20.0, 3.0)
    pose = t(sample.brain)
    p = torch.sigmoid(torch.full_like(sample.brain, -0.5))
    home = scalars(recipe(loss={"label_space": "input"}), sample, aligned=False, t=t)
    expected = binary_cross_entropy(warp(p, invert_rigid(pose), SPACING), sample.infarct, VOXELS).mean()
    assert float(home["bce"]) == pytest.approx(float(expected), rel=1e-5)
    there = scalars(recipe(loss={"label_space": "aligned"}), sample, aligned=False, t=t)
    target = (warp(sample.infarct, pose, SPACING) > 0.5).float()
    assert float(there["bce"]) == pytest.approx(float(binary_cross_entropy(p, target, VOXELS).mean()), rel=1e-5)
    assert float(home["bce"]) != pytest.approx(float(there["bce"]), rel=1e-3)


@pytest.mark.parametrize("aligned", [False, True])
def test_ignored_voxels_count_nowhere_or_as_background(aligned):
    sample = batch()
    silent = sample.infarct.clone()
    silent[:, :, 0, 7:9, 7:11] = -1
    marked = sample._replace(infarct=silent)
    background = scalars(recipe(loss={"invisible": "background"}), marked, aligned=aligned)
    plain = scalars(recipe(), sample, aligned=aligned)
    assert {k: float(v) for k, v in background.items()} == {k: float(v) for k, v in plain.items()}
    counted = (silent >= 0).float()
    excluded = scalars(recipe(loss={"label_space": "input"}), marked, aligned=aligned)
    p = torch.sigmoid(torch.full_like(sample.brain, -0.5))
    bce = -(sample.infarct * p.log() + (1 - sample.infarct) * (1 - p).log()) * counted
    assert float(excluded["bce"]) == pytest.approx(float(bce.sum((1, 2, 3, 4)).mean()) / VOXELS, rel=1e-4)
    assert float(excluded["bce"]) < float(background["bce"])
    assert float(excluded["l_intrinsic"]) > float(background["l_intrinsic"])  # less Q is seen


def test_tissue_comes_from_the_case_or_from_the_network_on_the_aligned_volume():
    class AllFluid(nn.Module):
        def forward(self, aligned):
            self.seen = aligned
            return torch.stack([torch.zeros_like(aligned[:, 0])] * 3 + [torch.ones_like(aligned[:, 0])], 1)

    sample, network = batch(), AllFluid()
    nothing = sample._replace(tissue=torch.zeros_like(sample.tissue))
    assert float(scalars(recipe(), nothing)["l_tissue"]) == 0
    found = scalars(recipe(), nothing, tissue=network)
    outside = sample.infarct == 0
    p = carry_sample(model(recipe()), sample, True).output.parts.pathological_asymmetry
    assert float(found["l_tissue"]) == pytest.approx(float((p * outside).sum((1, 2, 3, 4)).mean()) / VOXELS, rel=1e-5)
    assert torch.equal(network.seen, sample.brain)
    assert read_tissue(network, sample.brain).unique().tolist() == [3]


def test_the_tissue_network_learns_the_maps_of_the_cases():
    torch.manual_seed(0)
    chosen, sample = recipe(), batch(1)
    bright = Sample(torch.where(sample.infarct > 0, 0.9, 0.2), sample.infarct, (1 + sample.infarct).to(torch.uint8))
    network = TissueMaps(Posed().requires_grad_(False), chosen)
    optimiser, objective = torch.optim.Adam(network.parameters(), lr=0.02), tissue_maps_objective(chosen, aligned=False)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        losses.append(objective(network, bright, 0)["loss"])
        losses[-1].backward()
        optimiser.step()
    assert float(losses[-1]) < 0.1 * float(losses[0])
    assert (read_tissue(network, bright.brain) == bright.tissue).float().mean() > 0.99


class Pyramid(Constant):
    """In training also answers at half the sides, by one logit more."""

    def forward(self, x):
        finest = super().forward(x)
        return [finest, finest[..., ::2, ::2, ::2] + 1] if self.training else finest


def test_coarser_levels_of_f_and_of_the_gate_are_weighted_by_a_half():
    """Levels 1 and ½, normalised, in L_F and in the warm start; L_D is of the finest level alone."""
    chosen, sample = recipe(loss={"warm_start_dice": True, "warm_start_weight": 3.0}), batch()
    coarse = torch.nn.functional.max_pool3d(sample.infarct, 2)

    def of_level(logit, reference):
        p = torch.sigmoid(torch.full_like(reference, logit))
        voxels = VOXELS * reference.numel() // sample.infarct.numel()
        return float(binary_cross_entropy(p, reference, voxels).mean() + generalised_dice(p, reference).mean())

    network = ADN(Posed(), Pyramid(0.3), Pyramid(-0.5), chosen)
    found = segment_objective(chosen, aligned=True)(network, sample, 0)
    l_f = (of_level(-0.5, sample.infarct) + of_level(0.5, coarse) / 2) / 1.5
    warm = (of_level(0.3, sample.infarct) + of_level(1.3, coarse) / 2) / 1.5
    assert float(found["loss"]) == pytest.approx(l_f + 3 * warm + 10 * float(found["l_d"]), rel=1e-5)
    assert float(found["bce"] + found["dice_loss"]) == pytest.approx(of_level(-0.5, sample.infarct), rel=1e-5)
    found["loss"].backward()
    assert all(given(p.grad).abs() > 0 for part in (network.asymmetry, network.segment) for p in part.parameters())
    later = segment_objective(chosen, aligned=True)(network, sample, 9)  # the warm start is over
    assert float(later["loss"]) == pytest.approx(l_f + 10 * float(later["l_d"]), rel=1e-5)


BATCH_DICE = {"l_f": "bce_batch_dice", "bce_weight": 3.0, "dice_smooth": 20.0, "cross_entropy_over": "brain"}


@pytest.mark.parametrize(("epoch", "gate_weight", "weight"), [(0, 0.0, 0.5), (9, 0.0, 0.0), (9, 0.2, 0.2)])
def test_cross_entropy_and_pooled_dice_on_f_and_a_fraction_of_it_on_the_gate_of_d(epoch, gate_weight, weight):
    gate = {"warm_start_weight": 0.5, "warm_start_dice": True, "gate_weight": gate_weight}
    chosen, sample = recipe(loss={**BATCH_DICE, **gate}), batch()
    sample.infarct[0, 0, 0, 0, 0] = -1
    counted, infarct = (sample.infarct >= 0).float(), sample.infarct.clamp(min=0)
    voxels = (sample.brain > 0).flatten(1).sum(1)
    found = scalars(chosen, sample, epoch=epoch)

    def of(logit):
        p = torch.full_like(sample.brain, logit).sigmoid()
        bce = binary_cross_entropy(p, infarct, voxels, counted).mean()
        return float(3 * bce + soft_dice(p, infarct, counted, 20.0))

    expected = of(-0.5) + weight * of(0.3) + 10 * float(found["l_d"])
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_baseline_has_the_same_cross_entropy_and_pooled_dice():
    chosen, sample = recipe_from_dict({**recipe(loss=BATCH_DICE).model_dump(), "method": "resunet"}), batch()
    sample.infarct[0, 0, 0, 0, 0] = -1
    logits = torch.full_like(sample.brain, -0.5)
    baseline = SimpleNamespace(logits=lambda brain, whole: [logits])
    found = baseline_objective(chosen, aligned=True)(baseline, sample, 0)
    counted, infarct = (sample.infarct >= 0).float(), sample.infarct.clamp(min=0)
    bce = binary_cross_entropy(logits.sigmoid(), infarct, (sample.brain > 0).flatten(1).sum(1), counted).mean()
    expected = 3 * bce + soft_dice(logits.sigmoid(), infarct, counted, 20.0)
    assert float(found["loss"]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("aligned", [True, False])
def test_the_loss_is_computed_on_a_few_slices(aligned):
    """Their answers and labels alone; T's pose applies to all of the head."""
    chosen = recipe_from_dict(
        {
            "name": "test",
            "grid": {"spacing_mm": SPACING, "shape": SHAPE, "box": SHAPE},
            "align": {"channels": [4], "shrink": 1},
            "network": {"channels": [8, 8], "d_backbone": "slicewise", "f_backbone": "slicewise", "neighbours": 1},
            "loss": BATCH_DICE,
            "train": {"slices": 3},
        }
    )
    sample = batch()
    carried = carry_sample(model(chosen), sample, aligned, "excluded", 3)
    assert carried.output.infarct_probability_aligned.shape == (2, 1, 3, *SHAPE[1:])
    assert carried.infarct.flatten(2).any(2).sum(1).max() <= 2
    assert {x.shape for x in carried[1:]} == {(2, 1, 3, *SHAPE[1:])}
    whole = carry_sample(model(chosen), sample, aligned).output.parts.aligned
    for scan, some in zip(whole, carried.output.parts.aligned, strict=True):
        assert all(any(torch.equal(some[:, i], scan[:, z]) for z in range(SHAPE[0])) for i in range(3))
    found = segment_objective(chosen, aligned)(model(chosen), sample, 9)
    assert found["loss"].isfinite()
