"""GroupNorm gives the same output and gradients as PyTorch's, in any layout and precision."""

import pytest
import torch
import torch.nn.functional as F

from adn.nn.norm import QuickGroupNorm

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@pytest.mark.parametrize("shape", [(2, 16, 40, 40), (2, 8, 6, 20, 16), (2, 16, 6, 20, 16), (2, 16, 2, 4, 4)])
@pytest.mark.parametrize("last", [True, False])
def test_output_and_gradient_equal_those_of_pytorch(shape, last):
    """In bf16 on a CPU large planes with channels last have a gradient of their own."""
    norm = QuickGroupNorm(8, shape[1])
    torch.nn.init.normal_(norm.weight)
    layout = LAST[len(shape)] if last else torch.contiguous_format
    x, outer = (torch.randn(shape).bfloat16().contiguous(memory_format=layout) for _ in range(2))
    x.requires_grad_()
    parameters = (x, norm.weight, norm.bias)
    own_answer, answer = norm(x), F.group_norm(x, 8, norm.weight, norm.bias)
    assert torch.allclose(own_answer.float(), answer.float(), rtol=0.01, atol=0.01)
    assert own_answer.is_contiguous(memory_format=layout)
    own, plain = (torch.autograd.grad(made, parameters, outer) for made in (own_answer, answer))
    assert own[0].is_contiguous(memory_format=layout)
    for a, b in zip(own, plain, strict=True):
        assert torch.allclose(a.float(), b.float(), rtol=0.02, atol=0.02)
