"""The asymmetry disentanglement network: align, disentangle, segment (paper, figure 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adn.asymmetry import REACHES, Disentangled, disentangle, mirror_contrast
from adn.config import Recipe
from adn.nn.align import AlignNet
from adn.nn.backbones import build_backbone
from adn.space.warp import mirror, warp


class AdnOutput(NamedTuple):
    """pose: (B, 4, 4) mm. parts: X, A, P, Q, X̂. infarct_probability_aligned: Ŷ, (B, 1, D, H, W) in [0, 1].

    coarse_gates, coarse_probabilities: in training, σ(D) and Ŷ of the coarser levels that the recipe supervises, finest
    first, each on its own sides.
    """

    pose: Tensor
    parts: Disentangled
    infarct_probability_aligned: Tensor
    coarse_gates: tuple[Tensor, ...] = ()
    coarse_probabilities: tuple[Tensor, ...] = ()


class ADN(nn.Module):
    """Composed of built parts: `align` (T), `asymmetry` (D) and `segment` (F), each tensor → tensor.

    D and F return logits of their input's shape (in training a list of them may follow, of coarser levels); any such
    backbone can stand in for either.
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
        """Everything after T, on the brain box (or any grid whose sides the networks can halve).

        With `mirror_average`, but in training, the mean of what X and X′ give: X′ mirrored gives the same, mirrored.
        """
        own = self._once(aligned, pose)
        if self.training or not self.network.mirror_average:
            return own
        twin = self._once(mirror(aligned), pose)
        parts = Disentangled(*((a + mirror(b)) / 2 for a, b in zip(own.parts, twin.parts, strict=True)))
        probability = (own.infarct_probability_aligned + mirror(twin.infarct_probability_aligned)) / 2
        return AdnOutput(pose, parts, probability)

    def _once(self, aligned: Tensor, pose: Tensor) -> AdnOutput:
        contrasts = self._contrasts(aligned)
        parts, coarse_gates = self.disentangle(aligned, contrasts)
        probability, coarse_probabilities = self.segment_salient(parts, contrasts)
        return AdnOutput(pose, parts, probability, coarse_gates, coarse_probabilities)

    def disentangle(
        self, aligned: Float[Tensor, "b 1 d h w"], contrasts: dict[str, Tensor] | None = None
    ) -> tuple[Disentangled, tuple[Tensor, ...]]:
        """X → A, P, Q, X̂; and σ(D) of coarser levels. contrasts: of X, where they are known already."""
        network = self.network
        views = {"aligned": aligned, "mirrored": mirror(aligned), **(contrasts or self._contrasts(aligned))}
        shown = _shown(network.d_inputs, views)
        logits, coarse_gates = _levels(self.asymmetry(shown))
        return disentangle(aligned, logits, network.p_form, network.clamp_q, network.polarity), coarse_gates

    def segment_salient(
        self, parts: Disentangled, contrasts: dict[str, Tensor] | None = None
    ) -> tuple[Float[Tensor, "b 1 d h w"], tuple[Tensor, ...]]:
        """X̂ → Ŷ, fp32; and Ŷ of coarser levels. contrasts: as above."""
        views = {"salient": parts.salient, "aligned": parts.aligned, "mirrored": mirror(parts.aligned)}
        views["pathological"] = parts.pathological_asymmetry
        views |= contrasts or self._contrasts(parts.aligned)
        logits, coarse_probabilities = _levels(self.segment(_shown(self.network.f_inputs, views)))
        return torch.sigmoid(logits.float()), coarse_probabilities

    def _contrasts(self, aligned: Tensor) -> dict[str, Tensor]:
        """Those of X that D or F sees."""
        asked = {*self.network.d_inputs, *self.network.f_inputs}
        spacing, window = self.grid.spacing_mm, self.grid.window_hu
        return {reach: mirror_contrast(aligned, spacing, window, reach) for reach in REACHES if reach in asked}


def _shown(names: tuple[str, ...], views: dict[str, Tensor]) -> Tensor:
    """What a network sees, as channels."""
    return torch.cat([views[name] for name in names], 1)


def _levels(logits: Tensor | list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The finest logits, and the sigmoids of those of coarser levels, fp32."""
    finest, *coarser = [logits] if isinstance(logits, Tensor) else logits
    return finest, tuple(torch.sigmoid(x.float()) for x in coarser)


def build_adn(recipe: Recipe) -> ADN:
    """Untrained networks as the recipe says."""
    network = recipe.network
    return ADN(
        AlignNet(recipe.grid, recipe.align),
        build_backbone(network.d_backbone, len(network.d_inputs), recipe, network.d_attention),
        build_backbone(network.f_backbone, len(network.f_inputs), recipe),
        recipe,
    )
