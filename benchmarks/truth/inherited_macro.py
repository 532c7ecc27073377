"""How well inherited weights judge networks whose truth no parent helped.

    python -m benchmarks.truth.inherited_macro CIFAR10 --networks 96 --out runs/macro

NAS-Bench-Macro's rows (Su et al. 2021, arXiv:2103.11922) have the CIFAR-10 accuracies of the
networks of space ``macro`` after 50 epochs from scratch, under three seeds. A parent is made here:
that space's largest network, each layer of expansion 6 and kernel 5, trained from scratch on the
same pictures at their 32 pixels. Networks of the rows, one drawn from each of as many equal slices
of the ranking by FLOPs, inherit from it and are judged as by a search: without a training, and
after a short one; beside these a short training from scratch of the same pictures and epochs.
Kendall's τ of each with the rows' accuracies, with its 90 % bootstrap interval, τ with nearness to
the parent held fixed, and at equal FLOPs; and the same of what costs nothing.

All see 32 pixels: children at their networks' own resolution, a training from scratch too, where a
search would enlarge the pictures for the one and shrink them for the other. The recipes are a CPU's
whatever the device, but for the parent's, which is a GPU's of batches of 256. What is finished is
kept in --out; ``benchmarks.support.shares`` says how several processes make it.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gzip
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.support.origins import TRAINED, check, scores
from benchmarks.support.rankings import ALIKE, Truth
from benchmarks.support.shares import (
    WHOLE,
    Clock,
    add_finished,
    add_options,
    completed,
    parent_at,
    unit,
)
from benchmarks.truth.beliefs import FILES
from common.command import count, parser, place
from common.command import run as run_command
from models.build import build
from models.cost import cost
from models.spec import ArchSpec
from nas.calibrate import agreement
from nas.prior import nas_bench_macro_choices
from nas.space import space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.feeds.placed import placed
from training.loop.train import train
from training.recipe import Recipe
from training.transfer.child import child
from training.transfer.options import FINE_TUNING, transfer_recipe
from training.transfer.parent import Moments, Parent, weights_of
from trials.record import Evaluation

SIDE = 32  # pixels
LARGEST = "22222222"
SEEDS = tuple(f"top1_percent_seed{seed}" for seed in range(3))


class Known(NamedTuple):
    """A network and its accuracies in percent, one for each of ``SEEDS``."""

    digits: str
    spec: ArchSpec
    accuracies: tuple[float, ...]


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each score."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    drawn = spread(networks(args.table), args.networks)
    bench = Bench(args, placed(load(args.pictures, size=SIDE, seed=0), args.device))
    if args.parents_only:
        print(bench.parent.name, bench.parent.digest)
        return
    judged = list(bench.judged(drawn))
    if args.share == WHOLE:
        print(table([one for one, _ in judged], [row for _, row in judged]))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.inherited_macro", __doc__ or "")
    made.add_argument("pictures", type=place, help="CIFAR-10's")
    made.add_argument("--table", type=Path, default=FILES[1], help="NAS-Bench-Macro's rows")
    made.add_argument("--networks", type=count, default=96)
    made.add_argument("--parent-epochs", type=count, default=20)
    made.add_argument("--parent-images", type=count, default=40_000)
    made.add_argument("--images", type=count, default=2000, help="of a network's training")
    made.add_argument("--held-out", type=count, default=2000, help="validation pictures at most")
    add_options(made, "runs/macro")
    add_finished(made)
    return made


def networks(path: Path) -> list[Known]:
    """The different networks of the table, in ascending order of FLOPs.

    Rows that are one network, whichever of equal layers is left out, are one: its accuracies are
    their means.
    """
    with gzip.open(path, "rt", newline="") as file:
        lines = list(csv.DictReader(file))
    alike: dict[str, list[Mapping[str, str]]] = {}
    for line in lines:
        alike.setdefault(_spec(line["architecture"]).key, []).append(line)
    found = [
        Known(
            each[0]["architecture"],
            _spec(each[0]["architecture"]),
            tuple(statistics.mean(float(line[seed]) for line in each) for seed in SEEDS),
        )
        for each in alike.values()
    ]
    return sorted(found, key=lambda one: (cost(one.spec).macs, one.digits))


def spread(known: Sequence[Known], most: int) -> list[Known]:
    """``most`` of them, one drawn from each of as many equal slices; seeded."""
    rng = np.random.default_rng(0)
    slices = np.array_split(np.arange(len(known)), min(most, len(known)))
    return [known[int(rng.choice(each))] for each in slices]


def _spec(digits: str) -> ArchSpec:
    return replace(space("macro").spec(nas_bench_macro_choices(digits)), name=f"macro-{digits}")


class Bench:
    """The trainings, of which those of ``args.share`` are made; ``data`` are on the device."""

    def __init__(self, args: argparse.Namespace, data: Data) -> None:
        self.args, self.data = args, data
        seen = {"images": args.images, "held_out": args.held_out, "resolution": None}
        inherited = transfer_recipe(SIDE, "cpu", 1.0, SIDE, own=True)
        self.recipe = replace(inherited, **seen)
        self.fresh = replace(from_scratch("cpu"), epochs=FINE_TUNING, **seen)

    @cached_property
    def parent(self) -> Parent:
        """The largest network, trained from scratch."""
        return parent_at(self.args.out / "parent.safetensors", self.args.share, self._trained)

    def _trained(self) -> Parent:
        args, data = self.args, self.data
        recipe = replace(
            from_scratch("cuda"),
            epochs=args.parent_epochs,
            images=args.parent_images,
            held_out=args.held_out,
        )
        spec = recipe.network(_spec(LARGEST), len(data.classes), data.channels)
        torch.manual_seed(0)
        network = build(spec)
        made = train(spec, recipe, data, 0, args.device, network=network)
        print(f"{spec.name}: {made.accuracy:.4f}, the parent's", file=sys.stderr, flush=True)
        moments = Moments(*(tuple(one.tolist()) for one in (data.mean, data.std)))
        return Parent(spec.name, spec, weights_of(network), moments)

    def judged(self, drawn: Sequence[Known]) -> Iterator[tuple[Known, dict[str, Any]]]:
        """What each network's scores and trainings came to."""
        for number, one in enumerate(drawn):
            if not self.args.share.has(number):
                continue
            path = self.args.out / f"{one.digits}.json"
            make = functools.partial(self.training, one.spec)
            found = completed(path, {}, TRAINED, make, self.args.finished)
            if found is None:
                continue
            told = found["score"]["accuracy"]
            print(f"{number}: {told:.3f} inherited", file=sys.stderr, flush=True)
            yield one, found

    def training(self, spec: ArchSpec, name: str) -> dict[str, Any]:
        """What one of ``TRAINED`` came to, and where it inherited its distance from the parent."""
        device = self.args.device
        if name == "scratch":
            clock = Clock(device)
            return clock.told(train(spec, self.fresh, self.data, 1, device))
        parent, clock = self.parent, Clock(device)
        epochs, seed = (0, 0) if name == "score" else (FINE_TUNING, 1)
        recipe = replace(self.recipe, epochs=epochs)
        made: Evaluation = child(parent, spec, recipe, self.data, seed, device)[1]
        return clock.told(made) | {"distance": made.details["inherited"]["distance"]}


