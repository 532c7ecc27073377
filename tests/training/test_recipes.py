"""Recipes by name: their settings, what they do to pictures and weights, and that they learn."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.build import build
from models.families import family
from models.spec import ArchSpec, StageSpec, Stem
from tests.support.command import assert_refused, in_process
from training.__main__ import main
from training.data import Data, load
from training.loop.augment import FIELDS, draw
from training.loop.feeds.feed import Feed
from training.loop.feeds.mixing import Mixer
from training.loop.feeds.pictures import Varied, transform_of
from training.loop.optimizer import optimizer_of, schedule
from training.loop.train import final, first, trainer
from training.loop.trainer import Trainer, is_eager
from training.recipe import Recipe
from training.recipe.named import NAMED, changed, named

CPU = torch.device("cpu")
TINY = ArchSpec(
    "tiny", Stem(8, stride=1), (StageSpec("mbconv", 2, 16, stride=2, expansion=3),) * 2,
    head=32, resolution=8, classes=10, in_channels=1, dropout=0.2, drop_path=0.1,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize("name", NAMED)
def test_every_setting_can_be_set_and_is_written(name: str) -> None:
    """By the very words of its JSON."""
    recipe = named(name)
    words = [f"{field.name}={_word(getattr(recipe, field.name))}" for field in fields(Recipe)]
    assert changed(Recipe(), words) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert len({one.key for one in NAMED.values()}) == len(NAMED)


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_what_was_a_recipe_before_there_were_names_has_its_key_still() -> None:
    new = {"norm_momentum", "alpha", "eps", "scaling", "schedule", "decay", "decay_every",
           "ema_warmup", "head_rate", "layer_decay", "dropout", "drop_path", "crop", "policy",
           "magnitude", "erase", "mixup", "cutmix"}  # fmt: skip
    assert new <= {field.name for field in fields(Recipe)}
    assert not new & Recipe().to_dict().keys()
    assert Recipe().key == "78165d8d"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("lr", "write NAME=VALUE"),
        ("rate=1", "the name one of resolution"),
        ("lr=fast", "its value is float"),
        ("epochs=1.5", "its value is int"),
        ("epochs=true", "its value is int"),
        ("balance=1", "its value is bool"),
        ("micro_batch=x", "its value is int or none"),
        ("policy=all", "choose none, autoaugment, randaugment"),
        ("scaling=cubic", "choose linear, square-root, none"),
        ("magnitude=31", "from 0 to 30"),
        ("mixup=-1", "from 0 to 100"),
        ("erase=1", "from 0 up to 1"),
        ("eps=0", "eps 0.0 must be above 0"),
        ("decay_every=0", "decay_every"),
        ("lr=NaN", "lr nan"),
    ],
)
def test_settings_that_are_refused(
    setting: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = in_process(main, ("--spec", "resnet-18", "--data", "digits", "--set", setting), capsys)
    assert_refused(done, says)


def test_settings_go_before_all_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--resolution", 16, "--device",
             "cpu", "--recipe", "rexnet", "--epochs", 9, "--batch", 64, "--set", "epochs=1",
             "--set", "clip=2", "--set", "clip=none", "--out", tmp_path)  # fmt: skip
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "training.json").read_text())["recipe"]
    expected = replace(named("rexnet"), epochs=1, batch=64)
    assert Recipe.from_dict(written) == expected
    assert json.loads((tmp_path / "evaluation.json").read_text())["recipe"] == expected.key


def test_finetune_is_for_weights(capsys: pytest.CaptureFixture[str]) -> None:
    done = in_process(main, ("--spec", "resnet-18", "--recipe", "finetune"), capsys)
    assert_refused(done, "add --init")


def test_the_papers_numbers() -> None:
    """As they are printed: for its own batches, in its own epochs."""
    paper, rexnet, modern = named("paper"), named("rexnet"), named("modern")
    assert replace(paper, batch=4096).rate() == pytest.approx(0.256)
    assert replace(rexnet, batch=512).rate() == pytest.approx(0.5)
    assert replace(modern, batch=4096).rate() == pytest.approx(4e-3)
    for count, epoch in ((2, 5.0), (2, 7.19), (3, 7.21), (3, 9.5), (145, 349.0)):
        assert schedule(epoch / 350, paper) == pytest.approx(0.97**count)
    assert schedule(2.5 / 350, paper) == pytest.approx(0.5)
    b0, b7 = (paper.network(family(f"efficientnet-b{n}"), 10, 3) for n in (0, 7))
    assert (b0.dropout, b7.dropout, b0.drop_path) == (0.2, 0.5, 0.2)
    assert (b0.norm_momentum, b0.activation) == (0.01, "silu")  # TensorFlow's 0.99
    assert Recipe().network(family("efficientnet-b0"), 10, 3).norm_momentum == 0.1


@pytest.mark.parametrize(("scaling", "times"), [("linear", 4), ("square-root", 2), ("none", 1)])
def test_how_the_rate_goes_with_the_batch(scaling: str, times: float) -> None:
    recipe = Recipe(batch=1024, lr=0.1, scaling=scaling)
    assert recipe.rate() == pytest.approx(0.1 * times)


def test_dropout_and_depth_in_place_of_the_specs() -> None:
    twin = Recipe(dropout=0.0, drop_path=0.4).network(TINY, 10, 1)
    assert (twin.dropout, twin.drop_path) == (0.0, 0.4)
    twin = Recipe().network(TINY, 10, 1)
    assert (twin.dropout, twin.drop_path) == (0.2, 0.1)


# ---------------------------------------------------------------- the optimiser


@given(square=st.floats(0, 1e3), eps=st.floats(1e-8, 1))
def test_what_torchs_rmsprop_divides_by(square: float, eps: float) -> None:
    """√a + √e is 1 to √2 times TensorFlow's √(a + e)."""
    ratio = (math.sqrt(square) + math.sqrt(eps)) / math.sqrt(square + eps)
    assert 1 - 1e-9 <= ratio <= math.sqrt(2) + 1e-9


