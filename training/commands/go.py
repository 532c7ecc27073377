"""One network trained properly, and measured on the test split."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import (
    AbstractContextManager,
    nullcontext,
)
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.command import hushed
from common.energy import counters, in_words
from common.host_memory import gigabytes, total_host_bytes
from common.units import format_size
from models.choose import choose
from models.cost import cost
from models.spec import ArchSpec
from reports.commands.onward import after_training
from reports.training import report
from training.commands.begun import begin, check_recipe, free, go_on, saying, taken
from training.commands.together import schedule_of, settled_micro_batches, sharded
from training.commands.written import told, write
from training.data import SHARE, Data, load
from training.device import choose_device
from training.given import TRAINING, settle_pictures
from training.loop.bar import shown
from training.loop.checkpoints.keeper import Keeper
from training.loop.feeds.feed import held
from training.loop.feeds.placed import placed
from training.loop.processes import Processes, joined
from training.loop.train import final
from training.options.directory import run_directory
from training.options.logs import LOSS, Logs, conclude
from training.options.prepared import in_steps
from training.options.rehearsal import rehearsed_alone
from training.recipe import Recipe
from training.recipe.options import chosen_recipe, settled_recipe
from training.recipe.variation import varied
from training.transfer.child import born, tested
from training.transfer.parent import Parent, prepared
from training.transfer.sources import BASELINE, open_parent
from trials.caution import cautions_of_test, closing, closing_json
from trials.energy import kept, metered
from trials.record import Evaluation
from trials.workers.environment import cores

_FITTED = 5_000  # pictures that inherited weights are fitted to, where they stream from disk


def go(args: argparse.Namespace, known: argparse.ArgumentParser) -> None:
    """Train by the options, ``known``'s; of a training that is resumed, by those it began with."""
    if args.resume:
        go_on(args, known)
    ways = schedule_of(args), sharded(args)
    if args.dry_run and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("--dry-run measures one process: start it without torchrun")
    with (
        joined(choose_device(args.device), *ways) as (among, place),
        hushed(not among.is_first, answer=False),  # errors are everyone's
    ):
        if not args.resume:
            settle_pictures(args, args.spec)
        _train(args, among, place)


def _train(args: argparse.Namespace, among: Processes, place: torch.device) -> None:
    spec = choose(args.spec)
    parent = _parent(args, spec)
    recipe = _recipe(args, parent, among)
    side = args.resolution or spec.resolution
    with among.first_alone():  # the others find its cache
        data = load(args.data, size=side, seed=args.seed, stream=args.stream, holders=among.local)
    print(data.summary(), _whereabouts(data, args), sep="\n", file=sys.stderr)
    recipe = settled_micro_batches(_in_steps(args, recipe, data), spec, args)
    if args.resume:
        check_recipe(args.out, recipe.to_dict())
    spec = replace(spec, resolution=side, classes=len(data.classes), in_channels=data.channels)
    if not args.resume:
        name = f"train-{spec.name}-{data.name}"
        args.out = Path(among.told(str(free(run_directory(args, name)))))
    of = _identity(spec, recipe, data, args.seed, among)
    keeper = Keeper(args.out, args.checkpoint_minutes, of)
    start = None
    if parent is not None and not keeper.path.exists():
        start = _started(parent, spec, recipe, data, args.seed, place)
    weights = "; weights: random (--init for others)" if parent is None else ""
    price = format_size(cost(spec).macs)
    print(f"{spec.name}: {price} FLOPs at {side} pixels{weights}", file=sys.stderr)
    if args.dry_run:
        print(rehearsed_alone(spec, recipe, data, place, _workers(args, recipe, data, among)))
        return
    logs = Logs(args.log if among.is_first else (), "training")
    with taken(args.out), _energy(args.out, keeper, among, place):
        if not args.resume and among.is_first:
            args.stream = data.streams  # another machine has another memory
            begin(args, spec=json.loads(spec.to_json()), recipe=recipe.to_dict(),
                  data={"name": data.name, "digest": data.digest},
                  weights=parent and parent.name)  # fmt: skip
        with saying(args.out, keeper), shown(recipe.epochs) as (show, step), keeper.listening():

            def heard(epoch: int, loss: float) -> None:
                show(epoch, loss)
                logs.write(args.out.name, lambda entry: entry.at(epoch + 1, {LOSS: loss}))

            network, found = final(
                spec, recipe, data, args.seed, place, network=start, on_epoch=heard, on_step=step,
                keeper=keeper, workers=_workers(args, recipe, data, among), among=among,
            )  # fmt: skip
            if among.is_first:
                if parent is not None:
                    there = placed(held(data, _FITTED), next(network.parameters()).device)
                    found = tested(network, side, recipe, there, found)
                write(args.out, spec, network, data, told(found, data))
                keeper.forget()
    found = told(found, data)
    if among.is_first:
        report(args.out, after_training(args.out))
        facts = {"network": spec.name, "seed": args.seed, **recipe.to_dict()}
        logs.write(args.out.name, lambda entry: conclude(entry, spec, found, facts, {}))
    _tell(args, recipe, found)


