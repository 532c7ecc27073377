"""How many images of a batch go through a network at once: all of them, where memory allows it.

Batch norm's statistics are each micro-batch's, so the micro-batch is a setting of the training like
any other: a run decides it once (``decide``), from memory in all and not from what is free at the
moment, and keeps it in its recipe. Only where memory really runs out is a training divided further,
which its record then says.
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from common.host_memory import gigabytes, total_host_bytes
from models.memory import COPIES_OF_PARAMETERS, step_bytes
from models.spec import ArchSpec
from training.recipe import Recipe
from trials.workers.environment import sharers

SMALLEST = 2
"""Images of the smallest micro-batch: batch norm needs two."""

_USED = 0.8  # of all there is: the system has a part of it, this process too, and ``_need`` errs
_BESIDES = 1.35
"""Memory that a process takes, over its tensors': of libraries, and what allocators keep. Measured
on a CPU were 1.27 to 1.33 (docs/training.md), on an H200 1.05 to 1.08."""
_INPUT_BYTES = 3 * 4  # a picture as float32, and twice more while it is resized and normalised


def total_bytes(device: torch.device) -> int | None:
    """Bytes of memory that ``device`` has, free or not; None where that cannot be known.

    On the CPU no more than the control groups of this process allow.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return total_host_bytes() if device.type == "cpu" else None


def decide(
    twins: Iterable[ArchSpec], recipe: Recipe, images: int, room: int | None, kind: str = "cpu"
) -> int | None:
    """The micro-batch with which all of these networks, as they are built, train in ``room`` bytes
    of a device of that ``kind``.

    None is the whole batch, also where ``room`` is None, not known. Else the batch's half, quarter
    … with which the largest takes at most four fifths of the room by the formula of
    ``models.memory``. ``images`` are those of a training. A network of which not even ``SMALLEST``
    fit has no say: its training is refused.

    Raises MemoryError where that is so of every network, ValueError where one leaves nothing of
    images of its resolution.
    """
    if room is None:
        return None
    batch = recipe.batch_of(images)
    found, refusal = [], None
    for twin in twins:
        need = functools.partial(_need, twin, recipe, batch, kind=kind)
        sizes = (size for size in _sizes(batch) if need(size) <= _USED * room)
        if (size := next(sizes, None)) is None:
            refusal = _too_large(twin, recipe, batch, room, kind)
        else:
            found.append(size)
    if refusal is not None and not found:
        raise refusal
    size = min(found, default=batch)
    return None if size == batch else size


def check(twin: ArchSpec, recipe: Recipe, images: int, device: torch.device) -> None:
    """Refuse a training that is hopeless; ``twin`` is the network as it is built.

    Raises MemoryError where not even ``SMALLEST`` images fit into this worker's share of all memory
    that ``device`` has; ValueError where the network leaves nothing of images of its resolution.
    """
    batch, there = recipe.batch_of(images), total_bytes(device)
    if there is None:
        return
    room = there // sharers(of_device=device.type == "cuda")
    if _need(twin, recipe, batch, _sizes(batch)[-1], device.type) > room:
        raise _too_large(twin, recipe, batch, room, device.type)


def _too_large(twin: ArchSpec, recipe: Recipe, batch: int, room: int, kind: str) -> MemoryError:
    size = _sizes(batch)[-1]
    need = _need(twin, recipe, batch, size, kind)
    return MemoryError(
        f"training {size} images of {twin.name} at once takes about {gigabytes(need)} on {kind}, "
        f"where there is {gigabytes(room)} for it: choose a smaller network or resolution, or "
        "fewer workers"
    )


def _need(twin: ArchSpec, recipe: Recipe, batch: int, size: int, kind: str = "cpu") -> int:
    """Bytes of a training whose batches go through in micro-batches of ``size`` images."""
    copies = COPIES_OF_PARAMETERS + (recipe.optimizer != "sgd") + (recipe.ema > 0)
    inputs = _INPUT_BYTES * batch * twin.in_channels * twin.resolution**2
    # On CUDA autocast makes all maps bfloat16 but those that layer norm keeps.
    each = 2 if kind == "cuda" and twin.norm != "layer" else 4
    tensors = step_bytes(twin, size, copies, recompute=recipe.recompute, map_bytes=each)
    return int(_BESIDES * (inputs + tensors))


def _sizes(batch: int) -> list[int]:
    """The micro-batches to choose from: the whole batch, its half, quarter …"""
    counts = [1]
    while divisible(batch, counts[-1]):
        counts.append(2 * counts[-1])
    return [micro_batch(batch, count) for count in counts]


def micro_batches(batch: int, most: int | None) -> int:
    """Into how many micro-batches a batch is cut so that none has more than ``most`` images.

    As many fewer as it takes for none to have fewer than ``SMALLEST``. None: 1.
    """
    return 1 if most is None else min(-(-batch // most), max(1, batch // SMALLEST))


def divisible(batch: int, count: int) -> bool:
    """Whether ``count`` micro-batches of a batch can be halved once more."""
    return batch >= 2 * count * SMALLEST


def micro_batch(batch: int, count: int) -> int:
    """Images of the largest of ``count`` micro-batches that are as equal as can be."""
    return -(-batch // count)


def recompute(network: nn.Module) -> nn.Module:
    """Let each stage of ``network`` keep its input alone for the backward pass, in which it is
    computed again, by the same random numbers (Chen et al. 2016, arXiv:1604.06174)."""
    for stage in network.stages:  # type: ignore[union-attr]
        # Of its class: a training that begins again wraps what it wrapped before.
        own = functools.partial(type(stage).forward, stage)
        stage.forward = functools.partial(_computed_again, stage, own)
    return network


def _computed_again(stage: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if not (stage.training and torch.is_grad_enabled()):
        return forward(x)
    contexts = lambda: (nullcontext(), _uncounted(stage))  # noqa: E731
    found: Tensor = checkpoint(forward, x, use_reentrant=False, context_fn=contexts)
    return found


@contextmanager
def _uncounted(stage: nn.Module) -> Iterator[None]:
    """A block in which running statistics do not see the images a second time."""
    norms = [one for one in stage.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    before = [(one, one.momentum, one.num_batches_tracked) for one in norms]
    for one in norms:
        # They move by nothing, for as many tensors as before must be kept; a count of its own.
        one.momentum = 0.0
        if one.num_batches_tracked is not None:
            one.num_batches_tracked = one.num_batches_tracked.clone()
    try:
        yield
    finally:
        for one, momentum, count in before:
            one.momentum, one.num_batches_tracked = momentum, count


def release(device: torch.device) -> None:
    """Give the memory that this process holds and does not use back to the machine."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    else:
        # Workers tell glibc to keep what is freed (``trials.workers.environment``).
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
