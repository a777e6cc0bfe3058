"""Backbones for D and F, selected by one setting each; all map (B, C, D, H, W) to logits of one channel."""

from __future__ import annotations

from torch import nn

from adn.config import Backbone, Recipe, flat_levels
from adn.nn.resunet import ResUNet
from adn.nn.slicewise import SliceUNet


def build_backbone(backbone: Backbone, in_channels: int, recipe: Recipe, attending: int = 0) -> nn.Module:
    """Build one untrained network. The recipe has already checked widths and sides (`config.side_factors`).

    attending: number of levels, deepest first, that attend to the mirrored position as well (`ResUNet`).
    """
    channels, dropout = recipe.network.channels, recipe.network.dropout
    if backbone == "slicewise":
        return SliceUNet(in_channels, channels, dropout)
    flat = flat_levels(channels, recipe.grid.spacing_mm) if backbone == "anisotropic" else 0
    network = recipe.network
    return ResUNet(in_channels, channels, dropout, flat, supervised=network.supervised_levels, attending=attending)
