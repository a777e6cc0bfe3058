"""The released code's tissue maps: a network trained on the cases' own maps, applied to the aligned volume."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from adn.config import Recipe
from adn.nn.resunet import ResUNet
from adn.space.labels import TissueLabel


class TissueMaps(nn.Module):
    """X → logits of outside, GM, WM, CSF: D's ResUNet with four outputs. Training only.

    align: T, frozen; it aligns the training brains as for D and F.
    """

    def __init__(self, align: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.align = align
        self.network = ResUNet(1, recipe.network.channels, recipe.network.dropout, out_channels=len(TissueLabel))

    def forward(self, aligned: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 4 d h w"]:
        """aligned: X in [0, 1] on the brain box."""
        return self.network(aligned)
