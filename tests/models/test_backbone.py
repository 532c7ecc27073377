"""The maps of a network, as detectors take them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork

from models.build import build
from models.deploy.backbone import backbone
from models.families import family


@pytest.mark.parametrize(
    ("name", "strides", "channels"),
    [
        ("efficientnet-b0", (4, 8, 16, 32), [24, 40, 112, 320]),
        ("resnet-18", (4, 8, 16, 32), [64, 128, 256, 512]),
        ("convnext-t", (4, 8, 16, 32), [96, 192, 384, 768]),
        ("rexnet-1.0", (4, 8, 16, 32), [38, 61, 128, 185]),
    ],
)
def test_maps_are_the_networks_own(
    name: str, strides: tuple[int, ...], channels: list[int]
) -> None:
    spec = replace(family(name), resolution=64, classes=7)
    torch.manual_seed(0)
    network = build(spec).eval()
    found = backbone(spec, network.state_dict()).eval()
    assert found.strides == strides
    assert list(found.channels.values()) == channels
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        maps = found(x)
        pyramid = FeaturePyramidNetwork(channels, 16)(maps)
        assert torch.equal(network.head(maps["32"]), network(x)), "the classifier's own map"
    for stride, one in zip(strides, channels, strict=True):
        assert maps[str(stride)].shape == (1, one, 64 // stride, 96 // stride)
        assert pyramid[str(stride)].shape == (1, 16, 64 // stride, 96 // stride)


def test_which_maps_and_whose_weights() -> None:
    spec = replace(family("mobilenet-v2"), resolution=64, classes=3)
    assert backbone(spec, least=2).strides == (2, 4, 8, 16, 32)
    assert backbone(spec, least=16).strides == (16, 32)
    with pytest.raises(ValueError, match="no map of a stride of 64"):
        backbone(spec, least=64)
    other = build(replace(spec, classes=4)).state_dict()
    with pytest.raises(ValueError, match="classes"):
        backbone(spec, other)


def test_what_is_trained_reaches_the_first_weights() -> None:
    found = backbone(replace(family("mobilenet-v1-0.25-128"), resolution=32)).train()
    sum(one.square().mean() for one in found(torch.rand(2, 3, 32, 32)).values()).backward()
    assert all(weight.grad is not None for weight in found.parameters())
    assert not [name for name, _ in found.named_parameters() if name.startswith("head")]
