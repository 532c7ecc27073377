"""What the networks of a search of the whole ``macro`` window lack of its best.

    python -m nas.search --space macro --budget 70M --aim hard --data CIFAR10 --out RUN
    python -m benchmarks.truth.whole_window RUN

Of every network that was scored, and of the finalists in each of their rounds: its layers' places
in the menu, what it lacks, its accuracy and loss there; the least loss first. Lacking is in points
of NAS-Bench-Macro's accuracy after 50 epochs. Where that is not in the rows at hand, ridge
regression on single layers and pairs of them, fitted to the window's rows that are, says what is
expected, marked "expected"; its error on a fifth left out is printed first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.truth import pool
from common.command import parser
from common.command import run as run_command
from models.spec import ArchSpec
from nas.candidates import Floats
from nas.space import Batch
from trials.store.study import read_run

RIDGE = 3.0
CHOICES = 3  # of a layer
ROUNDS = ("", "final-1", "final-2")


class Line(NamedTuple):
    """Ridge regression of accuracies on ``_columns``."""

    weights: Floats
    middle: float

    def __call__(self, rows: Batch) -> Floats:
        found: Floats = _columns(rows) @ self.weights + self.middle
        return found


def main(argv: Sequence[str] | None = None) -> None:
    args = _parse(argv)
    halves = [pool.window(half) for half in (0, 1)]
    rows = np.vstack([rows for rows, _ in halves])
    accuracy = np.concatenate([accuracies for _, accuracies in halves])
    known = {pool.name(row): float(one) for row, one in zip(rows, accuracy, strict=True)}
    order = np.random.default_rng(0).permutation(len(rows))
    seen, left = np.split(order, [len(order) * 4 // 5])
    missed = fitted(rows[seen], accuracy[seen])(rows[left]) - accuracy[left]
    print(f"{len(rows)} networks known; of a fifth left out {100 * missed.std():.2f} points missed")
    line, best = fitted(rows, accuracy), max(known.values())

    def lacks(row: Batch) -> str:
        there = known.get(pool.name(row))
        if there is None:
            return f"{100 * (best - line(row[None]).item()):.2f} expected"
        return f"{100 * (best - there):.2f}"

    trained = {
        one.number: pool.SPACE.indices([one.params])[0]
        for one in read_run(args.run, from_json=ArchSpec.from_json).finished()
    }
    for name in ROUNDS:
        if not (args.run / name).exists():
            continue
        ended = read_run(args.run / name, from_json=ArchSpec.from_json).finished()
        print(
            "\n| " + " | ".join([name or "scored", "network", "lacks", "accuracy", "loss"]) + " |"
        )
        print("|---" * 5 + "|")
        measured = [(one, one.evaluation) for one in ended if one.evaluation is not None]
        for one, said in sorted(measured, key=lambda pair: pair[1].loss or np.inf):
            number = int(one.attrs["trial"]) if name else one.number
            cells = [str(number), pool.name(trained[number]), lacks(trained[number])]
            print("| " + " | ".join([*cells, f"{said.accuracy:.4f}", f"{said.loss:.4f}"]) + " |")


def fitted(rows: Batch, accuracy: Floats) -> Line:
    columns, middle = _columns(rows), float(accuracy.mean())
    gram = columns.T @ columns + RIDGE * np.eye(columns.shape[1])
    weights: Floats = np.asarray(np.linalg.solve(gram, columns.T @ (accuracy - middle)), float)
    return Line(weights, middle)


def _columns(rows: Batch) -> Floats:
    """(N, features): a constant, each layer's choice one-hot, the products of two of these."""
    hot = np.eye(CHOICES)[rows].reshape(len(rows), -1)
    pairs = [hot[:, i] * hot[:, j] for i, j in combinations(range(hot.shape[1]), 2)]
    return np.column_stack([np.ones(len(rows)), hot, *pairs])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    command = parser("benchmarks.truth.whole_window", __doc__ or "")
    command.add_argument("run", type=Path, metavar="RUN", help="a run directory of nas.search")
    return command.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_command(main))
