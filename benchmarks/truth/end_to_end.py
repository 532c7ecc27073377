"""The whole search for real: how good the network is that so many core-minutes name.

    python -m benchmarks.truth.end_to_end CIFAR10 --out pool.csv --networks 200 --seeds 20

First the networks of a pool are trained, as ``nas.search`` trains its candidates on a CPU (2,000
pictures, 2 epochs, 24 pixels), and scored untrained; and a parent of the search's own is trained,
by whose weights they are scored too, as with ``--init own``: ``benchmarks.truth.pool`` keeps what
each came to, and what is there is not done again. The pool stands for the window, 35M to 70M
multiply-adds of NAS-Bench-Macro's rows, whose accuracies after 50 epochs are known. Then whole
searches are replayed on this table for --minutes of one core: trainings, scores and the parent are
paid at what they took. Each seed has a random part of the pool (--share), lest one network's luck
be every seed's. A search whose minutes would buy more than there is has trained all of it.

Ways: random search and Optuna's TPE (of each proposal the network of the pool most like it) name
the best that they saw; ``auto`` searches the pool by its model (``nas.samplers.auto``) and names
the best expected one. ``acc``: told accuracies; ``loss``: losses too, which stand in for the
accuracies of random search and TPE, where auto learns from both; ``prob``: losses and the mean
probability of the own class, as searches are told (``trials.signal``); ``own``: the same of scores
by the parent's weights; ``+ NAME``: auto with that score of untrained networks, those included by
which it is standardised. ``NAME alone`` trains nothing and names the best score. Of each: what the
named network's own accuracy lacks of the best there, in points, median (quartiles), how many seeds
came within half a point, and trainings. Where the minutes pay for the parent alone, a network is
named by chance.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial
from scipy.stats import kendalltau

from benchmarks.support.on_pool import OnPool
from benchmarks.support.rankings import ALIKE, at_equal_cost
from benchmarks.truth.pool import AIM, SCORES, SPACE, Pool, ask, build, read, window
from common.command import count, parser
from common.command import run as run_command
from models.spec import ArchSpec
from nas.belief.scores import Scores
from nas.candidates import Candidates
from nas.samplers import tell
from nas.samplers.auto import Auto
from nas.samplers.base import NetworkSampler
from nas.samplers.borrowed import Borrowed
from nas.samplers.history import History
from nas.space import Batch
from trials.signal import together

WITHIN = 0.005  # of the best: the goal
SIGNALS = ("acc", "loss", "prob", "own")
WAYS = tuple(f"{way}, {signal}" for way in ("random", "tpe", "auto") for signal in SIGNALS)


class Named(NamedTuple):
    """By what a search's network falls short of the best there, after so many trainings."""

    lost: float
    trained: int


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, then print how signals rank the pool, and a row for each way."""
    args = options().parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    build(args.out, args.pictures, args.networks, args.half)
    pool, minutes = read(args.out, args.networks), sorted(args.minutes)
    best, median = pool.truth.max(), np.median(pool.truth)
    print(
        f"{len(pool.rows)} networks, {pool.scratch.seconds.mean():.1f} core-seconds a training; an "
        f"own parent takes {pool.raised:.0f}, a score by it {pool.own.seconds.mean():.1f}; the "
        f"best has {100 * best:.2f} %, the window's {100 * window(args.half)[1].max():.2f} %; the "
        f"median one lacks {100 * (best - median):.2f} points\n"
    )
    print("\n".join(agreements(pool)))
    print(f"\n| search | {' | '.join(f'{m:g} core-minutes' for m in minutes)} |")
    print("|---" * (len(minutes) + 1) + "|")
    kept = Scores(SCORES, ask(args.pictures), args.out.with_suffix(".reference.jsonl"))
    many = round(args.share * len(pool.rows))
    drawn = (np.random.default_rng([seed, 2]) for seed in range(args.seeds))
    parts = [pool.part(rng.permutation(len(pool.rows))[:many]) for rng in drawn]
    scored = [f"auto, prob + {one}" for one in args.scores]
    for way in (*args.ways, *scored):
        found = [replay(part, way, seed, minutes, kept) for seed, part in enumerate(parts)]
        cells = " | ".join(cell(one) for one in zip(*found, strict=True))
        print(f"| {way} | {cells} |", flush=True)
    for name in args.scores:
        seconds = pool.score_seconds[name].mean() * many
        named = cell([alone(part, name) for part in parts])
        print(f"\n{name} alone, of all networks in {seconds:.0f} core-seconds: {named}")


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.end_to_end", __doc__ or "")
    made.add_argument("pictures", help="CIFAR-10")
    made.add_argument("--out", type=Path, required=True, help="the table, a CSV file")
    made.add_argument("--networks", type=count, default=200, help="of the pool")
    made.add_argument("--half", type=int, choices=(0, 1), default=1, help="of the known rows")
    made.add_argument("--seeds", type=count, default=20, help="searches each")
    made.add_argument("--share", type=float, default=0.67, help="of the pool, each seed's own")
    made.add_argument("--minutes", nargs="+", type=float, default=[10, 20, 40, 60])
    made.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="and those of --scores")
    made.add_argument("--scores", nargs="*", choices=SCORES, default=["naswot"])
    return made


def agreements(pool: Pool) -> Iterator[str]:
    """Kendall's τ of every signal with the truth: of all, and at equal multiply-adds."""
    macs = SPACE.costs(pool.rows).macs.astype(float)
    signals, taken = dict(pool.scores), dict(pool.score_seconds)
    for way, told in (("from scratch", pool.scratch), ("own parent", pool.own)):
        for name, sign in (("accuracy", 1), ("loss", -1), ("probability", 1)):
            signals[f"{way}: {name}"] = sign * getattr(told, name)
            taken[f"{way}: {name}"] = told.seconds
    yield f"| signal | τ | τ at equal multiply-adds (within {ALIKE:.0%}) | core-seconds |"
    yield "|---|---|---|---|"
    for name, values in signals.items():
        near = at_equal_cost(values, pool.truth, macs)
        tau = kendalltau(values, pool.truth).statistic
        yield f"| {name} | {tau:.2f} | {near:.2f} | {taken[name].mean():.1f} |"


