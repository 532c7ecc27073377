"""How well networks are judged by weights of a parent that the search trains itself.

    python -m benchmarks.truth.own_parent PICTURES --networks 16 --out runs/own-parent

As with ``--init own``: a network of the space, here EfficientNet-Lite0's, is trained from scratch
on the pictures, and others, 1 to 8 choices away from it and of half to all of its cost, are scored
by what they inherit, without a training and after a short one. The truth is the validation loss of
a training of each **from scratch**, which no parent helped, at the same pixels. Beside them stands
what a search without weights has: a short training from scratch. Kendall's τ as in
``benchmarks.truth.inherited_fidelity``. What is finished is kept in --out.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

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
from benchmarks.truth.inherited_fidelity import chosen
from common.command import count, parser, place
from common.command import run as run_command
from models.families import family
from models.spec import ArchSpec
from nas.space import space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.feeds.placed import placed
from training.loop.train import train
from training.transfer.child import child
from training.transfer.options import FINE_TUNING
from training.transfer.own import own_recipe, raise_on, raising, untrained
from training.transfer.parent import Parent, alike

STRIDE, REFERENCE = 32, 224  # of the space's networks


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each score."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(args, placed(load(args.pictures, size=args.size, seed=0), args.device))
    if args.parents_only:
        print(bench.parent().name, bench.parent().digest)
        return
    rows = list(bench.judged())
    if args.share == WHOLE:
        print(table(rows))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.own_parent", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--networks", type=count, default=16)
    made.add_argument("--size", type=count, default=48, help="pixels")
    made.add_argument("--parent-epochs", type=count, help="default: as a search's")
    made.add_argument("--epochs", type=count, default=15, help="of a training in full")
    add_options(made, "runs/own-parent")
    add_finished(made)
    return made


class Bench:
    """The networks and their trainings, of which those of ``args.share`` are made."""

    def __init__(self, args: argparse.Namespace, data: Data) -> None:
        self.args, self.data = args, data
        own = own_recipe(args.size, "cpu", 1.0, REFERENCE, STRIDE)
        self.recipe = replace(own, held_out=None)
        self.fresh = replace(proxy_recipe(data.native_size, "cpu"), held_out=None)

    def parent(self) -> Parent:
        """Trained where it is not there yet."""
        return parent_at(self.args.out / "parent.safetensors", self.args.share, self._raised)

    def judged(self) -> Iterator[dict[str, Any]]:
        """What each network's scores and trainings came to."""
        lite = self._lite0()
        searched = space("mnasnet").with_template(
            classes=lite.classes, in_channels=lite.in_channels, **alike(lite)
        )
        for number, spec in enumerate(chosen(searched, untrained(lite), self.args.networks)):
            if not self.args.share.has(number):
                continue
            path = self.args.out / f"{number}.json"
            make = functools.partial(self.training, spec)
            steps = SCRATCH, "score", "short", f"{FULL} 0"
            found = completed(path, {"spec": spec.to_json()}, steps, make, self.args.finished)
            if found is None:
                continue
            print(f"{number}: {found['full 0']['accuracy']:.3f} in full", file=sys.stderr)
            yield found

    def training(self, spec: ArchSpec, name: str) -> dict[str, Any]:
        """What it came to, and where it inherited its distance from the parent."""
        device = self.args.device
        if name in (SCRATCH, f"{FULL} 0"):
            whole = raising(self.recipe, "cpu", len(self.data.train), self.args.epochs)
            whole = replace(whole, zero_init=True)
            recipe, seed = (self.fresh, 1) if name == SCRATCH else (whole, 2)
            clock = Clock(device)
            return clock.told(train(spec, recipe, self.data, seed, device))
        parent, clock = self.parent(), Clock(device)
        epochs, seed = (0, 0) if name == "score" else (FINE_TUNING, 1)
        made = child(parent, spec, replace(self.recipe, epochs=epochs), self.data, seed, device)[1]
        return clock.told(made) | {"distance": made.details["inherited"]["distance"]}

    def _raised(self) -> Parent:
        recipe = raising(self.recipe, "cpu", len(self.data.train), self.args.parent_epochs)
        return raise_on(untrained(self._lite0()), recipe, self.data, 0, self.args.device)

    def _lite0(self) -> ArchSpec:
        lite = family("efficientnet-lite0")
        return replace(lite, classes=len(self.data.classes), in_channels=self.data.channels)


if __name__ == "__main__":
    sys.exit(run_command(main))
