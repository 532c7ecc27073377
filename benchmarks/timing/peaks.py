"""Predicted and measured peak memory of a training step, with and without ``--recompute``.

    python -m benchmarks.timing.peaks [NETWORK PIXELS BATCH]

The prediction is ``models.memory.step_bytes``; of AmoebaNet-B, which no plan describes, that of the
same step on torch's meta device (``benchmarks.support.live``), its cells in the place of stages.
Measured is what torch's allocator had handed out at most, by its profiler, in two steps on the CPU
in a process of its own: tensors and what operations need within themselves, but not what libraries
and the allocator keep besides. Networks are built for 10 classes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from benchmarks.support.live import expected
from benchmarks.timing.memory import noise
from models.families import family
from models.memory import step_bytes
from models.reference.amoebanet import AmoebaNet
from training.loop.train import trainer
from training.recipe import Recipe
from trials.workers.environment import child_environment, thread_variables

AMOEBA = "amoebanet-b"
CASES = (
    ("efficientnet-b0", 224, 4), ("efficientnet-b1", 240, 4), ("efficientnet-b2", 260, 2),
    ("efficientnet-b3", 300, 2), ("efficientnet-b4", 380, 2), ("efficientnet-b5", 224, 2),
    ("efficientnet-b6", 224, 2), ("efficientnet-b7", 224, 2), (AMOEBA, 128, 2),
)  # fmt: skip
"""Above B4, and of AmoebaNet-B, pictures are smaller than the papers': 456, 528, 600 and 480."""


def main() -> None:
    """Print a row for each network and way."""
    given = argparse.ArgumentParser()
    given.add_argument("case", nargs="*", help="a network, its pixels and the batch; default: many")
    args = given.parse_args()
    cases = [(args.case[0], int(args.case[1]), int(args.case[2]))] if args.case else CASES
    print("| network | pixels | batch | recompute | predicted, MiB | measured, MiB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, side, batch in cases:
        for again in (False, True):
            estimate, peak = predicted(name, side, batch, again), measured(name, side, batch, again)
            print(
                f"| {name} | {side} | {batch} | {'yes' if again else 'no'} | "
                f"{estimate / 2**20:.0f} | {peak / 2**20:.0f} | {estimate / peak:.3f} |",
                flush=True,
            )


def predicted(name: str, side: int, batch: int, again: bool) -> int:
    """Bytes."""
    if name == AMOEBA:
        return expected(partial(amoebanet, again), side, batch)
    spec = replace(family(name), resolution=side, classes=10)
    return step_bytes(spec, batch, recompute=again)


def measured(name: str, side: int, batch: int, again: bool) -> int:
    """Bytes at the peak of two steps, in a fresh process."""
    with (
        child_environment(thread_variables(1)),
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
    ):
        return pool.submit(_measured, name, side, batch, again).result()


def _measured(name: str, side: int, batch: int, again: bool) -> int:
    work = _steps if name == AMOEBA else partial(_training, name)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=kinds, profile_memory=True, acc_events=True) as seen:
        work(side, batch, again)
    found: Any = seen.profiler
    events = [one for one in found.kineto_results.events() if one.name() == "[memory]"]
    now = peak = 0
    for one in sorted(events, key=lambda event: event.start_ns()):
        now += one.nbytes()
        peak = max(peak, now)
    return peak


def _training(name: str, side: int, batch: int, again: bool) -> None:
    """Two steps as ``python -m training`` does them."""
    data = noise(2 * batch, side)
    spec = replace(family(name), resolution=side, classes=len(data.classes))
    recipe = Recipe(epochs=1, batch=batch, recompute=again)
    trainer(spec, recipe, data, 0, torch.device("cpu")).epoch()


def _steps(side: int, batch: int, again: bool) -> None:
    """Two steps of AmoebaNet-B."""
    network = amoebanet(again).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    for _ in range(2):
        images = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
        cross_entropy(network(images), torch.arange(batch) % 10).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()


def amoebanet(again: bool, cells: int = 18, filters: int = 512) -> nn.Module:
    """AmoebaNet-B as GPipe trains it, 557M parameters with 1,000 classes; ``again``: its cells keep
    their two inputs alone."""
    network = AmoebaNet("B", cells, filters, classes=10)
    for cell in network.cells if again else ():
        cell.forward = partial(_again, partial(type(cell).forward, cell))
    return network


def _again(forward: Callable[..., Tensor], *given: Tensor) -> Tensor:
    found: Tensor = checkpoint(forward, *given, use_reentrant=False)
    return found


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start = time.time()
    main()
    print(f"{(time.time() - start) / 60:.0f} minutes")
