"""Networks near a published parent, each measured untrained and after its short training."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from benchmarks.own_pictures import PARENT_EPOCHS, largest, space_of
from benchmarks.support.shares import parent_at, read, write
from common.units import parse_size
from models.cost import cost
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import rows_of
from nas.samplers.climb import REACH
from nas.space import Batch, Space, sides_about, starts
from training.data import load
from training.device import arithmetic
from training.loop.scores import measure
from training.loop.train import first, train
from training.transfer.child import born, judge_of
from training.transfer.options import transfer_recipe
from training.transfer.parent import Parent, prepared
from training.transfer.sources import open_parent
from trials.record import trial_seed
from trials.signal import PROBABILITY

CPU = torch.device("cpu")


class Nearby:
    """The networks, and what those of ``args.share`` come to."""

    def __init__(self, args: argparse.Namespace) -> None:
        if args.device.type != "cpu":
            raise ValueError(
                f"--device {args.device}: a CPU's times are what is compared, give cpu"
            )
        self.args = args
        self.aim = Objective(parse_size(args.budget), "hard")
        self.data = load(args.pictures, size=args.size, images=args.images, seed=0)
        published = open_parent(args.parent)
        self.own = replace(published.spec, classes=len(self.data.classes))
        side = largest(self.own, self.aim.budget).resolution
        self.published = replace(published, spec=replace(published.spec, resolution=side))
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
        found = space_of("mnasnet", self.published.spec, self.data)
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
        """The starts, then networks near them. Raises ValueError for fewer than the starts."""
        rng, rows = np.random.default_rng(0), self.starts
        if count < len(rows):
            raise ValueError(
                f"--networks {count} is less than what a search begins with: give "
                f"{len(rows)} or more"
            )
        inside = Candidates(self.space, self.aim)
        found = {one.key: one for one in map(self.space.spec_of, rows)}
        while len(found) < count:
            row = rows[rng.integers(len(rows))][None]
            for _ in range(rng.integers(1, REACH + 1)):
                row = self.space.mutated(row, rng)
            if inside.admits(row)[0]:
                spec = self.space.spec_of(row[0])
                found.setdefault(spec.key, spec)
        return list(found.values())[:count]

    def measured(self, spec: ArchSpec, seed: int) -> dict[str, Any]:
        """Untrained and trained, and the core-seconds of birth and measurement, and of training."""
        parent = self.parent  # made ready once, at nobody's price
        start = time.process_time()
        twin = self.recipe.network(spec, len(self.data.classes), self.data.channels)
        with arithmetic(CPU):
            network, _ = born(parent, twin, self.recipe, self.data, seed, CPU)
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
