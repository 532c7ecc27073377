"""The replay of searches that stop trainings, over tables whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.support.stopped import Network, Stop, Table, cells, compared, replay
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
    assert [one.begun for one in found] == [6, 12, 24]
    assert [one.stopped for one in found] == [0, 0, 0]
    assert way == "auto" or found[-1].lost == 0  # auto goes by what it expects


@pytest.mark.parametrize("way", ["random", "auto"])
def test_where_a_rung_foretells_the_end_searches_that_stop_see_more(way: str) -> None:
    """Each loser after the first six costs 7 s in the place of 35, and the best one is found."""
    without, stopping = (replay(table(), way, 0, stop, (0.5,))[0] for stop in (None, STOP))
    assert without.begun == 12
    seconds = 7 * stopping.stopped + 37 * (stopping.begun - stopping.stopped)
    assert 12 * WHOLE - 37 < seconds <= 12 * WHOLE or stopping.begun == len(ROWS)
    assert stopping.begun > without.begun
    assert stopping.lost <= without.lost


def test_where_a_rung_tells_nothing_nothing_is_stopped() -> None:
    """What is measured costs 2 s of each all the same."""
    found = replay(table(foretold=False), "random", 0, STOP, (1.0,))[0]
    assert found.stopped == 0
    assert found.begun == int(24 * WHOLE / 37) > FEWEST


def test_a_part_has_all_that_a_search_begins_with() -> None:
    whole = table()
    part = whole.part(0.5, seed=3)
    assert part.networks[:2] == whole.networks[:2]
    assert len(part.networks) == 2 + 11
    assert {one.accuracy for one in part.networks} < {one.accuracy for one in whole.networks}


def test_gains_are_on_the_search_of_the_same_seed() -> None:
    without = [replay(table(), "random", seed, None) for seed in range(3)]
    assert all("+0.00 (+0.00 to +0.00)" in cell for cell in cells(without, without))
    shown = compared(table(), ["random"], {"none": None, "before": STOP}, 3, 0.9).splitlines()
    assert [line.split(" | ")[1] for line in shown[2:]] == ["none", "before"]
    assert "+0.00 (+0.00 to +0.00)" in shown[2]
