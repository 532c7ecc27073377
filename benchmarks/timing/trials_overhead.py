"""What a trial costs beside its training: milliseconds and memory of the driver.

    python -m benchmarks.timing.trials_overhead                    # 100, 1,000 and 10,000 trials
    python -m benchmarks.timing.trials_overhead --trials 100000 --storage journal --sampler none
    python -m benchmarks.timing.trials_overhead --trials 100000 --fill 99800 --sampler random
    python -m benchmarks.timing.trials_overhead --speedup          # one worker against two

Evaluations return at once, in the driver's process. ``none`` is the machinery by itself: its
networks come from a fixed list and Optuna is asked for nothing. Each line is a fresh process that
runs the whole study, or fills it with finished trials first and runs the rest, and reports of the
last tenth (where filled, of those that were run) the mean wall time of a trial, its processor time,
which other work on the machine hardly changes, and the wall time of its proposal; and the process's
greatest memory beyond that of an empty run. ``postgres`` is a server of its own on this machine,
which does not sync (``fsync=off``). For ``--speedup``, 40 evaluations that sleep a second are made
by one worker process and by two.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count as counting
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import create_trial

from benchmarks.support import postgres
from common.command import count, parser
from common.command import run as run_command
from models.cost import cost
from models.spec import ArchSpec
from nas.costing import Floats
from nas.objective import Objective
from nas.samplers import sampler
from nas.space import space
from trials.loop import Propose, run_trials
from trials.record import as_evaluation
from trials.store.run import Run
from trials.store.study import open_run
from trials.store.view import Proposal, Record
from trials.workers.pool import InProcess, ProcessPool

STORAGES = ("memory", "journal", "sqlite", "postgres")
SAMPLERS = ("none", "random", "evolution", "auto")
SPACE = space("mnasnet")
SPECS = [SPACE.spec_of(row) for row in SPACE.random(50, np.random.default_rng(0))]
PRICES = [{"cost": found.macs, **found._asdict()} for found in map(cost, SPECS)]


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line for each study; ``--one`` is what a fresh process runs."""
    made = parser("benchmarks.timing.trials_overhead", __doc__ or "")
    made.add_argument("--trials", type=count, nargs="+", default=[100, 1_000, 10_000])
    made.add_argument("--storage", nargs="+", choices=STORAGES, default=["memory", "journal"])
    made.add_argument("--sampler", nargs="+", choices=SAMPLERS, default=["none", "random"])
    made.add_argument("--fill", type=int, default=0, help="of the trials, those put there finished")
    made.add_argument("--speedup", action="store_true", help="one worker against two instead")
    made.add_argument("--one", help=argparse.SUPPRESS)
    args = made.parse_args(argv)
    if args.one:
        print(json.dumps(measured(*args.one.split(","))))
    elif args.speedup:
        speedup()
    else:
        table(args)


def table(args: argparse.Namespace) -> None:
    """Every combination, each in a process of its own."""
    print("| storage | sampler | trials | ms a trial | processor | proposal | MiB |")
    print("|---|---|---|---|---|---|---|")
    for storage in args.storage:
        empty = _fresh(storage, "none", 1, 0)["peak"]
        for name in args.sampler:
            for trials in args.trials:
                found = _fresh(storage, name, trials, args.fill)
                print(
                    f"| {storage} | {name} | {trials:,} | {found['trial']:.2f} | "
                    f"{found['processor']:.2f} | {found['proposal']:.2f} | "
                    f"{found['peak'] - empty:.0f} |",
                    flush=True,
                )


