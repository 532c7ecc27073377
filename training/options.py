"""The command-line options that every search shares: pictures, proxy recipe, machines, run."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common.command import count, file_name, path, storage_url
from common.paths import check_place
from models.spec import ArchSpec
from training.data import Data, Split, check_covers, native_size
from training.device import choose_device
from training.evaluator import ByName, ByValue, Evaluator, proxy_recipe
from training.given import Pictured, add_pictures, as_stored
from training.loop.sizing import filling, fitting, machines
from training.loop.train import first
from training.recipe import Recipe
from training.transfer.options import add_init, made_ready, parent_of, transfer_recipe
from training.transfer.parent import Parent
from training.variation import add_variation, described, varied
from trials.store.study import stored_settings
from trials.workers.pool import Executor, ProcessPool
from trials.workers.ray_cluster import check_ray
from trials.workers.ray_pool import RayPool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the pictures, the proxy training, its machines and the run directory."""
    data = parser.add_argument_group("pictures")
    add_pictures(data)
    proxy = parser.add_argument_group(
        "proxy training", "each candidate is trained shortly as its small twin; see docs/proxy.md"
    )
    proxy.add_argument("--proxy-resolution", type=count, help="pixels; default: by the pictures")
    proxy.add_argument("--proxy-images", type=count, help="training images; default: by the device")
    proxy.add_argument("--proxy-epochs", type=count, help="passes; default: by the device")
    add_variation(parser)
    add_init(parser.add_argument_group("weights to start from"))
    _add_machines(parser.add_argument_group("machines"))
    run = parser.add_argument_group("run")
    run.add_argument("--minutes", type=float, help="start no further training after this long")
    run.add_argument("--seed", type=int, default=0, help="of the whole search")
    run.add_argument("--out", type=path, help="run directory; default: a new one below runs/")
    run.add_argument("--resume", action="store_true", help="go on with the run in --out")
    run.add_argument(
        "--storage",
        type=storage_url,
        help="an Optuna storage URL in place of the run's journal file",
    )
    run.add_argument(
        "--join", action="store_true", help="with --storage: work on a study others work on too"
    )


def _add_machines(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument(
        "--workers",
        type=count,
        help="trainings at once; default: one a GPU, or one a core on a "
        "CPU; with Ray, what the cluster has room for",
    )
    group.add_argument(
        "--trial-timeout", type=float, metavar="SECONDS", help="kill a training after this long"
    )
    group.add_argument(
        "--executor",
        default="processes",
        choices=("processes", "ray"),
        help="processes of this machine, or a Ray cluster (extra ray); pictures are decoded here "
        "and sent to each of its nodes once",
    )
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="of the cluster, auto on one of its nodes; default: Ray is started on this machine",
    )
    group.add_argument(
        "--gpus-per-trial",
        type=float,
        metavar="SHARE",
        help="train on the cluster's GPUs: how "
        "many, or which part of one, a training takes; default: 1 if --device is cuda",
    )


def prepare(
    args: argparse.Namespace,
    growth: float = 1.0,
    *,
    parent: Parent | None = None,
    reference: int = 224,
    own: bool = False,
    epochs: int = 0,
    largest: Iterable[ArchSpec] | None = None,
    run_dir: Path | None = None,
) -> tuple[Evaluator, Data]:
    """The evaluator that the options describe, and the pictures it will use.

    growth   the greatest multiple of the proxy resolution that will be trained
    parent   of ``inherited_from``
    reference    the resolution of the specs, the highest, before any growth
    own      whether a parent's children are seen at their own resolutions
    epochs   of a child's fine-tuning where --proxy-epochs does not say it; 0: scored as it is
    largest  networks, of which none that will be trained asks for more memory and time: by them a
             new run's micro-batch is decided and, on CUDA with --minutes and --trials, how long
             its trainings are. None: whole batches and the device's constants
    run_dir  the run's: where it is resumed or joined, its recipe is that which it began with

    Raises ValueError for machines that are not to be had, MemoryError where none of the largest
    can be trained.
    """
    device = _device(args)
    native = native_size(args.data)
    settings = {} if run_dir is None else resumed(args, run_dir)
    kept = _stored_recipe(settings)
    if kept is None and parent is not None:
        made = replace(transfer_recipe(native, device, growth, reference, own), epochs=epochs)
    else:
        made = proxy_recipe(native, device, growth) if kept is None else kept
    recipe = _with_options(made, args)
    side = recipe.resolution or reference
    # No larger than it is used: a candidate's batches are then not resized at every step.
    source = ByName(args.data, max(side, min(native, math.ceil(side * growth))), args.seed)
    evaluator, data = Evaluator(source, recipe, device), source.data()
    print(data.summary(), file=sys.stderr)
    if parent is not None:
        evaluator = replace(evaluator, parent=made_ready(parent, args, recipe, data, run_dir))
    if kept is None and largest is not None and args.executor != "ray":
        evaluator = _sized(evaluator, data, list(largest), args, growth)
    _check_covered(data, evaluator.recipe)
    return evaluator, data


