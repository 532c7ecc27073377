"""How often stopping early ends the best candidate, and whether its line is true, by simulation.

    python -m benchmarks.truth.stopping_simulation [--searches 2000] [--networks 40] [--table DIR]

Accuracies at half, at three quarters and at the end of a training are drawn together, normal, with
the means, the spread and the correlations that 60 real trainings had (docs/results.md, "Stopping
trainings early"), at equal cost; or, with --table, they are those trainings themselves, which
``benchmarks.truth.early_stopping`` left in DIR, at their own costs. A search trains its networks in
random order under the bars of ``nas.stopping``. Counted: searches whose best network, by its reward
at the end, was stopped; of the trainings that were stopped, those that would have beaten the best
one until then. Of normal ones also: how often a network that stands at a bar, no better, would beat
that best one (the rule means it to be one time in 44 where two deviations are hoped for); and,
once all are trained, how far the line of the first rung is off the true one at a network one
standard deviation above the mean. "whole trainings" is a line fitted to those that went to their
end alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.special import ndtr

from benchmarks.truth.early_stopping import read
from common.command import count, parser, run
from nas.objective import Objective
from nas.stopping import HOPE, RUNGS, Curves
from trials.record import Evaluation, Stopped

MEAN, SPREAD = (0.180, 0.233, 0.255), np.array((0.040, 0.047, 0.048))
CORRELATION = ((1.0, 0.76, 0.75), (0.76, 1.0, 0.92), (0.75, 0.92, 1.0))
COST, AIM = 300e6, Objective(400e6)
Floats = NDArray[np.float64]


class Counts(NamedTuple):
    """Of some searches: trainings that were stopped, those of them that would have beaten the best
    one until then, searches whose best was stopped; the chance at each bar."""

    stopped: int
    beaten: int
    lost: int
    chances: list[float]


def drawn(networks: int, rng: np.random.Generator) -> Floats:
    """Accuracies at the rungs and at the end, (networks, 3)."""
    covariance = np.outer(SPREAD, SPREAD) * np.array(CORRELATION)
    return rng.multivariate_normal(MEAN, covariance, networks).clip(0, 1)


def table(directory: Path) -> tuple[Floats, Floats]:
    """The same of real trainings, and their costs (networks,)."""
    found = [read(file) for file in sorted(directory.glob("[0-9]*.json"))]
    if not found:
        raise ValueError(
            f"{directory} has no trainings: benchmarks.truth.early_stopping makes them"
        )
    accuracies = [[*(one.curve[share] for share in RUNGS), one.accuracy] for one in found]
    return np.array(accuracies), np.array([one.cost for one in found])


def trained(
    accuracies: Floats, bars: Sequence[tuple[float, float]], cost: float = COST
) -> FrozenTrial:
    """A trial that went as far as the bars let it."""
    curve: list[tuple[float, float]] = []
    for (share, bar), at in zip(bars, accuracies.tolist(), strict=False):
        curve.append((share, at))
        if at < bar:
            found = Evaluation(at, seed=0, seconds=share, curve=tuple(curve))
            attrs = {"stopped": Stopped(found).to_dict(), "cost": {"cost": cost}}
            return create_trial(state=TrialState.PRUNED, user_attrs=attrs)
    last = float(accuracies[-1])
    found = Evaluation(last, seed=0, seconds=1.0, curve=tuple(curve))
    attrs = {"evaluation": found.to_dict(), "cost": {"cost": cost}}
    return create_trial(value=last, user_attrs=attrs)


def searched(accuracies: Floats, hope: float = HOPE) -> list[FrozenTrial]:
    """A search's trials, in the order of the networks."""
    trials: list[FrozenTrial] = []
    for network in accuracies:
        trials.append(trained(network, Curves(trials, AIM, RUNGS, hope).bars(COST)))
    return trials


def counted(accuracies: Floats, costs: Floats, hope: float = HOPE) -> Counts:
    """Of one search, in the order of the networks."""
    rewards = AIM.reward(accuracies[:, -1], costs)
    trials: list[FrozenTrial] = []
    out, beaten, best, at_bars = [], 0, 0.0, []
    for network, cost, reward in zip(accuracies, costs.tolist(), rewards.tolist(), strict=True):
        bars = Curves(trials, AIM, RUNGS, hope).bars(cost)
        at_bars += chances(bars, best / AIM.factor(cost))
        trials.append(trained(network, bars, cost))
        out.append(trials[-1].state == TrialState.PRUNED)
        beaten += out[-1] and reward > best
        best = best if out[-1] else max(best, reward)
    return Counts(sum(out), beaten, out[int(np.argmax(rewards))], at_bars)


