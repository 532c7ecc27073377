"""Where a search's trainings run: the device that the options mean, and the executor."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from common.energy import counters
from training.device import choose_device, kind_of
from training.evaluator import ByValue, Evaluator
from training.options.sizing import machines
from trials.energy import metered
from trials.store.header import FILE_NAME as RUN
from trials.workers.pool import Executor, ProcessPool
from trials.workers.ray_cluster import check_ray
from trials.workers.ray_pool import RayPool


def device_of(args: argparse.Namespace) -> str:
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


def measured(
    args: argparse.Namespace, run_dir: Path, goes_on: bool
) -> AbstractContextManager[None]:
    """A block of a search whose energy is kept; of one that other machines or drivers take part in
    it is not known."""
    alone = args.executor != "ray" and not args.join
    of = counters(gpus=kind_of(args.device) == "cuda") if alone else ()
    return metered(run_dir / RUN, goes_on, of)
