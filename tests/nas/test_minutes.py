"""--minutes of a network search: each part has its share, and what is left is the next ones'."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from models.families import family
from nas.finals import ROUNDS
from nas.search.commands.further import minutes_of
from nas.search.commands.minutes import Minutes
from nas.search.rivals import Plan, Rival
from tests.nas.test_begun import PARENT
from training.evaluator import ByName, Evaluator
from training.transfer.options import trained_further, transfer_recipe


def test_what_a_part_leaves_is_the_next_ones() -> None:
    now = 100.0
    minutes = Minutes(60, {"trials": 30, "finals": 20, "against": 10}, 100.0, lambda: now)
    assert minutes.of("trials") == pytest.approx(30)
    now += 60 * 33  # they took three more than their share
    assert minutes.of("finals") == pytest.approx(18)
    now += 60 * 3
    assert minutes.of("against") == pytest.approx(24)
    now += 60 * 30
    assert minutes.of("against") == pytest.approx(1e-3)  # one training begins


def test_without_an_end_nothing_has_one() -> None:
    assert Minutes(None, {"trials": 1}, 0.0).of("trials") is None
    assert Minutes(1, {"trials": 1, "finals": 0}, 0.0, lambda: 0.0).of("finals") == 1e-3


@pytest.mark.parametrize("inherits", [True, False])
def test_the_shares_follow_the_epochs(inherits: bool) -> None:
    spec = family("mobilenet-v1-0.25-128")
    recipe = transfer_recipe(64, "cpu", 1.0, 65)
    longer = trained_further(recipe).epochs / recipe.epochs
    plan = Plan((Rival("b0", spec, 1.0),), (), 2)  # two networks under two seeds
    args = argparse.Namespace(minutes=60.0)
    parent = PARENT if inherits else None
    evaluator = Evaluator(ByName("digits"), recipe, "cpu", parent)
    minutes = minutes_of(args, evaluator, 30, plan, 0.0)
    units = {"trials": 30.0, "finals 1": 0.0, "finals 2": 0.0, "against": 4.0}
    if inherits:
        units = {"trials": 30.0, "finals 1": longer * ROUNDS[0], "finals 2": longer * ROUNDS[1],
                 "against": 4 * longer}  # fmt: skip
    assert minutes._units == units
    few = minutes_of(args, replace(evaluator, parent=parent), 2, Plan((), (), 2), 0.0)
    assert few._units["finals 1"] == (2 * longer if inherits else 0)
