"""One detector or segmenter trained, and measured on the pictures that are held out."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms.v2 import Transform

from common.units import format_size
from models.choose import choose
from models.deploy.detector_cost import TWO_STAGE, head_cost
from models.deploy.heads import DETECTORS, OUTLINING, Head
from models.deploy.preprocessing import WEIGHTS
from models.inherit import inherit
from models.reference.providers import IMAGENET
from models.spec import ArchSpec
from training.commands.begun import begin, check_recipe, free, go_on, saying, taken
from training.device import choose_device
from training.loop.bar import shown
from training.loop.checkpoints.keeper import Keeper
from training.loop.train import made_on
from training.options.directory import run_directory
from training.scenes.coco import read_coco
from training.scenes.loop import SceneTrainer
from training.scenes.masks import read_masks
from training.scenes.measure import detected, segmented
from training.scenes.outlines import check_installed, check_outlined
from training.scenes.recipe import SceneRecipe
from training.scenes.scene import Scene, Scenes, divided
from training.scenes.vary import (
    Varied,
    boxes_of,
    classes_of,
    for_detectors,
    for_segmenters,
    outlines_of,
)
from training.transfer.parent import Parent, weights_of
from training.transfer.sources import BASELINE, open_parent


def go(args: argparse.Namespace, known: argparse.ArgumentParser, command: str) -> None:
    """Train by the options, ``known``'s; of a training that is resumed, by those it began with."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"{command} trains in one process: start it without torchrun")
    if args.resume:
        go_on(args, known, command)
    place = choose_device(args.device)
    spec, scenes = choose(args.spec), _scenes(args)
    print(scenes.summary(), file=sys.stderr)
    parent = _parent(args, spec)
    recipe, head = _recipe(args, parent), _head(args, parent, scenes)
    if args.resume:
        check_recipe(args.out, asdict(recipe))
    spec = replace(spec, resolution=args.resolution, in_channels=3)
    torch.manual_seed(args.seed)
    model = head.on(spec, None if parent is None else inherit(parent.spec, parent.weights, spec))
    flops = format_size(head_cost(head.kind, spec, len(head.classes), head.side).macs)
    most = " at most" if head.kind in TWO_STAGE else ""
    print(f"{head.kind} on {spec.name}: {flops} FLOPs{most} at {head.side} pixels, all counted",
          file=sys.stderr)  # fmt: skip
    if not args.resume:
        args.out = free(run_directory(args, f"{command.split()[-1]}-{spec.name}-{scenes.name}"))
    of = {"spec": spec.key, "recipe": recipe.key, "head": asdict(head), "seed": args.seed,
          "pictures": _digest(scenes)}  # fmt: skip
    keeper = Keeper(args.out, args.checkpoint_minutes, json.loads(json.dumps(of)))
    with taken(args.out):
        if not args.resume:
            begin(args, command=command, spec=json.loads(spec.to_json()), recipe=asdict(recipe),
                  head=asdict(head), weights=parent and parent.name)  # fmt: skip
        with saying(args.out, keeper, command), keeper.listening():
            found = _trained(args, model, head, recipe, scenes, keeper, place)
            _write(args.out, spec, head, model, found)
            keeper.forget()
    _tell(args.out, recipe, found)


def _scenes(args: argparse.Namespace) -> Scenes:
    root = Path(args.data)
    if not root.is_dir():
        raise ValueError(f"no folder {args.data!r:.200}: give one with pictures and annotations")
    if args.head in DETECTORS:
        check_installed()
        found = read_coco(root)
        if args.head in OUTLINING:
            check_outlined((*found.train, *found.held_out))
    else:
        found = read_masks(root)
    return divided(found, args.seed)


def _parent(args: argparse.Namespace, spec: ArchSpec) -> Parent | None:
    """The classifier whose weights are used; None: random ones."""
    init = args.init
    if init is None:
        here = Path(args.spec)
        if not any((here / name).is_file() for name in (BASELINE, WEIGHTS)):
            return None
        init = args.spec
        print(f"weights: those of {init}; --init random for none", file=sys.stderr)
    if init == "random":
        return None
    return open_parent(spec.name) if init == "pretrained" else open_parent(init, spec)


