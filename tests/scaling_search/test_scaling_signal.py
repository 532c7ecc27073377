"""The benchmarks of what a scaling search learns from: simulated pictures, and real trainings."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.truth.scaling_signal import ACCURACIES, ALL, Trained, divided, judged, noise, table
from benchmarks.truth.scaling_truth import Pictures, Truth
from benchmarks.truth.scaling_truth import main as scaling_truth
from scaling_search.points.grid import Grid, grid
from tests.support.surface import baseline, off
from training.data import load

SEEDS, PICTURES = 4, 60


@cache
def points() -> Grid:
    return grid(baseline(), 2.0 * baseline().macs(baseline().spec), step=0.25)


@cache
def found() -> tuple[Trained, ...]:
    """Accuracies are shares of few pictures, all else says what networks are worth."""
    rng = np.random.default_rng(0)
    made = []
    for at, point in enumerate(points().points):
        worth = 0.8 - 0.4 * off(point.spec) if at else 0.7
        for seed in range(SEEDS):
            seen = float(rng.binomial(PICTURES, worth)) / PICTURES
            made.append(Trained(at, seed, seen, -float(np.log(worth - 0.1)), worth - 0.1, worth))
    return tuple(made)


def test_answers_are_held_against_the_other_seeds() -> None:
    fine = judged(points(), found(), [0], ALL, PICTURES)
    coarse = judged(points(), found(), [0], ACCURACIES, PICTURES)
    assert fine.tau > 0.9 > coarse.tau
    assert fine.region < coarse.region
    assert fine.lacks < 0.5
    others = [replace(one, worth=0.5) if one.seed == 0 else one for one in found()]
    assert judged(points(), others, [0], ALL, PICTURES) == fine  # its own seed's is not asked


def test_the_table_has_searches_of_up_to_three_seeds() -> None:
    lines = table(points(), found(), PICTURES).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:11:3]] == ["4", "6", "4"]
    assert all(line.count("|") == 9 for line in lines[:11])
    assert lines[-1].startswith("- accuracy on all other pictures: points differ by")


def test_noise_is_told_from_the_points_own_differences() -> None:
    rng = np.random.default_rng(0)
    own, seeds = rng.normal(0, 2.0, (200, 1)), rng.normal(0, 5.0, (1, 30))
    between, within = noise(own + seeds + rng.normal(0, 0.5, (200, 30)))
    assert between == pytest.approx(own.std(ddof=1), rel=0.01)
    assert within == pytest.approx(0.5, rel=0.05)
    assert noise(np.add.outer(np.zeros(5), np.arange(3.0))) == (0, 0)


def test_a_search_sees_its_own_pictures_alone() -> None:
    data = load("digits")
    seen = divided(data, 50)
    assert len(seen.validation) == 50
    assert len(seen.test) == len(data.validation) + len(data.test) - 50
    assert (seen.validation.labels == data.validation.labels[:50]).all()
    assert (seen.test.images[-len(data.test) :] == data.test.images).all()


def test_drawn_pictures_give_an_accuracy_its_luck() -> None:
    drawn = [Pictures(2000, "all").seen(3, repeat, 0.8, [0]) for repeat in range(40)]
    accuracies = [one.accuracy or 0 for one in drawn]
    assert np.mean(accuracies) == pytest.approx(0.8, abs=0.02)
    assert 0.001 < np.std(accuracies) < (0.16 / 2000) ** 0.5  # less than of other pictures each
    alone = Pictures(2000, "accuracy").seen(3, 0, 0.8, [0])
    assert alone == replace(drawn[0], loss=None, probability=None)
    exact = Pictures(2000).seen(3, 0, 0.8, [0])
    assert exact == replace(alone, accuracy=0.8)
    better = Pictures(2000, "all").seen(3, 0, 0.82, [0])
    assert (better.probability or 0) > (drawn[0].probability or 0)
    assert (better.loss or 0) < (drawn[0].loss or 0)


def test_a_truth_is_trained_as_its_key_says() -> None:
    train = Truth("paper", points()).trainer(0.5, 0, Pictures(100, "all"))
    assert train(2, 1) == train(2, 1) != train(2, 0)


def test_telling_needs_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        scaling_truth(["--tell", "all"])
    assert "--pictures" in capsys.readouterr().err