def chances(bars: Sequence[tuple[float, float]], needed: float) -> list[float]:
    """How likely a normal network that has just the bar ends above ``needed``, at every bar."""
    found = []
    for k, (_, bar) in enumerate(bars):
        if bar > 0:
            related = CORRELATION[k][-1]
            expected = MEAN[-1] + related * SPREAD[-1] * (bar - MEAN[k]) / SPREAD[k]
            error = SPREAD[-1] * (1 - related**2) ** 0.5
            found.append(float(ndtr((expected - needed) / error)))
    return found


def off_the_line(trials: Sequence[FrozenTrial]) -> tuple[float, float]:
    """How far the first rung's line lies above the truth, one standard deviation above the mean:
    the composed one, and one through the whole trainings alone."""
    at = MEAN[0] + SPREAD[0]
    true = MEAN[2] + CORRELATION[0][2] * SPREAD[2]
    probe = Stopped(Evaluation(at, seed=0, seconds=0.5, curve=((RUNGS[0], at),)))
    attrs = {"stopped": probe.to_dict(), "cost": {"cost": COST}}
    asked = create_trial(state=TrialState.PRUNED, user_attrs=attrs)
    whole = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    composed, alone = (Curves(few, AIM).expected(asked)[0] - true for few in (trials, whole))
    return composed, alone


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.stopping_simulation", __doc__ or "")
    made.add_argument("--searches", type=count, default=2000)
    made.add_argument("--networks", type=count, default=40)
    made.add_argument("--table", type=Path, help="real trainings in place of normal ones")
    made.add_argument("--seed", type=int, default=0)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print the shares and the lines' errors."""
    args = options().parse_args(argv)
    rng = np.random.default_rng(args.seed)
    real = table(args.table) if args.table else None
    if real and len(real[0]) < args.networks:
        raise ValueError(f"{args.table} has {len(real[0])} trainings: ask for at most so many")
    found: dict[float, list[Counts]] = {1.0: [], HOPE: []}
    off = []
    for _ in range(args.searches):
        if real:
            order = rng.permutation(len(real[0]))[: args.networks]
            accuracies, costs = real[0][order], real[1][order]
        else:
            accuracies, costs = drawn(args.networks, rng), np.full(args.networks, COST)
            off.append(off_the_line(searched(accuracies)))
        for hope, counts in found.items():
            counts.append(counted(accuracies, costs, hope))
    for hope, counts in found.items():
        print(f"{hope:g} deviations hoped for: {told(counts, args.networks, not real)}")
    for name, errors in zip(("composed", "whole trainings"), np.array(off).T, strict=False):
        known = errors[np.isfinite(errors)]
        print(
            f"line off by {100 * known.mean():+.2f} points ± "
            f"{100 * known.std(ddof=1) / len(known) ** 0.5:.2f} ({name})"
        )


def told(counts: Sequence[Counts], networks: int, normal: bool) -> str:
    """In words, with standard errors over the searches."""
    n = len(counts)
    stopped = np.array([one.stopped for one in counts])
    lost, beaten = (np.array([getattr(one, name) for one in counts]) for name in ("lost", "beaten"))
    share = lost.mean()
    said = (
        f"the best network was stopped in {100 * share:.1f} % ± "
        f"{100 * (share * (1 - share) / n) ** 0.5:.1f} of {n} searches; "
        f"{100 * stopped.mean() / networks:.0f} % of {networks} networks were stopped, of which "
        f"{100 * beaten.sum() / stopped.sum():.2f} % would have beaten the best until then"
    )
    if not normal:
        return said
    at_bars = np.array([[sum(one.chances), len(one.chances)] for one in counts])
    mean = at_bars[:, 0].sum() / at_bars[:, 1].sum()
    missed = (at_bars[:, 0] - mean * at_bars[:, 1]).std(ddof=1) / at_bars[:, 1].mean() / n**0.5
    return f"{said}, as a network at a bar would in {100 * mean:.1f} % ± {100 * missed:.1f}"


if __name__ == "__main__":
    sys.exit(run(main))
