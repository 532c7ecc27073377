"""How well one trained supernet's scores agree with real ImageNet accuracies.

    python -m benchmarks.truth.weight_sharing TABLE.csv.gz PICTURES [--networks 96] [--steps 8000]

TABLE, PICTURES and the networks are those of ``benchmarks.truth.proxy_fidelity``. One supernet of
the space ``mbconv`` (``benchmarks.support.supernet``; SPOS: Guo et al. 2020, arXiv:1904.00420) is
trained on all training pictures, every step on one path. A candidate inherits its path's weights,
its batch norms are measured anew on training pictures, and it is scored on validation pictures by
accuracy and by cross-entropy. The rate runs three times from its peak to 0, over 1/4, 1/4 and 1/2
of the steps (warm restarts: Loshchilov and Hutter 2017, arXiv:1608.03983); candidates are scored
after each.

Seconds are of one core: ``amortised`` is the training until then divided by the networks, and the
evaluation; ``alone`` the evaluation. What a score adds to capacity: the partial τ given capacity
(Kendall 1942), and the difference in τ that it makes to add the ranks by the score, times a weight,
to the ranks by capacity, the weight for each half of the networks being that which does best on
the other; 90 % intervals by bootstrap over the networks, in the second with the weights as they
are.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from benchmarks.support.supernet import Supernet, score, train
from benchmarks.truth.proxy_fidelity import HALVES, Trained, interval, row, rows, sample
from common.command import count, parser
from common.command import run as run_command
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.proxies import KNOWN, proxy
from training.recipe import Recipe

CYCLES = (1 / 4, 1 / 4, 1 / 2)  # shares of the steps
WEIGHTS = np.linspace(0, 2, 41)
Floats = NDArray[np.float64]


class Against(NamedTuple):
    """A score, capacity and the truth of the same networks."""

    score: Floats
    capacity: Floats
    truth: Floats

    def of(self, some: NDArray[np.int64]) -> Against:
        return Against(*(values[some] for values in self))


def main(argv: Sequence[str] | None = None) -> None:
    """Print one row for each score, then what each adds to capacity."""
    args = options(argv)
    torch.set_num_threads(1)
    data = load(args.pictures, size=32)
    recipe = replace(proxy_recipe(32, "cpu"), images=None, held_out=args.held_out, lr=args.lr)
    chosen = sample(rows(args.table, args.half, args.seed), args.networks)
    print(
        f"{data.name}, {args.half} half, seed {args.seed}, one thread, torch {torch.__version__}; "
        f"recipe {recipe.key}, {args.steps} steps\n"
    )
    print("| score | networks | τ, all | regret | τ, band | regret | amortised | alone |")
    print("|---|---|---|---|---|---|---|---|")
    values: dict[str, list[float]] = {}
    for name, found, seconds in scores(args, recipe, data, chosen):
        values[name] = found
        print(row(name, chosen, found, *seconds), flush=True)
        write(args.out, chosen, values)
    print("\n| score | networks | partial τ | weights | difference in τ |")
    print("|---|---|---|---|---|")
    capacity = np.array(values.pop("capacity"))
    truth = np.array([top1 for _, top1 in chosen])
    for name, found in values.items():
        print(added(name, Against(np.array(found), capacity, truth)))


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser("benchmarks.truth.weight_sharing", __doc__ or "")
    made.add_argument("table")
    made.add_argument("pictures")
    made.add_argument("--networks", type=count, default=96)
    made.add_argument("--steps", type=count, default=8000)
    made.add_argument("--lr", type=float, default=0.03, help="peak rate for a batch of 256")
    made.add_argument("--calibration", type=count, default=500, help="pictures for batch norms")
    made.add_argument("--held-out", type=count, default=1000, help="validation pictures")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--half", choices=HALVES, default="report")
    made.add_argument("--out", type=Path, help="a CSV file for the scores of each network")
    return made.parse_args(argv)


def scores(
    args: argparse.Namespace, recipe: Recipe, data: Data, chosen: Trained
) -> Iterator[tuple[str, list[float], tuple[float, float]]]:
    """Each score's name, its values, and its seconds amortised and alone."""
    for name in KNOWN:
        known = [proxy(name, "cpu")(spec, data, args.seed) for spec, _ in chosen]
        alone = statistics.median(one.seconds for one in known)
        yield name, [one.value for one in known], (alone, alone)
    network, training, done = Supernet(recipe, data, args.seed), 0.0, 0
    for cycle, share in enumerate(CYCLES):
        steps = round(share * args.steps)
        training += train(network, recipe, data, len(CYCLES) * args.seed + cycle, steps)
        done += steps
        found = [score(network, recipe, data, spec, args.calibration) for spec, _ in chosen]
        alone = statistics.median(taken for _, _, taken in found)
        for i, name in enumerate(("accuracy", "cross-entropy")):
            seconds = (training / len(chosen) + alone, alone)
            yield f"{name}, {done} steps", [one[i] for one in found], seconds


def write(path: Path | None, chosen: Trained, values: dict[str, list[float]]) -> None:
    """Each network's scores so far, as CSV."""
    if path is None:
        return
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["network", "imagenet_top1_percent", *values])
        for (spec, top1), *own in zip(chosen, *values.values(), strict=True):
            out.writerow([spec.name, top1, *own])


def added(name: str, all_of: Against) -> str:
    """The row that says what a score adds to capacity."""
    number = len(all_of.truth)
    both, weights = combined(all_of, np.arange(number) % 2 == 0)

    def gain(some: NDArray[np.int64]) -> float:
        truth = all_of.truth[some]
        return tau(both[some], truth) - tau(all_of.capacity[some], truth)

    given = interval(lambda some: partial(all_of.of(some)), number)
    chosen = " and ".join(f"{weight:.2f}" for weight in weights)
    return f"| {name} | {number} | {given} | {chosen} | {interval(gain, number)} |"


def partial(all_of: Against) -> float:
    """Kendall's partial τ of score and truth, capacity being given."""
    values, capacity, truth = all_of
    own, both, known = tau(values, truth), tau(values, capacity), tau(capacity, truth)
    return float((own - both * known) / np.sqrt((1 - both**2) * (1 - known**2)))


def combined(all_of: Against, first: NDArray[np.bool_]) -> tuple[Floats, list[float]]:
    """Ranks by capacity and score together, and the weights of the score chosen on each half.

    What is chosen on one half is used on the other.
    """
    ranks = rankdata(all_of.capacity), rankdata(all_of.score)
    out, weights = np.empty(len(first)), []
    for half in (first, ~first):
        taus = [tau((ranks[0] + w * ranks[1])[half], all_of.truth[half]) for w in WEIGHTS]
        weights.append(float(WEIGHTS[int(np.argmax(taus))]))
        out[~half] = ((ranks[0] + weights[-1] * ranks[1]) / (1 + weights[-1]))[~half]
    return out, weights


def tau(one: Floats, two: Floats) -> float:
    return float(kendalltau(one, two).statistic)


if __name__ == "__main__":
    sys.exit(run_command(main))
