"""The quick depthwise gradient against autograd's own."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from training.depthwise import quicken


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 3),
    side=st.integers(1, 9),
    padding=st.integers(0, 3),
    bias=st.booleans(),
)
def test_gradients_equal_autograds(
    kernel: int, stride: int, side: int, padding: int, bias: bool
) -> None:
    if side + 2 * padding < kernel:
        return
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias).double()
    quick = copy.deepcopy(plain)
    quicken(quick)
    one = torch.randn(3, 6, side, side, dtype=torch.double, requires_grad=True)
    two = one.detach().clone().requires_grad_()
    weight = torch.randn_like(plain(one))
    (plain(one) * weight).sum().backward()
    (quick(two) * weight).sum().backward()
    assert torch.allclose(one.grad, two.grad)  # type: ignore[arg-type]
    for expected, found in zip(plain.parameters(), quick.parameters(), strict=True):
        assert torch.allclose(expected.grad, found.grad)  # type: ignore[arg-type]


def test_other_convolutions_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 5), nn.Conv2d(8, 8, 5, groups=2), nn.Conv2d(1, 1, 5))
    quicken(network)
    assert not any("forward" in vars(module) for module in network)
