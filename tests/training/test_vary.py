"""Zoom, colour and balance; what the command line makes of the words for them."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.spec import ArchSpec, StageSpec, Stem
from training.data import Data, Split, load
from training.loop.augment import FIELDS, draw, mirror
from training.loop.feeds.vary import balanced_order, recoloured, zoomed
from training.loop.scores import Scores, measure
from training.loop.train import evaluate, final, train, train_above
from training.recipe import AUGMENT, FLIPS, Recipe
from training.recipe.variation import add_variation, as_options, described, varied

TINY = ArchSpec(
    "tiny", Stem(8, stride=1), (StageSpec("mbconv", 1, 16, stride=2, expansion=2),), head=16,
    resolution=8, classes=2, in_channels=1,
)  # fmt: skip
QUICK = Recipe(epochs=3, batch=32, lr=0.8, regularise=False, shift=0.0)


def arrows(count: int = 400, minority: float = 0.5, seed: int = 0) -> Data:
    """Noisy ramps that rise to the left (class 0) or to the right (class 1), and nothing else."""
    generator = torch.Generator().manual_seed(seed)
    splits = []
    for _ in range(3):
        labels = (torch.rand(count, generator=generator) < minority).long()
        labels[:2] = torch.tensor([0, 1])
        ramp = torch.linspace(60, 180, 8).expand(count, 1, 8, 8)
        images = torch.where(labels.bool()[:, None, None, None], ramp, ramp.flip(3))
        noise = 25 * torch.randn(images.shape, generator=generator)
        splits.append(Split((images + noise).clamp(0, 255).to(torch.uint8), labels))
    digits = load("digits", progress=False)
    train_, held, test = splits
    return replace(digits, train=train_, validation=held, test=test, classes=("left", "right"),
                   flip=True)  # fmt: skip


def drawn(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    (fields,) = draw(
        torch.Generator().manual_seed(seed), count, count, reach=0, zoom=True, colours=True
    )
    return dict(zip(FIELDS, fields, strict=True))


def test_mirroring_is_what_the_recipe_says() -> None:
    """Left and right are told apart only where pictures are not mirrored."""
    data = arrows()
    mirrored = train(TINY, QUICK, data, 0, "cpu").accuracy
    assert mirrored < 0.65
    assert train(TINY, replace(QUICK, flip="vertical"), data, 0, "cpu").accuracy > 0.95
    assert train(TINY, replace(QUICK, flip="none"), data, 0, "cpu").accuracy > 0.95
    assert train(TINY, replace(QUICK, flip="horizontal"), data, 0, "cpu").accuracy == mirrored


def test_a_ramp_is_mirrored_along_the_axis_asked_for() -> None:
    for flip, (sideways, upright) in FLIPS.items():
        assert Recipe(flip=flip).mirrors(True) == (sideways, upright)
    images = torch.arange(9).reshape(1, 1, 3, 3)
    assert torch.equal(mirror(images, torch.ones(1)), images.flip(3))
    assert torch.equal(mirror(images, torch.ones(1), axis=2), images.flip(2))
    assert Recipe().mirrors(True) == (True, False)
    assert Recipe().mirrors(False) == (False, False)


def test_zoom_shows_a_part_of_the_picture() -> None:
    images = torch.rand(64, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(zoomed(images, drawn(64), 0.0), images)
    ramp = torch.arange(12.0).expand(64, 1, 12, 12)
    found = zoomed(ramp, drawn(64), 0.5)
    slopes = found.diff(dim=3)[:, 0, 0, 1:-1].mean(1)  # pixels of the picture in one of the part
    assert 0.5 <= slopes.min() < 0.6
    assert 0.9 < slopes.max() <= 1.0 + 1e-5
    assert found.min() >= 0
    assert found.max() <= 11


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_by_no_more_than_asked(channels: int) -> None:
    images = torch.randn(500, channels, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(recoloured(images, drawn(500), 0.0), images)
    found = recoloured(images, drawn(500), 0.3)
    contrast = found.std((2, 3)) / images.std((2, 3))
    assert contrast.min() >= 0.7 - 1e-4
    assert contrast.max() <= 1.3 + 1e-4
    assert contrast.max() > 1.25  # it is reached, nearly
    shift = (found - contrast[:, :, None, None] * images).mean((2, 3))
    assert shift.abs().max() <= 0.3 * (1 if channels == 1 else 1.5) + 1e-4
    assert (shift.std(1) > 1e-3).all() if channels == 3 else True


def test_what_was_drawn_before_is_drawn_the_same_beside_more() -> None:
    """A seed's order, offsets and mirrors do not depend on what else is asked for, in a batch."""
    plain, more = (
        draw(torch.Generator().manual_seed(3), 64, 64, reach=2, flip=True, hole_side=8,
             vertical=asked, zoom=asked, colours=asked, seeds=asked)
        for asked in (False, True)
    )  # fmt: skip
    assert torch.equal(plain[0, :6], more[0, :6])
    assert not plain[0, 6:].any()
    assert more[0, 6:].any(1).all()
    order = torch.arange(64)
    given_ = draw(torch.Generator().manual_seed(3), 64, 16, reach=2, order=order)
    assert torch.equal(given_[:, 0].flatten(), order)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 2**31))
