"""How well scores agree with real ImageNet accuracies of Accel-NASBench's networks.

    python benchmarks/truth/proxy_fidelity.py TABLE.csv.gz PICTURES [--networks 96] [--half tuning]

TABLE has the columns ``architecture`` (e6k3l1se0-…) and ``imagenet_top1_percent``; PICTURES is what
``--data`` takes elsewhere. For each proxy: Kendall's τ with a 90 % bootstrap interval over the
networks, overall and among those within 12 % of 380M multiply-adds, the regret of its first pick
in accuracy points, and seconds a network on one thread. Half of the networks are drawn from the
band. The table's rows are cut in two by a fixed permutation: settings were chosen on the tuning
half, what is reported comes from the other (``--half report``). Scores that need no network are
also given over all rows of the half.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from models.cost import cost
from models.spec import ArchSpec
from nas.prior import accel_nasbench_choices
from nas.space import space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.proxies import KNOWN, NAMES, proxy

BAND = (380e6 * 0.88, 380e6 * 1.12)
HALVES = ("tuning", "report")


Trained = list[tuple[ArchSpec, float]]  # networks and their top-1 in percent


def rows(path: str, half: str, seed: int) -> Trained:
    """The half of the table's networks, in an order that ``seed`` decides."""
    searched = space("mbconv")
    with gzip.open(path, "rt") as file:
        lines = list(csv.DictReader(file))
    halves = np.array_split(np.random.default_rng(5).permutation(len(lines)), 2)
    chosen = np.random.default_rng(seed).permutation(halves[HALVES.index(half)])
    return [
        (
            searched.spec(accel_nasbench_choices(lines[i]["architecture"])),
            float(lines[i]["imagenet_top1_percent"]),
        )
        for i in chosen
    ]


def sample(every: Trained, count: int) -> Trained:
    """The first ``count`` of them, half of costs in the band."""
    inside = [pair for pair in every if in_band(pair[0])]
    outside = [pair for pair in every if not in_band(pair[0])]
    return inside[: count // 2] + outside[: count - count // 2]


def in_band(spec: ArchSpec) -> bool:
    return BAND[0] <= cost(spec).macs <= BAND[1]


def interval(statistic: Callable[[NDArray[np.int64]], float], count: int) -> str:
    """``statistic`` of the rows 0 … count - 1, and its 90 % bootstrap interval over rows."""
    rng = np.random.default_rng(0)
    drawn = [statistic(rng.integers(0, count, count)) for _ in range(500)]
    low, high = np.nanquantile(drawn, (0.05, 0.95))
    return f"{statistic(np.arange(count)):.2f} ({low:.2f} to {high:.2f})"


def agreement(values: Sequence[float], truth: Sequence[float]) -> str:
    """τ and its 90 % bootstrap interval."""
    one, two = np.array(values), np.array(truth)
    return interval(lambda some: float(kendalltau(one[some], two[some]).statistic), len(one))


def line(name: str, data: Data, seed: int, chosen: Trained) -> str:
    """The table's row for one proxy."""
    scores = [proxy(name, "cpu")(spec, data, seed) for spec, _ in chosen]
    seconds = statistics.median(score.seconds for score in scores)
    return row(name, chosen, [score.value for score in scores], seconds)


def row(name: str, chosen: Trained, values: Sequence[float], *seconds: float) -> str:
    """The table's row for a score of these values, and these seconds a network."""
    truth = [top1 for _, top1 in chosen]
    every = list(range(len(chosen)))
    cells = []
    for some in (every, [i for i in every if in_band(chosen[i][0])]):
        pick = max(some, key=lambda i: values[i])
        regret = max(truth[i] for i in some) - truth[pick]
        tau = agreement([values[i] for i in some], [truth[i] for i in some])
        cells.append(f"{tau} | {regret:.2f}")
    cells += [f"{each:.3g}" for each in seconds]
    return f"| {name} | {len(chosen)} | {' | '.join(cells)} |"


def main() -> None:
    """Print one row for each proxy."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("table")
    made.add_argument("pictures")
    made.add_argument("--networks", type=int, default=96)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--half", choices=HALVES, default="report")
    made.add_argument("--proxies", default=",".join(name for name in NAMES if name != "short"))
    args = made.parse_args()
    torch.set_num_threads(1)
    data = load(args.pictures, size=32)
    every = rows(args.table, args.half, args.seed)
    chosen = sample(every, args.networks)
    print(
        f"{data.name}, {args.half} half, seed {args.seed}, one thread, torch {torch.__version__}; "
        f"recipe of short: {proxy_recipe(32, 'cpu').key}\n"
    )
    print("| proxy | networks | τ, all | regret | τ, band | regret | seconds each |")
    print("|---|---|---|---|---|---|---|")
    for name in args.proxies.split(","):
        if name in KNOWN:
            print(line(name, data, args.seed, every), flush=True)
        print(line(name, data, args.seed, chosen), flush=True)


if __name__ == "__main__":
    main()
