"""Networks near a published parent: what each is worth untrained, and after its short training.

    python -m benchmarks.truth.before_training PICTURES --out DIR --networks 40 --seeds 40

Drawn as a search with inherited weights proposes them (``nas.samplers.auto``): the parent, scaled
by its rule or not, at each resolution that is searched, then networks up to three choices away from
one of these, all within the budget. Each is born as a search's candidates are, measured as
``nas.stopping`` has it before a training, and trained shortly, all on the same validation pictures
and under a seed of its own; what is in DIR is not done again. ``benchmarks.support.shares`` says
how several processes do it. One thread of a CPU.

Printed: how both agree; then searches replayed over this table (``benchmarks.support.stopped``)
that stop nothing, or do not train what by the bars of ``nas.stopping`` will lose, each on its own
two thirds of the networks. Bars are of accuracies, as the rule has them, or of what searches are
told of trainings (``trials.signal``), in which all that is lacking is counted.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import torch
from scipy.stats import kendalltau

from benchmarks.own_pictures import largest
from benchmarks.support.shares import WHOLE, add_options, parent_at, read, write
from benchmarks.support.stopped import Network, Stop, Table, compared
from common.command import count, parser, place
from common.command import run as run_command
from common.units import parse_size
from models.cost import cost
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import rows_of
from nas.space import Batch, Space, sides_about, space, starts
from nas.stopping import BEFORE
from training.data import load
from training.device import arithmetic
from training.loop.scores import measure
from training.loop.train import first, train
from training.transfer.child import born, judge_of
from training.transfer.options import transfer_recipe
from training.transfer.parent import Parent, alike, prepared
from training.transfer.sources import open_parent
from trials.record import trial_seed
from trials.signal import PROBABILITY, together

WHEN = ("before", "after")
STOPS: dict[str, Stop | None] = {
    "nothing": None,
    "by 2 deviations": (BEFORE, 2.0),
    "by 1 deviation": (BEFORE, 1.0),
}
PART = 2 / 3
CHOICES = 3  # away from a start at most, as sampler auto's region has it
PARENT_EPOCHS = 6
CPU = torch.device("cpu")


def main(argv: Sequence[str] | None = None) -> None:
    """How scores before a training and after it agree, then a row for each way to search."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    if args.parents_only:
        print(bench.parent.digest)
        return
    found = []
    for number, one in bench.pairs():
        found.append(one)
        told = " -> ".join(f"{one[when]['accuracy']:.4f}" for when in WHEN)
        print(f"{number}: {told}", file=sys.stderr, flush=True)
    if args.share == WHOLE:
        print("\n".join(agreements(found)))
        for name, measure in (("accuracies", _accuracy), ("what searches are told", _merit)):
            print(f"\nBars of {name}:\n")
            table = bench.table(found, measure)
            print(compared(table, args.search, STOPS, args.seeds, PART))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.before_training", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--networks", type=count, default=40)
    made.add_argument("--budget", default="100M")
    made.add_argument("--parent", default="efficientnet-lite0")
    made.add_argument("--seeds", type=count, default=40, help="searches of each kind")
    made.add_argument("--search", nargs="+", choices=("random", "auto"), default=["random", "auto"])
    made.add_argument("--images", type=count, default=1000, help="for training, and held out")
    made.add_argument("--size", type=count, default=128, help="pixels at which pictures are kept")
    add_options(made, "runs/before")
    return made


