"""Trainings beside a search's own: of its finalists, and those that calibrate it."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.calibrate import AGAIN, LONGER, spread_out, train_again
from nas.finals import SEEDS, Finals
from nas.result import SearchResult
from trials.record import Evaluation
from trials.store.view import Record

if TYPE_CHECKING:
    from training.evaluator import Evaluator


def calibrate(
    found: SearchResult, args: argparse.Namespace, evaluator: Evaluator, run_dir: Path
) -> None:
    """Train K of the networks again and longer, each a run below the search's directory."""
    from training.options import executor
    from training.transfer.options import trained_further

    chosen = spread_out(found.trials, args.calibrate)
    recipe = evaluator.recipe
    trained = recipe if recipe.epochs else trained_further(recipe)
    rounds = [(LONGER, replace(trained, epochs=args.longer * trained.epochs))]
    if recipe.epochs:  # else nothing in it depends on a seed
        rounds.insert(0, (AGAIN, recipe))
    for name, recipe in rounds:
        trainer = replace(evaluator, recipe=recipe)
        runner = functools.partial(executor, args, trainer)
        train_again(chosen, run_dir / name, args.seed, recipe.key, runner)


def finals_of(args: argparse.Namespace, evaluator: Evaluator, run_dir: Path) -> Finals | None:
    """The further trainings of the best children; None where trials are trainings from scratch."""
    from training.options import executor
    from training.transfer.options import trained_further

    if evaluator.parent is None:
        return None
    trainer = replace(evaluator, recipe=trained_further(evaluator.recipe))

    def train(records: Sequence[Record]) -> dict[int, list[Evaluation]]:
        print(f"{len(records)} networks are trained further, {SEEDS} times each", file=sys.stderr)
        found: dict[int, list[Evaluation]] = {record.number: [] for record in records}
        for step in range(1, SEEDS + 1):
            runner = functools.partial(executor, args, trainer)
            place, key = run_dir / f"final-{step}", trainer.recipe.key
            for again in train_again(records, place, args.seed, key, runner, step):
                number = int(again.attrs["trial"])
                if again.evaluation is not None and number in found:
                    found[number].append(again.evaluation)
        return found

    return train
