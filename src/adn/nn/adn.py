"""The asymmetry disentanglement network: align, disentangle, segment (paper, figure 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adn.asymmetry import Disentangled, disentangle
from adn.config import Recipe
from adn.nn.align import AlignNet
from adn.nn.backbones import build_backbone
from adn.warp import mirror, warp


class AdnOutput(NamedTuple):
    """pose: (B, 4, 4) mm. parts: X, A, P, Q, X̂. infarct_probability_aligned: Ŷ, (B, 1, D, H, W) in [0, 1]."""

    pose: Tensor
    parts: Disentangled
    infarct_probability_aligned: Tensor


class ADN(nn.Module):
    """Composed of built parts: `align` (T), `asymmetry` (D) and `segment` (F), each tensor → tensor.

    D and F return logits of their input's shape; any such backbone can stand in for either.
    """

    def __init__(self, align: nn.Module, asymmetry: nn.Module, segment: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.align, self.asymmetry, self.segment = align, asymmetry, segment
        self.grid, self.network = recipe.grid, recipe.network

    def forward(self, brain: Float[Tensor, "b 1 d h w"], pose: Float[Tensor, "b 4 4"] | None = None) -> AdnOutput:
        """brain: [0, 1] on the model grid. pose: known or refined; None asks T."""
        known: Tensor = self.align(brain) if pose is None else pose
        return self.from_aligned(warp(brain, known, self.grid.spacing_mm, self.grid.box), known)

    def from_aligned(self, aligned: Float[Tensor, "b 1 d h w"], pose: Tensor) -> AdnOutput:
        """Everything after T, on the brain box (or any grid whose sides the networks can halve)."""
        parts = self.disentangle(aligned)
        return AdnOutput(pose, parts, self.segment_salient(parts))

    def disentangle(self, aligned: Float[Tensor, "b 1 d h w"]) -> Disentangled:
        """X → A, P, Q, X̂."""
        views = {"aligned": aligned, "mirrored": mirror(aligned)}
        logits = self.asymmetry(torch.cat([views[name] for name in self.network.d_inputs], 1))
        return disentangle(aligned, logits, self.network.p_form, self.network.clamp_q, self.network.polarity)

    def segment_salient(self, parts: Disentangled) -> Float[Tensor, "b 1 d h w"]:
        """X̂ → Ŷ, fp32."""
        views = {"salient": parts.salient, "aligned": parts.aligned, "pathological": parts.pathological_asymmetry}
        return torch.sigmoid(self.segment(torch.cat([views[n] for n in self.network.f_inputs], 1)).float())


def build_adn(recipe: Recipe) -> ADN:
    """Untrained networks as the recipe says."""
    network = recipe.network
    return ADN(
        AlignNet(recipe.grid, recipe.align),
        build_backbone(network.d_backbone, len(network.d_inputs), recipe),
        build_backbone(network.f_backbone, len(network.f_inputs), recipe),
        recipe,
    )
