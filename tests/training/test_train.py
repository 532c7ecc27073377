"""The training loop on real digits: it learns, repeats itself, and fails in the open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.build import build
from models.families import family
from models.spec import ArchSpec, StageSpec, Stem
from training.data import Data, Split, load
from training.device import choose_device
from training.evaluator import ByName, Evaluator
from training.loop.optimizer import schedule, zero_starts
from training.loop.rungs import POINTS, Ladder, is_below, watched
from training.loop.scores import Scores, measure
from training.loop.train import evaluate, final, first, train, train_above
from training.recipe import Recipe
from trials.record import Evaluation, Stopped, as_rungs

TINY = ArchSpec(
    "tiny",
    Stem(8, stride=1),
    (
        StageSpec("mbconv", 2, 16, stride=2, expansion=3, se=0.25),
        StageSpec("mbconv", 1, 24, 5, 2, 3),
    ),
    head=32,
    activation="silu",
    resolution=8,
    classes=10,
    in_channels=1,
)
QUICK = Recipe(epochs=3, batch=32, lr=0.8, regularise=False, shift=0.0)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


def test_learns_and_repeats_itself(digits: Data) -> None:
    """Ten classes: chance is 10 %. The same seed gives the same number, another one another."""
    one = train(TINY, QUICK, digits, 0, "cpu")
    again = train(TINY, QUICK, digits, 0, "cpu")
    other = train(TINY, QUICK, digits, 1, "cpu")
    assert one.accuracy > 0.8
    assert (one.accuracy, one.loss) == (again.accuracy, again.loss)
    assert one.loss != other.loss
    assert one.details["held_out"] == "validation"
    assert one.details["held_out_images"] == len(digits.validation)
    assert one.details["losses"][-1] < one.details["losses"][0]
    assert one.recipe == QUICK.key
    assert one.device.startswith("cpu")


def test_final_measures_on_the_test_split(digits: Data) -> None:
    network, found = final(TINY, QUICK, digits, 0, "cpu")
    assert found.details["held_out"] == "test"
    accuracy, loss = evaluate(network, digits.test, 8, digits)
    assert (accuracy, loss) == (found.accuracy, pytest.approx(found.loss, rel=1e-6))
    none = replace(digits, test=Split(digits.test.images[:0], digits.test.labels[:0]))
    with pytest.raises(ValueError, match="no test split"):
        final(TINY, QUICK, none, 0, "cpu")


def test_steps_are_heard_of_in_parts_of_an_epoch(digits: Data) -> None:
    """From the first to the last, and where the epochs end they are whole."""
    heard: list[float] = []
    ends: list[tuple[int, float]] = []
    _, found = final(
        TINY, QUICK, digits, 0, "cpu", on_step=heard.append,
        on_epoch=lambda epoch, _: ends.append((epoch, heard[-1])),
    )  # fmt: skip
    assert len(heard) == found.details["steps"] > QUICK.epochs
    assert heard == pytest.approx(np.linspace(0, QUICK.epochs, len(heard) + 1)[1:])
    assert ends == [(epoch, pytest.approx(epoch + 1)) for epoch in range(QUICK.epochs)]


def test_average_of_the_weights_is_what_is_evaluated(digits: Data) -> None:
    averaged, found = final(TINY, replace(QUICK, ema=0.9), digits, 0, "cpu")
    assert found.accuracy > 0.5
    plain, _ = final(TINY, QUICK, digits, 0, "cpu")
    one, two = next(iter(averaged.parameters())), next(iter(plain.parameters()))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_both_optimisers_learn(digits: Data, optimizer: str) -> None:
    lr = {"sgd": 0.8, "adamw": 0.02}[optimizer]
    recipe = replace(QUICK, optimizer=optimizer, lr=lr, cutout=0.2)
    assert train(TINY, recipe, digits, 0, "cpu").accuracy > 0.6


def test_a_diverging_loss_is_an_error_not_a_number(digits: Data) -> None:
    with pytest.raises(FloatingPointError, match="diverged"):
        train(TINY, replace(QUICK, lr=1e20, clip=1e20), digits, 0, "cpu")


def test_weights_do_not_change_the_order_of_images(digits: Data) -> None:
    """Paired seeds: a network that draws more random numbers sees the same batches."""
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def __init__(self, spec: ArchSpec) -> None:
            super().__init__()
            torch.rand(len(spec.name))
            self.network = build(spec)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(x.clone())
            out: torch.Tensor = self.network(x)
            return out

    recipe = replace(QUICK, epochs=1, images=96, shift=0.125)
    for spec in (TINY, replace(TINY, name="another name", head=48)):
        train(spec, recipe, digits, 5, "cpu", network=Spy(spec))
    half = len(seen) // 2
    assert half == 3
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


def test_caps_are_respected(digits: Data) -> None:
    found = train(TINY, replace(QUICK, epochs=1, images=64, held_out=50), digits, 0, "cpu")
    assert found.details["images"] == 64
    assert found.details["steps"] == 2
    assert (found.accuracy * 50) % 1 == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        train(TINY, replace(QUICK, images=1), digits, 0, "cpu")


def test_first_images_are_stratified(digits: Data) -> None:
    counts = torch.bincount(first(digits.train, 100).labels, minlength=10)
    assert counts.min() >= 8


def test_schedule() -> None:
    recipe = Recipe(warmup=0.2)
    assert schedule(0, recipe) == 0
    assert schedule(0.1, recipe) == pytest.approx(0.5)
    assert schedule(0.2, recipe) == 1
    assert schedule(1, recipe) == pytest.approx(0)
    assert schedule(0.0, Recipe(warmup=0)) == 1


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18", "rexnet-1.0"])
def test_zero_starts_make_every_residual_the_identity(name: str) -> None:
    network = build(replace(family(name), classes=7)).eval()
    zero_starts(network)
    with torch.no_grad():
        assert not network(torch.randn(2, 3, 33, 33)).any()
    zeroed = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()]
    assert len(zeroed) >= 8


def test_evaluator_gives_what_train_gives(digits: Data) -> None:
    evaluator = Evaluator(ByName("digits"), QUICK, "cpu")
    assert evaluator(TINY, 3).loss == train(TINY, QUICK, digits, 3, "cpu").loss


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_measuring_on_the_way_changes_nothing(digits: Data, ema: float) -> None:
    recipe = replace(QUICK, ema=ema)
    plain = train(TINY, recipe, digits, 0, "cpu")
    found = train_above(TINY, recipe, digits, 0, ((0.25, 0.0), (0.5, 0.0)), "cpu")
    assert isinstance(found, Evaluation)
    assert (found.accuracy, found.loss, found.details) == (
        plain.accuracy,
        plain.loss,
        plain.details,
    )
    assert [share for share, _ in found.curve] == [0.25, 0.5]
    assert plain.curve == ()


def test_a_training_below_a_bar_ends_there_as_it_stood(digits: Data) -> None:
    whole = train_above(TINY, QUICK, digits, 0, ((0.25, 0.0), (0.5, 0.0), (0.9, 0.0)), "cpu")
    assert isinstance(whole, Evaluation)
    (_, first_at), (_, at), (_, late) = whole.curve
    assert first_at < at < late
    halted = train_above(TINY, QUICK, digits, 0, ((0.25, first_at), (0.5, at + 1e-6)), "cpu")
    assert isinstance(halted, Stopped)
    assert halted.share == 0.5
    assert halted.evaluation.curve == whole.curve[:2]
    assert halted.evaluation.accuracy == at
    assert halted.evaluation.details["steps"] == round(0.5 * whole.details["steps"])
    assert halted.evaluation.loss is None
    losses = halted.evaluation.details["losses"]
    assert losses[0] == whole.details["losses"][0]
    assert len(losses) == 2  # of three epochs


def test_a_rung_is_a_step_and_none_where_there_is_no_step() -> None:
    asked: list[int] = []
    ladder = Ladder(((0.05, 0.5), (0.5, 0.5), (0.99, 0.5)), 4, lambda: asked.append(0) or 0.5)
    assert [ladder.ends(step) for step in range(1, 5)] == [False] * 4
    assert ladder.curve == [(0.5, 0.5)]
    assert len(asked) == 1


@given(st.integers(1, 400))
def test_a_training_is_watched_at_few_ends_of_epochs_and_never_ended(epochs: int) -> None:
    rungs = watched(epochs)
    assert as_rungs(rungs) == rungs
    assert len(rungs) < min(epochs, POINTS + 1)
    assert len(rungs) >= min(epochs - 1, POINTS // 2 - 1)
    assert all(share * epochs == pytest.approx(round(share * epochs)) for share, _ in rungs)
    assert not any(is_below(((share, 0.0),), rungs) for share, _ in rungs)


def test_the_curve_is_of_validation_pictures_alone(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def measured(network: nn.Module, split: Split, *given: Any) -> Scores:
        seen.append(split.labels)
        return measure(network, split, *given)

    monkeypatch.setattr("training.loop.attempt.measure", measured)
    _, found = final(TINY, QUICK, digits, 0, "cpu")
    *way, end = seen
    assert len(way) == len(found.curve) == QUICK.epochs - 1
    for labels in way:
        assert torch.equal(labels, digits.validation.labels[: found.details["curve_images"]])
    assert torch.equal(end, digits.test.labels)


def test_evaluator_takes_bars(digits: Data) -> None:
    evaluator = Evaluator(ByName("digits"), QUICK, "cpu")
    halted = evaluator(TINY, 3, ((0.25, 1.0),))
    assert isinstance(halted, Stopped)
    assert halted.evaluation.curve == ((0.25, halted.evaluation.accuracy),)


def test_unknown_device() -> None:
    for name in ("tpu9000", "cuda:99", "meta"):
        with pytest.raises(ValueError, match="try auto or cpu"):
            choose_device(name)
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_learns_on_a_gpu(digits: Data) -> None:
    assert train(TINY, QUICK, digits, 0, "cuda").accuracy > 0.7