def inherited_from(
    args: argparse.Namespace,
    run_dir: Path | None,
    *,
    baseline: str | None = None,
    examples: Iterable[ArchSpec] = (),
    follow: bool = False,
) -> Parent | None:
    """The network whose weights candidates begin with, as the options and the pictures say.

    baseline     what the user gave as the network that is scaled; its weights are inherited
    examples     some networks of those that will be trained
    follow   whether networks will take the activation and the norms' settings of their parent
    run_dir  the run's: where it is resumed or joined, its parent is that which it began with

    Raises ValueError for a parent that is not to be had.
    """
    settings = {} if run_dir is None else resumed(args, run_dir)
    return parent_of(args, args.data, baseline, examples, settings, run_dir, follow=follow)


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
    return replace(evaluator, recipe=recipe)


def _check_covered(data: Data, recipe: Recipe) -> None:
    """Raise ValueError where the recipe's training images do not show every class."""
    try:
        check_covers(data.train, recipe.images, data.classes)
    except ValueError as error:
        raise ValueError(f"{error} with --proxy-images") from None


def resumed(args: argparse.Namespace, run_dir: Path) -> dict[str, Any]:
    """The settings with which the run began that is gone on with, or joined; {} for a new one.

    What was measured or decided for it then is not measured or decided again.
    """
    return stored_settings(run_dir, args.storage) if args.resume or args.join else {}


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
    recipe = replace(recipe, **{name: value for name, value in changes.items() if value})
    return varied(recipe, args)


def _device(args: argparse.Namespace) -> str:
    """Where trainings run; on a Ray cluster "cpu" or "cuda", which this machine need not have."""
    if args.executor != "ray":
        for name in ("ray_address", "gpus_per_trial"):
            if getattr(args, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is for --executor ray: add that")
        choose_device(args.device)
        return str(args.device)
    gpus = args.gpus_per_trial
    if gpus is not None and not gpus > 0:
        raise ValueError(f"--gpus-per-trial must be above 0, got {gpus:g}")
    if gpus is not None and args.device not in ("auto", "cuda"):
        raise ValueError(f"--gpus-per-trial {gpus:g} is for --device cuda, not {args.device}")
    # Asked for by name, it need not be on this machine.
    device = "cuda" if gpus or args.device == "cuda" else str(choose_device(args.device))
    if device not in ("cpu", "cuda"):
        raise ValueError(f"on a Ray cluster --device is cpu or cuda, not {device}")
    check_ray(args.ray_address, gpus or 0.0)
    return device


def executor(args: argparse.Namespace, evaluator: Evaluator) -> Executor:
    """Worker processes: one a GPU, or one a core with a thread each; or a Ray cluster's nodes."""
    if args.executor == "ray":
        held = replace(evaluator, source=ByValue(evaluator.source.data()))
        gpus = (args.gpus_per_trial or 1.0) if evaluator.device == "cuda" else 0.0
        address, timeout = args.ray_address, args.trial_timeout
        return RayPool(held, args.workers, address=address, gpus=gpus, timeout=timeout)
    where = machines(args.device, args.workers, evaluator.recipe)
    if where.devices is not None:
        evaluator = replace(evaluator, device="cuda")  # a worker sees its own device only
    return ProcessPool(evaluator, where.workers, devices=where.devices, timeout=args.trial_timeout)


def facts(source: Pictured, data: Data, evaluator: Evaluator) -> dict[str, Any]:
    """What a report must say of the pictures and the proxy, as JSON; ``source`` is --data."""
    recipe, parent = evaluator.recipe, evaluator.parent
    train, held = first(data.train, recipe.images), first(data.validation, recipe.held_out)
    counts = [_counts(split, data) for split in (train, held)]
    most = max(counts[1]) / len(held)
    return {
        "data": {
            "name": data.name,
            "digest": data.digest,
            "size": data.size,
            "classes": list(data.classes),
            "channels": data.channels,
            "train": len(train),
            "validation": len(held),
            "native_size": data.native_size,
            "enlarged": data.enlarged,
            "skipped": [list(pair) for pair in data.skipped],
            "chance": 1 / sum(map(bool, counts[1])) if recipe.balance else most,
        },
        "recipe": {"key": recipe.key, **recipe.to_dict()},
        "init": None if parent is None else parent.facts(),
        "class_counts": counts,  # for training, for validation
        "varied": described(recipe, data.flip),
        "source": as_stored(source),
    }


def _counts(split: Split, data: Data) -> list[int]:
    found: list[int] = torch.bincount(split.labels, minlength=len(data.classes)).tolist()
    return found


def run_directory(args: argparse.Namespace, name: str) -> Path:
    """--out, or ``runs/NAME``, with a number where that is taken; the newest to resume.

    Raises ValueError where nothing can be written there: before the first training, not after the
    last.
    """
    found = _directory(args, file_name(name))
    check_place(found)
    return found


def _directory(args: argparse.Namespace, name: str) -> Path:
    if args.out is not None:
        return Path(args.out)
    root = Path("runs")
    numbers = {1: root / name}  # of those that are there
    for found in root.glob(f"{name}-*"):
        if (number := found.name.removeprefix(f"{name}-")).isdecimal():
            numbers[int(number)] = found
    taken = [number for number, found in numbers.items() if found.exists()]
    if getattr(args, "resume", False):
        there = (numbers[number] for number in taken)
        return max(there, key=lambda found: found.stat().st_mtime, default=root / name)
    free = max(taken, default=0) + 1
    return root / name if free == 1 else root / f"{name}-{free}"
