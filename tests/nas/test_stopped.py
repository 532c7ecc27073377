"""The replay of searches that stop trainings, over tables whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from benchmarks.support.stopped import (
    Named,
    Network,
    Stop,
    Table,
    cells,
    compared,
    replay,
    training,
)
from benchmarks.truth.before_training import by_accuracy, by_merit
from benchmarks.truth.before_training import table as pairs_table
from benchmarks.truth.pool import AIM, SPACE
from nas.candidates import Candidates
from nas.stopping import BEFORE, FEWEST

CANDIDATES = Candidates(SPACE, AIM)
ROWS = CANDIDATES.draw(24, np.random.default_rng(0))
ACCURACY = np.random.default_rng(1).permutation(np.linspace(0.4, 0.6, len(ROWS)))
STOP: Stop = (BEFORE, 2.0)
WHOLE = 5.0 + 30.0  # core-seconds of a training: before it, and its steps


def table(foretold: bool = True, told: bool = True) -> Table:
    """Before the training stands what it comes to, or for all the same; measuring takes 2 s."""
    networks = [
        Network(
            row,
            float(SPACE.costs(row[None]).macs[0]),
            accuracy,
            {BEFORE[0]: accuracy - 0.1 if foretold else 0.3},
            steps=30.0,
            rung=2.0,
            end=0.0,
            birth=5.0,
            loss=1.2 - accuracy if told else None,
            probability=accuracy - 0.05 if told else None,
        )
        for row, accuracy in zip(ROWS, ACCURACY.tolist(), strict=True)
    ]
    return Table(CANDIDATES, networks, begun=2)


@pytest.mark.parametrize("way", ["random", "auto"])
@pytest.mark.parametrize("told", [True, False])
def test_what_is_not_stopped_is_paid_in_full(way: str, told: bool) -> None:
    found = replay(table(told=told), way, 0, None, (0.25, 0.5, 1.0))
    assert [one.tried for one in found] == [6, 12, 24]
    assert [one.stopped for one in found] == [0, 0, 0]
    assert way == "auto" or found[-1].lost == 0  # auto goes by what it expects


@pytest.mark.parametrize("way", ["random", "auto"])
def test_where_a_rung_foretells_the_end_searches_that_stop_see_more(way: str) -> None:
    """Each loser after the first six costs 7 s in the place of 35."""
    share = 0.36
    without, stopping = (replay(table(), way, 0, stop, (share,))[0] for stop in (None, STOP))
    paid = share * len(ROWS) * WHOLE
    assert without.tried == int(paid / WHOLE) == 8
    seconds = 7 * stopping.stopped + 37 * (stopping.tried - stopping.stopped)
    assert paid - 37 < seconds <= paid
    assert without.tried + 3 < stopping.tried < len(ROWS)
    assert way == "auto" or stopping.lost <= without.lost


def test_what_finals_would_begin_with_is_named() -> None:
    named = replay(table()._replace(finals=True), "auto", 0, None, (1.0,))[0]
    assert named.lost == 0
    assert replay(table(), "auto", 0, None, (1.0,))[0].lost > 0  # what it expects is another


def test_what_is_stopped_on_its_way_is_paid_that_far() -> None:
    network = table().networks[0]._replace(curve={0.5: 0.2, 0.75: 0.3})
    study = optuna.create_study(direction="maximize")
    assert training(network, CANDIDATES, study, None)[1] == WHOLE
    assert training(network, CANDIDATES, study, ((0.5, 0.75), 2.0))[1] == WHOLE + 2 * 2.0
    for at, one in enumerate(table().networks[:8]):  # from 0.1 to 0.8, and as good at the end
        far = one._replace(curve={0.5: at / 10 + 0.1}, accuracy=at / 10 + 0.15)
        study.add_trial(training(far, CANDIDATES, study, ((0.5,), 2.0))[0])
    trial, seconds = training(network, CANDIDATES, study, ((0.5,), 2.0))
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert seconds == 5.0 + 2.0 + 0.5 * 30.0


def test_where_a_rung_tells_nothing_nothing_is_stopped() -> None:
    """What is measured costs 2 s of each all the same."""
    found = replay(table(foretold=False), "random", 0, STOP, (1.0,))[0]
    assert found.stopped == 0
    assert found.tried == int(24 * WHOLE / 37) > FEWEST


def test_a_part_has_all_that_a_search_begins_with() -> None:
    whole = table()
    part = whole.part(0.5, seed=3)
    assert part.networks[:2] == whole.networks[:2]
    assert len(part.networks) == 2 + 11
    assert {one.accuracy for one in part.networks} < {one.accuracy for one in whole.networks}


def test_gains_are_on_the_search_of_the_same_seed() -> None:
    ours = [[Named(0.01, 8, 3)], [Named(0.02, 6, 1)]]
    without = [[Named(0.03, 4, 0)], [Named(0.03, 4, 0)]]
    (cell,) = cells(ours, without)
    assert cell.startswith("7.0 tried, 2.0 stopped, lacks 1.50: +1.50 (+1.00 to +2.00)")
    shown = compared(table(), ["random"], {"none": None, "before": STOP}, 3, 0.9).splitlines()
    assert [line.split(" | ")[1] for line in shown[2:]] == ["none", "before"]
    assert "+0.00 (+0.00 to +0.00)" in shown[2]


@pytest.mark.parametrize("measure", [by_accuracy, by_merit])
def test_a_table_of_pairs(measure: Callable[[Mapping[str, Any]], float]) -> None:
    """Rewards are of what searches are told, by whichever measure the bars are."""
    nearby: Any = SimpleNamespace(space=SPACE, aim=AIM, starts=ROWS[:2])
    before = {"accuracy": 0.5, "loss": 1.4, "probability": 0.4, "birth": 3.0, "seconds": 2.0}
    after = {"accuracy": 0.6, "loss": 1.2, "probability": 0.5, "seconds": 30.0}
    specs = [SPACE.spec_of(row) for row in ROWS[:3]]
    pairs = [
        {"spec": spec.to_json(), "cost": 6e7, "before": before, "after": after} for spec in specs
    ]
    made = pairs_table(nearby, pairs, measure)
    one = made.networks[2]
    assert [SPACE.spec_of(each.row).key for each in made.networks] == [spec.key for spec in specs]
    assert one.merit == pytest.approx((0.5 + math.exp(-1.2)) / 2)
    assert (one.accuracy, one.curve) == (measure(after), {0.0: measure(before)})
    assert (one.seconds, one.rung) == (33.0, 2.0)
    assert (made.begun, made.finals) == (2, True)