def cell(found: Sequence[Named]) -> str:
    """Of one way and budget."""
    lost = np.array([one.lost for one in found])
    low, middle, high = 100 * np.quantile(lost, [0.25, 0.5, 0.75])
    return (
        f"{middle:.2f} ({low:.2f}–{high:.2f}), {np.sum(lost <= WITHIN)} of {len(found)}; "
        f"{np.median([one.trained for one in found]):.0f} trained"
    )


def replay(pool: Pool, way: str, seed: int, minutes: Sequence[float], kept: Scores) -> list[Named]:
    """What one search names when each of the minutes, rising, or the pool is spent."""
    search = Search(pool, way, seed, kept)
    found: list[Named] = []
    for each in minutes:
        while search.affords(60 * each):
            search.train()
        found.append(search.named())
    return found


def alone(pool: Pool, name: str) -> Named:
    """What the best score names, of all the pool's networks."""
    lost = pool.truth.max() - pool.truth[np.argmax(pool.scores[name])]
    return Named(float(lost), 0)


class Search:
    """One search of the pool, ``way`` as the page names it."""

    def __init__(self, pool: Pool, way: str, seed: int, kept: Scores) -> None:
        name, _, score = way.partition(" + ")
        self._method, _, self._signal = name.partition(", ")
        self._pool, self._paid = pool, Paid(pool, score, kept) if score else None
        self._scores = Scores([score], self._paid) if self._paid else None
        self._sampler = self._made(seed)
        self._study = optuna.create_study(direction="maximize", sampler=self._sampler)
        self._place = {row.tobytes(): i for i, row in enumerate(pool.rows)}
        self._trained: list[int] = []
        self._next: tuple[optuna.Trial, int] | None = None  # proposed, its place in the pool
        own = self._signal == "own"
        self._told = pool.own if own else pool.scratch
        self._spent = pool.raised if own else 0.0

    def affords(self, seconds: float) -> bool:
        """Whether so many core-seconds in all pay for another training, and there is one."""
        if self._next is None and len(self._trained) < len(self._pool.rows):
            trial = self._study.ask()
            for name, values in SPACE.choices.items():
                trial.suggest_categorical(name, values)
            self._next = trial, self._place[SPACE.indices([trial.params])[0].tobytes()]
        if self._next is None:
            return False
        scored = self._paid.spent if self._paid else 0.0
        return self._spent + scored + float(self._told.seconds[self._next[1]]) <= seconds

    def train(self) -> None:
        """Finish what was proposed as its training came out."""
        if self._next is None:
            raise RuntimeError("nothing was proposed")
        (trial, at), self._next = self._next, None
        accuracy, *more = (float(values[at]) for values in self._told[:3])
        loss = None if self._signal == "acc" else more[0]
        given = more[1] if self._signal in ("prob", "own") else None
        if self._method != "auto" and loss is not None:  # others have no model of their own
            merit = math.exp(-loss)
            accuracy = merit if given is None else together(given, merit)
        cost = float(SPACE.costs(self._pool.rows[[at]]).macs[0])
        tell(self._study, trial, AIM, accuracy, cost, loss, given)
        self._trained.append(at)
        self._spent += float(self._told.seconds[at])

    def named(self) -> Named:
        """Of what was trained; one by chance while nothing is, or as long as minutes that are
        spent on a parent do not pay for a score by it."""
        if not self._trained:
            lost = self._pool.truth.max() - self._pool.truth[0]  # of a part in a random order
            return Named(float(lost), 0)
        method, number = self._sampler.method, self._study.best_trial.number
        if isinstance(method, Auto):
            number = method.recommend(History(self._sampler.candidates, self._study))
        truth = self._pool.truth
        return Named(float(truth.max() - truth[self._trained[number]]), len(self._trained))

    def _made(self, seed: int) -> NetworkSampler:
        candidates = Candidates(SPACE, AIM)
        if self._method == "auto":
            return NetworkSampler(
                candidates, OnPool(self._pool.rows, candidates, self._scores), seed
            )
        if self._method == "random":
            return NetworkSampler(candidates, AtRandom(self._pool), seed)
        return NetworkSampler(candidates, Nearest(self._pool, candidates, self._method), seed)


