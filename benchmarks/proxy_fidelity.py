"""How well scores agree with real ImageNet accuracies of Accel-NASBench's networks.

    python benchmarks/proxy_fidelity.py TABLE.csv.gz PICTURES [--networks 96]

TABLE has the columns ``architecture`` (e6k3l1se0-…) and ``imagenet_top1_percent``; PICTURES is what
``--data`` takes elsewhere. For each proxy: Kendall's τ with a 90 % bootstrap interval over the
networks, overall and among those within 12 % of 380M multiply-adds, the regret of its first pick in
accuracy points, and seconds a network on one thread. Half of the networks are drawn from the band.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import kendalltau

from models.cost import cost
from models.spec import ArchSpec
from nas.prior import accel_nasbench_choices
from nas.space import space
from training.data import load
from training.evaluator import proxy_recipe
from training.proxies import proxy

BAND = (380e6 * 0.88, 380e6 * 1.12)


def networks(path: str, count: int, seed: int) -> list[tuple[ArchSpec, float]]:
    """``count`` specs with their top-1, half of them of costs in the band."""
    searched = space("mbconv")
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(seed).permutation(len(rows))
    inside, outside = [], []
    for i in order:
        spec = searched.spec(accel_nasbench_choices(rows[i]["architecture"]))
        found = (spec, float(rows[i]["imagenet_top1_percent"]))
        (inside if BAND[0] <= cost(spec).macs <= BAND[1] else outside).append(found)
        if len(inside) >= count // 2 and len(outside) >= count - count // 2:
            break
    return inside[: count // 2] + outside[: count - count // 2]


def agreement(values: Sequence[float], truth: Sequence[float]) -> str:
    """τ and its 90 % bootstrap interval."""
    one, two = np.array(values), np.array(truth)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(500):
        rows = rng.integers(0, len(one), len(one))
        drawn.append(kendalltau(one[rows], two[rows]).statistic)
    low, high = np.nanquantile(drawn, (0.05, 0.95))
    return f"{kendalltau(one, two).statistic:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Print one row for each proxy."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("table")
    made.add_argument("pictures")
    made.add_argument("--networks", type=int, default=96)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--proxies", default="params,macs,snip,gradient-norm,synflow")
    args = made.parse_args()
    torch.set_num_threads(1)
    data = load(args.pictures, size=32)
    chosen = networks(args.table, args.networks, args.seed)
    truth = [accuracy for _, accuracy in chosen]
    band = [i for i, (s, _) in enumerate(chosen) if BAND[0] <= cost(s).macs <= BAND[1]]
    print(
        f"{len(chosen)} networks ({len(band)} in the band), {data.name}, seed {args.seed}, "
        f"one thread, torch {torch.__version__}; recipe of short: {proxy_recipe(32, 'cpu').key}\n"
    )
    print("| proxy | τ, all | τ, band | regret of the pick, all | in the band | seconds each |")
    print("|---|---|---|---|---|---|")
    for name in args.proxies.split(","):
        scores = [proxy(name, "cpu")(spec, data, args.seed) for spec, _ in chosen]
        values = [score.value for score in scores]
        regrets = []
        for rows in (range(len(chosen)), band):
            pick = max(rows, key=lambda i: values[i])
            regrets.append(max(truth[i] for i in rows) - truth[pick])
        taken = statistics.median(score.seconds for score in scores)
        print(f"| {name} | {agreement(values, truth)} | "
              f"{agreement([values[i] for i in band], [truth[i] for i in band])} | "
              f"{regrets[0]:.2f} | {regrets[1]:.2f} | {taken:.3f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
