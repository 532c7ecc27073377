"""The classifier in closed form: against plain solutions, and what it does with odd classes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.transfer.head import Ridge, fit, mixed

MANY_OR_FEW = st.sampled_from([(12, 5), (6, 9)])  # pictures, features


def drawn(count: int, features: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    means = 2.0 * torch.eye(classes, features)
    return torch.randn(count, features, generator=generator) + means[labels], labels


def solved(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Ridge regression by the normal equations, each picture's share being 1 / N."""
    middle, level = x.mean(0), y.mean(0)
    gram = (x - middle).T @ (x - middle) / len(x) + penalty * torch.eye(x.shape[1]).double()
    weight = torch.linalg.solve(gram, (x - middle).T @ (y - level) / len(x)).T
    return weight, level - weight @ middle


@settings(max_examples=30, deadline=None)
@given(shape=MANY_OR_FEW, penalty=st.floats(1e-3, 10), seed=st.integers(0, 99))
def test_the_solution_and_what_is_left_out_are_those_of_normal_equations(
    shape: tuple[int, int], penalty: float, seed: int
) -> None:
    x, labels = drawn(*shape, 3, seed)
    x, y = x.double(), F.one_hot(labels, 3).double()
    ridge = Ridge(x, y, torch.full((len(x),), 1 / len(x), dtype=torch.float64))
    for found, expected in zip(ridge.solved(penalty), solved(x, y, penalty), strict=True):
        assert torch.allclose(found, expected, atol=1e-8)
    without = ridge.left_out(penalty)
    for one in range(len(x)):
        rest = torch.arange(len(x)) != one
        # The penalty is of a sum over all N pictures: the same for those that are left.
        weight, bias = solved(x[rest], y[rest], penalty * len(x) / (len(x) - 1))
        assert torch.allclose(without[one], weight @ x[one] + bias, atol=1e-8)


def test_the_loss_is_one_of_probabilities_on_other_pictures() -> None:
    x, labels = drawn(300, 40, 5, 0)
    head = fit(x, labels, 5)
    others, theirs = drawn(400, 40, 5, 1)
    logits = others @ head.weight.T + head.bias
    loss = float(F.cross_entropy(logits, theirs))
    assert (logits.argmax(1) == theirs).double().mean() > 0.6  # 0.2 by chance
    for scale in (0.5, 2.0):
        assert loss < float(F.cross_entropy(scale * logits, theirs))


@given(shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_neither_shift_nor_scale_of_the_features_matters(shift: float, scale: float) -> None:
    x, labels = drawn(60, 8, 3, 0)
    one, other = fit(x, labels, 3), fit(scale * x + shift, labels, 3)
    moved = (scale * x + shift) @ other.weight.T + other.bias
    assert torch.allclose(x @ one.weight.T + one.bias, moved, atol=2e-2)


def test_a_class_without_pictures_is_never_named() -> None:
    x, labels = drawn(60, 8, 3, 0)
    head = fit(x, labels, 4)
    assert ((100 * torch.randn(500, 8)) @ head.weight.T + head.bias).argmax(1).max() < 3


def test_balanced_classes_count_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(400) >= 360).long()
    x = torch.randn(400, 3, generator=generator) + labels[:, None] * 0.8
    rare = labels == 1
    plain, balanced = (
        ((x @ head.weight.T + head.bias).argmax(1) == labels)
        for head in (fit(x, labels, 2), fit(x, labels, 2, balance=True))
    )
    assert balanced[rare].double().mean() > plain[rare].double().mean() + 0.3
    assert plain.double().mean() > balanced.double().mean()


@pytest.mark.parametrize("x", [torch.zeros(1, 3), torch.full((4, 3), torch.nan)])
def test_what_cannot_be_fitted_is_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match="a head needs two"):
        fit(x, torch.zeros(len(x), dtype=torch.int64), 2)


def test_features_that_are_all_alike_name_the_most_frequent_class() -> None:
    head = fit(torch.ones(10, 3), torch.tensor([0] * 3 + [1] * 7), 2)
    assert (torch.ones(1, 3) @ head.weight.T + head.bias).argmax() == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), balance=st.booleans())
def test_a_mix_is_no_worse_than_either_classifier_and_finds_the_noiseless_one(
    seed: int, balance: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = 2 * torch.randn(300, 3, generator=generator).double()
    labels = torch.distributions.Categorical(logits=truth).sample()
    noise = torch.randn(300, 3, generator=generator).double()

    def loss(logits: Tensor) -> float:
        weight = torch.bincount(labels, minlength=3).double().reciprocal() if balance else None
        return float(F.cross_entropy(logits, labels, weight))

    a, b = mixed(truth, noise, labels, balance=balance)
    assert loss(a * truth + b * noise) <= min(loss(truth), loss(10**-1.5 * noise)) + 1e-12
    assert a > 0.5
    assert b < 0.4
    c, d = mixed(noise, truth, labels, balance=balance)
    assert loss(c * noise + d * truth) == pytest.approx(loss(a * truth + b * noise))


def test_classifiers_are_never_both_left_out() -> None:
    """Of no use either, and turned round: all that is known then is that nothing is."""
    labels = torch.tensor([0, 1, 0, 1])
    wrong = 5 * F.one_hot(1 - labels, 2).double()
    assert sum(mixed(wrong, wrong, labels)) > 0
