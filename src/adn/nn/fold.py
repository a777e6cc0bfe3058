"""Pixels folded into channels, so that a network works on fewer, wider voxels (an extension of ours)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Folded(nn.Module):
    """A network that sees fold × fold pixels as channels of one, and whose logits are unfolded again.

    In place of its first level at full resolution, which costs most and sees least. `inner` takes fold² times the
    channels and returns fold² (or a list of such, in training). H and W must be divisible by `fold`.
    """

    def __init__(self, inner: nn.Module, fold: int) -> None:
        super().__init__()
        self.inner, self.fold = inner, fold

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Tensor | list[Tensor]:
        """Logits (B, 1, D, H, W), as the inner network returns them."""
        logits = self.inner(fold_pixels(x, self.fold))
        if isinstance(logits, Tensor):
            return unfold_pixels(logits, self.fold)
        return [unfold_pixels(level, self.fold) for level in logits]


def fold_pixels(x: Float[Tensor, "b c d h w"], fold: int) -> Tensor:
    """(B, C, D, H, W) → (B, C · fold², D, H / fold, W / fold)."""
    return _by_slice(F.pixel_unshuffle, x, fold)


def unfold_pixels(x: Float[Tensor, "b c d h w"], fold: int) -> Tensor:
    """The inverse of `fold_pixels`."""
    return _by_slice(F.pixel_shuffle, x, fold)


def _by_slice(change: Callable[[Tensor, int], Tensor], x: Tensor, fold: int) -> Tensor:
    batch, _, depth = x.shape[:3]
    slices = change(x.transpose(1, 2).flatten(0, 1), fold)
    return slices.unflatten(0, (batch, depth)).transpose(1, 2)
