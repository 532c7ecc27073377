"""How well a candidate is judged in seconds by the weights that it inherits.

    python -m benchmarks.truth.inherited_fidelity PICTURES --networks 24 --out runs/inherited

Networks of the space, some choices away from the parent and of half to all of its cost, are scored
without a training, trained shortly, and trained ``--truth`` times in full under other seeds, all
from weights of the parent that were first trained on the pictures. The truth is the mean validation
loss of the full trainings. Kendall's τ of each score with it, with its 90 % bootstrap interval, and
of two full trainings with each other: no score can be expected to agree better than that ceiling.
Beside them stand a short training from scratch, what costs nothing, and the distance from the
parent: a score that only says who was cut least says no more than that, and its partial τ, that
distance held fixed, is 0. What is finished is kept in --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.support.rankings import ALIKE, Floats, at_equal_cost, beside
from common.command import count, parser, place
from common.command import run as run_command
from models.capacity import capacity
from models.cost import cost
from models.spec import ArchSpec
from nas.calibrate import agreement
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import Space, space
from training.data import load
from training.evaluator import proxy_recipe
from training.loop.train import train
from training.transfer.child import child
from training.transfer.options import FINE_TUNING, transfer_recipe
from training.transfer.parent import Parent, alike, keep, prepared
from training.transfer.sources import open_parent, read_parent
from trials.record import Evaluation

CPU = torch.device("cpu")
SIGNALS = {"loss": -1, "accuracy": 1, "probability": 1}
TRAINED = {
    "scratch": "from scratch, short training",
    "score": "inherited, no training",
    "short": "inherited, short training",
}
MOST_CHANGES = 8


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each score."""
    made = parser("benchmarks.truth.inherited_fidelity", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--networks", type=count, default=24)
    made.add_argument("--parent", default="efficientnet-lite0")
    made.add_argument("--parent-epochs", type=count, default=6)
    made.add_argument("--epochs", type=count, default=6, help="of a training in full")
    made.add_argument("--truth", type=count, default=3, help="trainings in full of each network")
    made.add_argument("--out", type=Path, default=Path("runs/inherited"))
    args = made.parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = list(judged(args))
    print(table(rows))


def judged(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What each network's scores and trainings came to."""
    data = load(args.pictures, size=96, images=1000, seed=0)
    parent = open_parent(args.parent)
    recipe = transfer_recipe(data.native_size, "cpu", 1.0, parent.spec.resolution)
    ready = args.out / "parent.safetensors"
    if not ready.exists():
        keep(prepared(parent, recipe, data, 0, CPU, args.parent_epochs), ready)
    parent = read_parent(ready)
    searched = space("mnasnet").with_template(
        classes=len(data.classes), in_channels=data.channels, **alike(parent.spec)
    )
    for number, spec in enumerate(chosen(searched, parent, args.networks)):
        path = args.out / f"{number}.json"
        found: dict[str, Any] = {"spec": spec.to_json()}
        if path.exists():
            found = json.loads(path.read_text("utf-8"))
        if "scratch" not in found:
            start = time.process_time()
            made = train(spec, proxy_recipe(data.native_size, "cpu"), data, 1, CPU)
            found["scratch"] = _told(made, start)
        steps = [("score", 0, 0), ("short", FINE_TUNING, 1)]
        steps += [(f"full {seed}", args.epochs, 2 + seed) for seed in range(args.truth)]
        for name, epochs, seed in steps:
            if name in found:
                continue
            start = time.process_time()
            _, made = child(parent, spec, replace(recipe, epochs=epochs), data, seed, CPU)
            distance = {"distance": made.details["inherited"]["distance"]}
            found[name] = _told(made, start) | distance
            path.write_text(json.dumps(found) + "\n", "utf-8")
        print(f"{number}: {found['full 0']['accuracy']:.3f} in full", file=sys.stderr, flush=True)
        yield found


def _told(made: Evaluation, start: float) -> dict[str, Any]:
    seconds = time.process_time() - start
    known = {"loss": made.loss, "accuracy": made.accuracy, "seconds": seconds}
    return known | {"probability": made.details["probability"]}


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


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: τ with the truth's loss and with its accuracy."""
    specs = [ArchSpec.from_json(row["spec"]) for row in rows]
    costs = [cost(spec) for spec in specs]
    full = [name for name in rows[0] if name.startswith("full")]
    known = Known(
        np.array([-statistics.mean(row[name]["loss"] for name in full) for row in rows]),
        np.array([statistics.mean(row[name]["accuracy"] for name in full) for row in rows]),
        np.array([-row["score"]["distance"] for row in rows]),
        np.array([float(one.macs) for one in costs]),
    )
    lines = [
        "| score | τ with the truth's loss (90 %) | nearness held fixed | at equal FLOPs "
        f"(within {ALIKE:.0%}) | τ with the truth's accuracy (90 %) | core-s |",
        "|---|---|---|---|---|---|",
    ]
    for key, what in TRAINED.items():
        paid = statistics.mean(row[key]["seconds"] for row in rows)
        for name, sign in SIGNALS.items():
            lines.append(
                known.line(f"{what}: {name}", [sign * row[key][name] for row in rows], paid)
            )
    lines += [
        known.line("nearness to the parent", known.near, 0),
        known.line("FLOPs", known.macs, 0),
        known.line("parameters", [float(one.params) for one in costs], 0),
        known.line("capacity", [capacity(spec) for spec in specs], 0),
    ]
    for one, other in pairwise(full):
        took = statistics.mean(row[one]["seconds"] for row in rows)
        for name, sign in SIGNALS.items():
            pair = ([sign * row[which][name] for row in rows] for which in (one, other))
            lines.append(f"| {one} with {other}: {name} | {agreement(*pair)} | | | | {took:.1f} |")
    spread = 100 * known.accuracy
    lines.append(
        f"\n{len(rows)} networks; in full {spread.min():.1f} to {spread.max():.1f} %, "
        f"standard deviation {spread.std(ddof=1):.2f} points"
    )
    return "\n".join(lines)


class Known(NamedTuple):
    """Of each network, (N,): what its full trainings came to, the loss's sign turned; minus its
    distance from the parent; its multiply-adds."""

    loss: Floats
    accuracy: Floats
    near: Floats
    macs: Floats

    def line(self, name: str, values: Sequence[float] | Floats, seconds: float) -> str:
        """A row of the table."""
        one = np.asarray(values)
        fixed = "" if one is self.near else f"{beside(one, self.loss, self.near):.2f}"
        with_loss, with_accuracy = (
            agreement(one.tolist(), truth.tolist()) for truth in (self.loss, self.accuracy)
        )
        alike = at_equal_cost(one, self.loss, self.macs)
        return f"| {name} | {with_loss} | {fixed} | {alike:.2f} | {with_accuracy} | {seconds:.1f} |"


if __name__ == "__main__":
    sys.exit(run_command(main))
