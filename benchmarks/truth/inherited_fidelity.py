"""How well a candidate is judged in seconds by the weights that it inherits.

    python -m benchmarks.truth.inherited_fidelity PICTURES --networks 24 --out runs/inherited

Networks of the space, some choices away from the parent and of half to all of its cost, are scored
without a training, trained shortly, and trained ``--truth`` times in full under other seeds, all
from weights of the parent that were first trained on the pictures. The truth is the mean validation
loss of the full trainings. Kendall's τ of each score with it, with its 90 % bootstrap interval, and
of two full trainings with each other: no score can be expected to agree better than that ceiling.
Beside them stand a short training from scratch, what costs nothing, and the distance from the
parent: a score that only says who was cut least says no more than that, and its partial τ, that
distance held fixed, is 0.

Score and truth have their inheritance in common. ``--others efficientnet-lite2,scratch`` takes as
many truths of other origin: full trainings of the same networks from another parent's weights, made
ready alike, or from scratch for ``--scratch-epochs`` by the recipe of a search without weights.

What is finished is kept in --out; ``benchmarks.support.shares`` says how several processes make it.
The recipes are a CPU's, whatever the device.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.support.origins import FULL, SCRATCH, table
from benchmarks.support.shares import (
    WHOLE,
    Clock,
    add_finished,
    add_options,
    completed,
    parent_at,
)
from common.command import count, parser, place
from common.command import run as run_command
from models.cost import cost
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import Space, space
from training.data import load
from training.evaluator import proxy_recipe
from training.loop.feeds.placed import placed
from training.loop.train import train
from training.transfer.child import child
from training.transfer.options import FINE_TUNING, transfer_recipe
from training.transfer.parent import Parent, alike, of_data, prepared
from training.transfer.sources import open_parent

MOST_CHANGES = 8


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each score."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    if args.parents_only:
        for name in (args.parent, *args.others):
            if name != SCRATCH:
                print(name, bench.ready(name).digest)
        return
    rows = list(bench.judged())
    if args.share == WHOLE:
        print(table(rows, [_called(other) for other in args.others]))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.inherited_fidelity", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--networks", type=count, default=24)
    made.add_argument("--parent", default="efficientnet-lite0")
    made.add_argument("--parent-epochs", type=count, default=6)
    made.add_argument("--epochs", type=count, default=6, help="of a training in full")
    made.add_argument("--truth", type=count, default=3, help="trainings in full of each network")
    made.add_argument("--others", type=_names, default=(), help="parents, scratch, by commas")
    made.add_argument("--scratch-epochs", type=count, default=30, help="of a full one from scratch")
    made.add_argument("--images", type=count, default=1000, help="for training, and held out")
    made.add_argument("--size", type=count, default=96, help="pixels at which pictures are kept")
    add_options(made, "runs/inherited")
    add_finished(made)
    return made


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _called(origin: str) -> str:
    """A family's name, or that of a file of weights."""
    return Path(origin).stem if origin.endswith(".safetensors") else origin


class Bench:
    """The networks and their trainings, of which those of ``args.share`` are made."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        data = load(args.pictures, size=args.size, images=args.images, seed=0)
        self.data = placed(data, args.device)
        self.published = cache(open_parent)
        # With its classifier for these classes, which is part of its cost.
        self.parent = of_data(self.published(args.parent), data)
        seen = {"images": args.images, "held_out": args.images}
        side = self.parent.spec.resolution
        self.recipe = replace(transfer_recipe(data.native_size, "cpu", 1.0, side), **seen)
        self.fresh = replace(proxy_recipe(data.native_size, "cpu"), **seen)
        self.ready = cache(self._ready)

    def judged(self) -> Iterator[dict[str, Any]]:
        """What each network's scores and trainings came to."""
        searched = space("mnasnet").with_template(
            classes=len(self.data.classes),
            in_channels=self.data.channels,
            **alike(self.parent.spec),
        )
        steps = {one: (origin, epochs, seed) for one, origin, epochs, seed in self.steps()}
        for number, spec in enumerate(chosen(searched, self.parent, self.args.networks)):
            if not self.args.share.has(number):
                continue
            path = self.args.out / f"{number}.json"
            found = completed(
                path,
                {"spec": spec.to_json()},
                steps,
                lambda name, spec=spec: self.training(spec, *steps[name]),  # type: ignore[misc]
                self.args.finished,
            )
            if found is None:
                continue
            told = found["full 0"]["accuracy"]
            print(f"{number}: {told:.3f} in full", file=sys.stderr, flush=True)
            yield found

    def steps(self) -> Iterator[tuple[str, str, int, int]]:
        """Of each training its name, the origin of its weights, its epochs and its seed."""
        args = self.args
        yield SCRATCH, SCRATCH, self.fresh.epochs, 1
        yield "score", args.parent, 0, 0
        yield "short", args.parent, FINE_TUNING, 1
        for seed in range(args.truth):
            yield f"{FULL} {seed}", args.parent, args.epochs, 2 + seed
        for other in args.others:
            epochs = args.scratch_epochs if other == SCRATCH else args.epochs
            # Seeds of its own, whichever others there are: truths have no luck in common.
            own = zlib.crc32(_called(other).encode()) % 2**20 + 2 + args.truth
            for seed in range(args.truth):
                yield f"{_called(other)} {seed}", other, epochs, own + seed

    def training(self, spec: ArchSpec, origin: str, epochs: int, seed: int) -> dict[str, Any]:
        """What one came to, and where it inherited its distance from that parent."""
        device = self.args.device
        if origin == SCRATCH:
            clock = Clock(device)
            recipe = replace(self.fresh, epochs=epochs)
            return clock.told(train(spec, recipe, self.data, seed, device))
        parent, clock = self.ready(origin), Clock(device)
        recipe = replace(self.recipe, epochs=epochs)
        _, made = child(parent, spec, recipe, self.data, seed, device)
        return clock.told(made) | {"distance": made.details["inherited"]["distance"]}

    def _ready(self, name: str) -> Parent:
        """That parent, made ready for the pictures."""
        own = name == self.args.parent
        path = self.args.out / f"parent{'' if own else f'-{_called(name)}'}.safetensors"
        return parent_at(
            path,
            self.args.share,
            lambda: prepared(
                self.published(name),
                self.recipe,
                self.data,
                0,
                self.args.device,
                self.args.parent_epochs,
            ),
        )


def chosen(searched: Space, parent: Parent, count: int) -> list[ArchSpec]:
    """Different networks, 1 to ``MOST_CHANGES`` choices from the parent, in turn."""
    rng = np.random.default_rng(0)
    start = searched.choices_of(replace(searched.template, stages=parent.spec.stages))
    if start is None:
        raise ValueError(f"{parent.name} is no network of space {searched.name}")
    inside = Candidates(searched, Objective(float(cost(parent.spec).macs)))
    found: dict[str, ArchSpec] = {}
    while len(found) < count:
        rows = searched.indices([start])
        for _ in range(1 + len(found) % MOST_CHANGES):
            rows = searched.mutated(rows, rng)
        if inside.admits(rows)[0]:
            spec = searched.spec_of(rows[0])
            found.setdefault(spec.key, spec)
    return list(found.values())


if __name__ == "__main__":
    sys.exit(run_command(main))
