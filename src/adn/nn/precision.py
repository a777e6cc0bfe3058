"""Chooses the device, and the precision and memory layout that are fast on it."""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeVar

import torch
from torch import nn

from adn.errors import DeviceError

Precision = Literal["fp32", "bf16"]
_PROBES = 3
_BF16_SHARE = 0.05  # tolerance as a share of the largest gradient; rounding to bf16 changes it by 1 %
Network = TypeVar("Network", bound=nn.Module)


def choose_device(setting: str) -> torch.device:
    """'cpu' or 'cuda' as requested; 'auto' takes a GPU if there is one. Raises DeviceError if 'cuda' is unavailable."""
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError("Device 'cuda' was asked for, but torch finds no GPU; set `device` to cpu.")
    return torch.device(kind)


def made_ready(network: Network, device: torch.device) -> Network:
    """Prepare a network for prediction: evaluation mode, on the device, in the fastest memory layout."""
    return laid_out(network.eval().to(device))


def laid_out(network: Network) -> Network:
    """Store the weights of a network's 3D convolutions channels last, the fastest layout; return the network."""
    for weights in network.parameters():
        if weights.dim() == 5:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last_3d)
    return network


def choose_precision(setting: str, device: torch.device) -> Precision:
    """'fp32' or 'bf16' as requested; 'auto' takes bf16 if the device has instructions for it."""
    if setting == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16()
        return "bf16" if fast else "fp32"
    return "bf16" if setting == "bf16" else "fp32"


def spare_two_slices(network: nn.Module) -> bool:
    """Make convolutions over two slices compute in fp32 on CPUs whose bf16 leaves their gradients unset.

    On CPUs with bf16 instructions, torch 2.13 leaves the weight gradient of such a convolution as uninitialised memory.
    Everything else is unchanged. Returns whether this CPU needs it.
    """
    if two_slices_are_sound():
        return False
    for part in network.modules():
        if isinstance(part, nn.Conv3d):
            part.register_forward_pre_hook(_leave_bf16)
            part.register_forward_hook(_return_to_bf16, always_call=True)
    return True


@cache
def two_slices_are_sound() -> bool:
    """Whether, on this CPU, bf16 gives the same weight gradient as fp32 for a convolution over two slices."""
    generator = torch.Generator().manual_seed(0)
    x, weights = (torch.randn(shape, generator=generator) for shape in ((1, 16, 2, 8, 8), (16, 16, 3, 3, 3)))
    out = torch.randn((1, 16, 2, 8, 8), generator=generator)
    for _ in range(_PROBES):
        found = []
        for kind in (torch.float32, torch.bfloat16):
            soiled = torch.full((2**20,), torch.nan)  # fills freed memory with NaN, so that unset values show up
            del soiled
            asked = weights.detach().clone().to(kind).requires_grad_()
            torch.nn.functional.conv3d(x.to(kind), asked, padding=1).backward(out.to(kind))
            assert asked.grad is not None
            found.append(asked.grad.float())
        right, quick = found
        if not (right - quick).abs().max() < _BF16_SHARE * right.abs().max():  # NaN is not less
            return False
    return True


def _leave_bf16(part: nn.Module, given: tuple) -> tuple | None:
    x = given[0]
    if x.shape[2] != 2 or not torch.is_autocast_enabled("cpu"):
        return None
    part._spared = True  # type: ignore[assignment]
    torch.set_autocast_enabled("cpu", False)
    return (x.float(), *given[1:])


def _return_to_bf16(part: nn.Module, given: tuple, result: object) -> None:
    if getattr(part, "_spared", False):
        part._spared = False  # type: ignore[assignment]
        torch.set_autocast_enabled("cpu", True)


def _cpu_has_bf16() -> bool:
    """True on CPUs with AVX-512 BF16 or AMX instructions."""
    from torch.cpu import _is_avx512_bf16_supported  # no public name in torch 2.11 to 2.13

    return bool(_is_avx512_bf16_supported())
