"""How many trainings each sampler needs, on accuracies that were measured.

    python -m benchmarks.truth.search_quality --data accel_nasbench_dev.csv.gz --quick

A surrogate (``benchmarks.support.surrogate``), fitted to three quarters of the rows, stands in for
training; its R² and Kendall's τ on the last quarter, which also serves as prior, are printed
first. Tasks: reward; noisy (reward, 0.4 points of noise on each training); hard; front; table
(reward; only measured rows can be trained: a proposal is moved to the nearest that was not).
Samplers are those of ``nas.samplers``, and four variants of auto: auto-8 (eight trainings in
flight), auto-prior, auto-shuffled (the prior's accuracies shuffled), auto-misled (the prior ranks
its networks by how few parameters they have). Finished runs are kept under
--out, by task, sampler and seed: an interrupted benchmark goes on where it was. After a change to a
sampler, choose another --out.

Regret is the best reward that evolution directly on the surrogate found minus the true reward of
the best network so far (noisy: of the recommended one), times 100. For front: percent of the best
known hypervolume that is missing. "needed" is the number of trainings until the best true value so
far reaches the median of TPE's last (front: NSGA-II's); ∞ is never within the trainings run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.trial import TrialState

from benchmarks.support.quality_report import write_report
from benchmarks.support.surrogate import Surrogate, Table, scores, search_directly
from common.command import count, parser
from common.command import run as run_command
from nas.objective import Objective
from nas.prior import Prior
from nas.samplers import NAMES, outcome, recommend, sampler, tell
from nas.space import Batch, space

SHARED = Path(os.environ.get("EVENSCALE_SHARED", Path(__file__).parents[3] / "shared"))
DATA = SHARED / "data" / "accel_nasbench_dev.csv.gz"
TASKS = ("reward", "noisy", "hard", "front", "table")
VARIANTS = ("auto-8", "auto-prior", "auto-shuffled", "auto-misled")
REFERENCES = {"front": "nsga2"}  # the sampler whose last value is to be reached; else tpe
QUICK = ("auto", "tpe", "nsga2", "random", "evolution", "controller")
BUDGET = 400e6
NOISE = 0.004
PICKED = (20, 50, 60, 100, 200, 300)
SPACE = space("mbconv")


class World(NamedTuple):
    """What can be trained: the surrogate, or the rows of a table."""

    surrogate: Surrogate
    table: Table
    prior: Table


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    world = prepare(args.data, args.out)
    ideal = {task: best_known(world, task, args.out) for task in args.aim}
    for task, name, seed, trials in plan_runs(args):
        file = args.out / f"{task}.{name}.{seed}.json"
        if not file.exists() or len(json.loads(file.read_text())["accuracy"]) < trials:
            start = time.perf_counter()
            found = run(world, task, name, seed, trials)
            keep(file, {**found, "seconds": time.perf_counter() - start})
            print(f"{file.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    write_report(args.out, list(args.aim), ideal, REFERENCES)


def keep(file: Path, facts: dict[str, object]) -> None:
    """Write at once or not at all: an interrupted benchmark leaves no half file."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps(facts))
    half.replace(file)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    command = parser("benchmarks.truth.search_quality", __doc__ or "")
    command.add_argument("--data", type=Path, default=DATA, help="Accel-NASBench rows")
    command.add_argument(
        "--samplers",
        nargs="+",
        choices=(*NAMES, *VARIANTS),
        default=[name for name in (*NAMES, *VARIANTS) if name != "gp"],
    )
    command.add_argument("--aim", nargs="+", choices=TASKS, default=TASKS)
    command.add_argument("--seeds", type=count, default=15, help="searches each")
    command.add_argument("--trials", type=count, default=300, help="trainings each")
    command.add_argument("--quick", action="store_true", help="3 seeds, 60 trainings, few samplers")
    command.add_argument(
        "--out", type=Path, default=Path("results/search-quality"), help="where runs are kept"
    )
    args = command.parse_args(argv)
    if args.quick:
        args.seeds, args.samplers, args.aim = 3, QUICK, ("reward", "hard", "front")
    return args


def plan_runs(args: argparse.Namespace) -> Iterator[tuple[str, str, int, int]]:
    """(task, sampler, seed, trials), the references first."""
    for task in args.aim:
        reference = REFERENCES.get(task, "tpe")
        others = [name for name in args.samplers if name != reference]
        for name in [reference, *others]:
            if task == "table" and name.startswith(("nsga", "auto-")):
                continue  # NSGA's generations cannot hold a row it did not propose
            short = args.quick and name != reference
            for seed in range(args.seeds):
                yield task, name, seed, min(60, args.trials) if short else args.trials


