"""The classifier that a training begins with: fitted to features as its batches have them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.build import build
from models.spec import ArchSpec, StageSpec, Stem
from training.data import Data, first, load
from training.loop.augment import to_float
from training.recipe import Recipe
from training.transfer.begin import begin, in_training
from training.transfer.head import classifier, features, fit
from training.transfer.parent import Moments, Parent, prepared, weights_of

SPEC = ArchSpec(
    "small",
    Stem(8, 3, 2),
    (StageSpec("mbconv", 2, 12, 3, 1, 4), StageSpec("mbconv", 2, 16, 3, 2, 4)),
    head=24,
    resolution=16,
    classes=10,
    in_channels=1,
    dropout=0.5,
)
RECIPE = Recipe(epochs=1, batch=32, lr=0.08, zero_init=False)


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", size=16, progress=False)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build(SPEC)


def test_features_are_those_of_the_batches(data: Data, network: nn.Module) -> None:
    """Also of pictures that are left over, and nothing else of the network changes."""
    split = first(data.train, 70)
    kept, before = copy.deepcopy(network.state_dict()), copy.deepcopy(network)
    torch.manual_seed(1)
    found = in_training(network, split, 16, data, RECIPE)
    assert not network.training
    for name, value in network.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(value, kept[name]), name
    torch.manual_seed(1)
    before.train()
    seen: list[torch.Tensor] = []
    classifier(before).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for places in (slice(0, 32), slice(32, 64), slice(38, 70)):
        before(to_float(split.images[places], 16, data.mean, data.std))
    expected = torch.cat([seen[0], seen[1], seen[2][-6:]])
    assert torch.allclose(found, expected, atol=1e-5)
    assert (found == 0).float().mean() > 0.3  # dropout


@pytest.mark.parametrize("change", [{"epochs": 0}, {"freeze": True}])
def test_features_at_rest_where_they_stay_there(
    data: Data, network: nn.Module, change: dict[str, int]
) -> None:
    split = first(data.train, 60)
    begin(network, split, 16, data, replace(RECIPE, **change), 0)
    expected = fit(features(network, split, 16, data), split.labels, 10)
    assert torch.equal(classifier(network).weight, expected.weight)


@torch.no_grad()
def test_a_training_begins_less_sure(data: Data, network: nn.Module) -> None:
    """Of few pictures: by its own batches the loss is far below that of a fit to features at
    rest."""
    split, losses = first(data.train, 64), []
    for epochs in (0, 1):
        begin(network, split, 16, data, replace(RECIPE, epochs=epochs), 0)
        torch.manual_seed(2)
        given = in_training(network, split, 16, data, RECIPE)
        logits = nn.functional.linear(given, *classifier(network).parameters())
        losses.append(float(nn.functional.cross_entropy(logits, split.labels)))
    assert losses[1] < losses[0]


def test_a_parent_is_made_ready_alike_whatever_was_drawn_before(data: Data) -> None:
    torch.manual_seed(0)
    parent = Parent("small", SPEC, weights_of(build(SPEC)), Moments((0.2,), (0.5,)))
    recipe, ready = replace(RECIPE, images=80, reference=16), []
    for before in (3, 4):
        torch.manual_seed(before)
        ready.append(prepared(parent, recipe, data, 0, torch.device("cpu"), 1).digest)
    assert ready[0] == ready[1]
