"""Which device to compute on, and which precision and layout are fast there."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import nn

from adn.errors import DeviceError

Precision = Literal["fp32", "bf16"]
Network = TypeVar("Network", bound=nn.Module)


def choose_device(setting: str) -> torch.device:
    """'cpu' or 'cuda' as asked; 'auto' takes a GPU if there is one. Raises DeviceError where 'cuda' is not there."""
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError("Device 'cuda' was asked for, but torch finds no GPU; set `device` to cpu.")
    return torch.device(kind)


def made_ready(network: Network, device: torch.device) -> Network:
    """The network on a device, to predict with; weights of 3D convolutions are laid out as they are read fastest."""
    network.eval().to(device)
    for weights in network.parameters():
        if weights.dim() == 5:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last_3d)
    return network


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
