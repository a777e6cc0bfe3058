"""Which precision a device computes fast in."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def choose_precision(setting: str, device: torch.device) -> Precision:
    """'fp32' or 'bf16' as asked; 'auto' takes bf16 where the device has instructions for it."""
    if setting == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16()
        return "bf16" if fast else "fp32"
    return "bf16" if setting == "bf16" else "fp32"


def _cpu_has_bf16() -> bool:
    """True on CPUs with AVX-512 BF16 or AMX instructions."""
    from torch.cpu import _is_avx512_bf16_supported  # no public name in torch 2.11 to 2.13

    return bool(_is_avx512_bf16_supported())
