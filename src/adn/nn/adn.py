"""The asymmetry disentanglement network: align, disentangle, segment (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from adn.asymmetry import REACHES, Disentangled, brain_median_hu, disentangle, mirror_contrast, relative_hu
from adn.config import NetworkConfig, OfX, Recipe
from adn.nn.align import AlignNet
from adn.nn.backbones import build_backbone
from adn.space.warp import mirror, warp


class AdnOutput(NamedTuple):
    """pose: (B, 4, 4) mm. parts: X, A, P, Q, X̂. infarct_probability_aligned: Ŷ, (B, 1, D, H, W) in [0, 1].

    coarse_gates, coarse_probabilities: in training, σ(D) and Ŷ of the coarser levels that the recipe supervises, finest
    first, each at its own size.
    """

    pose: Tensor
    parts: Disentangled
    infarct_probability_aligned: Tensor
    coarse_gates: tuple[Tensor, ...] = ()
    coarse_probabilities: tuple[Tensor, ...] = ()


class Known(NamedTuple):
    """Inputs computed from X before D, for all of its slices or some.

    views: input name → (B, C, D, H, W), with neighbouring slices as channels if the recipe says so. median_hu:
    (B, 1, 1, 1, 1), of the whole brain.
    """

    views: dict[str, Tensor]
    median_hu: Tensor


class ADN(nn.Module):
    """Composed of built parts: `align` (T), `asymmetry` (D) and `segment` (F), each tensor → tensor.

    D and F return logits of their input's shape, or in training a list that starts with them, followed by those of
    coarser levels. Any such backbone can serve as either.
    """

    def __init__(self, align: nn.Module, asymmetry: nn.Module, segment: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.align, self.asymmetry, self.segment = align, asymmetry, segment
        self.grid, self.network = recipe.grid, recipe.network

    def forward(self, brain: Float[Tensor, "b 1 d h w"], pose: Float[Tensor, "b 4 4"] | None = None) -> AdnOutput:
        """brain: [0, 1] on the model grid. pose: known or refined; None: from T."""
        known: Tensor = self.align(brain) if pose is None else pose
        return self.from_aligned(warp(brain, known, self.grid.spacing_mm, self.grid.box), known)

    def from_aligned(
        self, aligned: Float[Tensor, "b 1 d h w"], pose: Tensor, slices: Int64[Tensor, "b k"] | None = None
    ) -> AdnOutput:
        """Everything after T, on the brain box (or any grid whose sides the networks can halve).

        slices: run D and F only on these slices of each scan, and return K slices instead of D; their inputs are still
        computed from the whole of X. For networks that read slices independently. With `mirror_average`, outside
        training, the results of X and X′ are averaged, so that mirroring the input mirrors the output exactly.
        """
        own = self._once(aligned, pose, slices)
        if self.training or not self.network.mirror_average:
            return own
        twin = self._once(mirror(aligned), pose, slices)
        parts = Disentangled(*((a + mirror(b)) / 2 for a, b in zip(own.parts, twin.parts, strict=True)))
        probability = (own.infarct_probability_aligned + mirror(twin.infarct_probability_aligned)) / 2
        return AdnOutput(pose, parts, probability)

    def _once(self, aligned: Tensor, pose: Tensor, slices: Tensor | None) -> AdnOutput:
        known = self._known(aligned)
        if slices is not None:
            aligned = chosen_slices(aligned, slices)
            known = known._replace(views={name: chosen_slices(x, slices) for name, x in known.views.items()})
        parts, coarse_gates = self.disentangle(aligned, known)
        probability, coarse_probabilities = self.segment_salient(parts, known)
        return AdnOutput(pose, parts, probability, coarse_gates, coarse_probabilities)

    def disentangle(
        self, aligned: Float[Tensor, "b 1 d h w"], known: Known | None = None
    ) -> tuple[Disentangled, tuple[Tensor, ...]]:
        """X → A, P, Q, X̂; and σ(D) of coarser levels. known: of X, if already computed."""
        network = self.network
        shown = _shown(network.d_inputs, (known or self._known(aligned)).views)
        logits, coarse_gates = _levels(self.asymmetry(shown))
        return disentangle(aligned, logits, network.p_form, network.clamp_q, network.polarity), coarse_gates

    def segment_salient(
        self, parts: Disentangled, known: Known | None = None
    ) -> tuple[Float[Tensor, "b 1 d h w"], tuple[Tensor, ...]]:
        """X̂ → Ŷ, fp32; and Ŷ of coarser levels. known: as in `disentangle`."""
        known = known or self._known(parts.aligned)
        views = {"salient": parts.salient, "pathological": parts.pathological_asymmetry, **known.views}
        if "salient_relative" in self.network.f_inputs:
            window = self.grid.window_hu
            views["salient_relative"] = relative_hu(parts.salient, parts.aligned, known.median_hu, window)
        logits, coarse_probabilities = _levels(self.segment(_shown(self.network.f_inputs, views)))
        return torch.sigmoid(logits.float()), coarse_probabilities

    def _known(self, aligned: Tensor) -> Known:
        """Compute the inputs that D and F derive from X."""
        asked = {*self.network.d_inputs, *self.network.f_inputs}
        spacing, window = self.grid.spacing_mm, self.grid.window_hu
        median_hu = brain_median_hu(aligned, window)
        edge_hu = self.network.fluid_edge_hu
        views = {
            reach: mirror_contrast(aligned, spacing, window, reach, edge_hu) for reach in REACHES if reach in asked
        }
        views |= {"aligned": aligned, "mirrored": mirror(aligned), "brain": (aligned > 0).float()}
        if asked & {"relative", "mirrored_relative"}:
            views["relative"] = relative_hu(aligned, aligned, median_hu, window)
            views["mirrored_relative"] = mirror(views["relative"])
        reach = self.network.neighbours
        return Known({name: with_neighbours(x, reach) for name, x in views.items() if name in asked}, median_hu)


def with_neighbours(x: Float[Tensor, "b 1 d h w"], reach: int) -> Float[Tensor, "b c d h w"]:
    """Stack the slices from `reach` below to `reach` above as channels; end slices are repeated beyond the border."""
    last = x.shape[2] - 1
    place = torch.arange(last + 1, device=x.device)
    return torch.cat([x[:, :, (place + step).clamp(0, last)] for step in range(-reach, reach + 1)], 1) if reach else x


def chosen_slices(x: Shaped[Tensor, "b c d h w"], slices: Int64[Tensor, "b k"]) -> Shaped[Tensor, "b c k h w"]:
    """Select slices along D, individually for each scan."""
    return torch.stack([scan[:, chosen] for scan, chosen in zip(x, slices, strict=True)])


def _channels(names: Sequence[str], network: NetworkConfig) -> int:
    """Number of input channels: inputs derived from X include neighbouring slices, those that depend on D do not."""
    return sum(2 * network.neighbours + 1 if name in get_args(OfX) else 1 for name in names)


def _shown(names: tuple[str, ...], views: dict[str, Tensor]) -> Tensor:
    """Concatenate a network's inputs as channels."""
    return torch.cat([views[name] for name in names], 1)


def _levels(logits: Tensor | list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The finest logits, and the sigmoids of the coarser levels' logits, fp32."""
    finest, *coarser = [logits] if isinstance(logits, Tensor) else logits
    return finest, tuple(torch.sigmoid(x.float()) for x in coarser)


def build_adn(recipe: Recipe) -> ADN:
    """Build the untrained networks of a recipe."""
    network = recipe.network
    return ADN(
        AlignNet(recipe.grid, recipe.align),
        build_backbone(network.d_backbone, _channels(network.d_inputs, network), recipe, network.d_attention),
        build_backbone(network.f_backbone, _channels(network.f_inputs, network), recipe),
        recipe,
    )
