"""Whole searches replayed over a table of real trainings, some of which they stop on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmarks.support.on_pool import OnPool
from nas.candidates import Candidates, Floats
from nas.samplers.base import distributions
from nas.samplers.history import History
from nas.space import Batch
from nas.stopping import Curves
from trials.record import Evaluation, Stopped
from trials.signal import PROBABILITY, together

Stop = tuple[tuple[float, ...], float]  # rungs, and the deviations that are hoped for
BUDGETS = (0.3, 0.45, 0.6)  # of the seconds of the whole table


def told(loss: float, probability: float) -> float:
    """What searches are told of a training (``trials.signal``), in [0, 1]."""
    return together(probability, math.exp(-loss))


class Network(NamedTuple):
    """A row of the table: its choices (D,) and cost; what its training came to, and its accuracy at
    shares of that; seconds of the steps, of one measurement on the way, of the last one, and of
    what comes before all of these; the loss and the mean probability of the own class, if told."""

    row: Batch
    cost: float
    accuracy: float
    curve: dict[float, float]
    steps: float
    rung: float
    end: float
    birth: float = 0.0
    loss: float | None = None
    probability: float | None = None

    @property
    def seconds(self) -> float:
        """Of a training that nothing measures on the way."""
        return self.birth + self.steps + self.end

    @property
    def merit(self) -> float:
        """By which it is named: the accuracy, or the measure of searches that are told more."""
        if self.loss is None or self.probability is None:
            return self.accuracy
        return told(self.loss, self.probability)


class Table(NamedTuple):
    """``networks``; every search begins with as many as ``begun``, from which others inherit. With
    ``finals`` the best measured one is named, as what is trained further; else sampler auto names
    by what it expects."""

    candidates: Candidates
    networks: list[Network]
    begun: int = 0
    finals: bool = False

    @property
    def auto(self) -> OnPool:
        """The default sampler, which has only these networks to choose from."""
        rows = np.stack([one.row for one in self.networks])
        near = rows[: self.begun] if self.begun else None
        return OnPool(rows, self.candidates, None, near)

    @property
    def seconds(self) -> float:
        """Of all trainings, if nothing is measured on the way."""
        return sum(one.seconds for one in self.networks)

    @property
    def rewards(self) -> Floats:
        """Of each network (N,), by its merit."""
        aim = self.candidates.objective
        return np.array([aim.reward(one.merit, one.cost) for one in self.networks], dtype=float)

    def part(self, share: float, seed: int) -> Table:
        """What every search begins with, and so much of the others, by chance."""
        rng = np.random.default_rng([seed, 2])
        others = rng.permutation(np.arange(self.begun, len(self.networks)))
        kept = [*range(self.begun), *others[: round(share * len(others))].tolist()]
        return self._replace(networks=[self.networks[i] for i in kept])


class Named(NamedTuple):
    """What the network that a search names lacks of the table's best reward, after so many
    networks were tried, their trainings ended or stopped, and so many of these stopped."""

    lost: float
    tried: int
    stopped: int


def replay(
    table: Table, way: str, seed: int, stop: Stop | None, budgets: Sequence[float] = BUDGETS
) -> list[Named]:
    """What a search, in ``random`` order or by sampler ``auto``, names at each budget."""
    networks, rewards = table.networks, table.rewards
    study = optuna.create_study(direction="maximize")
    following = _following(table, way, study, np.random.default_rng(seed))
    whole = table.seconds
    order: list[int] = []
    found: list[Named] = []
    spent = 0.0
    while len(found) < len(budgets):
        taken = next(following, None)
        seconds = np.inf
        if taken is not None:
            trial, seconds = training(networks[taken], table.candidates, study, stop)
        while len(found) < len(budgets) and spent + seconds > budgets[len(found)] * whole:
            lost = rewards.max() - rewards[order[_named(table, way, study, rewards[order])]]
            states = [one.state for one in study.get_trials(deepcopy=False)]
            found.append(Named(float(lost), len(order), states.count(TrialState.PRUNED)))
        if taken is not None:
            study.add_trial(trial)
            order.append(taken)
            spent += seconds
    return found


def _following(
    table: Table, way: str, study: optuna.Study, rng: np.random.Generator
) -> Iterator[int]:
    """The places of the networks that are tried."""
    count = len(table.networks)
    yield from range(table.begun)
    order = rng.permutation(np.arange(table.begun, count)).tolist()
    if way == "random":
        yield from order
        return
    place = {one.row.tobytes(): i for i, one in enumerate(table.networks)}
    auto = table.auto
    asked = create_trial(state=TrialState.WAITING)
    for _ in range(count - table.begun):
        history = History(table.candidates, study)
        yield place[next(auto.propose(study, asked, history, rng)).tobytes()]


def _named(table: Table, way: str, study: optuna.Study, rewards: Floats) -> int:
    """The number of the trial, of those that have these ``rewards`` or were stopped."""
    if way == "random" or table.finals:
        whole = [trial.number for trial in study.get_trials(deepcopy=False) if trial.values]
        return max(whole, key=lambda number: rewards[number])
    return table.auto.recommend(History(table.candidates, study))


def training(
    one: Network, candidates: Candidates, study: optuna.Study, stop: Stop | None
) -> tuple[FrozenTrial, float]:
    """The trial as a search would have stored it, and the seconds that it took."""
    aim = candidates.objective
    trials = study.get_trials(deepcopy=False)
    bars = Curves(trials, aim, *stop).bars(one.cost) if stop else ()
    params = candidates.space.values(one.row)
    made: dict[str, Any] = {"params": params, "distributions": distributions(candidates)}
    paid, spent = {"cost": {"cost": one.cost}}, one.birth
    curve: list[tuple[float, float]] = []
    for share, bar in bars:
        curve.append((share, one.curve[share]))
        spent += one.rung
        if one.curve[share] < bar:
            found = Stopped(Evaluation(one.curve[share], 0, 0.0, curve=tuple(curve)))
            attrs = {**paid, "stopped": found.to_dict()}
            trial = create_trial(state=TrialState.PRUNED, **made, user_attrs=attrs)
            return trial, spent + share * one.steps
    details = {} if one.probability is None else {PROBABILITY: one.probability}
    whole = Evaluation(one.accuracy, 0, 0.0, loss=one.loss, curve=tuple(curve), details=details)
    attrs = {**paid, "evaluation": whole.to_dict()}
    trial = create_trial(value=aim.reward(one.accuracy, one.cost), **made, user_attrs=attrs)
    return trial, spent + one.steps + one.end


def cells(found: Sequence[Sequence[Named]], without: Sequence[Sequence[Named]]) -> Iterator[str]:
    """For each budget: what is lacking in points, networks tried and stopped, each the mean of the
    searches; what is gained on those ``without`` stopping, paired, with its 90 % interval."""
    rng = np.random.default_rng(0)
    for ours, theirs in zip(zip(*found, strict=True), zip(*without, strict=True), strict=True):
        gain = 100 * (np.array([one.lost for one in theirs]) - [one.lost for one in ours])
        low, high = np.quantile(rng.choice(gain, (2000, len(gain))).mean(1), (0.05, 0.95))
        lost, tried, stopped = np.array(ours).mean(0)
        yield (
            f"{tried:.1f} tried, {stopped:.1f} stopped, lacks {100 * lost:.2f}: "
            f"{gain.mean():+.2f} ({low:+.2f} to {high:+.2f})"
        )


def compared(
    table: Table,
    ways: Sequence[str],
    stops: Mapping[str, Stop | None],
    seeds: int,
    share: float = 1.0,
    budgets: Sequence[float] = BUDGETS,
) -> str:
    """A row for each way to search and to stop, of so many searches, each of its own ``share`` of
    the table; the gains are on searches of the same seed that stop nothing."""
    parts = [table.part(share, seed) for seed in range(seeds)]
    lines = [
        f"| search | stops | {' | '.join(f'{share:.0%} of the seconds' for share in budgets)} |",
        "|---" * (2 + len(budgets)) + "|",
    ]
    for way in ways:
        without = [replay(part, way, seed, None, budgets) for seed, part in enumerate(parts)]
        for name, stop in stops.items():
            found = without
            if stop is not None:
                found = [replay(part, way, seed, stop, budgets) for seed, part in enumerate(parts)]
            lines.append(f"| {way} | {name} | {' | '.join(cells(found, without))} |")
    return "\n".join(lines)
