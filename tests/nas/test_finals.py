"""Which networks are trained further, and which of them is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.spec import ArchSpec
from nas.calibrate import train_again
from nas.finals import ROUNDS, decided, finalists, held
from nas.objective import Objective
from nas.result import Finalist, candidates
from nas.samplers import sampler
from nas.samplers.base import NEARBY
from nas.search import search
from tests.nas.test_samplers import ask, create, middle, tiny
from trials.conduct import Means
from trials.record import Evaluation
from trials.store.study import read_run
from trials.store.view import Record
from trials.workers.pool import InProcess

AIM = Objective(1e12, low=0)


def accuracy(spec: ArchSpec, seed: int) -> float:
    return 0.2 + (int(spec.key[:6], 16) % 500) / 1000


def judged(accuracy: float, loss: float | None = None, seed: int = 0) -> Evaluation:
    return Evaluation(accuracy, seed, 1.0, loss)


def test_the_named_network_comes_first_and_no_network_twice() -> None:
    found = search(tiny(), accuracy, 1e12, 12, "random", low=0)
    trained = candidates(found.trials, AIM)
    last = min(trained, key=lambda one: one.reward).number
    chosen = finalists(last, found.trials, AIM)
    assert chosen[0].number == last
    rewards = {one.number: one.reward for one in trained}
    order = [rewards[record.number] for record in chosen[1:]]
    assert order == sorted(order, reverse=True)
    assert len({record.spec.key for record in chosen}) == len(chosen) == ROUNDS[0]
    again = finalists(99, [*found.trials, replace(chosen[0], number=99)], AIM)
    assert [record.number for record in again[1:]] == [record.number for record in chosen[1:]]


def test_the_loss_decides_who_is_trained_further() -> None:
    """Losses that fall as accuracies do: a few hundred pictures, of which all name nearly all."""

    def scored(spec: ArchSpec, seed: int) -> Evaluation:
        return judged(accuracy(spec, seed), accuracy(spec, seed))

    found = search(tiny(), scored, 1e12, 12, "random", low=0, w=0.0)
    aim = replace(AIM, w=0.0)
    chosen = finalists(found.best.number, found.trials, aim)
    others = [r.evaluation for r in found.trials if r.number != found.best.number]
    losses = sorted(one.loss for one in others if one and one.loss is not None)
    told = [record.evaluation.loss for record in chosen[1:] if record.evaluation]
    assert told == losses[: ROUNDS[0] - 1]
    failed = replace(chosen[1], evaluation=None)
    kept = [failed if r.number == failed.number else r for r in found.trials]
    assert failed not in finalists(found.best.number, kept, aim)


def test_the_loss_decides_where_there_is_one() -> None:
    flat = Objective(1.0, w=0.0, high=10)
    told = {1: [judged(0.8, 0.9), judged(0.9, 0.7)], 2: [judged(0.8, 0.5)], 3: [],
            4: [judged(0.7, 0.9), judged(0.7, 0.9)]}  # fmt: skip
    found = decided(told, {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}, flat)
    assert [one.number for one in found] == [1, 4, 2]  # once is not as good as twice
    assert found[0] == Finalist(1, pytest.approx(0.85), pytest.approx(0.8),
                                pytest.approx(math.sqrt(0.005)), 2,
                                pytest.approx(math.exp(-0.8)))  # fmt: skip
    assert (found[2].spread, found[2].trainings) == (None, 1)
    without = decided({1: [judged(0.8)], 2: [judged(0.7)]}, {1: 1.0, 2: 1.0}, flat)
    assert (without[0].number, without[0].loss) == (1, None)


def test_cost_counts_in_the_finals_too() -> None:
    steep = Objective(1.0, w=-1.0, high=10)
    found = decided({1: [judged(0.8, 0.5)], 2: [judged(0.8, 0.6)]}, {1: 2.0, 2: 1.0}, steep)
    assert found[0].number == 2


def test_a_search_names_what_its_finals_name(tmp_path: Path) -> None:
    """The further trainings think the opposite of the trials."""
    seen: list[list[int]] = []

    def opposite(records: Sequence[Record], step: int) -> Mapping[int, Evaluation]:
        seen.append([record.number for record in records])
        worse = 0.1 if step == 1 else 1.0
        return {r.number: judged(0.9 - accuracy(r.spec, 0) / 2, step + worse * i)
                for i, r in enumerate(reversed(records))}  # fmt: skip

    found = search(tiny(), accuracy, 1e12, 9, "random", low=0, run_dir=tmp_path, finals=opposite)
    assert [len(numbers) for numbers in seen] == list(ROUNDS)
    assert seen[1][:2] == [seen[0][-1], seen[0][-2]]  # the best of the first round
    assert found.best.number == seen[1][-1] != seen[0][0]  # whom the second thinks better
    assert [one.trainings for one in found.finals] == [2, 2, 2, 1, 1, 1]
    answer = read_run(tmp_path, from_json=ArchSpec.from_json).answer
    assert answer is not None
    assert answer["trial"] == found.best.number
    assert [Finalist(**one) for one in answer["finals"]] == list(found.finals)
    assert ArchSpec.from_json((tmp_path / "baseline.json").read_text()) == found.best.spec


def test_where_every_further_training_fails_the_trials_name_it() -> None:
    plain = search(tiny(), accuracy, 1e12, 9, "random", low=0)
    found = search(tiny(), accuracy, 1e12, 9, "random", low=0, finals=lambda records, step: {})
    assert (found.best.number, found.finals) == (plain.best.number, ())


def test_a_second_round_that_fails_leaves_the_first() -> None:
    found = search(tiny(), accuracy, 1e12, 9, "random", low=0)

    def once(records: Sequence[Record], step: int) -> Mapping[int, Evaluation]:
        return {r.number: judged(0.5, r.number / 10) for r in records} if step == 1 else {}

    told = held(once, found.best.number, found.trials, AIM)
    assert [one.trainings for one in told] == [1] * ROUNDS[0]
    losses = [one.loss for one in told if one.loss is not None]
    assert losses == sorted(losses)


def test_every_round_has_seeds_of_its_own(tmp_path: Path) -> None:
    records = list(search(tiny(), accuracy, 1e12, 3, "random", low=0).trials)
    seeds = [
        {
            record.seed
            for record in train_again(
                records, tmp_path / str(step), 0, "r", Means(lambda: InProcess(accuracy)), step
            )
        }
        for step in (1, 2)
    ]
    first = {record.seed for record in records}
    assert not first & seeds[0]
    assert not first & seeds[1]
    assert not seeds[0] & seeds[1]


@pytest.mark.parametrize("name", ["auto", "random"])
def test_a_search_begins_near_a_known_network(name: str) -> None:
    searched, aim = tiny(3), middle(tiny(3))
    inside = next(
        searched.values(row)
        for row in searched.random(200, np.random.default_rng(0))
        if aim.admits(float(searched.costs([searched.values(row)]).macs[0]))
    )
    made = sampler(name, searched, aim, seed=1, near=[searched.spec(inside)])
    study = create(name, searched, aim)
    study.sampler = made
    drawn = [ask(study, searched)[1] for _ in range(1 + NEARBY)]
    differ = [sum(one[key] != inside[key] for key in inside) for one in drawn]
    assert differ[0] == 0
    assert all(0 < count <= 3 for count in differ[1:])
    again = create(name, searched, aim)
    again.sampler = sampler(name, searched, aim, seed=1, near=[searched.spec(inside)])
    assert [ask(again, searched)[1] for _ in range(1 + NEARBY)] == drawn


def test_a_stranger_is_no_place_to_begin() -> None:
    with pytest.raises(ValueError, match="no network of space tiny"):
        sampler("random", tiny(), middle(tiny()), seed=0,
                near=[replace(tiny().template, name="other")])  # fmt: skip
