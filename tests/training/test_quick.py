"""The quick layers against torch's own: the same outputs and gradients."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.build import build
from models.families import family
from models.inherit import recalibrate
from training.evaluator import proxy_recipe
from training.loop.quick.layers import quicken


def _alike(plain: nn.Module, shape: tuple[int, ...]) -> None:
    """Compare outputs and all gradients of ``plain`` and its quickened copy."""
    quick = quicken(copy.deepcopy(plain).to(memory_format=torch.channels_last))
    one = torch.randn(shape, dtype=torch.double, requires_grad=True)
    two = one.detach().to(memory_format=torch.channels_last).requires_grad_()
    expected, found = plain(one), quick(two)
    assert torch.allclose(expected, found)
    weight = torch.randn_like(expected)
    references = torch.autograd.grad(expected, (one, *plain.parameters()), weight)
    gradients = torch.autograd.grad(found, (two, *quick.parameters()), weight)
    # Where a batch norm follows, some gradients are 0 but for rounding.
    rounding = 1e-10 * max(float(reference.abs().max()) for reference in references)
    for reference, gradient in zip(references, gradients, strict=True):
        assert torch.allclose(reference, gradient, rtol=1e-6, atol=rounding)


@settings(max_examples=100, deadline=None)
@given(
    kernel=st.sampled_from([1, 2, 3, 5, 7]),
    stride=st.integers(1, 3),
    side=st.integers(1, 9),
    padding=st.integers(0, 3),
    depthwise=st.booleans(),
    bias=st.booleans(),
)
def test_convolutions(
    kernel: int, stride: int, side: int, padding: int, depthwise: bool, bias: bool
) -> None:
    if side + 2 * padding < kernel:
        return
    torch.manual_seed(0)
    groups = 6 if depthwise else 1
    conv = nn.Conv2d(6, 6 if depthwise else 4, kernel, stride, padding, groups=groups, bias=bias)
    _alike(conv.double(), (3, 6, side, side))


@pytest.mark.parametrize("name", ["mobilenet-v2", "resnet-50", "rexnet-1.0", "efficientnet-b0"])
def test_whole_networks(name: str) -> None:
    recipe, spec = proxy_recipe(32, "cpu"), family(name)
    torch.manual_seed(0)
    network = build(recipe.network(spec, 4, 3)).double()
    _alike(network, (3, 3, recipe.side(spec), recipe.side(spec)))


def test_layers_of_no_quick_way_are_left_alone() -> None:
    grouped, dilated = nn.Conv2d(8, 8, 5, groups=2), nn.Conv2d(4, 8, 5, dilation=2)
    network = nn.Sequential(grouped, dilated, nn.Conv2d(4, 8, 1, 2), nn.AdaptiveAvgPool2d(2))
    quicken(network)
    assert not any("forward" in vars(module) for module in network)


def test_a_mean_over_batches_is_measured_by_quick_norms_too() -> None:
    """Without a momentum, which is set after they were made quick, as ``recalibrate`` does."""
    torch.manual_seed(0)
    network = build(replace(family("mobilenet-v2"), resolution=96, classes=4, norm_momentum=0.01))
    quick = quicken(copy.deepcopy(network))
    batches = [2 + 3 * torch.randn(4, 3, 96, 96) for _ in range(3)]
    for one in (network, quick):
        recalibrate(one, batches)
    expected, found = network.state_dict(), quick.state_dict()
    for name, value in expected.items():
        assert torch.allclose(value, found[name], rtol=1e-3, atol=1e-5), name
    assert not torch.allclose(expected["stem.1.running_mean"], torch.zeros(1))
