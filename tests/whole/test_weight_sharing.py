"""The supernet of the weight-sharing benchmark: a path is the network that it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.supernet import SPACE, Supernet, calibrate, score, train
from benchmarks.truth.weight_sharing import Against, combined, partial, tau
from models.build import build
from models.cost import cost
from models.spec import ArchSpec
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.quick.layers import quicken
from training.recipe import Recipe

RECIPE = replace(proxy_recipe(8, "cpu"), images=64, held_out=64, batch=4, width=0.25)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


@pytest.fixture(scope="module")
def network(digits: Data) -> Supernet:
    return Supernet(RECIPE, digits, 0)


def _some(count: int) -> list[ArchSpec]:
    return [SPACE.spec_of(row) for row in SPACE.random(count, np.random.default_rng(1))]


def _twin(spec: ArchSpec, data: Data, recipe: Recipe = RECIPE) -> ArchSpec:
    return recipe.network(spec, len(data.classes), data.channels)


def test_a_path_has_its_own_networks_parameters_and_outputs(
    network: Supernet, digits: Data
) -> None:
    x = torch.randn(3, 1, 8, 8)
    for spec in _some(3):
        path, alone = network.path(spec).eval(), build(_twin(spec, digits)).eval()
        assert sum(p.numel() for p in path.parameters()) == cost(_twin(spec, digits)).params
        weights = path.state_dict().values()
        alone.load_state_dict(dict(zip(alone.state_dict(), weights, strict=True)))
        torch.nn.init.ones_(path[-1][-1].weight)  # type: ignore[index]
        torch.nn.init.ones_(alone.head[-1].weight)  # type: ignore[index, union-attr]
        assert torch.allclose(path(x), alone(x), atol=1e-5)


def test_paths_with_and_without_se_share_convolutions_and_not_norms(network: Supernet) -> None:
    values = {name: menu[-1] for name, menu in SPACE.choices.items()}
    with_se = network.path(SPACE.spec(values))
    without = network.path(SPACE.spec({**values, **{f"block{i}_se": 0 for i in range(7)}}))
    shared = {id(p) for p in with_se.parameters()} & {id(p) for p in without[1].parameters()}
    assert {p.ndim for p in without[1].parameters() if id(p) in shared} == {4}
    assert {p.ndim for p in without[1].parameters() if id(p) not in shared} == {1}


def test_every_path_trains_and_only_that(digits: Data) -> None:
    network = Supernet(replace(RECIPE, zero_init=False), digits, 0)
    quicken(network)
    for spec in _some(3):
        path = network.path(spec).train()
        F.cross_entropy(path(torch.randn(4, 1, 8, 8)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
        mine = {id(p) for p in path.parameters()}
        for p in network.parameters():
            assert (p.grad is not None and bool(p.grad.any())) is (id(p) in mine)
        network.zero_grad()


def test_training_reaches_all_choices_and_scores_repeat(digits: Data) -> None:
    network = Supernet(RECIPE, digits, 0)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert train(network, RECIPE, digits, 0, 12) > 0
    moved = {
        name.split(".")[1] for name, p in network.named_parameters() if (p != before[name]).any()
    }
    assert moved >= set(network.networks)
    (spec,) = _some(1)
    one = score(network, RECIPE, digits, spec, 100)
    score(network, RECIPE, digits, _some(2)[1], 100)
    assert score(network, RECIPE, digits, spec, 100)[:2] == one[:2]


def test_calibration_measures_the_pictures_at_hand(network: Supernet, digits: Data) -> None:
    path = network.path(_some(1)[0])
    x = torch.randn(50, 1, 8, 8)
    calibrate(path, x)
    norm, seen = path[0][1], path[0][0](x)  # type: ignore[index]
    assert torch.allclose(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, seen.var((0, 2, 3)), rtol=1e-4)


def test_what_a_score_adds() -> None:
    rng = np.random.default_rng(0)
    capacity, news = rng.normal(size=(2, 200))
    halves = np.arange(200) % 2 == 0
    truth = capacity + news
    nothing = Against(rng.normal(size=200), capacity, truth)
    both, _ = combined(nothing, halves)
    assert abs(partial(nothing)) < 0.1
    assert tau(both, truth) < tau(capacity, truth) + 0.02
    both, weights = combined(Against(news, capacity, truth), halves)
    assert partial(Against(news, capacity, truth)) > 0.5
    assert tau(both, truth) > 0.9
    assert all(0.8 < weight < 1.25 for weight in weights)