def from_scratch(device: str) -> Recipe:
    """A device's recipe of short trainings, at all of the pictures' pixels and strides."""
    return replace(proxy_recipe(SIDE, device), resolution=None, drop_strides=0)


def table(drawn: Sequence[Known], rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: τ with the known accuracies, each the mean of its seeds.

    Raises ValueError for too few networks.
    """
    check(rows)
    macs = np.array([float(cost(one.spec).macs) for one in drawn])
    near = np.array([-row["score"]["distance"] for row in rows])
    accuracies = np.array([one.accuracies for one in drawn])
    truth = Truth(accuracies.mean(1), near, macs)
    lines = [
        "| score | τ with the known accuracy (90 %) | nearness held fixed | at equal FLOPs "
        f"(within {ALIKE:.0%}) | {unit([one for row in rows for one in row.values()])} |",
        "|---|---|---|---|---|",
    ]
    named = [{"spec": one.spec.to_json(), **row} for one, row in zip(drawn, rows, strict=True)]
    depth = np.array([float(len(LARGEST) - one.digits.count("0")) for one in drawn])
    given = scores(named, near, macs) | {"depth": (depth, 0.0)}
    for name, (values, seconds) in given.items():
        lines.append(f"| {name} | {truth.cells(values)} | {seconds:.1f} |")
    same = agreement(*accuracies[:, :2].T.tolist())
    known = truth.values
    lines.append(
        f"\n{len(rows)} networks; known {known.min():.1f} to {known.max():.1f} %, standard "
        f"deviation {known.std(ddof=1):.2f} points; one seed's accuracies with another's: {same}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
