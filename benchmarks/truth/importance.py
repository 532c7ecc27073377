"""Two truths: whether the choices that a search says matter are those that do.

    python -m benchmarks.truth.importance

Searches by ``auto`` of the networks of a table whose cost lies in the window (Accel-NASBench,
ImageNet, 200M to 400M multiply-adds; NAS-Bench-Macro, CIFAR-10, 35M to 70M), each training its
network's accuracy there and 0.4 points of normal noise. The true shares are those of all of the
table's networks in the window, by the same formula (``nas.belief.importance``). Of each number of
trainings: how often the 90 % intervals of choices and of kinds hold the truth, their mean width,
Kendall's τ of the medians with the true shares, how many searches tell kinds (of layers: choices)
apart, and in how many of these the greatest is the true one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from scipy.stats import kendalltau

from benchmarks.support.on_pool import OnPool
from benchmarks.truth.search_quality import SHARED
from common.command import count, parser, run
from nas.belief.importance import importance, shares, told_apart
from nas.candidates import Candidates, Floats
from nas.objective import Objective
from nas.prior import read_prior
from nas.samplers import tell
from nas.samplers.base import NetworkSampler
from nas.samplers.history import History
from nas.space import Batch, Space, space

TABLES = {
    "imagenet": ("mbconv", "accel_nasbench_dev.csv.gz", 400e6),
    "macro": ("macro", "nas_bench_macro_dev.csv.gz", 70e6),
}
NOISE = 0.004


class World(NamedTuple):
    """A table's networks in the window: rows (N, D), their accuracies (N,) in [0, 1]."""

    space: Space
    aim: Objective
    rows: Batch
    accuracy: Floats


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each table and number of trainings."""
    args = options().parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    heads = (
        "table",
        "trainings",
        "choices held",
        "kinds held",
        "width",
        "τ",
        "told apart",
        "right",
    )
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name in args.tables:
        made = world(name)
        found = [searched(made, seed, args.trials) for seed in range(args.seeds)]
        for at in args.trials:
            cells = " | ".join(judged(made, [one[at] for one in found]))
            print(f"| {name} | {at} | {cells} |", flush=True)


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.importance", __doc__ or "")
    made.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    made.add_argument("--seeds", type=count, default=20, help="searches each")
    made.add_argument("--trials", nargs="+", type=count, default=[12, 24, 48])
    return made


def world(name: str) -> World:
    """The table's networks in the window."""
    searched, file, budget = TABLES[name]
    made, aim = space(searched), Objective(budget)
    table = read_prior(Path(SHARED) / "data" / file, made)
    costs = made.costs(table.rows).macs
    inside = (costs >= aim.low * budget) & (costs <= budget)
    accuracy = table.accuracy[inside]
    return World(made, aim, table.rows[inside], accuracy / (100 if accuracy.max() > 1 else 1))


def searched(made: World, seed: int, trials: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What one search says matters, after so many trainings."""
    candidates = Candidates(made.space, made.aim)
    method = OnPool(made.rows, candidates, None)
    study = optuna.create_study(
        direction="maximize", sampler=NetworkSampler(candidates, method, seed)
    )
    place, rng = {row.tobytes(): i for i, row in enumerate(made.rows)}, np.random.default_rng(seed)
    found = {}
    for done in range(1, max(trials) + 1):
        trial = study.ask()
        for name, values in made.space.choices.items():
            trial.suggest_categorical(name, values)
        row = made.space.indices([trial.params])
        measured = float(made.accuracy[place[row[0].tobytes()]] + NOISE * rng.standard_normal())
        tell(
            study,
            trial,
            made.aim,
            min(max(measured, 0.0), 1.0),
            float(made.space.costs(row).macs[0]),
        )
        if done in trials:
            fit = partial(method.fit, History(candidates, study))
            if (told := importance(fit, done, method.see, made.space)) is not None:
                found[done] = told
    return found


def judged(made: World, found: Sequence[dict[str, Any]]) -> list[str]:
    """The cells of a row."""
    truth = true_shares(made, found[0])
    choices = [[one["share"] for one in each["choices"]] for each in found]
    kinds = [list(each["kinds"].values()) for each in found]
    told = np.array(choices)  # (searches, D, 3)
    tau = [kendalltau(one[:, 1], truth["choices"]).statistic for one in told]
    apart = [i for i, each in enumerate(found) if told_apart(each)]
    of, name = (kinds, "kinds") if len(truth["kinds"]) > 1 else (choices, "choices")
    right = sum(np.argmax(np.array(of[i])[:, 1]) == np.argmax(truth[name]) for i in apart)
    return [
        _held(told, truth["choices"]),
        _held(np.array(kinds), truth["kinds"]),
        f"{np.mean(told[..., 2] - told[..., 0]):.2f}",
        f"{np.nanmean(tau):.2f}",
        f"{len(apart)} of {len(found)}",
        f"{right} of {len(apart)}",
    ]


def true_shares(made: World, like: dict[str, Any]) -> dict[str, Floats]:
    """The shares of all networks there, as ``like`` orders choices and kinds."""
    kinds = [one["kind"] for one in like["choices"]]
    columns = {kind: [d for d, own in enumerate(kinds) if own == kind] for kind in like["kinds"]}
    accuracy = made.accuracy[None]
    return {
        "choices": np.array([shares(accuracy, made.rows, [d])[0] for d in range(len(kinds))]),
        "kinds": np.array([shares(accuracy, made.rows, own)[0] for own in columns.values()]),
    }


def _held(told: Floats, truth: Floats) -> str:
    inside = (told[..., 0] <= truth) & (truth <= told[..., 2])
    return f"{100 * inside.mean():.0f} %"


if __name__ == "__main__":
    sys.exit(run(main))
