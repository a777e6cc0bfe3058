"""`torch.nn.GroupNorm` with a gradient that is also fast on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_LARGE = 1000  # pixels or voxels per channel; smaller ones are equally fast either way


class _PlanarBackward(torch.autograd.Function):
    """GroupNorm whose gradient is computed with channels first.

    For bf16 with channels last, PyTorch's own gradient is slower on CPUs, even including the copies made here.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, epsilon: float) -> Tensor:
        sides = (x.shape[0], x.shape[1], x[0, 0].numel(), groups)
        alone = groups == x.shape[1]  # one channel per group: PyTorch's forward is slow with channels last as well
        y, mean, scale = torch.native_group_norm(x.contiguous() if alone else x, weight, bias, *sides, epsilon)
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.sides = sides
        return y.contiguous(memory_format=_last(x))

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        x, weight, mean, scale = ctx.saved_tensors
        dx, d_weight, d_bias = torch.ops.aten.native_group_norm_backward(
            outer[0].contiguous(), x.contiguous(), mean, scale, weight, *ctx.sides, [True, True, True]
        )
        return dx.contiguous(memory_format=_last(x)), d_weight, d_bias, None, None


class QuickGroupNorm(nn.GroupNorm):
    """GroupNorm over (N, C, H, W) or (N, C, D, H, W); the result has the input's memory format."""

    def forward(self, input: Tensor) -> Tensor:
        """The same as `torch.nn.GroupNorm`."""
        quick = input.dtype == torch.bfloat16 and input.device.type == "cpu" and input.requires_grad
        if quick and input[0, 0].numel() >= _LARGE and not input.is_contiguous():
            return _PlanarBackward.apply(input, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore
        return super().forward(input)


def _last(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.channels_last_3d
