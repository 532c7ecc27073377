"""What further trainings tell of the best networks of a search by a parent of its own.

    python -m nas.search --space macro --budget 70M --aim hard --init own --data CIFAR10 --out RUN
    python -m benchmarks.truth.own_finals RUN CIFAR10 --networks 18 --out runs/own-finals

RUN is a search's directory. Its networks whose accuracies after 50 epochs are among the rows of
NAS-Bench-Macro that are at hand are taken by falling score, and each is trained further as the
finals train. Printed are what each lacks of the best of the window, and Kendall's τ of the score
and of the further training with the truth, of all of them and of the better half by score: who is
best among the best is what finals are for. What is finished is kept in --out.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from benchmarks.support.shares import Clock, completed
from benchmarks.truth.pool import OWN, SPACE, WHOLE, name, window
from common.command import count, parser, place
from common.command import run as run_command
from models.spec import ArchSpec
from nas.candidates import Floats
from training.data import Data, load
from training.recipe import Recipe
from training.transfer.child import child
from training.transfer.options import trained_further
from training.transfer.parent import Parent
from training.transfer.ready import FILE_NAME
from training.transfer.sources import read_parent
from trials.signal import together
from trials.store.study import read_run
from trials.store.view import Record

SCORE, FURTHER = "score", "further"


def main(argv: Sequence[str] | None = None) -> None:
    """A row for each network, then what each signal comes to."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    parent, data = read_parent(args.run / FILE_NAME), load(args.pictures, size=WHOLE)
    best = max(accuracy.max() for _, accuracy in map(window, (0, 1)))
    lacking, found = [], []
    print("| network | lacks, points | score's loss | further training's | core-seconds |")
    print("|---|---|---|---|---|")
    for row, truth, record in known(args.run, args.networks):
        kept = args.out / f"{name(row)}.json"
        make = functools.partial(trained, parent, record.spec, data)
        told = completed(kept, {}, (SCORE, FURTHER), make, False) or {}
        lacking.append(100 * (best - truth))
        found.append(told)
        score, further = told[SCORE], told[FURTHER]
        print(
            f"| {name(row)} | {lacking[-1]:.2f} | {score['loss']:.3f} | {further['loss']:.3f} | "
            f"{score['seconds']:.0f}, {further['seconds']:.0f} |",
            flush=True,
        )
    print("\n".join(agreement(np.array(lacking), found)))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.own_finals", __doc__ or "")
    made.add_argument("run", type=Path, help="a search's directory")
    made.add_argument("pictures", type=place, help="CIFAR-10")
    made.add_argument("--networks", type=count, default=18)
    made.add_argument("--out", type=Path, default=Path("runs/own-finals"))
    return made


def known(run: Path, most: int) -> list[tuple[Any, float, Record]]:
    """At most so many of the run's networks whose truth is known, the best score first: row, truth
    and trial."""
    tables = [window(half) for half in (0, 1)]
    truths = {name(row): float(one) for table in tables for row, one in zip(*table, strict=True)}
    finished = read_run(run, from_json=ArchSpec.from_json).finished()
    losses = [(one.evaluation.loss or 0.0, one) for one in finished if one.evaluation is not None]
    records = [record for _, record in sorted(losses, key=lambda pair: pair[0])]
    rows = SPACE.indices([record.params for record in records])
    told = [
        (row, truths[name(row)], record)
        for row, record in zip(rows, records, strict=True)
        if name(row) in truths
    ]
    return told[:most]


def trained(parent: Parent, spec: ArchSpec, data: Data, step: str) -> dict[str, Any]:
    """What it came to, scored as it is or trained further."""
    recipe: Recipe = OWN if step == SCORE else trained_further(OWN)
    clock = Clock(torch.device("cpu"))
    return clock.told(child(parent, spec, recipe, data, 0 if step == SCORE else 1, "cpu")[1])


def agreement(lacking: Floats, found: Sequence[dict[str, Any]]) -> list[str]:
    """A row for all networks and one for the better half by score."""
    signals = {
        step: np.array(
            [together(one[step]["probability"], np.exp(-one[step]["loss"])) for one in found]
        )
        for step in (SCORE, FURTHER)
    }
    better = np.argsort(-signals[SCORE])[: len(found) // 2]
    rows = ["", "| networks | τ of the score | of the further training | the best by each lacks |"]
    rows.append("|---|---|---|---|")
    for title, some in (("all", np.arange(len(found))), ("the better half", better)):
        taus = [kendalltau(-lacking[some], one[some]).statistic for one in signals.values()]
        chosen = [lacking[some][np.argmax(one[some])] for one in signals.values()]
        rows.append(
            f"| {title}, {len(some)} | {taus[0]:.2f} | {taus[1]:.2f} | "
            f"{chosen[0]:.2f}, {chosen[1]:.2f} |"
        )
    return rows


if __name__ == "__main__":
    sys.exit(run_command(main))
