"""Two truths: how good a network a search names, and what each source of belief costs or saves it.

    python -m benchmarks.truth.beliefs --half 1 --out results/beliefs

Tasks of ``imagenet`` (space ``mbconv``, T = 400M): a surrogate fitted to half of Accel-NASBench's
rows (``benchmarks.support.surrogate``) stands in for training; reward, hard, front, and noisy (0.4
points of normal noise on each training). Tasks of ``macro`` (CIFAR-10, T = 55M and 70M; 0, 0.4
and 1 points of noise): only networks in half of NAS-Bench-Macro's rows can be trained, at the mean
of their three measured accuracies; for every sampler, any other is outside of the window.

What was chosen about the model was chosen on half 0 of either table: judge on half 1. A prior is
the other half's rows. Samplers are those of ``nas.samplers`` (named: the best seen) and variants of
auto (named: the best posterior mean): auto-free believes in no source beforehand; auto-prior,
auto-shuffled and auto-misled (fewest parameters first) have a good prior and two bad ones;
auto-focused trains nothing for the front's sake; auto-imagenet has what the package knows of
ImageNet: as shipped on the tasks of ``macro``, and on those of ``imagenet`` the same fit to the
other half's rows alone. "needed" is the trainings until the best so far is as good as the
reference's last, or on ``macro`` lacks at most 0.1 points. Finished
runs are kept under --out; after a change to a sampler, choose another.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import optuna

from benchmarks.support.surrogate import Surrogate, Table, search_directly
from benchmarks.truth.search_quality import SHARED, keep
from common.command import count, parser
from common.command import run as run_command
from nas.candidates import CostOf, Floats
from nas.costing import ClosedForm
from nas.objective import Objective
from nas.pareto import hypervolume
from nas.prior import AnyPrior, Prior, nas_bench_macro_choices
from nas.prior import imagenet as imagenet_prior
from nas.prior.fit import fit, rows_of
from nas.samplers import NAMES, sampler, tell
from nas.samplers.auto import Auto
from nas.samplers.base import NetworkSampler
from nas.samplers.history import History
from nas.space import Batch, Space, space

IMAGENET = {"reward": 0.0, "hard": 0.0, "front": 0.0, "noisy": 0.004}
MACRO = {f"{t}M-{noise:g}": noise / 100 for t in (55, 70) for noise in (0, 0.4, 1)}
VARIANTS = (
    "auto-free",
    "auto-prior",
    "auto-shuffled",
    "auto-misled",
    "auto-imagenet",
    "auto-focused",
)
REFERENCES = {"reward": "tpe", "hard": "tpe", "front": "nsga2"}  # whose last value is to be reached
WITHIN = 0.1  # points of the best of a window, which are to be reached on the tasks of ``macro``
PICKED = (10, 20, 30, 40, 60)
WORST = (0.45, 400e6)  # of the hypervolume: least accuracy, greatest cost
FILES = (
    SHARED / "data" / "accel_nasbench_dev.csv.gz",
    SHARED / "data" / "nas_bench_macro_dev.csv.gz",
)


class World(NamedTuple):
    """A task: its truth of one row (1, D), what the best known networks reach, another table."""

    space: Space
    objective: Objective
    truth: Callable[[Batch], float]
    noise: float
    cost: CostOf
    best: tuple[Floats, Floats]  # accuracies and costs
    other: Table


class Run(NamedTuple):
    """A search: after each training what the best so far lacks (points of reward, or percent of the
    front's hypervolume), by the number of trainings what the named network lacks, and the
    processor seconds that its proposals took."""

    loss: list[float]
    named: dict[int, float]
    seconds: float


Make = Callable[[World, str, int, np.random.Generator], NetworkSampler]


@runtime_checkable
class Recommends(Protocol):
    """A method with a rule of its own by which one network is named."""

    def recommend(self, history: History) -> int: ...


class Measured(ClosedForm):
    """Multiply-adds of the networks of a table; all others are never in a window."""

    def __init__(self, searched: Space, rows: Batch) -> None:
        super().__init__(searched, "macs")
        self._radix = np.cumprod(np.append(1, searched.sizes[:-1]))
        self._known = np.zeros(searched.size, dtype=bool)
        self._known[rows @ self._radix] = True

    def costs(self, rows: Batch) -> Floats:
        found: Floats = np.where(self._known[rows @ self._radix], super().costs(rows), np.inf)
        return found


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lines = []
    for task in args.tasks:
        goal = WITHIN if task in MACRO else None
        reference = REFERENCES.get(task)
        if reference and args.reference:
            seeds = range(args.reference_seeds)
            value = [run(args, task, reference, seed, args.reference) for seed in seeds]
            goal = float(np.median([one.loss[-1] for one in value]))
            lines.append(line(task, f"{reference} to {args.reference}", value, goal))
        for name in args.samplers:
            found = [run(args, task, name, seed, args.trials) for seed in range(args.seeds)]
            lines.append(line(task, name, found, goal))
            print(lines[-1], file=sys.stderr, flush=True)
    heads = ["task", "sampler", "runs", "needed", *(f"named @{at}" for at in PICKED)]
    print("\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines]))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    command = parser("benchmarks.truth.beliefs", __doc__ or "")
    tasks = [*IMAGENET, *MACRO]
    command.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    command.add_argument(
        "--samplers", nargs="+", choices=(*NAMES, *VARIANTS), default=["auto", "auto-free", "tpe"]
    )
    command.add_argument("--half", type=int, choices=(0, 1), default=1, help="of either table")
    command.add_argument("--seeds", type=count, default=15, help="searches each")
    command.add_argument("--trials", type=count, default=60, help="trainings each")
    command.add_argument(
        "--reference", type=int, default=300, help="trainings of the reference; 0: none"
    )
    command.add_argument("--reference-seeds", type=count, default=5, help="its searches")
    command.add_argument("--out", type=Path, default=Path("results/beliefs"))
    return command.parse_args(argv)


def line(task: str, name: str, found: list[Run], goal: float | None) -> str:
    """A row of the table."""
    cells = [task, name, str(len(found)), "" if goal is None else needed(found, goal)]
    return "| " + " | ".join([*cells, *(lacking(found, at) for at in PICKED)]) + " |"


def lacking(found: list[Run], at: int) -> str:
    """What the network lacks that is named after so many trainings: median (nine in ten)."""
    lost = [one.named[at] for one in found if at in one.named]
    if not lost:
        return ""
    return f"{np.median(lost):.2f} ({np.quantile(lost, 0.9, method='higher'):.2f})"


def needed(found: list[Run], goal: float) -> str:
    """Trainings until the best so far reaches the goal: median (quartiles)."""
    reached = [next((i for i, x in enumerate(one.loss, 1) if x <= goal), np.inf) for one in found]
    low, middle, high = np.quantile(reached, [0.25, 0.5, 0.75], method="higher")
    return f"{middle:g} ({low:g}–{high:g})".replace("inf", "∞")


def run(
    args: argparse.Namespace, task: str, name: str, seed: int, trials: int, make: Make | None = None
) -> Run:
    """One search, or what was kept of it; ``make`` as in ``searched``."""
    file = args.out / f"half{args.half}.{task}.{name}.{seed}.json"
    stored = json.loads(file.read_text()) if file.exists() else {"accuracy": []}
    made = world(args.out, task, args.half)
    if len(stored["accuracy"]) < trials:
        stored = searched(made, name, seed, trials, make or variant)
        keep(file, stored)
    accuracy, cost = np.array(stored["accuracy"]), np.array(stored["cost"])
    seconds = float(stored.get("seconds", np.nan))  # of runs kept by an earlier version
    if made.objective.aim == "front":
        most = hypervolume(*made.best, WORST)
        part = [hypervolume(accuracy[:n], cost[:n], WORST) for n in range(1, len(cost) + 1)]
        lost = (100 * (1 - np.array(part) / most)).tolist()
        return Run(lost, {at: lost[at - 1] for at in PICKED if at <= len(lost)}, seconds)
    reward = 100 * made.objective.reward(accuracy, cost)
    best = 100 * float(made.objective.reward(*made.best).max())
    named = {int(at): best - float(reward[i]) for at, i in stored["named"].items()}
    return Run((best - np.maximum.accumulate(reward)).tolist(), named, seconds)


def searched(made: World, name: str, seed: int, trials: int, make: Make) -> dict[str, Any]:
    """True accuracies, costs, which training was named after how many, and the processor seconds
    of all proposals; ``make`` makes the sampler of that name and seed."""
    rng, objective = np.random.default_rng([seed, 1]), made.objective
    study = optuna.create_study(directions=objective.directions)
    study.sampler = method = make(made, name, seed, rng)
    accuracy: list[float] = []
    cost: list[float] = []
    named: dict[int, int] = {}
    seconds = 0.0
    for done in range(1, trials + 1):
        begun = time.process_time()
        trial = study.ask()
        for choice, values in made.space.choices.items():
            trial.suggest_categorical(choice, values)
        seconds += time.process_time() - begun
        row = made.space.indices([trial.params])
        accuracy.append(made.truth(row))
        cost.append(float(made.space.costs(row).macs[0]))
        seen = accuracy[-1] + made.noise * rng.standard_normal()
        tell(study, trial, objective, seen, cost[-1])
        if objective.aim != "front" and done in PICKED:
            named[done] = pick(study, method)
    return {"accuracy": accuracy, "cost": cost, "named": named, "seconds": seconds}


def variant(made: World, name: str, seed: int, rng: np.random.Generator) -> NetworkSampler:
    """A sampler of ``nas.samplers`` or a variant of auto."""
    method = sampler(
        name.split("-")[0], made.space, made.objective, seed=seed, cost=made.cost,
        prior=prior_for(made, name, rng),
    )  # fmt: skip
    if name == "auto-free" and isinstance(method.method, Auto):
        method.method.see.believed = ()
    if name == "auto-focused" and isinstance(method.method, Auto):
        method.method.along = None
    return method


def pick(study: optuna.Study, method: NetworkSampler) -> int:
    if isinstance(method.method, Recommends):
        return method.method.recommend(History(method.candidates, study))
    return study.best_trial.number


def prior_for(made: World, name: str, rng: np.random.Generator) -> AnyPrior | None:
    rows, accuracy = made.other.rows, made.other.accuracy
    if name == "auto-imagenet" and made.space.name == "macro":
        return imagenet_prior()
    if name == "auto-imagenet":
        return fit(rows_of(made.space, rows, accuracy), "half", "", "", "")
    if name == "auto-prior":
        return Prior(rows, accuracy)
    if name == "auto-shuffled":
        return Prior(rows, rng.permutation(accuracy))
    if name == "auto-misled":
        return Prior(rows, -np.log(made.space.costs(rows).params))
    return None


@lru_cache
def world(out: Path, task: str, half: int) -> World:
    return imagenet(out, task, half) if task in IMAGENET else macro(task, half)


def imagenet(out: Path, task: str, half: int) -> World:
    searched, objective = space("mbconv"), Objective(400e6, "reward" if task == "noisy" else task)
    table = Table.read(FILES[0], searched)
    parts = np.array_split(np.random.default_rng(0).permutation(len(table.rows)), 2)
    kept = out / f"surrogate{half}.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(Surrogate(searched, table.take(parts[half]))))
    surrogate: Surrogate = pickle.loads(kept.read_bytes())
    best = search_directly(surrogate, objective)
    truth = partial(_first, surrogate)
    return World(
        searched, objective, truth, IMAGENET[task], "macs", best, table.take(parts[1 - half])
    )


def _first(surrogate: Surrogate, row: Batch) -> float:
    return float(surrogate(row)[0])


@lru_cache
def halves() -> tuple[Space, Table, Table]:
    """Both halves of NAS-Bench-Macro's rows; rows of one network lie in one half."""
    searched = space("macro")
    with gzip.open(FILES[1], "rt") as file:
        lines = list(csv.DictReader(file))
    rows = searched.indices([nas_bench_macro_choices(one["architecture"]) for one in lines])
    table = Table(rows, np.array([float(one["cifar10_top1_percent"]) / 100 for one in lines]))
    keys, network = np.unique([searched.spec_of(row).key for row in rows], return_inverse=True)
    second = np.random.default_rng(0).permutation(len(keys))[network] % 2 == 1
    return searched, table.take(np.flatnonzero(~second)), table.take(np.flatnonzero(second))


def macro(task: str, half: int) -> World:
    searched, *tables = halves()
    table, objective = tables[half], Objective(float(task.split("M")[0]) * 1e6)
    known = {row.tobytes(): float(one) for row, one in zip(table.rows, table.accuracy, strict=True)}
    cost = Measured(searched, table.rows)
    costs = cost.costs(table.rows)
    inside = np.asarray(objective.admits(costs))
    best = table.accuracy[inside], costs[inside]

    def truth(row: Batch) -> float:
        return known[row[0].tobytes()]

    return World(searched, objective, truth, MACRO[task], cost, best, tables[1 - half])


if __name__ == "__main__":
    sys.exit(run_command(main))
