"""Several processes that train one network, each on its part of every batch, or each a stage of it.

``torchrun`` starts them and tells each its rank. All draw the same batch; each takes its part, and
gradients, losses and counts are added up: over Gloo on CPUs, NCCL on GPUs. In a pipeline
(``training.loop.together``) every batch is everyone's, and what it becomes goes from one to the
next.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

_PATIENCE = timedelta(days=1)  # for one that looks at all pictures while the others wait


@dataclass(frozen=True)
class Processes:
    """Which of how many this process is; one that trains alone is the first of one.

    local     how many of them run on this machine
    schedule  of the pipeline in which each has a stage of the network
              (``training.loop.together.pipeline.SCHEDULES``); None: each has the network
    sharded   whether each has a piece of every weight (``training.loop.together.sharded``)
    """

    rank: int = 0
    count: int = 1
    local: int = 1
    schedule: str | None = None
    sharded: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    @property
    def is_last(self) -> bool:
        """Whether this is the one that ends a pipeline."""
        return self.rank == self.count - 1

    @property
    def pipeline(self) -> bool:
        """Whether each has a stage of the network alone."""
        return self.schedule is not None

    @property
    def parts(self) -> int:
        """How many parts a batch has, each a process's own."""
        return 1 if self.pipeline else self.count

    @property
    def sees_pictures(self) -> bool:
        """Whether pictures go into this one's part of the network."""
        return self.is_first or not self.pipeline

    def part(self, total: int) -> slice:
        """This process's part of ``total`` things; the parts are as equal as can be."""
        if self.pipeline:
            return slice(0, total)
        return slice(self.rank * total // self.count, (self.rank + 1) * total // self.count)

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all processes; every one must ask for it."""
        if self.count == 1:
            return tensor
        found = tensor.clone()
        dist.all_reduce(found)
        return found

    def any(self, *each: bool) -> list[bool]:
        """Of each, whether it is so in any of them; every process must ask."""
        if self.count == 1:
            return list(each)
        found = torch.tensor(each, dtype=torch.int32)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return [bool(one) for one in found.tolist()]

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """Each process's tensor on the CPU, alike in shape, by rank."""
        if self.count == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(found, tensor)
        return found

    def united(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each process has, on the CPU and by other names, together in the first; the others
        have their own alone. Every one must ask."""
        if self.count == 1:
            return tensors
        found: list[dict[str, Tensor]] = [{} for _ in range(self.count)]
        dist.gather_object(tensors, found if self.is_first else None)
        return {name: one for some in found for name, one in some.items()} or tensors

    def told(self, words: str) -> str:
        """The first one's words."""
        if self.count == 1:
            return words
        said = [words]
        dist.broadcast_object_list(said)
        return said[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """A block that the first one ends before the others begin it."""
        if not self.is_first:
            dist.barrier()
        yield
        if self.is_first and self.count > 1:
            dist.barrier()


ALONE = Processes()


@contextmanager
def joined(
    device: torch.device, schedule: str | None = None, sharded: bool = False
) -> Iterator[tuple[Processes, torch.device]]:
    """This process among those that torchrun has started, and its device; else ``ALONE``.

    With a ``schedule`` they are the stages of a pipeline; ``sharded``, they have pieces of the
    weights. Raises ValueError for a device that
    several processes cannot share out.
    """
    count = started()
    if count == 1:
        yield ALONE, device
        return
    if device.type == "mps" or device.index is not None:
        raise ValueError(f"{count} processes cannot train on {device}: give --device cpu or cuda")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", count))
        with warnings.catch_warnings():
            # Of 1×1 kernels, whose strides mean the same in every order; they are copied.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield Processes(dist.get_rank(), count, local, schedule, sharded), device
    finally:
        dist.destroy_process_group()


def started() -> int:
    """How many processes torchrun has started; without it 1."""
    return int(os.environ.get("WORLD_SIZE", 1))


def average_statistics(network: nn.Module, among: Processes) -> None:
    """Make running statistics, which each process has of its own part, their mean over all."""
    if among.parts > 1:
        for one in network.buffers():
            if one.is_floating_point():
                dist.all_reduce(one)
                one /= among.count


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Batch norms whose statistics are those of all processes' images; the names stay.

    On GPUs torch's own; it has none for CPUs, where each norm's ``forward`` is replaced.
    """
    if device.type == "cuda":
        found: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return found
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = functools.partial(_synchronised, module)  # type: ignore[method-assign]
    return network


def _synchronised(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    mean, var = norm.running_mean, norm.running_var
    if not norm.training or mean is None or var is None:
        return F.batch_norm(x, mean, var, norm.weight, norm.bias, False, 0.0, norm.eps)
    pixels = torch.full((1,), x.numel() / x.shape[1], device=x.device)
    *sums, count = _Sum.apply(torch.cat([x.sum((0, 2, 3)), pixels])).split([x.shape[1], 1])
    now = sums[0] / count
    centred = x - now[:, None, None]
    spread = _Sum.apply(centred.square().sum((0, 2, 3))) / count
    if norm.track_running_stats and norm.num_batches_tracked is not None:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            # None: the mean over all batches, as torch's own has it.
            momentum = norm.momentum
            if momentum is None:
                momentum = 1.0 / float(norm.num_batches_tracked)
            mean.lerp_(now, momentum)
            var.lerp_(spread * count / (count - 1), momentum)
    scale = norm.weight * (spread + norm.eps).rsqrt()
    found: Tensor = centred * scale[:, None, None] + norm.bias[:, None, None]
    return found


class _Sum(torch.autograd.Function):
    """The sum over all processes, and in the backward pass the sum of its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        found = x.clone()
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        found = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found)
        return found
