"""Does stopping trainings early help a search, at equal training time?

    python -m benchmarks.truth.early_stopping PICTURES --out DIR --networks 48 --seeds 40

First, networks of space ``mnasnet`` between 200M and 400M multiply-adds, drawn by seed 0, are
trained to their end, measured at every share of ``MEASURED`` (one thread; by --images, --epochs and
--width, else the CPU's proxy recipe); what is in DIR is not trained again. Then whole searches are
replayed over this table of real curves and real processor seconds: in random order, or by the
sampler auto, which then chooses among the table's networks only (four random ones first, then by
its model's expected improvement, trust 1). A search that stops pays for each measurement on the
way, one that does not pays for none.

Printed: how rungs and ends agree; then for each way to search and to stop, at each budget of
processor seconds (shares of what the whole table takes), what the named network's reward lacks of
the table's best, in points, and how many trainings were begun; and the mean difference in reward
to the search of the same seed that stops nothing, with a 90 % bootstrap interval over the seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import torch
from optuna.trial import TrialState, create_trial
from scipy.stats import kendalltau

from common.command import count, parser
from common.command import run as run_command
from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import recommend
from nas.samplers.acquisition import expected_improvement
from nas.samplers.auto import Auto
from nas.samplers.base import distributions
from nas.samplers.history import History
from nas.samplers.opening import OPENING
from nas.space import Batch, space
from nas.stopping import Curves
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.rungs import PICTURES, Ladder
from training.loop.train import evaluate, first
from training.loop.trainer import Trainer
from training.recipe import Recipe
from trials.record import Evaluation, Stopped, trial_seed

SPACE = space("mnasnet").with_template(resolution=224, classes=10, in_channels=3)
AIM = Objective(400e6)
MEASURED = (0.25, 0.5, 0.75)
BUDGETS = (0.3, 0.45, 0.6)
STOPS: dict[str, tuple[tuple[float, ...], float] | None] = {
    "none": None,
    "1/2, 3/4; hope 1": ((0.5, 0.75), 1.0),
    "1/2, 3/4; hope 2": ((0.5, 0.75), 2.0),
    "3/4; hope 1": ((0.75,), 1.0),
}


class Network(NamedTuple):
    """A row of the table; seconds of the steps, of one measurement on the way, and of the last."""

    row: Batch
    cost: float
    accuracy: float
    curve: dict[float, float]
    steps: float
    rung: float
    end: float


def main(argv: Sequence[str] | None = None) -> None:
    made = parser("benchmarks.truth.early_stopping", __doc__ or "")
    made.add_argument("pictures")
    made.add_argument("--out", type=Path, required=True, help="where trainings are kept")
    made.add_argument("--networks", type=count, default=48)
    made.add_argument("--images", type=count, default=1000)
    made.add_argument("--epochs", type=count, default=4)
    made.add_argument("--width", type=float, default=0.5)
    made.add_argument("--seeds", type=count, default=40, help="searches of each kind")
    made.add_argument("--ways", nargs="+", default=["random", "auto"])
    made.add_argument("--stops", nargs="+", choices=STOPS, default=list(STOPS))
    args = made.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = [read(file) for file in trained(args)]
    agreement(table)
    print(f"| way | stopped at | {' | '.join(f'@{share:g}' for share in BUDGETS)} |")
    for way in args.ways:
        without = [replay(table, way, seed, None) for seed in range(args.seeds)]
        for name in args.stops:
            stop = STOPS[name]
            found = [replay(table, way, s, stop) for s in range(args.seeds)] if stop else without
            show(f"| {way} | {name} |", table, found, without)


def trained(args: argparse.Namespace) -> list[Path]:
    """The files of the table, after training what is missing."""
    rows = Candidates(SPACE, AIM).draw(args.networks, np.random.default_rng(0))
    files = [args.out / f"{i}.json" for i in range(len(rows))]
    missing = [i for i, file in enumerate(files) if not file.exists()]
    if missing:
        data = load(args.pictures, size=24)
        recipe = replace(
            proxy_recipe(data.native_size, "cpu"),
            images=args.images,
            epochs=args.epochs,
            width=args.width,
        )
    for i in missing:
        facts = train_one(rows[i], recipe, data, trial_seed(0, i))
        files[i].write_text(json.dumps(facts))
        print(f"{files[i].name}: {facts['steps']:.0f} s", file=sys.stderr, flush=True)
    return files


def train_one(row: Batch, recipe: Recipe, data: Data, seed: int) -> dict[str, Any]:
    """Trains as ``training.loop.train.train_above`` does, and takes the time of each part."""
    twin = recipe.network(SPACE.spec_of(row), len(data.classes), data.channels)
    run = Trainer(twin, recipe, data, first(data.train, recipe.images), seed)
    held = first(data.validation, recipe.held_out)
    seconds: list[float] = []

    def measure(pictures: int | None = PICTURES) -> float:
        start = time.process_time()
        found = evaluate(run.averaged, first(held, pictures), run.side, data, run.micro_batch)
        run.network.train()
        seconds.append(time.process_time() - start)
        return found[0]

    ladder = Ladder(tuple((share, 0.0) for share in MEASURED), run.steps, measure)
    start = time.process_time()
    for _ in range(recipe.epochs):
        run.epoch(ladder.ends)
    steps = time.process_time() - start - sum(seconds)
    facts = {"accuracy": measure(None), "curve": ladder.curve, "steps": steps}
    facts |= {"rung": float(np.mean(seconds[:-1])), "end": seconds[-1]}
    return {"row": row.tolist(), "cost": float(SPACE.costs(row[None]).macs[0]), **facts}


def read(file: Path) -> Network:
    facts = json.loads(file.read_text())
    return Network(**{**facts, "row": np.array(facts["row"]), "curve": dict(facts["curve"])})


def agreement(table: list[Network]) -> None:
    """How the rungs foretell the end."""
    last = np.array([one.accuracy for one in table])
    whole = sum(one.steps + one.end for one in table)
    part = sum(one.rung for one in table) / whole
    print(f"{len(table)} networks, {whole / len(table):.1f} s each; one measurement: {part:.1%}")
    print(f"accuracy {100 * last.min():.1f} to {100 * last.max():.1f} %, SD {100 * last.std():.1f}")
    for share in MEASURED:
        at = np.array([one.curve[share] for one in table])
        tau = kendalltau(at, last).statistic
        print(
            f"at {share:g}: mean {100 * at.mean():.1f} %, correlation with the end "
            f"{np.corrcoef(at, last)[0, 1]:.2f}, τ {tau:.2f}"
        )


def replay(
    table: list[Network], way: str, seed: int, stop: tuple[tuple[float, ...], float] | None
) -> list[tuple[float, int]]:
    """Reward of the network named, and trainings begun, at each budget."""
    whole = sum(one.steps + one.end for one in table)
    candidates = Candidates(SPACE, AIM)
    study, rng = optuna.create_study(direction="maximize"), np.random.default_rng(seed)
    auto = Auto(candidates) if way == "auto" else None
    left, order, spent = list(rng.permutation(len(table))), [], 0.0
    found: list[tuple[float, int]] = []
    while len(found) < len(BUDGETS):
        taken = chosen(table, left, auto, study, candidates) if left else None
        if taken is not None:
            left.remove(taken)
            order.append(taken)
            trial, seconds = training(table[taken], candidates, study, stop)
            spent += seconds
        while len(found) < len(BUDGETS) and (taken is None or spent > BUDGETS[len(found)] * whole):
            number = recommend(study, SPACE, AIM) if auto else study.best_trial.number
            one = table[order[number]]
            found.append((AIM.reward(one.accuracy, one.cost), len(order)))
        if taken is not None:
            study.add_trial(trial)
    return found


def chosen(
    table: list[Network],
    left: list[int],
    auto: Auto | None,
    study: optuna.Study,
    candidates: Candidates,
) -> int:
    """The next network of the table."""
    if auto is None or len(table) - len(left) < OPENING:
        return left[0]
    history = History(candidates, study)
    model, done = auto.fit(history), history.finished
    believed = model.mean(history.rows[done])
    best = float(AIM.reward(believed, history.cost[done]).max())
    mean, sd = model.predict(np.stack([table[i].row for i in left]))
    factor = AIM.factor(np.array([table[i].cost for i in left]))
    return left[int(np.argmax(expected_improvement(mean * factor, sd * factor, best)))]


def training(
    one: Network,
    candidates: Candidates,
    study: optuna.Study,
    stop: tuple[tuple[float, ...], float] | None,
) -> tuple[optuna.trial.FrozenTrial, float]:
    """The trial as a search would have stored it, and the seconds that it took."""
    bars = Curves(study.get_trials(deepcopy=False), AIM, *stop).bars(one.cost) if stop else ()
    made: dict[str, Any] = {
        "params": SPACE.values(one.row),
        "distributions": distributions(candidates),
    }
    paid = {"cost": {"cost": one.cost}}
    curve: list[tuple[float, float]] = []
    for share, bar in bars:
        curve.append((share, one.curve[share]))
        if one.curve[share] < bar:
            found = Stopped(Evaluation(one.curve[share], 0, 0.0, curve=tuple(curve)))
            trial = create_trial(
                state=TrialState.PRUNED, **made, user_attrs={**paid, "stopped": found.to_dict()}
            )
            return trial, share * one.steps + len(curve) * one.rung
    whole = Evaluation(one.accuracy, 0, 0.0, curve=tuple(curve))
    trial = create_trial(
        value=AIM.reward(one.accuracy, one.cost),
        **made,
        user_attrs={**paid, "evaluation": whole.to_dict()},
    )
    return trial, one.steps + len(curve) * one.rung + one.end


def show(
    label: str,
    table: list[Network],
    found: list[list[tuple[float, int]]],
    without: list[list[tuple[float, int]]],
) -> None:
    """One row: mean loss, mean trainings begun, and the paired difference to stopping nothing."""
    best = max(AIM.reward(one.accuracy, one.cost) for one in table)
    print(label, " | ".join(cells(best, np.array(found), np.array(without))), "|", flush=True)


def cells(best: float, found: Any, without: Any) -> Iterator[str]:
    rng = np.random.default_rng(0)
    for i in range(len(BUDGETS)):
        gain = 100 * (found[:, i, 0] - without[:, i, 0])
        means = rng.choice(gain, (2000, len(gain))).mean(1)
        low, high = np.quantile(means, (0.05, 0.95))
        yield (
            f"{100 * (best - found[:, i, 0].mean()):.2f}, {found[:, i, 1].mean():.1f} begun, "
            f"{gain.mean():+.2f} ({low:+.2f} to {high:+.2f})"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
