"""The competitors: sizes and fields of view against their sources, what is symmetric in the symmetric ones."""

import pytest
import torch

from adn.nn.baselines import build_model
from adn.nn.baselines.asymfex import disparity
from adn.nn.baselines.baseline import Baseline
from adn.nn.baselines.deepmedic import DeepMedic
from adn.nn.baselines.nnunet import plan
from adn.nn.baselines.sean import SymmetryAttention
from adn.nn.baselines.unet import UNet
from adn.recipes import load_recipe, row_names
from adn.space.warp import mirror
from given import given, loose

BASELINES = [name for name in row_names() if not name.startswith("adn")]


@pytest.mark.parametrize("row", BASELINES)
def test_shape_and_gradient_on_the_box_of_each_row(row):
    if row == "nnunet":
        pytest.importorskip("monai", reason="MONAI is not installed")
    torch.manual_seed(0)
    recipe = load_recipe(f"tiny+{row}")
    model = build_model(recipe)
    assert isinstance(model, Baseline)
    box = given(recipe.grid.box)
    found = model.logits(torch.rand(1, 1, *box))
    assert all(logits.shape == (1, 1, *box) for logits in found)
    assert len(found) == {"nnunet": 2, "asymfex": 4}.get(row, 1)  # depths that are supervised
    torch.stack([logits.square().mean() for logits in found]).sum().backward()
    grads = [p.grad for name, p in model.named_parameters() if not name.startswith("align.")]
    assert all(g is not None and g.isfinite().all() for g in grads)
    model.eval()
    with torch.no_grad():
        output = model(torch.rand(1, 1, *recipe.grid.shape))
    assert output.infarct_probability_aligned.shape == (1, 1, *box)
    assert torch.equal(output.pose, torch.eye(4)[None]) or recipe.align.apply


def test_a_head_turned_by_any_angle_fits_the_box_of_rows_without_alignment():
    """32 × 192 × 192 voxels of 1.2 mm, and as many mm on coarser grids; the paper's rows have the whole grid."""
    assert load_recipe("fast+unet").grid.box == (32, 96, 96)
    assert load_recipe("tiny+unet").grid.box == (16, 40, 40)
    assert load_recipe("paper+unet").grid.box == (40, 256, 256)
    assert load_recipe("fast+sean").grid.box == load_recipe("fast").grid.box
    assert load_recipe("fast+unet").align.refine_steps == 0


def test_the_unet_has_the_16_3_million_parameters_of_the_public_one():
    with torch.device("meta"):
        network = UNet()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(16.32, abs=0.005)


def seen_by(network, shape, place):
    """Sides of the region that one output voxel depends on."""
    x = torch.zeros(1, 1, *shape, requires_grad=True)
    network(x)[(0, 0, *place)].backward()
    where = given(x.grad)[0, 0].nonzero()
    return (where.max(0).values - where.min(0).values + 1).tolist()


def test_deepmedic_has_receptive_fields_of_17_and_51_voxels():
    """Eight 3³ convolutions: 17. On voxels three times as large: 51; along thick slices 17."""
    network = DeepMedic(0.1, (5.0, 1.2, 1.2)).eval()
    assert network.context == (8, 24, 24)
    assert seen_by(network, (19, 51, 51), (1, 1, 1)) == [17, 51, 51]
    assert DeepMedic(0.1).context == (24, 24, 24)
    torch.nn.init.zeros_(loose(network).classify[0][-1].weight[:, 5:])  # the coarse half of what is joined
    assert seen_by(network, (19, 51, 51), (1, 1, 1)) == [17, 17, 17]


def test_deepmedic_on_a_patch_equals_deepmedic_on_the_whole():
    recipe = load_recipe("tiny+deepmedic")
    torch.manual_seed(0)
    model = loose(build_model(recipe)).eval()
    x = torch.rand(1, 1, 60, 60, 60)
    with torch.no_grad():
        whole, piece = model.logits(x)[0], model.logits(x[..., :57, :57, :57], whole=False)[0]
    assert piece.shape == (1, 1, 9, 9, 9)
    assert torch.allclose(piece, whole[..., 24:33, 24:33, 24:33], atol=1e-5)


def test_clerigues_uses_the_other_side():
    torch.manual_seed(0)
    model = loose(build_model(load_recipe("tiny+clerigues")))
    assert model.segment.network.down[0].enter[1].in_channels == 2


def test_seans_attention_mirrors_with_its_input_and_covers_two_cells():
    torch.manual_seed(0)
    attention = SymmetryAttention(8)
    x = torch.rand(1, 8, 3, 4, 6)
    assert torch.allclose(attention(mirror(x)), mirror(attention(x)), atol=1e-6)
    x.requires_grad_(True)
    attention(x)[0, :, 0, 0, 1].sum().backward()  # first slice, upper left cell
    seen = given(x.grad)[0].abs().sum(0) > 0
    assert seen[:2, :2].all()  # its own cell and the mirrored one, here and in the slice above
    assert not seen[2].any()
    assert not seen[:, 2:].any()


def test_nnunet_is_planned_by_its_own_rule():
    """5 mm slices of 1.2 mm pixels: in plane until pixels are more than half as long, then in all directions."""
    found = plan((28, 192, 192), (5.0, 1.2, 1.2))
    assert found.strides == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert found.kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))
    assert found.size == (28, 192, 192)
    assert plan((24, 72, 72), (5.0, 2.4, 2.4)).size == (24, 80, 80)  # made divisible


def test_disparity_is_the_complement_of_the_cosine():
    a = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1, 1)
    b = torch.tensor([4.0, -3.0]).view(1, 2, 1, 1, 1)
    assert disparity(a, 2 * a).sum() == pytest.approx(1.0, abs=1e-5)  # 2 channels − cosine 1
    assert disparity(a, b).sum() == pytest.approx(2.0, abs=1e-5)
    assert disparity(a, b).flatten().tolist() == pytest.approx([1 - 0.48, 1 + 0.48], abs=1e-5)


def test_both_streams_of_asymfex_share_their_encoder_and_meet():
    """What lies on one side changes the other side's features at the compared levels."""
    torch.manual_seed(0)
    network = loose(build_model(load_recipe("tiny+asymfex"))).segment
    x = torch.rand(1, 1, *network.factors).repeat(1, 1, 2, 1, 1)
    own, other = network._features(x), network._features(mirror(x))
    symmetric = x + mirror(x)
    same = zip(network._features(symmetric), network._features(mirror(symmetric)), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not torch.equal(network.compare[0](own[-2], other[-2]), network.compare[0](own[-2], own[-2]))