class AtRandom:
    """The pool in a random order."""

    def __init__(self, pool: Pool) -> None:
        self._rows = pool.rows

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        yield from (row for row in rng.permutation(self._rows) if row not in history.taken)


class Nearest:
    """One of Optuna's methods; the pool's network that shares most layers with its proposal."""

    def __init__(self, pool: Pool, candidates: Candidates, name: str) -> None:
        self._rows, self._inner = pool.rows, Borrowed(candidates, name)

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        left = rng.permutation([row for row in self._rows if row not in history.taken])
        for proposed in self._inner.propose(study, trial, history, rng):
            yield left[np.argmax((left == proposed).sum(1))]


class Paid:
    """A score of the table's networks; of others, by which those are standardised, from ``kept``,
    paid at what the table's took in the mean."""

    def __init__(self, pool: Pool, name: str, kept: Scores) -> None:
        self._name, self._kept, self.spent = name, kept, 0.0
        self._values, self._seconds = pool.scores[name], pool.score_seconds[name]
        self._place = {SPACE.spec_of(row).key: i for i, row in enumerate(pool.rows)}

    def __call__(self, specs: Sequence[ArchSpec]) -> list[dict[str, float]]:
        return [{self._name: self._of(spec)} for spec in specs]

    def _of(self, spec: ArchSpec) -> float:
        at = self._place.get(spec.key)
        if at is None:
            self.spent += float(self._seconds.mean())
            return float(self._kept([spec])[0, self._kept.names.index(self._name)])
        self.spent += float(self._seconds[at])
        return float(self._values[at])


if __name__ == "__main__":
    sys.exit(run_command(main))