def test_every_class_comes_equally_often(sizes: list[int], seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    order = balanced_order(labels, len(sizes), torch.Generator().manual_seed(seed))
    assert len(order) == len(labels)
    counts = torch.bincount(labels[order], minlength=len(sizes))
    assert counts.max() - counts.min() <= 1
    for label in range(len(sizes)):  # and of a class every picture, to one
        times = torch.bincount(order, minlength=len(labels))[labels == label]
        assert times.max() - times.min() <= 1


def test_a_class_without_pictures_cannot_be_balanced() -> None:
    with pytest.raises(ValueError, match="leave out 1 of 3 classes"):
        balanced_order(torch.tensor([0, 0, 2]), 3, torch.Generator())


def test_a_rare_class_is_learned_where_classes_are_balanced() -> None:
    """10 of 100 pictures: a short training names the majority alone, and has 90 % for it."""
    data = arrows(minority=0.1)
    short = replace(QUICK, flip="none", epochs=2, lr=0.4)
    plain = train(TINY, short, data, 0, "cpu")
    balanced = train(TINY, replace(short, balance=True), data, 0, "cpu")
    assert plain.accuracy == plain.details["plain_accuracy"] > 0.85
    assert plain.details["balanced_accuracy"] < 0.6
    assert balanced.accuracy == balanced.details["balanced_accuracy"] > 0.9


def test_a_rung_is_measured_as_the_end_is() -> None:
    data = arrows(minority=0.05)
    recipe = replace(QUICK, flip="none", lr=1e-9, balance=True)
    found = train_above(TINY, recipe, data, 0, ((0.5, 0.0),), "cpu")
    assert not hasattr(found, "share")
    assert found.curve[0][1] == pytest.approx(found.accuracy, abs=0.1)
    assert found.accuracy < 0.7


def test_scores_count_every_class() -> None:
    data = arrows(minority=0.3)
    network, found = final(TINY, replace(QUICK, flip="none", epochs=1), data, 0, "cpu")
    scores = measure(network, data.test, 8, data, batch=37)
    assert scores.images == tuple(torch.bincount(data.test.labels).tolist())
    assert found.details["class_correct"] == list(scores.correct)
    assert (scores.accuracy, scores.loss) == evaluate(network, data.test, 8, data, batch=37)
    right = sum(scores.correct)
    assert scores.accuracy == right / len(data.test)


def test_balanced_accuracy() -> None:
    scores = Scores((90, 1, 0), (90, 10, 0), 0.0, (0.9, 0.2, 0.0))
    assert scores.accuracy == 0.91
    assert scores.balanced_accuracy == pytest.approx(0.55)  # the class without pictures is none
    assert (scores.chosen(False), scores.chosen(True)) == (0.91, pytest.approx(0.55))


def said(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_variation(parser)
    return parser.parse_args(argv)


def test_the_words_for_it() -> None:
    own = Recipe(lr=0.1, shift=0.2)
    assert varied(own, said()) == own
    assert varied(own, said("--no-flip")) == replace(own, flip="none")
    assert varied(own, said("--flip", "both", "--balance")) == replace(
        own, flip="both", balance=True
    )
    assert varied(own, said("--augment", "none")).mirrors(True) == (False, False)
    assert varied(own, said("--augment", "none", "--flip", "vertical")).mirrors(True) == (
        False, True,
    )  # fmt: skip
    assert varied(Recipe(), said("--augment", "light")) == Recipe()
    with pytest.raises(SystemExit):
        said("--flip", "both", "--no-flip")


def test_every_level_trains_and_is_described() -> None:
    data = arrows(100)
    accuracies = set()
    for level in AUGMENT:
        recipe = varied(
            replace(QUICK, epochs=1, flip="none"), said("--augment", level, "--no-flip")
        )
        accuracies.add(train(TINY, recipe, data, 0, "cpu").loss)
    assert len(accuracies) == 3
    assert described(Recipe(**AUGMENT["none"]), True) == "as they are"
    assert described(Recipe(), True) == (
        "shifted by up to 12.5 % of the side, half of them mirrored left to right"
    )
    strong = described(Recipe(**AUGMENT["strong"]), False)
    assert "70 % or more" in strong
    assert "mirrored" not in strong


@pytest.mark.parametrize("level", [None, *AUGMENT])
@pytest.mark.parametrize("flip", [None, *FLIPS])
@pytest.mark.parametrize("balance", [True, False])
def test_the_next_command_varies_pictures_alike(
    level: str | None, flip: str | None, balance: bool
) -> None:
    argv = ["--augment", level] if level else []
    argv += ["--flip", flip] if flip else []
    recipe = varied(Recipe(), said(*argv, *(["--balance"] if balance else [])))
    assert varied(Recipe(), said(*as_options(recipe))) == recipe
