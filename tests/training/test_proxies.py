"""Scores: more is better, the seed decides, and each is what its paper says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.build import build
from models.capacity import capacity
from models.cost import cost, parts
from models.families import family
from training import proxies
from training.data import Data, load
from training.loop.augment import to_float
from training.loop.train import first
from training.proxies import AUTO, NAMES, proxy, score_all
from training.zero_cost import LOOKS, PICTURES, SIDE

KNOWN = ("capacity", "params", "macs")
UNTRAINED = ("snip", "gradient-norm", "zico", "naswot", "synflow")
SMALL = "mobilenet-v2-0.35"


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


@pytest.mark.parametrize("name", [*KNOWN, *UNTRAINED])
def test_scores_are_finite_and_repeat_with_the_seed(name: str, digits: Data) -> None:
    spec = family(SMALL)
    score = proxy(name, "cpu")
    one, again = score(spec, digits, 0), score(spec, digits, 0)
    assert math.isfinite(one.value)
    assert one.value == again.value
    assert one.seconds > 0
    assert (score(spec, digits, 1).value != one.value) is (name in UNTRAINED)


@pytest.mark.parametrize("name", UNTRAINED)
def test_scores_leave_the_generator_as_they_found_it(name: str, digits: Data) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    proxy(name, "cpu")(family(SMALL), digits, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_scores_of_size_are_logarithms_of_the_cost(digits: Data) -> None:
    spec = family("resnet-18")
    assert proxy("params")(spec, digits, 0).value == math.log(cost(spec).params)
    assert proxy("macs")(spec, digits, 0).value == math.log(cost(spec).macs)


def test_capacity_is_the_logarithms_of_all_and_of_each_stage() -> None:
    spec = family("efficientnet-b0")
    stages = [part.cost.params for part in parts(spec)[1:-1]]
    expected = math.log(5_288_548) + sum(math.log1p(n) for n in stages) / 7
    assert capacity(spec) == pytest.approx(expected, rel=1e-12)


def test_a_parameter_counts_most_where_there_are_few() -> None:
    spec = family("efficientnet-b0")
    deeper = [replace(stage, layers=stage.layers + 1) for stage in spec.stages]
    grown = []
    for i in range(len(spec.stages)):
        stages = tuple(deeper[j] if j == i else stage for j, stage in enumerate(spec.stages))
        grown.append(replace(spec, stages=stages))
    per_parameter = [
        (capacity(one) - capacity(spec)) / (cost(one).params - cost(spec).params) for one in grown
    ]
    assert per_parameter[1] > per_parameter[3] > per_parameter[5]


def test_synflow_of_a_wider_network_is_larger(digits: Data) -> None:
    score = proxy("synflow", "cpu")
    small, large = family(SMALL), family("mobilenet-v2")
    assert score(large, digits, 0).value > score(small, digits, 0).value


def fresh(digits: Data, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build(replace(family(SMALL), classes=10, in_channels=1, dropout=0.0)).train()


def pictures(digits: Data, number: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    few = first(digits.train, (number + 1) * PICTURES)
    images, labels = few.images[-PICTURES:], few.labels[-PICTURES:]
    return to_float(images, SIDE, digits.mean, digits.std), labels


def weights(network: nn.Module) -> list[nn.Parameter]:
    return [m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d | nn.Linear)]


def gradients(network: nn.Module, digits: Data, number: int = 0) -> tuple[torch.Tensor, ...]:
    x, labels = pictures(digits, number)
    loss = torch.nn.functional.cross_entropy(network(x), labels)
    return torch.autograd.grad(loss, weights(network))


def test_snip_and_gradient_norm_against_their_definitions(digits: Data) -> None:
    """By hand, layer by layer, on the same network and pictures."""
    network = fresh(digits, 4)
    grads = gradients(network, digits)
    saliency = sum((w * g).abs().sum().item() for w, g in zip(weights(network), grads, strict=True))
    norms = sum(g.norm().item() for g in grads)
    spec = family(SMALL)
    assert proxy("snip", "cpu")(spec, digits, 4).value == pytest.approx(math.log(saliency))
    assert proxy("gradient-norm", "cpu")(spec, digits, 4).value == pytest.approx(math.log(norms))


def test_zico_against_its_definition(digits: Data) -> None:
    network = fresh(digits, 4)
    looks = [gradients(network, digits, number) for number in range(LOOKS)]
    expected = 0.0
    for layer in zip(*looks, strict=True):
        sizes = [grad.abs() for grad in layer]
        mean = sum(sizes) / LOOKS
        spread = (sum((size - mean) ** 2 for size in sizes) / (LOOKS - 1)) ** 0.5
        expected += math.log((mean / spread)[spread > 0].sum().item())
    found = proxy("zico", "cpu")(family(SMALL), digits, 4).value
    assert found == pytest.approx(expected, rel=1e-3)


def test_naswot_counts_agreeing_signs(digits: Data) -> None:
    """By hand: units on which two pictures agree, over all activations at once."""
    network = fresh(digits, 4)
    codes: list[torch.Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.register_forward_pre_hook(lambda _, x: codes.append((x[0] > 0).flatten(1)))
    with torch.no_grad():
        network(pictures(digits)[0])
    every = torch.cat(codes, 1).double()
    kernel = (every[:, None] == every[None]).sum(2).double()
    expected = torch.linalg.slogdet(kernel)[1].item()
    assert proxy("naswot", "cpu")(family(SMALL), digits, 4).value == pytest.approx(expected)


def test_unknown_proxy() -> None:
    with pytest.raises(ValueError, match="auto, capacity"):
        proxy("magic")
    assert AUTO in NAMES


def test_all_scores_of_a_network_are_those_of_one_seed(digits: Data) -> None:
    specs = [family(SMALL), family("mobilenet-v2-0.5")]
    found = score_all(["naswot", "synflow"], digits)(specs)
    assert [list(one) for one in found] == [["naswot", "synflow"]] * 2
    assert found[1]["naswot"] == proxy("naswot", "cpu")(specs[1], digits, 0).value


def test_a_network_may_have_no_score(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def zero(*_: object) -> float:
        return math.log(0)

    monkeypatch.setitem(proxies._VALUES, "snip", zero)
    assert math.isnan(score_all(["snip"], digits)([family(SMALL)])[0]["snip"])


@pytest.mark.parametrize("name", ["short", "capacity", "nothing", ""])
def test_only_the_untrained_networks_scores_are_a_searchs(name: str, digits: Data) -> None:
    with pytest.raises(ValueError, match="is unknown: choose of naswot"):
        score_all([name], digits)
