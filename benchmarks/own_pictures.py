"""Is a found network better, on somebody's pictures, than what they would pick anyway?

    python -m benchmarks.own_pictures DIR --budget 100M --out runs/own

All start from one parent's ImageNet weights, made ready on the pictures, and are fine-tuned by one
recipe for as many epochs; each cost is at most the budget (multiply-adds of convolution and linear
layers for one image, at the network's own resolution):

    parent   the parent at the highest resolution that the budget allows: what has to be beaten
    scaled   the parent shrunk, or grown, from the resolution that it is published for to the budget
             by EfficientNet's rule (1.2, 1.1, 1.15)
    random   a network of the space in the window, another one for each seed, inherited alike
    scratch  that which a search by short trainings from scratch names, inherited alike
    found    that which a search by inherited weights names, of several resolutions, each network
             scored without a training
    tuned    the same, each network fine-tuned shortly for its score, as the command does it

Accuracy is on the test split, under --seeds seeds. The differences to ``parent`` are paired by seed
and by picture; their 90 % intervals resample both. What is finished is kept in --out and not done
again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.command import count, parser, place
from common.command import run as run_command
from common.units import format_size, parse_size
from models.cost import cost
from models.spec import ArchSpec
from nas.calibrate import SEED_STEP
from nas.finals import Finals
from nas.search import search
from nas.space import Space, by_rule, highest, sides_about, space, starts
from nas.stopping import BEFORE
from training.data import Data, Split, load
from training.evaluator import ByValue, Evaluator, proxy_recipe
from training.loop.augment import to_float
from training.loop.feeds.placed import placed
from training.loop.train import final, first
from training.options.prepared import in_steps
from training.recipe import Recipe
from training.stopwatch import Stopwatch
from training.transfer.child import born, tested
from training.transfer.judges import by_others
from training.transfer.options import FINE_TUNING, trained_further, transfer_recipe
from training.transfer.parent import Parent, alike, keep, prepared
from training.transfer.sources import open_parent, read_parent
from trials.record import Evaluation
from trials.store.header import FILE_NAME
from trials.store.view import Record

TEST = 2000  # pictures at most
PARENT_EPOCHS = 6


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each way to come to a network, then the differences."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    budget = parse_size(args.budget)
    args.out.mkdir(parents=True, exist_ok=True)
    data = load(args.pictures, size=args.size, seed=0, validation=0.2, test=0.3)
    data = replace(data, test=first(data.test, TEST), train=first(data.train, args.images))
    print(data.summary(), file=sys.stderr)
    parent = open_parent(args.parent)
    widest = largest(replace(parent.spec, classes=len(data.classes)), budget)
    print(f"{parent.name} at {widest.resolution} pixels", file=sys.stderr)
    recipe = replace(
        transfer_recipe(data.native_size, args.device, 1.0, widest.resolution, own=True),
        images=min(args.proxy_images, len(data.train)),
        held_out=args.proxy_images,
    )
    published = parent.spec
    parent = replace(parent, spec=replace(published, resolution=widest.resolution))
    ready = _ready(parent, recipe, data, args.device, args.out / "parent.safetensors")
    bench = Bench(args, budget, data, ready, recipe, (widest, published))
    rows = {name: bench.rows(name) for name in args.ways}
    print(table(rows, bench))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.own_pictures", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--budget", default="100M")
    made.add_argument("--parent", default="efficientnet-lite0")
    made.add_argument("--space", default="mnasnet")
    made.add_argument("--size", type=count, default=128, help="pixels at which pictures are kept")
    made.add_argument("--images", type=count, help="training pictures at most")
    made.add_argument(
        "--proxy-images", type=count, default=1000, help="of a score's training, and held out"
    )
    made.add_argument("--trials", type=count, default=24, help="of each search")
    made.add_argument("--scratch-trials", type=count, default=12)
    made.add_argument("--epochs", type=count, default=6, help="of every fine-tuning in full")
    made.add_argument("--seeds", type=count, default=3)
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--ways", type=_ways, default=tuple(_WAYS), help="some of them, by commas")
    made.add_argument("--out", type=Path, default=Path("runs/own"))
    return made


def _ways(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if odd := set(names) - set(_WAYS):
        raise argparse.ArgumentTypeError(f"{sorted(odd)[0]!r} is none of {', '.join(_WAYS)}")
    return names


def largest(spec: ArchSpec, budget: float) -> ArchSpec:
    """``spec`` at the highest resolution within the budget, of 16·n + 1 pixels, which suit it."""
    sides = range(33, 1000, 16)
    found = highest(spec, sides, budget)
    if found is None:
        raise ValueError(f"{spec.name} at {sides[0]} pixels costs over {format_size(budget)}")
    return found


def space_of(name: str, parent: ArchSpec, data: Data) -> Space:
    """That space at the ``parent``'s resolution, for the data, with what a child shares with it."""
    return space(name).with_template(
        resolution=parent.resolution,
        classes=len(data.classes),
        in_channels=data.channels,
        dropout=parent.dropout,
        **alike(parent),
    )