def prepare(data: Path, out: Path) -> World:
    """Fit the surrogate, or read the one that an earlier start fitted to the same file."""
    table = Table.read(data, SPACE)
    order = np.random.default_rng(0).permutation(len(table.rows))
    prior, fitted = (table.take(part) for part in np.split(order, [len(order) // 4]))
    kept = out / f"surrogate-{hashlib.sha256(data.read_bytes()).hexdigest()[:12]}.pickle"
    if kept.exists():
        surrogate = pickle.loads(kept.read_bytes())
    elif any(out.glob("surrogate-*.pickle")):
        raise ValueError(f"{out} holds runs on other data than {data}: choose another --out")
    else:
        surrogate = Surrogate(SPACE, fitted)
        kept.write_bytes(pickle.dumps(surrogate))
    surrogate.space = SPACE
    r2, tau = scores(surrogate, prior)
    print(
        f"surrogate: {len(fitted.rows)} rows, held out {len(prior.rows)}: R² {r2:.3f}, τ {tau:.3f}"
    )
    return World(surrogate, table, prior)


def objective_of(task: str) -> Objective:
    return Objective(BUDGET, {"noisy": "reward", "table": "reward"}.get(task, task))


def best_known(world: World, task: str, out: Path) -> dict[str, list[float]]:
    """Accuracy and cost of the best that searching the surrogate directly finds."""
    file = out / f"best.{task}.json"
    if not file.exists():
        objective = objective_of(task)
        if task == "table":
            accuracy, rows = world.table.accuracy, world.table.rows
            costs = SPACE.costs(rows).macs.astype(float)
            inside = np.asarray(objective.admits(costs))
            accuracy, costs = accuracy[inside], costs[inside]
        else:
            accuracy, costs = search_directly(world.surrogate, objective)
        keep(file, {"accuracy": accuracy.tolist(), "cost": costs.tolist()})
    known: dict[str, list[float]] = json.loads(file.read_text())
    return known


def run(world: World, task: str, name: str, seed: int, trials: int) -> dict[str, object]:
    """One search: true accuracy and cost of each training, and what was recommended when."""
    objective = objective_of(task)
    rng = np.random.default_rng([seed, 1])
    study = optuna.create_study(directions=objective.directions)
    prior = prior_for(world, name, rng)
    study.sampler = sampler(name.split("-")[0], SPACE, objective, seed=seed, prior=prior)
    workers = 8 if name == "auto-8" else 1
    accuracy: list[float] = []
    cost: list[float] = []
    picks: dict[int, int] = {}
    asked: list[tuple[optuna.Trial, Batch]] = []
    numbers: dict[int, int] = {}  # of trials → position among the trainings
    inside = objective.admits(SPACE.costs(world.table.rows).macs.astype(float))
    free = set(np.flatnonzero(inside).tolist())  # rows of the table that were not trained yet
    while len(accuracy) < trials:
        while len(asked) < min(workers, trials - len(accuracy)):
            trial = study.ask()
            drawn = ((n, trial.suggest_categorical(n, v)) for n, v in SPACE.choices.items())
            choices: dict[str, Any] = dict(drawn)
            asked.append((trial, SPACE.indices([choices])))
        trial, row = asked.pop(0)
        if task == "table":
            at = nearest(world.table, row, free)
            free.discard(at)
            row, true = world.table.rows[at : at + 1], float(world.table.accuracy[at])
        else:
            true = float(world.surrogate(row)[0])
        paid = float(SPACE.costs(row).macs[0])
        seen = true + (NOISE * rng.standard_normal() if task == "noisy" else 0)
        number = told(study, trial, row if task == "table" else None, objective, (seen, paid))
        numbers[number] = len(cost)
        accuracy.append(true)
        cost.append(paid)
        if task == "noisy" and len(cost) in PICKED:
            picks[len(cost)] = pick(study, objective, name, prior, numbers)
    return {"accuracy": accuracy, "cost": cost, "picks": picks}


def told(
    study: optuna.Study,
    trial: optuna.Trial,
    instead: Batch | None,
    objective: Objective,
    found: tuple[float, float],
) -> int:
    """Tell the trial its accuracy and cost, or fail it and add the row that was trained in its
    place; its number."""
    if instead is None:
        tell(study, trial, objective, *found)
        return trial.number
    study.tell(trial, state=TrialState.FAIL)
    made = optuna.trial.create_trial(
        params=SPACE.values(instead[0]),
        distributions=trial.distributions,
        values=objective.values(*found),
        user_attrs=outcome(*found),
    )
    study.add_trial(made)
    return len(study.get_trials(deepcopy=False)) - 1


def pick(
    study: optuna.Study,
    objective: Objective,
    name: str,
    prior: Prior | None,
    numbers: dict[int, int],
) -> int:
    """Position of the recommended training: by the model for auto, else the best observed."""
    if name.startswith("auto"):
        return numbers[recommend(study, SPACE, objective, prior=prior)]
    return numbers[study.best_trial.number]


def prior_for(world: World, name: str, rng: np.random.Generator) -> Prior | None:
    if name == "auto-prior":
        return Prior(world.prior.rows, world.prior.accuracy)
    if name == "auto-shuffled":
        return Prior(world.prior.rows, rng.permutation(world.prior.accuracy))
    if name == "auto-misled":
        return Prior(world.prior.rows, -np.log(SPACE.costs(world.prior.rows).params))
    return None


def nearest(table: Table, row: Batch, free: set[int]) -> int:
    """The row among ``free`` whose choices differ least."""
    left = np.array(sorted(free))
    away = np.abs(SPACE.encode(table.rows[left]) - SPACE.encode(row)).sum(1)
    return int(left[np.argmin(away)])


if __name__ == "__main__":
    sys.exit(run_command(main))
