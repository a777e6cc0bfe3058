"""Backbones of D and F, one setting each; all take (B, C, D, H, W) and return logits of one channel.

MONAI's are imported only where a recipe asks for one, so that `adn predict` with the weights that ship needs no MONAI.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from adn.config import Backbone, Recipe, flat_levels
from adn.errors import InputError
from adn.nn.resunet import ResUNet
from adn.nn.slicewise import SliceUNet


def build_backbone(backbone: Backbone, in_channels: int, recipe: Recipe, attending: int = 0) -> nn.Module:
    """One untrained network. The recipe has checked widths and sides (`config.side_factors`).

    attending: so many of its deepest levels look at the mirrored place, too (`ResUNet`).
    Raises InputError where MONAI is asked for and absent.
    """
    channels, dropout = recipe.network.channels, recipe.network.dropout
    if backbone in ("resunet", "anisotropic"):
        flat = flat_levels(channels, recipe.grid.spacing_mm) if backbone == "anisotropic" else 0
        network = recipe.network
        return ResUNet(in_channels, channels, dropout, flat, supervised=network.supervised_levels,
                       attending=attending, patch=network.patch)  # fmt: skip
    if backbone == "slicewise":
        return SliceUNet(in_channels, channels, dropout)
    return _from_monai(backbone, in_channels, channels, dropout)


def _from_monai(backbone: Backbone, in_channels: int, channels: tuple[int, ...], dropout: float) -> nn.Module:
    """SegResNet (Myronenko 2018), DynUNet (Isensee et al. 2021) or SwinUNETR (Hatamizadeh et al. 2022)."""
    try:
        if backbone == "swinunetr":
            import einops  # noqa: F401 - MONAI asks for it at the first forward pass only
        from monai.networks.nets.dynunet import DynUNet
        from monai.networks.nets.segresnet import SegResNet
        from monai.networks.nets.swin_unetr import SwinUNETR
    except ImportError as error:
        raise InputError(
            f"The recipe's backbone '{backbone}' needs MONAI, which is not installed; "
            "`pip install adn-stroke[train]`, or choose resunet or anisotropic."
        ) from error
    sides: dict[str, Any] = {"in_channels": in_channels, "out_channels": 1}
    levels = len(channels)
    if backbone == "segresnet":
        blocks = tuple(min(level + 1, 2) for level in range(levels))
        return SegResNet(
            init_filters=channels[0],
            dropout_prob=dropout or None,
            blocks_down=blocks,
            blocks_up=(1,) * (levels - 1),
            **sides,
        )
    if backbone == "dynunet":
        strides = (1,) + (2,) * (levels - 1)
        return DynUNet(
            spatial_dims=3,
            kernel_size=(3,) * levels,
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=channels,
            dropout=dropout or None,
            norm_name=("GROUP", {"num_groups": 8}),  # instance norm fails on a bottleneck of one voxel
            res_block=True,
            **sides,
        )
    return SwinUNETR(feature_size=channels[0], drop_rate=dropout, **sides)
