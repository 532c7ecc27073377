"""Scores: more is better, the seed decides, and each is what its paper says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from models.build import build
from models.cost import cost
from models.families import family
from training.augment import to_float
from training.data import Data, load
from training.proxies import AUTO, PICTURES, SIDE, proxy
from training.train import first

NAMES = ("params", "macs", "snip", "gradient-norm", "synflow")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_finite_and_repeat_with_the_seed(name: str, digits: Data) -> None:
    spec = family("mobilenet-v2-0.35")
    score = proxy(name, "cpu")
    one, again = score(spec, digits, 0), score(spec, digits, 0)
    assert math.isfinite(one.value)
    assert one.value == again.value
    assert one.seconds > 0
    if name in ("snip", "gradient-norm", "synflow"):
        assert score(spec, digits, 1).value != one.value


def test_scores_of_size_are_logarithms_of_the_cost(digits: Data) -> None:
    spec = family("resnet-18")
    assert proxy("params")(spec, digits, 0).value == math.log(cost(spec).params)
    assert proxy("macs")(spec, digits, 0).value == math.log(cost(spec).macs)


def test_synflow_of_a_wider_network_is_larger(digits: Data) -> None:
    score = proxy("synflow", "cpu")
    small, large = family("mobilenet-v2-0.35"), family("mobilenet-v2")
    assert score(large, digits, 0).value > score(small, digits, 0).value


def test_snip_and_gradient_norm_against_their_definitions(digits: Data) -> None:
    """By hand, layer by layer, on the same network and pictures."""
    spec = family("mobilenet-v2-0.35")
    torch.manual_seed(4)
    network = build(replace(spec, classes=10, in_channels=1, dropout=0.0)).train()
    few = first(digits.train, PICTURES)
    x = to_float(few.images, SIDE, digits.mean, digits.std)
    loss = torch.nn.functional.cross_entropy(network(x), few.labels)
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    weights = [m.weight for m in network.modules() if isinstance(m, kinds)]
    grads = torch.autograd.grad(loss, weights)
    saliency = sum((w * g).abs().sum().item() for w, g in zip(weights, grads, strict=True))
    norms = sum(g.norm().item() for g in grads)
    assert proxy("snip", "cpu")(spec, digits, 4).value == pytest.approx(math.log(saliency))
    assert proxy("gradient-norm", "cpu")(spec, digits, 4).value == pytest.approx(math.log(norms))


def test_unknown_proxy() -> None:
    with pytest.raises(ValueError, match="auto, params"):
        proxy("magic")
    assert AUTO in NAMES
