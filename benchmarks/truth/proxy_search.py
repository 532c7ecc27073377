"""Whole searches by proxy: what the network that is named is really worth.

    python -m benchmarks.truth.proxy_search TABLE.csv.gz PICTURES --trust 1 0.2 --trainings 20

A surrogate of real ImageNet accuracies (``benchmarks.support.surrogate``, fitted to all rows of
TABLE) judges what each search names; no search sees it. Space ``mbconv``, 400M multiply-adds. A
score names the best of ``--candidates`` random networks of the window, counting only its own value.
The short training leads the sampler auto at each ``--trust``, or names the best of random networks
(``random``). Printed: the ImageNet reward of the network named, times 100, and the core-seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch

from benchmarks.support.surrogate import Surrogate, Table, search_directly
from common.command import count, parser
from common.command import run as run_command
from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import recommend, sampler, tell
from nas.space import Batch, space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.train import train
from training.proxies import NAMES, proxy
from training.recipe import Recipe

SPACE = space("mbconv")
AIM = Objective(400e6)


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each way to search."""
    made = parser("benchmarks.truth.proxy_search", __doc__ or "")
    made.add_argument("table", type=Path)
    made.add_argument("pictures")
    made.add_argument("--scores", nargs="*", choices=NAMES, default=["capacity", "params", "snip"])
    made.add_argument("--candidates", type=count, default=100)
    made.add_argument("--trust", nargs="*", type=float, default=[1.0, 0.2])
    made.add_argument("--trainings", type=count, default=20)
    made.add_argument("--images", type=count, default=1000)
    made.add_argument("--seeds", type=count, default=2)
    args = made.parse_args(argv)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    judge = Surrogate(SPACE, Table.read(args.table, SPACE))
    accuracy, costs = search_directly(judge, AIM)
    print(f"best known: {100 * float(AIM.reward(accuracy, costs).max()):.2f}")
    data = load(args.pictures, size=24)
    print("| information | looked at | ImageNet reward of the named network | core-seconds |")
    print("|---|---|---|---|")
    for name in args.scores:
        show(name, args.candidates, judge, [best_of(name, data, args, s) for s in seeds(args)])
    for trust in ("random", *args.trust):
        name = f"short training, {'random' if trust == 'random' else f'auto, trust {trust:g}'}"
        show(name, args.trainings, judge, [trained(trust, data, args, s) for s in seeds(args)])


def seeds(args: argparse.Namespace) -> range:
    return range(args.seeds)


def show(name: str, looked: int, judge: Surrogate, found: list[tuple[Batch, float]]) -> None:
    """One row: what each seed's network is worth."""
    rows = np.stack([row for row, _ in found])
    costs = SPACE.costs(rows).macs.astype(float)
    worth = [f"{100 * reward:.2f}" for reward in AIM.reward(judge(rows), costs)]
    seconds = statistics.median(taken for _, taken in found)
    print(f"| {name} | {looked} | {', '.join(worth)} | {seconds:.0f} |", flush=True)


def best_of(name: str, data: Data, args: argparse.Namespace, seed: int) -> tuple[Batch, float]:
    """The greatest score among random networks of the window."""
    rows = Candidates(SPACE, AIM).draw(args.candidates, np.random.default_rng(seed))
    start = time.process_time()
    score = proxy(name, "cpu")
    values = [score(SPACE.spec_of(row), data, seed).value for row in rows]
    return rows[int(np.argmax(values))], time.process_time() - start


def trained(
    trust: float | str, data: Data, args: argparse.Namespace, seed: int
) -> tuple[Batch, float]:
    """What a search by short trainings names."""
    recipe: Recipe = replace(
        proxy_recipe(data.native_size, "cpu"), images=args.images, held_out=args.images
    )
    study = optuna.create_study(direction="maximize")
    by_chance = trust == "random"
    share = 1.0 if by_chance else float(trust)
    study.sampler = sampler("random" if by_chance else "auto", SPACE, AIM, seed=seed, trust=share)
    start = time.process_time()
    for number in range(args.trainings):
        trial = study.ask()
        drawn = ((n, trial.suggest_categorical(n, v)) for n, v in SPACE.choices.items())
        choices: dict[str, Any] = dict(drawn)
        found = train(SPACE.spec(choices), recipe, data, 1000 * seed + number, "cpu")
        paid = float(SPACE.costs([choices]).macs[0])
        tell(study, trial, AIM, found.accuracy, paid)
    named = study.best_trial.number if by_chance else recommend(study, SPACE, AIM, trust=share)
    return SPACE.indices([study.trials[named].params])[0], time.process_time() - start


if __name__ == "__main__":
    sys.exit(run_command(main))
