"""Does stopping trainings early help a search, at equal training time?

    python -m benchmarks.truth.early_stopping PICTURES --out DIR --networks 48 --seeds 40

First, networks of space ``mnasnet`` between 200M and 400M multiply-adds, drawn by seed 0, are
trained to their end, measured at every share of ``MEASURED`` (one thread; by --images, --epochs and
--width, else the CPU's proxy recipe); what is in DIR is not trained again. Then whole searches are
replayed over this table of real curves and real processor seconds (``benchmarks.support.stopped``):
in random order, or by the sampler auto, which then chooses among the table's networks only. A
search that stops pays for each measurement on the way, one that does not pays for none.

Printed: how rungs and ends agree; then for each way to search and to stop, at each budget of
processor seconds (shares of what the whole table takes), how many networks were tried and stopped,
what the named network's reward lacks of the table's best, in points, and the mean difference in
reward to the search of the same seed that stops nothing, with a 90 % bootstrap interval over the
seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from scipy.stats import kendalltau

from benchmarks.support.stopped import Network, Stop, Table, compared
from common.command import count, parser
from common.command import run as run_command
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import Batch, space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.rungs import PICTURES, Ladder
from training.loop.train import evaluate, first
from training.loop.trainer import Trainer
from training.recipe import Recipe
from trials.record import trial_seed

SPACE = space("mnasnet").with_template(resolution=224, classes=10, in_channels=3)
AIM = Objective(400e6)
MEASURED = (0.25, 0.5, 0.75)
STOPS: dict[str, Stop | None] = {
    "none": None,
    "1/2, 3/4; hope 1": ((0.5, 0.75), 1.0),
    "1/2, 3/4; hope 2": ((0.5, 0.75), 2.0),
    "3/4; hope 1": ((0.75,), 1.0),
}


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
    networks = [read(file) for file in trained(args)]
    agreement(networks)
    stops = {name: STOPS[name] for name in args.stops}
    print(compared(Table(Candidates(SPACE, AIM), networks), args.ways, stops, args.seeds))


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


if __name__ == "__main__":
    sys.exit(run_command(main))
