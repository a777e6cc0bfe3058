"""What all competing methods share: T (or none), one segmentation network, and ADN's call signature."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.asymmetry import disentangle
from adn.config import Recipe
from adn.nn.adn import AdnOutput
from adn.space.warp import warp

Sides = tuple[int, int, int]


class Unaligned(nn.Module):
    """Replaces T in methods that do not align the head: returns the identity pose."""

    def forward(self, brain: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 4 4"]:
        """brain: on the model grid."""
        return torch.eye(4, device=brain.device).expand(len(brain), 4, 4)


class Baseline(nn.Module):
    """Align, then segment. Called like `ADN`, so that training, validation and prediction need not tell them apart.

    segment: (B, 1, D, H, W) → logits. Its input sides must be divisible by its `factors` (if any); its `context` (if
    any) is the number of voxels on each side that it sees but gives no output for. If supervised at several depths, it
    returns (B, n, 1, D, H, W) in training, finest first. window: size of the pieces it is applied to (nnU-Net).
    """

    def __init__(self, align: nn.Module, segment: nn.Module, recipe: Recipe, window: Sides | None = None) -> None:
        super().__init__()
        self.align, self.segment, self.window = align, segment, window
        self.grid, self.network = recipe.grid, recipe.network

    def forward(self, brain: Float[Tensor, "b 1 d h w"], pose: Float[Tensor, "b 4 4"] | None = None) -> AdnOutput:
        """brain: [0, 1] on the model grid. pose: known or refined; None: from T."""
        known: Tensor = self.align(brain) if pose is None else pose
        return self.from_aligned(warp(brain, known, self.grid.spacing_mm, self.grid.box), known)

    def from_aligned(self, aligned: Float[Tensor, "b 1 d h w"], pose: Tensor) -> AdnOutput:
        """Everything after T. These methods do not disentangle: P is reported as A · Ŷ, the asymmetry they mark."""
        logits = self.logits(aligned)[0].float()
        return AdnOutput(pose, disentangle(aligned, logits), torch.sigmoid(logits))

    def logits(self, x: Float[Tensor, "b 1 d h w"], whole: bool = True) -> list[Tensor]:
        """Logits (B, 1, D, H, W) as a list: in training, of every supervised depth, finest first.

        whole: x is a complete volume, padded with 0 as needed. Otherwise it is a piece with context, and the logits are
        those of its inner part.
        """
        found = self._windowed(x) if whole and self.window and not self.training else self._padded(x, whole)
        return list(found.unbind(1)) if found.ndim == 6 else [found]

    def _padded(self, x: Tensor, whole: bool) -> Tensor:
        """Run the network on `x` padded to sides it can process, and crop the result back."""
        context: Sides = getattr(self.segment, "context", (0, 0, 0))
        factors: Sides = getattr(self.segment, "factors", (1, 1, 1))
        if not whole:
            return self.segment(x)
        rest = [-side % factor for side, factor in zip(x.shape[2:], factors, strict=True)]
        pads = [(c + r // 2, c + r - r // 2) for c, r in zip(context, rest, strict=True)]
        logits = self.segment(F.pad(x, [n for pair in reversed(pads) for n in pair]))
        inner = tuple(slice(r // 2, r // 2 + side) for r, side in zip(rest, x.shape[2:], strict=True))
        return logits[(..., *inner)]

    def _windowed(self, x: Tensor) -> Tensor:
        from monai.inferers.utils import sliding_window_inference

        assert self.window
        return sliding_window_inference(x, self.window, 1, self.segment, overlap=0.5, mode="gaussian")  # type: ignore[return-value]
