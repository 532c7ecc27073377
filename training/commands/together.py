"""``--pipeline``, ``--micro-batches`` and their like: how several processes share a training."""

from __future__ import annotations

import argparse
from dataclasses import replace

from models.spec import ArchSpec
from training.loop.processes import started
from training.loop.together.pipeline import SCHEDULES, micro_batches_of
from training.loop.together.split import split
from training.recipe import Recipe


def schedule_of(args: argparse.Namespace) -> str | None:
    """The pipeline's schedule; None: there is none.

    Raises ValueError for what cannot go with a pipeline, and for processes that are not its stages.
    """
    stages = args.pipeline
    if stages is None:
        if args.schedule is not None:
            raise ValueError(f"--schedule {args.schedule} is a pipeline's: add --pipeline STAGES")
        return None
    if stages < 2:
        raise ValueError(f"--pipeline {stages} must be at least 2: leave it out for one process")
    if started() != stages:
        raise ValueError(
            f"--pipeline {stages} takes {stages} processes and there is {started()}: start it by "
            f"torchrun --nproc-per-node {stages} -m training …"
        )
    if args.sync_bn:
        raise ValueError(
            "--sync-bn has nothing to do in a --pipeline, where each batch norm is in one process "
            "and sees a micro-batch: leave it out, and for larger ones give fewer --micro-batches"
        )
    return str(args.schedule or SCHEDULES[0])


def sharded(args: argparse.Namespace) -> bool:
    """Whether weights are in pieces. Raises ValueError for what cannot go with that."""
    if args.shard and args.pipeline is not None:
        raise ValueError(
            "--shard and --pipeline each share out the network in their own way: choose one"
        )
    if args.shard and started() == 1:
        raise ValueError(
            "--shard is for several processes: start them with torchrun --nproc-per-node N "
            "-m training …"
        )
    return bool(args.shard)


def settled_micro_batches(recipe: Recipe, spec: ArchSpec, args: argparse.Namespace) -> Recipe:
    """``recipe`` with the micro-batches that are asked for, or that a pipeline takes unless told.

    Raises ValueError where the batch cannot be cut so, or the network into so many stages.
    """
    if args.pipeline is not None:
        split(spec, args.pipeline)
        for setting, has in (("--freeze", recipe.freeze), ("phases", recipe.phases > 1)):
            if has:
                raise ValueError(
                    f"{setting} cannot go with --pipeline, whose stages all learn from maps of "
                    "one size: leave one of them out"
                )
    wanted = args.micro_batches
    if wanted is None:
        if args.pipeline is None or recipe.micro_batch is not None:
            return recipe
        wanted = micro_batches_of(recipe.batch, args.pipeline)
    if recipe.micro_batch not in (None, recipe.batch // wanted):
        raise ValueError(
            f"--micro-batches {wanted} of {recipe.batch} images and --set "
            f"micro_batch={recipe.micro_batch} contradict each other: leave one out"
        )
    if recipe.batch % wanted or recipe.batch < 2 * wanted:
        raise ValueError(
            f"--micro-batches {wanted} do not cut a batch of {recipe.batch} into equal parts of 2 "
            "images or more: choose a number that divides it"
        )
    return replace(recipe, micro_batch=recipe.batch // wanted)
