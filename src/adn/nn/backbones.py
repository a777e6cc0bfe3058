"""Backbones for D and F, chosen by one setting each; all map (B, C, D, H, W) to logits of one channel."""

from __future__ import annotations

from torch import nn

from adn.config import Backbone, Recipe, flat_levels
from adn.nn.resunet import ResUNet
from adn.nn.slicewise import SliceUNet


def build_backbone(backbone: Backbone, in_channels: int, recipe: Recipe, attending: int = 0) -> nn.Module:
    """One untrained network. The recipe has checked widths and sides (`config.side_factors`).

    attending: so many of its deepest levels look at the mirrored place, too (`ResUNet`).
    """
    channels, dropout = recipe.network.channels, recipe.network.dropout
    if backbone == "slicewise":
        return SliceUNet(in_channels, channels, dropout)
    flat = flat_levels(channels, recipe.grid.spacing_mm) if backbone == "anisotropic" else 0
    network = recipe.network
    return ResUNet(in_channels, channels, dropout, flat, supervised=network.supervised_levels, attending=attending)
