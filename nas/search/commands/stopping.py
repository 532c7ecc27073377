"""Whether the command's search stops trainings that will lose."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.evaluator import Evaluator


def stops(args: argparse.Namespace, evaluator: Evaluator, before: Mapping[str, Any]) -> bool:
    """Whether trainings that will lose are stopped: by default of networks that inherit weights,
    before these begin. ``before`` are the settings of a run that is gone on with. Raises ValueError
    where there are no trainings."""
    trains = bool(evaluator.recipe.epochs)
    if args.stop_early and not trains:
        raise ValueError(
            "--stop-early stops trainings, and networks are scored without one here: leave it out, "
            "or add --proxy-epochs 2 or --init scratch"
        )
    if args.stop_early is not None:
        return bool(args.stop_early)
    if before:
        return bool(before.get("stop_early"))
    found = trains and evaluator.parent is not None and args.trust in (None, 1)
    if found:
        print(
            "what is too bad to win before its training is not trained, once some have been; "
            "--no-stop-early trains all",
            file=sys.stderr,
        )
    return found