def _fresh(storage: str, name: str, trials: int, filled: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.timing.trials_overhead", "--one"]
    asked = f"{storage},{name},{trials},{filled}"
    done = subprocess.run([*command, asked], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(storage: str, name: str, number: str, filled: str) -> dict[str, float]:
    """Run one study; milliseconds over its last tenth of trials, and MiB at the peak."""
    trials, last = int(number), max(1, (int(number) - int(filled)) // 10)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ends, proposing = [_clocks()], [0.0]

    def note(_: Record) -> None:
        ends.append(_clocks())

    def propose(trial: optuna.Trial, now: Run) -> Proposal | None:
        start = time.perf_counter()
        found = inner(trial, now)
        proposing.append(time.perf_counter() - start)
        return found

    with _opened(storage) as empty:
        run = _filled(empty, int(filled), searched=name != "none")
        inner = _fixed() if name == "none" else _sampled(run, name)
        run_trials(run, propose, InProcess(_at_once), _accuracy, trials, on_result=note)
    wall, processor = (1000 * (ends[-1] - ends[-1 - last]) / last).tolist()
    return {
        "trial": wall,
        "processor": processor,
        "proposal": 1000 * sum(proposing[-last:]) / last,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _clocks() -> Floats:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


@contextmanager
def _opened(storage: str) -> Iterator[Run]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/study.db" if storage == "sqlite" else None
        if storage == "postgres":
            url = postgres.empty_database(stack.enter_context(postgres.server()))
        yield stack.enter_context(
            open_run(
                None if storage == "memory" else folder / "run",
                {"kind": "overhead", "seed": 0},
                ["maximize"],
                from_json=ArchSpec.from_json,
                storage=url,
            )
        )


def _filled(run: Run, count: int, searched: bool) -> Run:
    """The run with so many finished trials put there at once, with choices where they were
    ``searched``: random ones."""
    menus: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(values) for name, values in SPACE.choices.items()
    }
    done = as_evaluation(0.5, 0, 0.0).to_dict()
    like = {"seed": 0, "cost": PRICES[0], "spec": SPECS[0].to_json(), "evaluation": done}
    for row in SPACE.random(count, np.random.default_rng(1)):
        chosen: dict[str, Any] = (
            {"params": SPACE.values(row), "distributions": menus} if searched else {}
        )
        run.study.add_trial(create_trial(value=0.5, user_attrs=like, **chosen))
    return Run(run.study, run.header, run.dir, ArchSpec.from_json, release=run.close, driver=None)


def _fixed() -> Propose:
    """Networks made beforehand: what is left is the machinery's own."""
    numbers = counting()

    def propose(_: optuna.Trial, __: Run) -> Proposal:
        i = next(numbers) % len(SPECS)
        return Proposal(SPECS[i], PRICES[i])

    return propose


def _sampled(run: Run, name: str) -> Propose:
    run.study.sampler = sampler(name, SPACE, Objective(400e6), seed=0)

    def propose(trial: optuna.Trial, _: Run) -> Proposal:
        drawn = ((n, trial.suggest_categorical(n, v)) for n, v in SPACE.choices.items())
        choices: dict[str, Any] = dict(drawn)
        spec = SPACE.spec(choices)
        found = cost(spec)
        return Proposal(spec, {"cost": found.macs, **found._asdict()})

    return propose


def _at_once(spec: ArchSpec, seed: int) -> float:
    return 0.5 + (seed % 1000) / 4000


def _accuracy(record: Record, found: object) -> list[float]:
    return [getattr(found, "accuracy", 0.0)]


def second(spec: ArchSpec, seed: int) -> float:
    """An evaluation that takes a second and no processor."""
    time.sleep(1)
    return 0.5


def speedup() -> None:
    """Wall time of 40 one-second evaluations, by one worker process and by two, in turn."""
    taken = {workers: _seconds(workers) for workers in (1, 2)}
    print(
        f"40 evaluations of a second: {taken[1]:.1f} s with one worker, {taken[2]:.1f} s with "
        f"two: {taken[1] / taken[2]:.2f} times"
    )


def _seconds(workers: int) -> float:
    with (
        _opened("journal") as run,
        ProcessPool(second, workers) as pool,
    ):
        for number in range(workers):  # all are started: what follows is not what importing takes
            pool.submit(-1 - number, SPACE.template, 0)
        for _ in range(workers):
            pool.next()
        start = time.perf_counter()
        run_trials(run, _fixed(), pool, _accuracy, 40)
        return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(run_command(main))
