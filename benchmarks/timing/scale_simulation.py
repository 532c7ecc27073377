"""What one driver can feed: a simulation of workers that wait for their next trial.

    python -m benchmarks.timing.scale_simulation --workers 1 10 100 1000 --trials 100000

A driver proposes and records one trial at a time, which takes ``--fixed`` milliseconds and
``--growing`` more for every thousand trials that the study holds
(``benchmarks.timing.trials_overhead`` measures both); a training takes ``--minutes``, log-normal
with a spread of 30 %. Printed: the share of their time that workers train, and how long the whole
search takes. Nothing else is simulated: no network, no failures.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.command import count, parser
from common.command import run as run_command

SPREAD = 0.3


class Outcome(NamedTuple):
    """Share of the workers' time spent training, and the search's hours."""

    busy: float
    hours: float


def simulate(
    workers: int, trials: int, seconds: float, fixed: float, growing: float, seed: int = 0
) -> Outcome:
    """One search; ``fixed`` and ``growing`` in seconds, the latter for each trial in the study."""
    rng = np.random.default_rng(seed)
    lengths = seconds * rng.lognormal(-(SPREAD**2) / 2, SPREAD, trials)
    free = [0.0] * workers  # when each worker can take a trial
    driver = 0.0
    for number, length in enumerate(lengths):
        ready = heapq.heappop(free)
        driver = max(driver, ready) + fixed + growing * number
        heapq.heappush(free, driver + length)
    end = max(free)
    return Outcome(float(lengths.sum() / (workers * end)), end / 3600)


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line for each number of workers."""
    made = parser("benchmarks.timing.scale_simulation", __doc__ or "")
    made.add_argument("--workers", type=count, nargs="+", default=[1, 10, 100, 1000])
    made.add_argument("--trials", type=count, default=100_000)
    made.add_argument("--minutes", type=float, default=10.0, help="of one training")
    made.add_argument("--fixed", type=float, default=40.0, help="milliseconds a trial")
    made.add_argument("--growing", type=float, default=1.8, help="more for each thousand trials")
    args = made.parse_args(argv)
    print(
        f"{args.trials:,} trials of {args.minutes:g} minutes; the driver takes {args.fixed:g} ms "
        f"for one, {args.growing:g} ms more a thousand"
    )
    print("| workers | busy | hours |")
    print("|---|---|---|")
    for workers in args.workers:
        found = simulate(
            workers, args.trials, 60 * args.minutes, args.fixed / 1e3, args.growing / 1e6
        )
        print(f"| {workers:,} | {100 * found.busy:.1f} % | {found.hours:,.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
