"""What other people's search methods name on the truths of ``benchmarks.truth.beliefs``.

    python -m venv .rivals
    .rivals/bin/pip install -e . -r benchmarks/rivals/requirements.txt
    .rivals/bin/python -m benchmarks.truth.rivals --out results/rivals

Every rival is run by its own package, in an environment of this benchmark's own, on the same
tables, windows, noise and seeds as auto; one that is not installed is left out. None trains outside
of the window, nor a network twice. Each is run knowing the exact cost of every network as auto
does, in the way that its package has for it, and as NAME-blind without that knowledge: it then
chooses among all networks by the rewards that it was told, and is refused what lies outside (after
50 refusals the nearest network inside is trained). How each is asked, told and made to know the
cost: ``benchmarks/rivals/``.

"needed": trainings until one lacks at most 0.1 points of the best reward that is known; median
(quartiles). named: what the network that is named lacks, in points of reward; median (nine in ten
lack no more; of fewer than ten searches the worst). seconds: of the processor, for all proposals of
a search, the mean. Finished runs are kept under --out; after a change to a sampler, choose another.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna

from benchmarks.rivals import BLIND, RIVALS, missing, rival_of
from benchmarks.truth.beliefs import WITHIN, Run, World, lacking, needed, run, variant
from common.command import count, parser
from common.command import run as run_command
from nas.candidates import Candidates
from nas.samplers.base import NetworkSampler

LENGTHS = {"70M-0": 40, "70M-1": 40, "reward": 60, "noisy": 60}  # trainings of each task
SHOWN = (20, 40, 60)
NAMES = ("auto", *(name + end for name in RIVALS for end in ("", BLIND)))


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of the packages, about each other
    lines = []
    for task in args.tasks:
        for name in args.samplers:
            if lacks := [] if name == "auto" else missing(name):
                print(f"{name} is left out: {', '.join(lacks)} not installed", file=sys.stderr)
                continue
            trials = args.trials or LENGTHS[task]
            seeds = range(args.seeds)
            found = [run(args, task, name, seed, trials, sampler_of) for seed in seeds]
            lines.append(line(task, name, found))
            print(lines[-1], file=sys.stderr, flush=True)
    heads = ["task", "sampler", "named by", "searches", "needed"]
    heads += [*(f"named @{at}" for at in SHOWN), "seconds"]
    print("\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines]))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    command = parser("benchmarks.truth.rivals", __doc__ or "")
    command.add_argument("--tasks", nargs="+", choices=LENGTHS, default=list(LENGTHS))
    command.add_argument("--samplers", nargs="+", choices=NAMES, default=NAMES)
    command.add_argument("--half", type=int, choices=(0, 1), default=1, help="of either table")
    command.add_argument("--seeds", type=count, default=5, help="searches each")
    command.add_argument("--trials", type=count, help="trainings each, in place of the task's own")
    command.add_argument("--out", type=Path, default=Path("results/rivals"))
    return command.parse_args(argv)


def sampler_of(made: World, name: str, seed: int, rng: np.random.Generator) -> NetworkSampler:
    """Auto, or a rival that proposes as a method of this project."""
    if name == "auto":
        return variant(made, name, seed, rng)
    candidates = Candidates(made.space, made.objective, made.cost)
    method = rival_of(name)(candidates, knows=not name.endswith(BLIND))
    return NetworkSampler(candidates, method, seed)


def line(task: str, name: str, found: list[Run]) -> str:
    """A row of the table."""
    rule = "posterior mean" if name == "auto" else RIVALS[name.removesuffix(BLIND)].names_by
    cells = [task, name, rule, str(len(found)), needed(found, WITHIN)]
    cells += [lacking(found, at) for at in SHOWN]
    seconds = np.mean([one.seconds for one in found])
    return "| " + " | ".join([*cells, f"{seconds:.1f}"]) + " |"


if __name__ == "__main__":
    # JAX would look for other devices, and say that it found none.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(run_command(main))
