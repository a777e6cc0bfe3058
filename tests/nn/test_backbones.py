"""Backbones of D and F: each keeps its input's shape and passes gradients, on all boxes that the config allows."""

import sys

import pytest
import torch

from adn.nn.adn import build_adn
from adn.nn.backbones import build_backbone
from adn.recipes import recipe_from_dict
from given import given, loose

SPACING = (5.0, 1.3, 1.2)
CASES = {
    "resunet": ((8, 16, 16), (4, 12, 20)),
    "anisotropic": ((8, 16, 16), (3, 20, 12)),  # an odd number of slices
    "slicewise": ((8, 16, 24), (3, 20, 12)),
}


def recipe(backbone, **network):
    channels, box = CASES[backbone]
    settings = {"d_backbone": backbone, "f_backbone": backbone, "channels": channels, **network}
    grid = {"spacing_mm": SPACING, "shape": box, "box": box}
    return recipe_from_dict({"name": "x", "grid": grid, "align": {"channels": [4], "shrink": 1}, "network": settings})


@pytest.mark.parametrize("backbone", CASES)
def test_shape_and_gradient(backbone):
    torch.manual_seed(0)
    network = build_backbone(backbone, 2, recipe(backbone))
    x = torch.rand(1, 2, *CASES[backbone][1], requires_grad=True)
    logits = network(x)
    assert logits.shape == (1, 1, *CASES[backbone][1])
    logits.square().sum().backward()
    assert given(x.grad).abs().max() > 0
    seen = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(seen) >= 0.9 * len(list(network.parameters()))
    assert all(g.isfinite().all() for g in seen)


def test_d_and_f_are_chosen_by_one_setting_each():
    mixed = recipe("slicewise", d_backbone="anisotropic", f_backbone="slicewise")
    adn = build_adn(mixed)
    assert type(adn.asymmetry).__name__ == "ResUNet"
    assert type(adn.segment).__name__ == "SliceUNet"
    out = adn.from_aligned(torch.rand(1, 1, *mixed.grid.shape), torch.eye(4)[None])
    out.infarct_probability_aligned.sum().backward()
    assert all(p.grad is not None for p in adn.asymmetry.parameters())  # through P, X̂ and F


def test_the_anisotropic_backbone_convolves_in_plane_first():
    """5 mm slices, 1.3 mm pixels: two levels of 1 × 3 × 3 and two poolings in plane, so slices meet at the bottom."""
    network = loose(build_backbone("anisotropic", 1, recipe("anisotropic")))
    assert network.scales == [(1, 2, 2), (1, 2, 2)]
    kernels = [block.enter[1].kernel_size for block in network.down]
    assert kernels == [(1, 3, 3), (1, 3, 3), (3, 3, 3)]
    assert [conv.kernel_size for conv in network.rise] == [(1, 3, 3), (1, 3, 3)]


def test_the_papers_network_does_not_import_monai(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai", None)
    build_adn(recipe("resunet"))


@pytest.mark.parametrize("backbone", ["resunet", "slicewise"])
def test_dropout_reaches_every_backbone(backbone):
    torch.manual_seed(0)
    network = build_backbone(backbone, 1, recipe(backbone, dropout=0.5))
    assert any(isinstance(m, (torch.nn.Dropout, torch.nn.Dropout3d)) and m.p == 0.5 for m in network.modules())