def test_rmsprop_takes_the_step_that_it_should() -> None:
    paper = replace(named("paper"), weight_decay=0.0, batch=256)
    network = torch.nn.Linear(1, 1, bias=False)
    start = network.weight.item()
    optimizer = optimizer_of(network, paper, None, captured=False)
    square = momentum = 0.0
    for gradient in (0.3, -0.01, 2.0):
        network.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        square = 0.9 * square + 0.1 * gradient**2
        momentum = 0.9 * momentum + gradient / (math.sqrt(square) + math.sqrt(1e-3))
        start -= 0.016 * momentum
        assert network.weight.item() == pytest.approx(start, rel=1e-5)


def test_each_part_has_its_own_rate(digits: Data) -> None:
    recipe = Recipe(layer_decay=0.5, head_rate=10.0, lr=0.8, batch=256)
    network = build(TINY)
    optimizer = optimizer_of(network, recipe, None, captured=False)
    rates = {
        id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]
    }
    expected = {"stem.0": 0.1, "stages.0": 0.2, "stages.1": 0.4, "head.0": 0.8}
    for name, weight in network.named_parameters():
        for part, rate in expected.items():
            if name.startswith(part):
                assert rates[id(weight)] == pytest.approx(rate), name
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    assert rates[id(linear.weight)] == rates[id(linear.bias)] == pytest.approx(8.0)
    run = Trainer(TINY, replace(recipe, epochs=1), digits, first(digits.train, 600), 0)
    run.epoch()
    end = schedule(1 / 2, recipe)  # of two steps, the second
    scales = {group["lr"] / (recipe.rate() * end) for group in run.optimizer.param_groups}
    assert sorted(scales) == pytest.approx([0.125, 0.25, 0.5, 1.0, 10.0])


def test_the_average_takes_on_slowly(digits: Data) -> None:
    recipe = replace(Recipe(), ema=0.9, ema_warmup=True, batch=32, epochs=1, shift=0.0)
    run = Trainer(TINY, recipe, digits, first(digits.train, 96), 0)
    weight, mean = (next(one.parameters()) for one in (run.network, run.averaged))
    expected: list[Tensor] = []

    def follow() -> None:
        if run.step:
            now = weight.detach().clone()
            decay = min(0.9, run.step / (9 + run.step)) if run.step > 1 else 0.0
            expected.append(now if not decay else decay * expected[-1] + (1 - decay) * now)
            torch.testing.assert_close(mean.detach(), expected[-1])

    run.between = follow
    run.epoch()
    follow()
    assert len(expected) == 3


# ---------------------------------------------------------------- pictures

VARIED = [
    Recipe(crop=0.08), Recipe(policy="autoaugment"), Recipe(policy="randaugment"),
    Recipe(erase=0.99), named("modern"),
]  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", VARIED)
def test_a_picture_and_its_seed_decide_what_it_becomes(
    digits: Data, recipe: Recipe, channels: int
) -> None:
    split = first(digits.train, 20)
    split = replace(split, images=split.images.expand(-1, channels, -1, -1).contiguous())
    varied = Varied(split, [transform_of(recipe, 12, torch.full((channels,), 0.3))])
    before = torch.get_rng_state()
    one = [varied[i, 5, 0] for i in range(20)]
    assert torch.equal(torch.get_rng_state(), before), "the network's own randomness is its own"
    torch.rand(3)
    again, other = [varied[i, 5, 0] for i in range(20)], [varied[i, 6, 0] for i in range(20)]
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    side = 12 if recipe.crop else 8
    assert {(tuple(image.shape), image.dtype) for image in one} == {
        ((channels, side, side), torch.uint8)
    }


