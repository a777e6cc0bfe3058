"""Clèrigues et al. (Comput Biol Med 2019) as the paper adapted it: the aligned CT and its mirror image as channels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adn.nn.resunet import ResUNet
from adn.space.warp import mirror


class Clerigues(nn.Module):
    """The 3D ResUNet with X and X′ as input; the original is 2D and works on patches (paper, section 3)."""

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 256), dropout: float = 0.0) -> None:
        super().__init__()
        self.network = ResUNet(2, channels, dropout)

    def forward(self, aligned: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 d h w"]:
        """Logits of the same shape."""
        return self.network(torch.cat([aligned, mirror(aligned)], 1))