def _energy(
    out: Path, keeper: Keeper, among: Processes, place: torch.device
) -> AbstractContextManager[None]:
    """A block whose energy is kept: of the machine of the first of several processes."""
    if not among.is_first:
        return nullcontext()
    return metered(out / TRAINING, keeper.path.exists(), counters(gpus=place.type == "cuda"))


def _recipe(args: argparse.Namespace, parent: Parent | None, among: Processes) -> Recipe:
    """What --recipe, --augment and their like, and then --set say."""
    if parent is None and args.recipe == "finetune":
        raise ValueError("--recipe finetune is for weights to start from: add --init")
    recipe = varied(chosen_recipe(args), args)
    if parent is None and args.freeze:
        raise ValueError("--freeze is for weights to start from: add --init")
    if parent is not None and args.recipe != "finetune":
        # A rate for random weights would first undo what these have learned.
        recipe = replace(recipe, lr=recipe.lr / 10)
    recipe = settled_recipe(recipe, args)
    if recipe.sync_bn and among.count == 1:
        raise ValueError("--sync-bn is for several processes: start them with torchrun")
    return recipe


def _in_steps(args: argparse.Namespace, recipe: Recipe, data: Data) -> Recipe:
    """``recipe`` in batches that few pictures make steps enough of, unless their size was said."""
    said = args.batch is not None or any(one.startswith("batch=") for one in args.set)
    return recipe if said else in_steps(recipe, len(data.train))


def _whereabouts(data: Data, args: argparse.Namespace) -> str:
    """Where the pictures are while they are trained on, and why."""
    where = "stream from disk" if data.streams else "are in memory"
    there = total_host_bytes()
    why = "as asked"
    if args.stream is None:
        of = "" if there is None else f" of {gigabytes(there)}"
        why = f"{'over' if data.streams else 'under'} {SHARE:.0%} of the memory{of}"
    return f"pictures: {gigabytes(data.bytes)} of pixels {where} ({why})"


def _workers(args: argparse.Namespace, recipe: Recipe, data: Data, among: Processes) -> int:
    """How many processes decode and vary pictures."""
    if args.workers is not None:
        return int(args.workers)
    on_gpu = recipe.one_by_one and choose_device(args.device).type == "cuda"
    return max(1, cores() // among.local) if data.streams or on_gpu else 0


def _identity(
    spec: ArchSpec, recipe: Recipe, data: Data, seed: int, among: Processes
) -> dict[str, Any]:
    """What a checkpoint must be of to be gone on with."""
    return {
        "spec": spec.key,
        "recipe": recipe.key,
        "pictures": data.digest,
        "seed": seed,
        "processes": f"{among.count} stages" if among.pipeline else among.count,
    }


def _tell(args: argparse.Namespace, recipe: Recipe, found: Evaluation) -> None:
    """What came out, where it is and what to do next."""
    out = args.out
    plain, balanced = (found.details[f"{kind}_accuracy"] for kind in ("plain", "balanced"))
    joules = kept(out)
    energy = f"\nenergy: {in_words(joules)}" if joules else ""
    answer = (
        f"test accuracy {plain:.4f}, balanced {balanced:.4f}, after {recipe.epochs} epochs, "
        f"{found.seconds / 60:.1f} minutes: {out}{energy}\nreport: {out / 'report.html'}"
    )
    further = "\n      ".join(after_training(out).values())
    told = cautions_of_test(found, recipe.balance)
    if args.json:
        files = {"run": str(out), "report": str(out / "report.html")}
        facts = {**files, "energy": joules, **found.to_dict()}
        print(closing_json(told, facts, further))
    else:
        print(closing(told, answer, further))


def _parent(args: argparse.Namespace, spec: ArchSpec) -> Parent | None:
    """The weights that --init asks for, or that come with --spec; None: random ones."""
    init = args.init
    if init is None:
        own = Path(args.spec)
        there = own.with_suffix(".safetensors") if own.suffix == ".json" else own / BASELINE
        if not there.is_file():
            return None
        init = str(there)
        print(f"weights: {there}; --init random for none", file=sys.stderr)
    if init == "random":
        return None
    if init == "pretrained":
        return open_parent(spec.name)
    return open_parent(init, spec)


def _started(
    parent: Parent, spec: ArchSpec, recipe: Recipe, data: Data, seed: int, place: torch.device
) -> nn.Module:
    """``spec`` with the parent's weights, which first become weights for these pictures."""
    data = held(data, _FITTED)
    near = replace(parent, spec=replace(parent.spec, resolution=spec.resolution))
    ready = prepared(near, recipe, data, seed, place, 0)
    network, own = born(ready, spec, recipe, placed(data, place), seed, place)
    if own.distance:
        parts = ", ".join(f"{part} {share:.0%}" for part, share in own.shares.items())
        print(f"weights: inherited from {parent.name} ({parts})", file=sys.stderr)
    return network
