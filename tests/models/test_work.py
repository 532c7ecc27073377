"""What networks do by kind of layer, against the closed form and against the modules themselves."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from models.build import build
from models.cost import cost
from models.families import family
from models.work import KINDS, work


def kind(name: str, module: nn.Module) -> str | None:
    if isinstance(module, nn.Conv2d):
        if module.groups == module.in_channels > 1:
            return "depthwise"
        return "pointwise" if module.kernel_size == (1, 1) else "conv"
    return {nn.Linear: "linear", nn.BatchNorm2d: "norm"}.get(type(module))


@pytest.mark.parametrize("name", ["mobilenet-v1", "mobilenet-v2", "resnet-18", "resnet-50"])
def test_layers_and_elements_are_those_of_the_module(name: str) -> None:
    """Networks without squeeze-and-excitation, whose kinds a module's type tells."""
    spec = family(name)
    network = build(spec).eval()
    layers, elements = Counter[str](), Counter[str]()

    def hook(of: str) -> object:
        def note(module: nn.Module, inputs: object, out: torch.Tensor) -> None:
            layers[of] += 1
            elements[of] += out.numel()

        return note

    for label, module in network.named_modules():
        if of := kind(label, module):
            module.register_forward_hook(hook(of))
    with torch.no_grad():
        network(torch.zeros(1, spec.in_channels, spec.resolution, spec.resolution))
    found = dict(zip(KINDS, np.array(work(spec)).sum(0).reshape(-1, 3).tolist(), strict=True))
    for of in ("conv", "pointwise", "depthwise", "linear", "norm"):
        assert found[of][1:] == [elements[of], layers[of]], of


@pytest.mark.parametrize("name", ["efficientnet-b0", "rexnet-1.0", "convnext-t", "mnasnet-a1"])
def test_kinds_add_up_to_the_closed_form(name: str) -> None:
    spec = family(name)
    found = np.array(work(spec)).sum(0).reshape(-1, 3)
    counted = [KINDS.index(of) for of in ("conv", "pointwise", "depthwise", "squeeze", "linear")]
    assert found[:, 0].sum() == cost(spec).macs
    assert found[counted, 1].sum() == cost(spec).activations


def test_squeeze_and_excitation_is_its_own_kind() -> None:
    found = np.array(work(family("efficientnet-b0"))).sum(0).reshape(-1, 3)
    assert found[KINDS.index("squeeze"), 2] == 2 * 16  # two convolutions in each of 16 blocks
    assert found[KINDS.index("sum"), 2] == 9  # all but the first block of each of 7 stages
