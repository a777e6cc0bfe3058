"""The methods that ADN is compared with, one file each, and `build_model`, which builds the method a recipe names.

Widths follow the recipe: those of each source times `network.channels[0]` / 32, so that a recipe that halves ADN halves
its competitors. Every network takes (B, 1, D, H, W) and returns logits of one channel; `Baseline` does the rest.
"""

from __future__ import annotations

from torch import nn

from adn.config import Recipe
from adn.nn.adn import ADN, build_adn
from adn.nn.align import AlignNet
from adn.nn.baselines.asymfex import AsymFeX
from adn.nn.baselines.baseline import Baseline, Unaligned
from adn.nn.baselines.clerigues import Clerigues
from adn.nn.baselines.deepmedic import DeepMedic
from adn.nn.baselines.nnunet import build_nnunet, patch_plan
from adn.nn.baselines.sean import Sean
from adn.nn.baselines.unet import UNet
from adn.nn.resunet import ResUNet

__all__ = ["Baseline", "build_model"]


def build_model(recipe: Recipe) -> ADN | Baseline:
    """Build the untrained networks of the recipe's method. Raises InputError if it needs MONAI and that is missing."""
    if recipe.method == "adn":
        return build_adn(recipe)
    align = AlignNet(recipe.grid, recipe.align) if recipe.align.apply else Unaligned()
    window = patch_plan(recipe).size if recipe.method == "nnunet" else None
    return Baseline(align, _network(recipe), recipe, window)


def _network(recipe: Recipe) -> nn.Module:
    channels, dropout, spacing_mm = recipe.network.channels, recipe.network.dropout, recipe.grid.spacing_mm
    width = channels[0] / 32
    match recipe.method:
        case "resunet":
            return ResUNet(1, channels, dropout)
        case "clerigues":
            return Clerigues(channels, dropout)
        case "unet":
            return UNet(tuple(2 * n for n in channels))
        case "deepmedic":
            return DeepMedic(width, spacing_mm)
        case "sean":
            return Sean(channels)
        case "nnunet":
            return build_nnunet(recipe)
        case _:
            return AsymFeX(width, spacing_mm, recipe.grid.box or recipe.grid.shape)
