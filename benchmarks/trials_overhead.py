"""What a trial costs beside its training: milliseconds and memory of the driver.

    python -m benchmarks.trials_overhead                    # 100, 1,000 and 10,000 trials
    python -m benchmarks.trials_overhead --trials 100000 --storage journal --sampler none
    python -m benchmarks.trials_overhead --speedup          # one worker against two

Evaluations return at once, in the driver's process. ``none`` is the machinery by itself: its
networks come from a fixed list and Optuna is asked for nothing. Each line is a fresh process that
runs the whole study and reports, for its last tenth of trials, the mean wall time of a trial and of
its proposal, and the process's greatest memory beyond that of an empty run. For ``--speedup``, 40
evaluations that sleep a second are made by one worker process and by two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count as counting
from pathlib import Path

import numpy as np
import optuna

from benchmarks.memory import status
from models.command import count, parser
from models.command import run as run_command
from models.cost import cost
from models.spec import ArchSpec
from nas.objective import Objective
from nas.samplers import sampler
from nas.space import space
from trials.loop import Propose, run_trials
from trials.pool import InProcess, ProcessPool
from trials.run import Run
from trials.study import open_run
from trials.view import Proposal, Record

STORAGES = ("memory", "journal", "sqlite")
SAMPLERS = ("none", "random", "evolution", "auto")
SPACE = space("mnasnet")


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line for each study; ``--one`` is what a fresh process runs."""
    made = parser("benchmarks.trials_overhead", __doc__ or "")
    made.add_argument("--trials", type=count, nargs="+", default=[100, 1_000, 10_000])
    made.add_argument("--storage", nargs="+", choices=STORAGES, default=["memory", "journal"])
    made.add_argument("--sampler", nargs="+", choices=SAMPLERS, default=["none", "random"])
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
    print("| storage | sampler | trials | ms a trial | of it proposal | MiB |")
    print("|---|---|---|---|---|---|")
    for storage in args.storage:
        empty = _fresh(storage, "none", 1)["peak"]
        for name in args.sampler:
            for trials in args.trials:
                found = _fresh(storage, name, trials)
                print(f"| {storage} | {name} | {trials:,} | {found['trial']:.2f} | "
                      f"{found['proposal']:.2f} | {found['peak'] - empty:.0f} |",
                      flush=True)  # fmt: skip


def _fresh(storage: str, name: str, trials: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.trials_overhead", "--one"]
    done = subprocess.run(
        [*command, f"{storage},{name},{trials}"], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(storage: str, name: str, number: str) -> dict[str, float]:
    """Run one study; milliseconds over its last tenth of trials, and MiB at the peak."""
    trials = int(number)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ends, proposing = [time.perf_counter()], [0.0]

    def note(_: Record) -> None:
        ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder, _open(Path(folder), storage) as run:
        inner = _fixed() if name == "none" else _sampled(run, name)

        def propose(trial: optuna.Trial, now: Run) -> Proposal | None:
            start = time.perf_counter()
            found = inner(trial, now)
            proposing.append(time.perf_counter() - start)
            return found

        run_trials(run, propose, InProcess(_at_once), _accuracy, trials, on_result=note)
    last = max(1, trials // 10)
    return {
        "trial": 1000 * (ends[-1] - ends[-1 - last]) / last,
        "proposal": 1000 * sum(proposing[-last:]) / last,
        "peak": status("VmHWM") / 2**20,
    }


def _open(folder: Path, storage: str) -> Run:
    return open_run(
        None if storage == "memory" else folder / "run",
        {"kind": "overhead", "seed": 0},
        ["maximize"],
        from_json=ArchSpec.from_json,
        storage=f"sqlite:///{folder}/study.db" if storage == "sqlite" else None,
    )


def _fixed() -> Propose:
    """Networks made beforehand: what is left is the machinery's own."""
    specs = [SPACE.spec_of(row) for row in SPACE.random(50, np.random.default_rng(0))]
    prices = [cost(spec)._asdict() for spec in specs]
    numbers = counting()

    def propose(trial: optuna.Trial, _: Run) -> Proposal:
        i = next(numbers) % len(specs)
        return Proposal(specs[i], prices[i])

    return propose


def _sampled(run: Run, name: str) -> Propose:
    run.study.sampler = sampler(name, SPACE, Objective(400e6), seed=0)

    def propose(trial: optuna.Trial, _: Run) -> Proposal:
        choices = {n: trial.suggest_categorical(n, v) for n, v in SPACE.choices.items()}
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
    print(f"40 evaluations of a second: {taken[1]:.1f} s with one worker, {taken[2]:.1f} s with "
          f"two: {taken[1] / taken[2]:.2f} times")  # fmt: skip


def _seconds(workers: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        _open(Path(folder), "journal") as run,
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