class Bench:
    """The networks, and what those of ``args.share`` come to."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.aim = Objective(parse_size(args.budget), "hard")
        self.data = load(args.pictures, size=args.size, images=args.images, seed=0)
        published = open_parent(args.parent)
        self.own = replace(published.spec, classes=len(self.data.classes))
        self.published = replace(published, spec=largest(published.spec, self.aim.budget))
        side = self.published.spec.resolution
        recipe = transfer_recipe(self.data.native_size, "cpu", 1.0, side, own=True)
        images = min(args.images, len(self.data.train))
        self.recipe = replace(recipe, images=images, held_out=args.images)

    @cached_property
    def parent(self) -> Parent:
        """Made ready for the pictures."""
        return parent_at(
            self.args.out / "parent.safetensors",
            self.args.share,
            lambda: prepared(self.published, self.recipe, self.data, 0, CPU, PARENT_EPOCHS),
        )

    @cached_property
    def space(self) -> Space:
        """With the resolutions that are searched."""
        found = space("mnasnet").with_template(
            classes=len(self.data.classes),
            in_channels=self.data.channels,
            dropout=self.published.spec.dropout,
            resolution=self.published.spec.resolution,
            **alike(self.published.spec),
        )
        return found.at(sides_about(self.own, self.aim.budget))

    def pairs(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What each network of the share comes to, by its number."""
        for number, spec in enumerate(self.chosen(self.args.networks)):
            if self.args.share.has(number):
                path = self.args.out / f"{number}.json"
                if not path.exists():
                    write(path, self.measured(spec, trial_seed(0, number)))
                yield number, read(path)

    @cached_property
    def starts(self) -> Batch:
        """Those that are within the budget, (N, D)."""
        limit = self.aim.budget
        own = starts(self.space, self.published.spec, lambda spec: cost(spec).macs <= limit)
        rows = rows_of(self.space, own)
        if rows is None:
            raise ValueError(f"{self.args.budget} buys nothing of {self.args.parent}: give more")
        return rows[Candidates(self.space, self.aim).admits(rows)]

    def chosen(self, count: int) -> list[ArchSpec]:
        """The starts, then networks near them."""
        rng, rows = np.random.default_rng(0), self.starts
        inside = Candidates(self.space, self.aim)
        found = {one.key: one for one in map(self.space.spec_of, rows)}
        while len(found) < count:
            row = rows[rng.integers(len(rows))][None]
            for _ in range(rng.integers(1, CHOICES + 1)):
                row = self.space.mutated(row, rng)
            if inside.admits(row)[0]:
                spec = self.space.spec_of(row[0])
                found.setdefault(spec.key, spec)
        return list(found.values())[:count]

    def table(
        self, found: Sequence[dict[str, Any]], measure: Callable[[Mapping[str, Any]], float]
    ) -> Table:
        """What searches are replayed on; bars are of the ``measure``."""
        networks = []
        rows = rows_of(self.space, [ArchSpec.from_json(one["spec"]) for one in found])
        for row, one in zip(() if rows is None else rows, found, strict=True):
            before, after = (one[when] for when in WHEN)
            more = {} if measure is _merit else {k: after[k] for k in ("loss", PROBABILITY)}
            networks.append(
                Network(
                    row,
                    one["cost"],
                    measure(after),
                    {BEFORE[0]: measure(before)},
                    after["seconds"],
                    before["seconds"],
                    0.0,
                    before["birth"],
                    **more,
                )
            )
        return Table(Candidates(self.space, self.aim), networks, len(self.starts))

    def measured(self, spec: ArchSpec, seed: int) -> dict[str, Any]:
        """Untrained and trained, and the core-seconds of birth and measurement, and of training."""
        start = time.process_time()
        twin = self.recipe.network(spec, len(self.data.classes), self.data.channels)
        with arithmetic(CPU):
            network, _ = born(self.parent, twin, self.recipe, self.data, seed, CPU)
        birth = time.process_time() - start
        held = first(self.data.validation, self.recipe.held_out)
        scores = measure(network, held, twin.resolution, self.data, 32)
        before = _told(scores.accuracy, scores.loss, scores.probability(balance=False))
        before |= {"birth": birth, "seconds": time.process_time() - start - birth}
        start = time.process_time()
        judge = judge_of(self.recipe, twin.resolution)
        made = train(spec, self.recipe, self.data, seed, CPU, network=network, judge=judge)
        after = _told(made.accuracy, made.loss, made.details[PROBABILITY])
        after |= {"seconds": time.process_time() - start}
        facts = {"spec": spec.to_json(), "cost": float(cost(spec).macs)}
        return {**facts, "before": before, "after": after}


def _told(accuracy: float, loss: float | None, probability: float) -> dict[str, Any]:
    return {"accuracy": accuracy, "loss": loss, "probability": probability}


def _accuracy(told: Mapping[str, Any]) -> float:
    return float(told["accuracy"])


def _merit(told: Mapping[str, Any]) -> float:
    return together(float(told["probability"]), math.exp(-told["loss"]))


def agreements(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Of both measures: mean and spread before and after, how they agree; the seconds."""
    for name, of in (("accuracy", _accuracy), ("what searches are told", _merit)):
        before, after = (100 * np.array([of(one[when]) for one in found]) for when in WHEN)
        agreed = np.corrcoef(before, after)[0, 1], kendalltau(before, after).statistic
        yield (
            f"{name}: {before.mean():.1f} (SD {before.std(ddof=1):.1f}), then {after.mean():.1f} "
            f"({after.std(ddof=1):.1f}); correlation {agreed[0]:.2f}, τ {agreed[1]:.2f}"
        )
    birth, measured, trained = (
        np.mean([one[when][name] for one in found])
        for when, name in (("before", "birth"), ("before", "seconds"), ("after", "seconds"))
    )
    yield (
        f"{len(found)} networks; core-seconds each: born {birth:.1f}, measured {measured:.1f}, "
        f"trained {trained:.1f}"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