def _ready(parent: Parent, recipe: Recipe, data: Data, device: str, path: Path) -> Parent:
    if not path.exists():
        keep(prepared(parent, recipe, data, 0, torch.device(device), PARENT_EPOCHS), path)
    return read_parent(path)


class Bench:
    """The ways to come to a network, and what each is worth once it is fine-tuned in full.

    ``parents`` is the parent at the highest resolution within the budget, and as it is published.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        budget: float,
        data: Data,
        ready: Parent,
        recipe: Recipe,
        parents: tuple[ArchSpec, ArchSpec],
    ) -> None:
        self.args, self.budget, self.data = args, budget, data
        self.device = torch.device(args.device)
        self.placed = placed(data, self.device)
        self.ready, self.recipe = ready, recipe
        self.widest, self.published = self._own(parents[0]), parents[1]

    def rows(self, way: str) -> list[dict[str, Any]]:
        """What came out for each seed, from --out where it is there."""
        found = []
        for seed in range(self.args.seeds):
            path = self.args.out / f"{way}-{seed}.json"
            if not path.exists():
                spec = _WAYS[way](self, seed)
                path.write_text(json.dumps(self.trained(spec, seed)) + "\n", "utf-8")
            found.append(json.loads(path.read_text("utf-8")))
            print(f"{way}, seed {seed}: {found[-1]['accuracy']:.4f}", file=sys.stderr, flush=True)
        return found

    def trained(self, spec: ArchSpec, seed: int) -> dict[str, Any]:
        """``spec`` inherited and fine-tuned, judged on the test pictures."""
        start = time.process_time()  # of one thread, which waits for its device
        recipe = replace(
            self.recipe,
            resolution=None,
            images=None,
            epochs=self.args.epochs,
            regularise=True,
        )
        network, own = born(self.ready, spec, recipe, self.placed, seed, self.device)
        network, tuned = final(spec, recipe, self.placed, seed, self.device, network=network)
        found = tested(network, spec.resolution, recipe, self.placed, tuned)
        right = correct(network, self.placed.test, spec.resolution, self.placed)
        return {
            "spec": json.loads(spec.to_json()),
            "accuracy": found.accuracy,
            "loss": found.loss,
            "unsettled": tuned.accuracy,
            "distance": own.distance,
            "seconds": time.process_time() - start,
            "right": right,
        }

    def parent(self, seed: int) -> ArchSpec:
        return self.widest

    def scaled(self, seed: int) -> ArchSpec:
        """By EfficientNet's constants and the φ that comes nearest to the budget from below."""
        found = by_rule(self._own(self.published), self.budget)
        if found is None:
            raise ValueError(f"the rule takes no network to {format_size(self.budget)}")
        return found

    def random(self, seed: int) -> ArchSpec:
        return search(
            self.space, lambda spec, _: 0.5, self.budget, 1, "random", seed=seed
        ).best.spec

    def scratch(self, seed: int) -> ArchSpec:
        """One search for all seeds: what differs is the fine-tuning."""
        recipe = proxy_recipe(self.data.native_size, self.args.device)
        recipe = in_steps(recipe, len(self.data.train))
        return self._searched(
            "scratch", Evaluator(ByValue(self.data), recipe, self.args.device), None
        )

    def found(self, seed: int) -> ArchSpec:
        """One search for all seeds: what differs is the fine-tuning."""
        return self._inherited("found", 0)

    def tuned(self, seed: int) -> ArchSpec:
        """One search for all seeds."""
        return self._inherited("tuned", FINE_TUNING)

    def _inherited(self, way: str, epochs: int) -> ArchSpec:
        recipe = replace(self.recipe, epochs=epochs)
        evaluator = Evaluator(ByValue(self.placed), recipe, self.args.device, self.ready)
        longer = replace(evaluator, recipe=trained_further(self.recipe))
        return self._searched(way, evaluator, further(longer, self._prepared))

    def _prepared(self, parent: Parent, data: Data) -> Parent:
        """The published parent made ready for pictures that are divided otherwise."""
        return prepared(parent, self.recipe, data, 0, self.device, PARENT_EPOCHS)

    def _searched(self, way: str, evaluator: Evaluator, finals: Finals | None) -> ArchSpec:
        out, trials = self.args.out / f"search-{way}", self.args.trials
        if (out / "baseline.json").exists():
            return ArchSpec.from_json((out / "baseline.json").read_text("utf-8"))
        searched, near = self.space, list[ArchSpec]()
        if finals:
            searched = searched.at(sides_about(self._own(self.published), self.budget))
            near = starts(searched, self.widest, lambda spec: cost(spec).macs <= self.budget)
        return search(
            searched,
            evaluator,
            self.budget,
            trials if finals else self.args.scratch_trials,
            aim="hard",  # the best of what the budget allows, as the others are
            run_dir=out,
            resume=(out / FILE_NAME).exists(),
            near=near,
            finals=finals,
            # As the command does it: what will lose by its score before a training is not trained.
            stop_early=finals is not None and evaluator.recipe.epochs > 0,
            rungs=BEFORE,
        ).best.spec

    @property
    def space(self) -> Space:
        """At the parent's resolution, and with what a child shares with it."""
        spec = replace(self.ready.spec, resolution=self.widest.resolution)
        return space_of(self.args.space, spec, self.data)

    def _own(self, spec: ArchSpec) -> ArchSpec:
        return replace(spec, classes=len(self.data.classes), in_channels=self.data.channels)


