"""A 2D U-Net for D and F that reads slices one by one, so its result does not depend on how much of a head is shown."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.nn.norm import QuickGroupNorm

GROUPS = 8
NORM_EPSILON = 1e-5
_AT_ONCE = 8  # slices at a time in prediction; with more, each layer requests new memory from the system
RARE_LOGIT = -3.0  # of an untrained network: infarct is rare, so the first steps need not learn that
EMPTY_LOGIT = -12.0  # for slices that are empty


class SliceBlock(nn.Module):
    """Residual block of twice [conv 3 × 3, GroupNorm], with ReLU in between and after the sum, dropout last."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.first_norm = QuickGroupNorm(GROUPS, out_channels, eps=NORM_EPSILON)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = QuickGroupNorm(GROUPS, out_channels, eps=NORM_EPSILON)
        self.short_cut = nn.Conv2d(in_channels, out_channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n b h w"]:
        """(N, in, H, W) → (N, out, H, W)."""
        inner = F.relu(self.first_norm(self.first(x)))
        return self.dropout(F.relu(self.second_norm(self.second(inner)).add_(self.short_cut(x)), inplace=True))


class SliceUNet(nn.Module):
    """In-plane encoder and decoder with concatenated skips (Ronneberger et al. 2015); slices form a batch.

    GroupNorm sees one slice at a time, so that a part of a head gives the same result as those slices of the whole;
    slices above and below enter as channels (`network.neighbours`). channels: of each level, finest first, multiples of
    8. H and W must be divisible by 2^(levels − 1). In prediction, slices whose input is all 0 are not computed.
    """

    def __init__(self, in_channels: int, channels: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.factor = 2 ** (len(channels) - 1)
        entries = (in_channels, *channels[:-1])
        self.down = nn.ModuleList(SliceBlock(a, b, dropout) for a, b in zip(entries, channels, strict=True))
        rises = zip(channels[:0:-1], channels[-2::-1], strict=True)
        self.up = nn.ModuleList(SliceBlock(a + b, b, dropout) for a, b in rises)
        self.head = nn.Conv2d(channels[0], 1, 1)
        nn.init.constant_(self.head.bias, RARE_LOGIT)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b 1 d h w"]:
        """Logits of every slice."""
        if any(side % self.factor for side in x.shape[3:]):
            raise ValueError(f"SliceUNet needs H and W divisible by {self.factor}, but got {tuple(x.shape[3:])}.")
        slices = x.transpose(1, 2).flatten(0, 1)
        logits = self._of_slices(slices) if self.training else self._each_distinct(slices)
        return logits.unflatten(0, (len(x), -1)).transpose(1, 2)

    def _each_distinct(self, slices: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits of slices; equal slices, as in overlapping boxes, are computed once, and empty ones not at all."""
        logits = torch.full_like(slices[:, :1], EMPTY_LOGIT)
        shown = slices.flatten(1).any(1)
        if bool(shown.any()):
            first, again = _equal_slices(slices[shown])
            parts = [self._of_slices(part) for part in slices[shown][first].split(_AT_ONCE)]
            logits[shown] = torch.cat(parts).to(logits.dtype)[again]
        return logits

    def _of_slices(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        x = x.contiguous(memory_format=torch.channels_last)  # makes 2D convolutions faster on CPUs
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = skips.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], 1))
        return self.head(x)


def _equal_slices(slices: Float[Tensor, "n c h w"]) -> tuple[list[int], list[int]]:
    """Indices of the distinct slices, and for each slice the position of its equal among them."""
    places: dict[bytes, int] = {}
    again = [places.setdefault(plane.tobytes(), len(places)) for plane in slices.detach().float().cpu().numpy()]
    return [again.index(place) for place in range(len(places))], again