def test_what_is_erased_has_the_mean_colour(digits: Data) -> None:
    varied = Varied(digits.train, [transform_of(Recipe(erase=0.999), 8, torch.tensor([0.2]))])
    changes = [varied[i, i, 0][varied[i, i, 0] != digits.train.images[i]] for i in range(40)]
    assert {value for some in changes for value in some.tolist()} == {51}


def test_a_feed_follows_what_is_drawn(digits: Data) -> None:
    recipe = named("modern")
    drawn = draw(torch.Generator().manual_seed(0), 70, 32, reach=0, seeds=True)
    feed = Feed(first(digits.train, 70), [transform_of(recipe, 8, digits.mean)])
    varied = Varied(digits.train, [transform_of(recipe, 8, digits.mean)])
    for step, images in zip(drawn, feed.batches(drawn), strict=True):
        of = dict(zip(FIELDS, step, strict=True))
        pairs = zip(of["picture"].tolist(), of["seed"].tolist(), strict=True)
        assert torch.equal(images, torch.stack([varied[*pair, 0] for pair in pairs]))
    assert [len(batch) for batch in feed.batches(drawn[1:])] == [32]


def test_a_recipe_that_varies_one_by_one_needs_a_feed(digits: Data) -> None:
    with pytest.raises(ValueError, match="give a feed"):
        Trainer(TINY, named("paper"), digits, digits.train, 0)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(digits: Data) -> None:
    recipe = replace(named("modern"), epochs=2, batch=32, images=128)
    one, two = (final(TINY, recipe, digits, 0, "cpu", workers=n)[0] for n in (0, 2))
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "changes", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}]
)
def test_mixed_pictures_have_shares_of_two_classes(changes: dict[str, float]) -> None:
    recipe = replace(Recipe(), **changes)  # type: ignore[arg-type]
    mixer = Mixer(recipe, 8)
    labels = torch.arange(8)
    images = torch.eye(8)[:, :, None, None].expand(-1, -1, 16, 16).contiguous()
    ways = set()
    for seed in range(20):
        x, shares = mixer(images, labels, seed)
        again, _ = mixer(images, labels, seed)
        assert torch.equal(x, again)
        torch.testing.assert_close(shares.sum(1), torch.ones(8))
        # Channel k is the part of a picture that is of class k.
        torch.testing.assert_close(x.mean((2, 3)), shares, atol=1e-5, rtol=0)
        ways.add(bool(((x == 0) | (x == 1)).all()))
    assert len(ways) == len(changes)


def test_mixed_batches_are_learned_as_shares(digits: Data) -> None:
    """The loss is the cross-entropy with the shares, whole or in micro-batches."""
    recipe = replace(Recipe(), mixup=1.0, batch=64, shift=0.0, epochs=1, images=64)
    run = trainer(TINY, recipe, digits, 0, CPU)
    whole = trainer(TINY, recipe, digits, 0, CPU, micro_batches=1)
    losses = [run.epoch(), whole.epoch()]
    assert losses[0] == losses[1]
    assert losses[0] == pytest.approx(math.log(10), abs=1e-5)  # the classifier starts at 0


# ---------------------------------------------------------------- they learn

# Short: the rates are raised as 350 epochs' need not be, and crops leave half of a digit.
SHORT: dict[str, Any] = {"epochs": 12, "batch": 32, "crop": 0.5}
LEARNER = replace(
    TINY, stages=(StageSpec("mbconv", 2, 24, stride=2, expansion=3),) * 2, head=64, resolution=16
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "least"),
    [
        ("paper", {"lr": 0.064}, 0.9),
        ("v2", {"lr": 0.064}, 0.6),
        ("modern", {"lr": 4e-3}, 0.6),
        ("rexnet", {}, 0.5),
    ],
)
def test_recipes_learn_real_digits(name: str, changes: dict[str, Any], least: float) -> None:
    """Handwritten digits, ten classes: chance is 10 %. On pictures that no choice was made by."""
    data = load("digits", size=16, progress=False)
    _, found = final(LEARNER, replace(named(name), **SHORT, **changes), data, 0, "cpu")
    assert found.accuracy > least


