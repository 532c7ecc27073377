"""How often stopping early ends the best candidate, and whether its line is true, by simulation.

    python -m benchmarks.truth.stopping_simulation [--searches 2000] [--networks 40]

Accuracies at half, at three quarters and at the end of a training are drawn together, normal, with
the spread and the correlations that 25 real trainings had (docs/results.md, "Stopping trainings
early"; between the two rungs it was not printed there, and 0.80 is taken). A search trains its
networks in random order, at equal cost, under the bars of ``nas.stopping``. Counted: searches whose
best network, by its accuracy at the end, was stopped; and, once all are trained, how far the line
of the first rung is off the true one at a network one standard deviation above the mean. "whole
trainings" is a line fitted to those that went to their end alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState, create_trial

from common.command import count, parser, run
from nas.objective import Objective
from nas.stopping import HOPE, RUNGS, Curves
from trials.record import Evaluation, Stopped

MEAN, SPREAD = (0.179, 0.232, 0.268), 0.049
CORRELATION = ((1.0, 0.80, 0.76), (0.80, 1.0, 0.93), (0.76, 0.93, 1.0))
COST, AIM = 300e6, Objective(400e6)
Floats = NDArray[np.float64]


def drawn(networks: int, rng: np.random.Generator) -> Floats:
    """Accuracies at the rungs and at the end, (networks, 3)."""
    covariance = SPREAD**2 * np.array(CORRELATION)
    return rng.multivariate_normal(MEAN, covariance, networks).clip(0, 1)


def trained(accuracies: Floats, bars: Sequence[tuple[float, float]]) -> FrozenTrial:
    """A trial that went as far as the bars let it."""
    curve: list[tuple[float, float]] = []
    for (share, bar), at in zip(bars, accuracies.tolist(), strict=False):
        curve.append((share, at))
        if at < bar:
            found = Evaluation(at, seed=0, seconds=share, curve=tuple(curve))
            attrs = {"stopped": Stopped(found).to_dict(), "cost": {"cost": COST}}
            return create_trial(state=TrialState.PRUNED, user_attrs=attrs)
    last = float(accuracies[-1])
    found = Evaluation(last, seed=0, seconds=1.0, curve=tuple(curve))
    attrs = {"evaluation": found.to_dict(), "cost": {"cost": COST}}
    return create_trial(value=last, user_attrs=attrs)


def searched(accuracies: Floats, hope: float = HOPE) -> list[FrozenTrial]:
    """A search's trials, in the order of the networks."""
    trials: list[FrozenTrial] = []
    for network in accuracies:
        trials.append(trained(network, Curves(trials, AIM, RUNGS, hope).bars(COST)))
    return trials


def off_the_line(trials: Sequence[FrozenTrial]) -> tuple[float, float]:
    """How far the first rung's line lies above the truth, one standard deviation above the mean:
    the composed one, and one through the whole trainings alone."""
    at = MEAN[0] + SPREAD
    true = MEAN[2] + CORRELATION[0][2] * SPREAD
    probe = Stopped(Evaluation(at, seed=0, seconds=0.5, curve=((RUNGS[0], at),)))
    attrs = {"stopped": probe.to_dict(), "cost": {"cost": COST}}
    asked = create_trial(state=TrialState.PRUNED, user_attrs=attrs)
    whole = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return tuple(Curves(few, AIM).expected(asked)[0] - true for few in (trials, whole))  # type: ignore[return-value]


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.stopping_simulation", __doc__ or "")
    made.add_argument("--searches", type=count, default=2000)
    made.add_argument("--networks", type=count, default=40)
    made.add_argument("--seed", type=int, default=0)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print the shares and the lines' errors."""
    args = options().parse_args(argv)
    rng = np.random.default_rng(args.seed)
    lost = dict.fromkeys((1.0, HOPE), 0)
    stopped, off = 0, []
    for _ in range(args.searches):
        accuracies = drawn(args.networks, rng)
        best = int(np.argmax(accuracies[:, -1]))
        for hope in lost:
            trials = searched(accuracies, hope)
            lost[hope] += trials[best].state == TrialState.PRUNED
        stopped += sum(trial.state == TrialState.PRUNED for trial in trials)
        off.append(off_the_line(trials))
    n = args.searches
    for hope, times in lost.items():
        share, error = times / n, (times * (n - times) / n**3) ** 0.5
        print(
            f"{hope:g} deviations hoped for: the best network was stopped in "
            f"{100 * share:.1f} % ± {100 * error:.1f} of {n} searches"
        )
    print(f"{100 * stopped / n / args.networks:.0f} % of {args.networks} networks were stopped")
    for name, errors in zip(("composed", "whole trainings"), np.array(off).T, strict=True):
        known = errors[np.isfinite(errors)]
        print(
            f"line off by {100 * known.mean():+.2f} points ± "
            f"{100 * known.std(ddof=1) / len(known) ** 0.5:.2f} ({name})"
        )


if __name__ == "__main__":
    sys.exit(run(main))