_WAYS: dict[str, Callable[[Bench, int], ArchSpec]] = {
    "parent": Bench.parent,
    "scaled": Bench.scaled,
    "random": Bench.random,
    "scratch": Bench.scratch,
    "found": Bench.found,
    "tuned": Bench.tuned,
}


def further(evaluator: Evaluator, prepare: Callable[[Parent, Data], Parent]) -> Finals:
    """The finals in this process."""

    def train(records: Sequence[Record], step: int) -> Mapping[int, Evaluation]:
        others = by_others(evaluator, prepare) if step > 1 else None
        return {
            record.number: (others or evaluator)(
                record.spec, (record.seed + step * SEED_STEP) % 2**31
            )
            for record in records
        }

    return train


@torch.no_grad()
def correct(network: torch.nn.Module, split: Split, side: int, data: Data) -> list[int]:
    """Of each picture whether it is named rightly, 0 or 1."""
    network.eval()
    found: list[int] = []
    for images, labels in zip(
        torch.split(split.images, 32), torch.split(split.labels, 32), strict=True
    ):
        logits = network(to_float(images, side, data.mean, data.std, channels_last=True))
        found += (logits.argmax(1) == labels).int().tolist()
    return found


def table(rows: Mapping[str, list[dict[str, Any]]], bench: Bench) -> str:
    """Markdown, and the differences to the first way."""
    clock = Stopwatch("cpu", 1, 1)
    lines = [
        "| way | network | pixels | FLOPs | latency | test accuracy (sd) | before its classifier "
        "was settled | test loss | difference (90 %) | core-min each |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    base = np.array([row["right"] for row in next(iter(rows.values()))])
    for way, each in rows.items():
        spec = ArchSpec.from_json(json.dumps(each[0]["spec"]))
        accuracies, losses = ([100 * r["accuracy"] for r in each], [r["loss"] for r in each])
        right = np.array([row["right"] for row in each])
        apart = "" if right is base or (right == base).all() else difference(right, base)
        spread = f" ({statistics.stdev(accuracies):.2f})" if len(each) > 1 else ""
        lines.append(
            f"| {way} | {spec.name} | {spec.resolution} | {format_size(cost(spec).macs)} | "
            f"{1000 * clock(spec).median:.1f} ms | {statistics.mean(accuracies):.2f}{spread} | "
            f"{100 * statistics.mean(r['unsettled'] for r in each):.2f} | "
            f"{statistics.mean(losses):.3f} | {apart} | "
            f"{statistics.mean(r['seconds'] for r in each) / 60:.1f} |"
        )
    return "\n".join(lines)


def difference(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], draws: int = 4000) -> str:
    """Points between two ways, (seeds, pictures) each, and the 90 % interval of both resampled."""
    rng, apart = np.random.default_rng(0), 100.0 * (one - other)
    seeds, pictures = apart.shape
    means = [
        apart[rng.integers(seeds, size=seeds)][:, rng.integers(pictures, size=pictures)].mean()
        for _ in range(draws)
    ]
    low, high = np.quantile(means, (0.05, 0.95))
    return f"{apart.mean():+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    sys.exit(run_command(main))