def _recipe(args: argparse.Namespace, parent: Parent | None) -> SceneRecipe:
    keep = args.keep_norms
    return SceneRecipe(
        epochs=args.epochs, batch=args.batch, lr=args.lr, weight_decay=args.weight_decay,
        augment=args.augment, keep_norms=parent is not None if keep is None else keep,
    )  # fmt: skip


def _head(args: argparse.Namespace, parent: Parent | None, scenes: Scenes) -> Head:
    """Pictures are normalised as the weights were trained, else as ImageNet's are."""
    mean, std = IMAGENET if parent is None else parent.moments
    mean, std = (tuple(one) * (3 // len(one)) for one in (mean, std))  # grey ones stand for all
    return Head(args.head, scenes.classes, mean, std, args.resolution)


def _trained(
    args: argparse.Namespace,
    model: nn.Module,
    head: Head,
    recipe: SceneRecipe,
    scenes: Scenes,
    keeper: Keeper,
    place: torch.device,
) -> dict[str, Any]:
    """What was measured after the training, JSON."""
    began = time.perf_counter()
    detects = head.kind in DETECTORS
    pictures = Varied(scenes.train, *_learned(head, recipe))
    run = SceneTrainer(model, head, recipe, pictures, args.seed, place, args.workers)
    keeper.begin(run)
    with shown(recipe.epochs) as (show, _):
        for epoch in range(len(run.losses), recipe.epochs):
            show(epoch, run.epoch())
    keeper.write(run)
    measure = detected if detects else segmented
    return {
        **measure(model, head, scenes.held_out, place),
        "held_out": scenes.part,
        "held_out_images": len(scenes.held_out),
        "images": len(scenes.train),
        "losses": [round(loss, 4) for loss in run.losses],
        "seconds": time.perf_counter() - began + keeper.seconds,
        "recipe": recipe.key,
        "seed": args.seed,
        **made_on(place),
    }


def _learned(head: Head, recipe: SceneRecipe) -> tuple[Transform, Callable[[Scene], Any]]:
    """How pictures are varied, and what of them is learned."""
    if head.kind not in DETECTORS:
        return for_segmenters(recipe.augment, head.side), classes_of
    target = outlines_of if head.kind in OUTLINING else boxes_of
    return for_detectors(recipe.augment, head.mean), target


def _write(
    out: Path, spec: ArchSpec, head: Head, model: nn.Module, found: Mapping[str, Any]
) -> None:
    (out / "spec.json").write_text(spec.to_json() + "\n", "utf-8")
    head.write(out)
    facts = json.dumps(found, indent=1, ensure_ascii=False)
    (out / "evaluation.json").write_text(facts + "\n", "utf-8")
    # Last, at once or not at all: where they are, the training is done.
    partial = out / f"{WEIGHTS}.part"
    save_file(weights_of(model), partial)
    partial.replace(out / WEIGHTS)


def _tell(out: Path, recipe: SceneRecipe, found: Mapping[str, Any]) -> None:
    """The answer, in one line."""
    names = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "mask_ap": "of masks AP",
             "mask_ap50": "AP50", "mask_ap75": "AP75", "miou": "mean IoU",
             "pixel_accuracy": "pixel accuracy"}  # fmt: skip
    said = [
        f"{word} {'unknown' if found[name] is None else format(found[name], '.3f')}"
        for name, word in names.items() if name in found
    ]  # fmt: skip
    print(
        f"{', '.join(said)} on {found['held_out_images']:,} pictures held out, after "
        f"{recipe.epochs} epochs, {found['seconds'] / 60:.1f} minutes: {out}"
    )


def _digest(scenes: Scenes) -> str:
    """Of names and of everything that is marked, not of pixels."""
    found = hashlib.sha256(repr((scenes.classes, len(scenes.train))).encode())
    for one in (*scenes.train, *scenes.held_out):
        mask = None if one.mask is None else one.mask.name
        found.update(repr((one.path.name, one.size, one.objects, mask)).encode())
    return found.hexdigest()[:16]
