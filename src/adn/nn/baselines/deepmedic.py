"""DeepMedic (Kamnitsas et al., Med Image Anal 2017): two pathways of valid convolutions at two scales, then 1³."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FEATURES = (30, 30, 40, 40, 40, 40, 50, 50)  # published modelConfig.cfg, both pathways
HIDDEN = (150, 150)  # the "fully connected" layers, as 1³ convolutions
RESIDUAL_AT = (4, 6, 8)  # layers, counted from 1, to whose output the input of the previous layer is added
STEP = 3  # downsampling factor of the coarse pathway
_LOSS = len(FEATURES)  # voxels that valid 3³ convolutions consume on each side
_THICK = 2.0  # axes with voxels this much longer than the shortest are not downsampled


class Layer(nn.Sequential):
    """BatchNorm, PReLU, dropout, convolution (valid); the first layer of a pathway gets the raw image."""

    def __init__(self, a: int, b: int, size: int, dropout: float = 0.0, raw: bool = False) -> None:
        before: list[nn.Module] = [] if raw else [nn.BatchNorm3d(a), nn.PReLU(a)]
        if dropout:
            before.append(nn.Dropout(dropout))
        super().__init__(*before, nn.Conv3d(a, b, size))


class Pathway(nn.Module):
    """Eight valid 3³ convolutions with residual connections: 17 voxels wide at its own scale."""

    def __init__(self, features: tuple[int, ...]) -> None:
        super().__init__()
        entries = (1, *features[:-1])
        self.layers = nn.ModuleList(
            Layer(a, b, 3, raw=place == 0) for place, (a, b) in enumerate(zip(entries, features, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, D, H, W) → (B, n, D − 16, H − 16, W − 16)."""
        before = x
        for number, layer in enumerate(self.layers, start=1):
            out = layer(x)
            if number in RESIDUAL_AT:
                inner = before[:, :, 2:-2, 2:-2, 2:-2]
                out = out + F.pad(inner, (0, 0, 0, 0, 0, 0, 0, out.shape[1] - inner.shape[1]))  # more maps: zeros
            before, x = x, out
        return x


class DeepMedic(nn.Module):
    """Logits for the inner part of the input, without `context` voxels on each side.

    width: factor on the source's channels. spacing_mm: of the grid; if slices are at least twice as thick as pixels are
    wide, the coarse pathway is downsampled in plane only (the source is for isotropic voxels).
    """

    def __init__(self, width: float = 1.0, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        super().__init__()
        finest = min(spacing_mm)
        steps = [1 if mm / finest >= _THICK else STEP for mm in spacing_mm]
        self.factors = (steps[0], steps[1], steps[2])
        self.context = (_LOSS * steps[0], _LOSS * steps[1], _LOSS * steps[2])
        features = tuple(max(round(n * width), 4) for n in FEATURES)
        hidden = tuple(max(round(n * width), 4) for n in HIDDEN)
        self.fine, self.coarse = Pathway(features), Pathway(features)
        self.classify = nn.Sequential(
            Layer(2 * features[-1], hidden[0], 1),
            Layer(hidden[0], hidden[1], 1, dropout=0.5),
            Layer(hidden[1], 1, 1, dropout=0.5),
        )

    def forward(self, x: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 d2 h2 w2"]:
        """The input's sides minus context must be divisible by `factors`; they are the sides of the result."""
        trims = [c - _LOSS for c in self.context]
        inner = tuple(slice(t, side - t) for t, side in zip(trims, x.shape[2:], strict=True))
        fine = self.fine(x[(..., *inner)])
        coarse = self.coarse(F.avg_pool3d(x, self.factors))
        raised = F.interpolate(coarse, scale_factor=tuple(map(float, self.factors)), mode="nearest")
        return self.classify(torch.cat([fine, raised], 1))
