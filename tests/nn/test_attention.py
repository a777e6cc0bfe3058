"""Local attention across the hemispheres: where it looks, and what it leaves unchanged."""

import torch

from adn.nn.attention import LocalAttention, MirrorAttention
from adn.nn.resunet import ResUNet
from adn.space.warp import mirror
from given import given, loose


def test_attention_covers_27_voxels_and_stays_inside_the_border():
    torch.manual_seed(0)
    attention = loose(LocalAttention(8, heads=2))
    own, mirrored = torch.rand(1, 8, 4, 5, 6, requires_grad=True), torch.rand(1, 8, 4, 5, 6)
    attention(own, mirrored)[0, :, 2, 2, 3].sum().backward()
    seen = given(own.grad)[0].abs().sum(0).nonzero()
    assert seen.min(0).values.tolist() == [1, 1, 2]
    assert seen.max(0).values.tolist() == [3, 3, 4]
    torch.nn.init.zeros_(attention.value.weight)
    torch.nn.init.ones_(attention.value.bias)
    torch.nn.init.dirac_(attention.out.weight)
    torch.nn.init.zeros_(attention.out.bias)
    assert torch.allclose(attention(own, mirrored), torch.ones(()), atol=1e-5)  # weights sum to 1 in corners too


def woken():
    """An attention whose projection has left zero."""
    torch.manual_seed(0)
    attention = MirrorAttention(8)
    torch.nn.init.normal_(attention.attention.out.weight)
    return attention


def test_attention_starts_as_the_identity_and_learns():
    torch.manual_seed(0)
    attention, x = loose(MirrorAttention(8)), torch.randn(2, 8, 3, 4, 6)
    found = attention(x)
    assert torch.equal(found, x)
    found.square().sum().backward()
    assert attention.attention.out.weight.grad.abs().max() > 0


def test_attention_adds_features_from_around_the_mirrored_place():
    attention = woken()
    x = torch.randn(1, 8, 5, 5, 9, requires_grad=True)
    (attention(x) - x)[0, :, 2, 2, 1].sum().backward()  # its twin lies at W index 7
    seen = {tuple(place) for place in given(x.grad)[0].abs().sum(0).nonzero().tolist()}
    around = {(z, y, w) for z in (1, 2, 3) for y in (1, 2, 3) for w in (6, 7, 8)}
    assert seen == around | {(2, 2, 1)}  # itself asks


def test_a_mirrored_input_gives_the_mirrored_output():
    attention = woken()
    x = torch.randn(1, 8, 3, 4, 6)
    assert torch.allclose(attention(mirror(x)), mirror(attention(x)), atol=1e-5)


def test_a_network_with_attention_starts_like_one_without():
    networks = []
    for attending in (0, 2):
        torch.manual_seed(3)
        networks.append(ResUNet(1, (8, 8, 16), attending=attending))
    plain, attending = networks
    own, others = plain.state_dict(), attending.state_dict()
    assert all(torch.equal(value, others[name]) for name, value in own.items())
    assert {name.split(".")[1] for name in others.keys() - own.keys()} == {"1", "2"}  # the two deepest levels
    x = torch.rand(1, 1, 4, 8, 8)
    assert torch.equal(plain(x), attending(x))