@pytest.mark.slow
def test_finetune_learns_from_weights_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Smaller digits of another origin, from a network that knows the larger ones."""
    common = ("--spec", "mobilenet-v1-0.25-128", "--resolution", 32, "--device", "cpu")
    given = (*common, "--data", "mnist", "--epochs", 3, "--batch", 32, "--set", "images=1000",
             "--out", tmp_path / "before")  # fmt: skip
    assert in_process(main, given, capsys).returncode == 0
    given = (*common, "--data", "digits", "--recipe", "finetune", "--init", tmp_path / "before",
             "--epochs", 3, "--no-flip", "--out", tmp_path / "after")  # fmt: skip
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "after" / "evaluation.json").read_text())
    assert found["accuracy"] > 0.35  # chance is 0.1; the weights are of 3 epochs on 1,000 pictures


# ---------------------------------------------------------------- phases


def test_the_progressive_recipe_is_the_papers_table() -> None:
    """EfficientNetV2's table 6, S: at 300 pixels, four phases of 87 epochs or 88."""
    recipe = named("v2")
    phases = [recipe.phase(epoch) for epoch in range(350)]
    assert phases == sorted(phases)
    assert [phases.count(one) for one in range(4)] == [88, 87, 88, 87]
    assert [recipe.side_in(one, 300) for one in range(4)] == [128, 185, 243, 300]
    assert [recipe.in_phase(one).magnitude for one in range(4)] == [5, 8, 12, 15]
    dropout = [recipe.dropout_in(one, 0.3) for one in range(4)]
    assert dropout == pytest.approx([0.1, 0.1 + 0.2 / 3, 0.1 + 0.4 / 3, 0.3])
    mixed = replace(recipe, mixup=0.5, mixup_from=0.0)
    assert [mixed.in_phase(one).mixup for one in (0, 3)] == [0, 0.5]
    assert replace(named("paper"), batch=4096).rate() == replace(recipe, batch=4096).rate()


@given(phases=st.integers(1, 9), epochs=st.integers(1, 30), side=st.integers(8, 400))
def test_phases_fill_the_epochs_and_end_at_the_recipe(phases: int, epochs: int, side: int) -> None:
    recipe = Recipe(epochs=epochs, phases=phases, side_from=0.4, magnitude_from=1, mixup_from=0.1)
    found = [recipe.phase(epoch) for epoch in range(epochs)]
    assert sorted(set(found)) == list(range(min(phases, epochs)))
    counts = [found.count(one) for one in set(found)]
    assert max(counts) - min(counts) <= 1
    sides = [recipe.side_in(one, side) for one in found]
    assert sides == sorted(sides)
    assert sides[-1] == side
    assert recipe.in_phase(found[-1]) == recipe


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"phases": 0}, "phases 0 must be at least 1"),
        ({"phases": 2, "side_from": 1.5}, "side_from 1.5 must be above 0 and at most 1"),
        ({"phases": 2, "magnitude_from": 31}, "magnitude_from 31 must be from 0 to 30"),
        ({"phases": 2, "dropout_from": 1.0}, "dropout_from 1.0 must be from 0 up to 1"),
    ],
)
def test_phases_that_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Recipe(**changes)


PROGRESSIVE = Recipe(
    epochs=4, batch=32, images=96, phases=2, side_from=0.5, dropout=0.4, dropout_from=0.1,
    mixup=0.5, mixup_from=0.0, cutout=0.25,
)  # fmt: skip


def watched(network: torch.nn.Module) -> list[tuple[int, float, int]]:
    """Of each batch that it will see the side, the chance of its dropout, and the pictures."""
    seen: list[tuple[int, float, int]] = []
    (dropout,) = (one for one in network.modules() if isinstance(one, torch.nn.Dropout))

    def see(_: torch.nn.Module, given: tuple[Tensor]) -> None:
        seen.append((given[0].shape[-1], dropout.p, len(given[0])))

    network.register_forward_pre_hook(see)
    return seen


def test_what_the_network_sees_grows(digits: Data) -> None:
    """Its pictures, and its dropout; that it is measured at its own side; alone or from a feed."""
    for recipe in (PROGRESSIVE, replace(PROGRESSIVE, crop=0.5, policy="randaugment",
                                        magnitude_from=1)):  # fmt: skip
        run = trainer(recipe.network(TINY, 10, 1), recipe, digits, 0, CPU)
        seen = watched(run.network)
        assert all(math.isfinite(run.epoch()) for _ in range(recipe.epochs))
        assert seen == [(4, 0.1, 32)] * 6 + [(8, 0.4, 32)] * 6
        assert run.side == 8


def test_steps_of_other_sizes_are_not_captured() -> None:
    """A graph's tensors keep their shapes."""
    assert is_eager(Recipe(phases=2, side_from=0.5), None)
    assert not is_eager(Recipe(), None)


def test_a_phase_that_mixes_nothing_learns_the_labels_themselves(digits: Data) -> None:
    labels = torch.tensor([2, 0])
    images = torch.rand(2, 1, 4, 4)
    found = Mixer(replace(PROGRESSIVE.in_phase(0)), 3)(images, labels, 0)
    assert torch.equal(found.images, images)
    assert torch.equal(found.shares, torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
