"""The parent made ready on the pictures, once a run, and what a run that goes on has of it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training.data import Data
from training.device import choose_device
from training.loop.bar import shown
from training.loop.train import made_on
from training.recipe import Recipe
from training.transfer import own
from training.transfer.parent import MadeReady, Parent, keep, prepared
from training.transfer.sources import read_parent

FILE_NAME = "parent.safetensors"
_STEPS = 192  # of the parent's own training on the pictures


def here(args: argparse.Namespace) -> torch.device:
    """Where this process trains; what a Ray cluster's nodes have need not be on this machine."""
    return choose_device("auto" if args.executor == "ray" else args.device)


def made_ready(
    parent: Parent, args: argparse.Namespace, recipe: Recipe, data: Data, run_dir: Path | None
) -> Parent:
    """``parent`` prepared on the pictures, once a run: it is kept in its directory."""
    path = None if run_dir is None else run_dir / FILE_NAME
    if path is not None and path.is_file() and (args.resume or args.join):
        return read_parent(path)
    if parent.untrained:
        return _raised(parent, args, recipe, data, path)
    epochs = args.parent_epochs
    if path is None and getattr(args, "dry_run", False):
        epochs = 0  # nothing is trained
    if epochs is None:
        images = min(len(data.train), recipe.images or len(data.train))
        epochs = max(1, round(_STEPS * recipe.batch / images))
    place, begun = here(args), time.perf_counter()
    said = "trained on the pictures first" if epochs else "fitted to the pictures, and not trained"
    with shown(epochs, f"{parent.name} is {said}") as (show, _):
        ready = prepared(parent, recipe, data, args.seed, place, epochs, show)
    _keep(ready, path, begun, place)
    return ready


def _raised(
    parent: Parent, args: argparse.Namespace, recipe: Recipe, data: Data, path: Path | None
) -> Parent:
    """The search's own ``parent``, trained from scratch; of a dry run it is not."""
    place, begun = here(args), time.perf_counter()
    longer = own.raising(recipe, place.type, len(data.train), args.parent_epochs)
    if path is None and getattr(args, "dry_run", False):
        return own.raise_on(parent, replace(longer, epochs=0), data, args.seed, place)
    keeper = None if path is None else own.keeper_in(path.parent, parent, recipe, data, args.seed)
    if keeper is not None and (began := own.began_with(keeper)) is not None:
        longer = began
    elif args.minutes and not args.parent_epochs:
        longer = own.within(longer, parent, data, place, args.minutes)
    with shown(longer.epochs, f"{parent.name}, the parent, is trained first") as (show, _):
        ready = own.raise_on(parent, longer, data, args.seed, place, show, keeper)
    _keep(ready, path, begun - (0.0 if keeper is None else keeper.seconds), place)
    if keeper is not None:
        own.forget(keeper)
    return ready


def _keep(ready: Parent, path: Path | None, begun: float, place: torch.device) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        keep(ready, path, MadeReady(time.perf_counter() - begun, made_on(place)["device"]))


def check_began_with(
    parent: Parent, settings: Mapping[str, Any], run_dir: Path | None, *, joins: bool
) -> None:
    """Raise ValueError where a run that is gone on with would inherit other weights than it began
    with; ``settings`` are those that it has, {} of a new one.

    What cannot be compared is said on stderr, as is a difference in a driver that ``joins``: on
    another machine the same parent, made ready again, differs in its last bits.
    """
    if not settings or run_dir is None:
        return
    began = (settings.get("init") or {}).get("weights")
    if began is None:
        print(
            f"weights: {run_dir / FILE_NAME} could not be compared with what the run began with, "
            "which an earlier version did not keep",
            file=sys.stderr,
        )
    elif began != parent.digest and joins:
        print("weights: made ready here, other than in the run that is joined", file=sys.stderr)
    elif began != parent.digest:
        raise ValueError(
            f"the weights that candidates inherit have the digest {parent.digest}, not {began} as "
            f"when the run began: restore {run_dir / FILE_NAME} from a copy, or choose another "
            "--out"
        )
