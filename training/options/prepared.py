"""What the options of a search come to: its evaluator, with the recipe and the pictures."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.spec import ArchSpec
from training.data import Data, check_covers, native_size
from training.evaluator import ByName, Evaluator, proxy_recipe
from training.options.sizing import filling, fitting, machines
from training.options.workers import device_of
from training.recipe import Recipe
from training.recipe.variation import varied
from training.transfer.options import parent_of, transfer_recipe
from training.transfer.own import own_recipe
from training.transfer.parent import Parent
from training.transfer.ready import check_began_with, made_ready
from trials.store.study import stored_settings

FEWEST_STEPS, SMALLEST_BATCH = 100, 32


def prepare(
    args: argparse.Namespace,
    growth: float = 1.0,
    *,
    parent: Parent | None = None,
    reference: int = 224,
    stride: int = 32,
    own: bool = False,
    largest: Callable[[Data], Iterable[ArchSpec] | None] | None = None,
    run_dir: Path | None = None,
    study: str | None = None,
) -> tuple[Evaluator, Data]:
    """The evaluator that the options describe, and the pictures it will use.

    growth   the greatest multiple of the proxy resolution that will be trained
    parent   of ``inherited_from``
    reference    the resolution of the specs, the highest, before any growth
    stride   the greatest total stride of the specs
    own      whether a parent's children are seen at their own resolutions
    largest  gives, of the pictures, networks for them of which none that will be trained asks for
             more memory and time: by them a new run's micro-batch is decided and, on CUDA with
             --minutes and --trials, how long its trainings are. None, or where it gives None:
             whole batches and the device's constants
    run_dir  the run's: where it is resumed or joined, its recipe is that which it began with
    study    its study's name in --storage; None: the directory's

    Raises ValueError for machines that are not to be had, for 0 epochs of random weights and where
    a run that goes on would inherit other weights than it began with, MemoryError where none of the
    largest can be trained.
    """
    device = device_of(args)
    native = native_size(args.data)
    settings = {} if run_dir is None else resumed(args, run_dir, study)
    kept = _stored_recipe(settings)
    if kept is None and parent is not None and parent.untrained:
        made = own_recipe(native, device, growth, reference, stride)
    elif kept is None and parent is not None:
        made = transfer_recipe(native, device, growth, reference, own)
    else:
        made = kept or proxy_recipe(native, device, growth, reference, stride)
    recipe = _with_options(made, args)
    if parent is None and not recipe.epochs:
        raise ValueError("--proxy-epochs 0 scores inherited weights: give 1 or more, or --init")
    side = recipe.resolution or reference
    # No larger than it is used: a candidate's batches are then not resized at every step.
    source = ByName(args.data, max(side, min(native, math.ceil(side * growth))), args.seed)
    data = source.data()
    print(data.summary(), file=sys.stderr)
    if kept is None:
        recipe = in_steps(recipe, len(data.train))
    evaluator = Evaluator(source, recipe, device)
    if parent is not None:
        # A dry run keeps nothing.
        new = getattr(args, "dry_run", False) and not settings
        place = None if new else run_dir
        ready = made_ready(parent, args, recipe, data, place)
        check_began_with(ready, settings, place, joins=args.join)
        evaluator = replace(evaluator, parent=ready)
    if kept is None and largest is not None and args.executor != "ray":
        specs = largest(data)
        if specs is not None:
            evaluator = _sized(evaluator, data, list(specs), args, growth)
    _check_covered(data, evaluator.recipe)
    return evaluator, data


def inherited_from(
    args: argparse.Namespace,
    run_dir: Path | None,
    *,
    baseline: str | None = None,
    examples: Iterable[ArchSpec] = (),
    follow: bool = False,
    raised: Callable[[], ArchSpec] | None = None,
) -> Parent | None:
    """The network whose weights candidates begin with, as the options and the pictures say.

    baseline     what the user gave as the network that is scaled; its weights are inherited
    examples     some networks of those that will be trained
    follow   whether networks will take the activation and the norms' settings of their parent
    raised   gives the network that --init own trains first; None: there is none
    run_dir  the run's: where it is resumed or joined, its parent is that which it began with

    Raises ValueError for a parent that is not to be had.
    """
    settings = {} if run_dir is None else resumed(args, run_dir)
    return parent_of(
        args, args.data, baseline, examples, settings, run_dir, follow=follow, raised=raised
    )


def _sized(
    evaluator: Evaluator,
    data: Data,
    largest: Sequence[ArchSpec],
    args: argparse.Namespace,
    growth: float,
) -> Evaluator:
    """The evaluator with the micro-batch, and where minutes decide it the length, of a new run."""
    where = machines(evaluator.device, args.workers, evaluator.recipe)
    evaluator = replace(evaluator, recipe=fitting(evaluator, data, largest, where))
    trials = getattr(args, "trials", None)
    said = args.proxy_images or args.proxy_epochs
    if evaluator.parent is not None or said or not (args.minutes and trials):
        return evaluator
    recipe = filling(evaluator, data, largest, where, growth, args.minutes, trials)
    return replace(evaluator, recipe=in_steps(recipe, len(data.train)))


def in_steps(recipe: Recipe, available: int) -> Recipe:
    """``recipe`` with its batch halved until a training has ``FEWEST_STEPS`` steps, but to no fewer
    than ``SMALLEST_BATCH`` of the ``available`` training pictures; says so where it was.

    A rate for many steps that climbs and falls within twenty leaves networks worse than random ones
    (docs/proxy.md), and a GPU takes about as long for a small step as for a large one.
    """
    images = min(available, recipe.images or available)
    batch = recipe.batch
    while (
        batch >= 2 * SMALLEST_BATCH
        and recipe.epochs * (images // min(batch, images)) < FEWEST_STEPS
    ):
        batch //= 2
    if batch == recipe.batch:
        return recipe
    print(f"{images:,} pictures a training are few: in batches of {batch}", file=sys.stderr)
    return replace(recipe, batch=batch)


def _check_covered(data: Data, recipe: Recipe) -> None:
    """Raise ValueError where the recipe's training images do not show every class."""
    try:
        check_covers(data.train, recipe.images, data.classes)
    except ValueError as error:
        raise ValueError(f"{error} with --proxy-images") from None


def resumed(args: argparse.Namespace, run_dir: Path, study: str | None = None) -> dict[str, Any]:
    """The settings with which the run began that is gone on with, or joined; {} for a new one.

    What was measured or decided for it then is not measured or decided again.
    """
    return stored_settings(run_dir, args.storage, study) if args.resume or args.join else {}


def _stored_recipe(settings: Mapping[str, Any]) -> Recipe | None:
    """The recipe among a run's settings, as ``facts`` puts it there."""
    stored = settings.get("recipe")
    if not isinstance(stored, Mapping):
        return None
    return Recipe.from_dict({name: value for name, value in stored.items() if name != "key"})


def _with_options(recipe: Recipe, args: argparse.Namespace) -> Recipe:
    changes = {
        "resolution": args.proxy_resolution,
        "images": args.proxy_images,
        "epochs": args.proxy_epochs,
    }
    told = {name: value for name, value in changes.items() if value is not None}
    return varied(replace(recipe, **told), args)
