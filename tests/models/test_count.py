"""The shape counter against fvcore, and against the closed form."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
import torchvision
from fvcore.nn import FlopCountAnalysis
from torch import nn

from models.build import build
from models.cost import cost
from models.families import family, names
from models.reference.amoebanet import AmoebaNet
from models.reference.count import count, count_on_meta


def fvcore_total(module: nn.Module, side: int, channels: int) -> int:
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    total: int = FlopCountAnalysis(module.eval(), torch.zeros(1, channels, side, side)).total()
    return total


class Odds(nn.Module):
    """Every norm with and without weights, matrix products, both kinds of pool."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, groups=1)
        self.norms = nn.Sequential(
            nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False),
            nn.GroupNorm(2, 8), nn.GroupNorm(2, 8, affine=False),
            nn.LayerNorm(6), nn.LayerNorm(6, elementwise_affine=False),
            nn.Conv2d(8, 8, 3, groups=4, dilation=2, padding=2), nn.AvgPool2d(2),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norms(self.stem(x))
        x = torch.matmul(x, x.transpose(2, 3))
        y: torch.Tensor = self.last(self.pool(x).flatten(1))
        return y + x.mean((2, 3))[:, :3]


MODULES: list[tuple[Callable[[], nn.Module], int, int]] = [
    (Odds, 6, 1),
    (partial(torchvision.models.DenseNet, 8, (2, 3, 2, 2), 16), 64, 3),
    (partial(torchvision.models.googlenet, aux_logits=False, init_weights=False), 64, 3),
    (partial(AmoebaNet, "A", 2, 16, 10), 65, 3),
    (partial(AmoebaNet, "B", 2, 16, 10), 64, 3),
    (partial(AmoebaNet, "C", 2, 18, 10), 67, 3),
]


@pytest.mark.parametrize(("make", "side", "channels"), MODULES)
def test_fvcores_integer(make: Callable[[], nn.Module], side: int, channels: int) -> None:
    on_meta = count_on_meta(make, side, channels)
    assert on_meta.fvcore == fvcore_total(make(), side, channels)
    assert on_meta == count(make(), side, channels)
    assert on_meta.params == sum(p.numel() for p in make().parameters())


@pytest.mark.parametrize("name", ["efficientnet-b0", "convnext-t", "mobilenet-v1-0.25-128"])
def test_closed_form(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_closed_form_of_every_family(name: str) -> None:
    check(name)


def check(name: str) -> None:
    spec = family(name)
    found = cost(spec)
    assert count_on_meta(lambda: build(spec), spec.resolution) == (
        found.macs, found.params, found.fvcore,
    )  # fmt: skip


def test_the_training_mode_and_the_statistics_are_left_alone() -> None:
    spec = replace(family("mobilenet-v1-0.25-128"), resolution=32)
    module = build(spec).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    count(module, 32)
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
