"""What scores of untrained networks save or cost a search, on two truths.

    python -m benchmarks.truth.scored CIFAR10 --out results/scored --networks 120 --seeds 20

Pools of networks whose accuracies are known, random ones of half of each table's rows in the
window: ``imagenet`` (Accel-NASBench, T = 400M) and ``macro`` (NAS-Bench-Macro, CIFAR-10, T = 70M).
The sampler ``auto`` searches each pool, told the known accuracies and --noise: without scores, with
each of --scores on the same pictures, with all of them, and with a ``shuffled`` one that is chance.
Of each: trainings until one is within 0.2 points of the pool's best,
median (quartiles), and by what the named network's accuracy falls short after 10 and 20 of them,
median (nine in ten).
With --free nothing is believed beforehand, capacity neither. Scores are kept under --out and asked
for once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from scipy.stats import kendalltau

from benchmarks.support.on_pool import OnPool
from benchmarks.support.surrogate import Table
from benchmarks.truth.beliefs import FILES, halves
from common.command import count, parser
from common.command import run as run_command
from models.spec import ArchSpec
from nas.belief.scores import Scores
from nas.candidates import Candidates, Floats
from nas.objective import Objective
from nas.samplers import tell
from nas.samplers.base import NetworkSampler
from nas.samplers.history import History
from nas.space import Batch, Space, space
from training.data import load
from training.proxies import ZERO_COST, score_all

NEAR = 0.002  # of the pool's best
PICKED = (10, 20)
CHANCE = "shuffled"
AIMS = {"imagenet": Objective(400e6, "hard"), "macro": Objective(70e6, "hard")}


class Search(NamedTuple):
    """Trainings until one was near the best; what the named networks fall short, as ``PICKED``."""

    needed: int
    first: float
    second: float


class Pool(NamedTuple):
    """Networks of the window, and their accuracies."""

    space: Space
    rows: Batch
    accuracy: Floats

    @property
    def specs(self) -> list[ArchSpec]:
        return [self.space.spec_of(row) for row in self.rows]


def main(argv: Sequence[str] | None = None) -> None:
    """For each truth: how scores rank its pool, and a row for each way to search it."""
    args = options().parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data = load(args.pictures, size=24)
    print("| truth, noise | scores | needed | named @10 | named @20 |\n|---|---|---|---|---|")
    for truth in args.truths:
        pool = pool_of(truth, args.half, args.networks)
        kept = Scores(args.scores, score_all(args.scores, data), args.out / f"{truth}.jsonl")
        known = kept(pool.specs)
        for name, column in zip(args.scores, known.T, strict=True):
            tau = kendalltau(column, pool.accuracy).statistic
            print(f"{truth}: τ of {name} with accuracy {tau:.2f}", file=sys.stderr)
        each = kept.seconds / kept.asked
        print(f"{truth}: {each:.2f} s a network for all of them", file=sys.stderr)
        ways = ["none", *args.scores, *(["all"] if len(args.scores) > 1 else []), CHANCE]
        for noise in args.noise:
            for way in ways:
                found = [
                    searched(pool, scores_of(way, kept), AIMS[truth], noise / 100, seed, args.free)
                    for seed in range(args.seeds)
                ]
                print(f"| {truth}, {noise:g} | {way} | {cells(found)} |", flush=True)


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.scored", __doc__ or "")
    made.add_argument("pictures", help="CIFAR-10")
    made.add_argument("--out", type=Path, default=Path("results/scored"))
    made.add_argument("--truths", nargs="+", choices=AIMS, default=list(AIMS))
    made.add_argument("--scores", nargs="+", choices=ZERO_COST, default=["naswot"])
    made.add_argument("--networks", type=count, default=120, help="of each pool")
    made.add_argument("--noise", nargs="+", type=float, default=[0, 0.4, 1], help="points")
    made.add_argument("--half", type=int, choices=(0, 1), default=0, help="of either table")
    made.add_argument("--seeds", type=count, default=20, help="searches each")
    made.add_argument("--free", action="store_true", help="no source is believed beforehand")
    return made


def pool_of(truth: str, half: int, networks: int) -> Pool:
    """Random networks of that half of the table, in the window."""
    if truth == "macro":
        found, *tables = halves()
        searched, table = found.with_template(classes=10), tables[half]
    else:
        searched = space("mbconv").with_template(classes=10)
        every = Table.read(FILES[0], searched)
        mixed = np.random.default_rng(0).permutation(len(every.rows))
        table = every.take(np.array_split(mixed, 2)[half])
    inside = np.asarray(AIMS[truth].admits(searched.costs(table.rows).macs.astype(float)))
    chosen = np.random.default_rng(1).permutation(np.flatnonzero(inside))[:networks]
    return Pool(searched, table.rows[chosen], table.accuracy[chosen])


def scores_of(way: str, kept: Scores) -> Scores | None:
    """What a search is given."""
    if way == "none":
        return None
    if way == CHANCE:
        return Scores([CHANCE], _chance)

    def ask(specs: Sequence[ArchSpec]) -> list[dict[str, float]]:
        return [dict(zip(kept.names, one, strict=True)) for one in kept(specs).tolist()]

    return Scores(kept.names if way == "all" else [way], ask)


def _chance(specs: Sequence[ArchSpec]) -> list[dict[str, float]]:
    """Normal numbers that have nothing to do with the network, always the same of one."""
    drawn = (np.random.default_rng(int(spec.key, 16)).standard_normal() for spec in specs)
    return [{CHANCE: float(one)} for one in drawn]


def searched(
    pool: Pool, scores: Scores | None, aim: Objective, noise: float, seed: int, free: bool
) -> Search:
    """One search until its best training is near the pool's best, and long enough to be named."""
    candidates, rng = Candidates(pool.space, aim), np.random.default_rng([seed, 1])
    made = OnPool(pool.rows, candidates, scores)
    if free:
        made.see.believed = ()
    study = optuna.create_study(
        sampler=NetworkSampler(candidates, made, seed), direction="maximize"
    )
    place = {row.tobytes(): i for i, row in enumerate(pool.rows)}
    best, needed, seen = pool.accuracy.max(), 0, []
    named: list[float] = []
    while not needed or len(named) < len(PICKED):
        trial = study.ask()
        for name, values in pool.space.choices.items():
            trial.suggest_categorical(name, values)
        seen.append(place[pool.space.indices([trial.params])[0].tobytes()])
        accuracy = float(pool.accuracy[seen[-1]])
        if not needed and accuracy >= best - NEAR:
            needed = len(seen)
        cost = float(candidates.costs(pool.rows[seen[-1:]])[0])
        tell(study, trial, aim, accuracy + noise * rng.standard_normal(), cost)
        if len(seen) in PICKED:
            number = made.recommend(History(candidates, study))
            named.append(best - float(pool.accuracy[seen[number]]))
    return Search(needed, *named)


def cells(found: Sequence[Search]) -> str:
    """The columns of one way."""
    needed, *named = np.array(found).T
    low, middle, high = np.quantile(needed, [0.25, 0.5, 0.75])
    lost = [f"{100 * np.median(one):.2f} ({100 * np.quantile(one, 0.9):.2f})" for one in named]
    return " | ".join([f"{middle:g} ({low:g}–{high:g})", *lost])


if __name__ == "__main__":
    sys.exit(run_command(main))
