"""How many images of a batch go through a network at once: as many as fit into memory."""

from __future__ import annotations

import ctypes
import gc

import torch

from common.host_memory import free_host_bytes, gigabytes
from models.cost import cost
from models.memory import COPIES_OF_PARAMETERS, training_bytes
from models.spec import ArchSpec
from training.recipe import Recipe
from trials.workers.environment import sharers

SMALLEST = 2
"""Images of the smallest micro-batch: batch norm needs two."""

_USED = 0.9  # of what is free: the estimate is one, and others live on the machine
_INPUT_BYTES = 3 * 4  # a picture as float32, and twice more while it is resized and normalised


def free_bytes(device: torch.device) -> int | None:
    """Bytes that this process may take on ``device``; None where that cannot be known.

    Its share of what is free: workers that use the same memory
    (``trials.workers.environment.sharers``) divide it evenly. What earlier trainings in this
    process have let go counts as free.
    """
    release(device)
    if device.type == "cuda":
        free: int | None = torch.cuda.mem_get_info(device)[0]
    else:
        free = free_host_bytes() if device.type == "cpu" else None
    return None if free is None else free // sharers(of_device=device.type == "cuda")


def release(device: torch.device) -> None:
    """Give the memory that this process holds and does not use back to the machine."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    # Workers tell glibc to keep what is freed (``trials.workers.environment.thread_variables``).
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def micro_batches(
    spec: ArchSpec, recipe: Recipe, images: int, device: torch.device, least: int = 1
) -> int:
    """Into how many micro-batches to cut the batches of a training of ``spec``, as it is built.

    1, or twice as often as needed for the largest to fit into nine tenths of the free memory by the
    formula of ``models.memory``; not fewer than ``least``, a power of 2. ``images`` are those of
    the whole training. Without knowledge of the free memory: ``least``.

    Raises MemoryError where not even ``SMALLEST`` images fit, ValueError where the network leaves
    nothing of images of its resolution.
    """
    batch, count, price = recipe.batch_of(images), least, cost(spec)
    free = free_bytes(device)
    if free is None:
        return count
    copies = COPIES_OF_PARAMETERS + (recipe.optimizer == "adamw") + (recipe.ema > 0)
    inputs = _INPUT_BYTES * batch * spec.in_channels * spec.resolution**2
    while True:
        size = micro_batch(batch, count)
        need = inputs + training_bytes(price.params, price.activations, size, copies)
        if need <= _USED * free:
            return count
        if not divisible(batch, count):
            raise MemoryError(
                f"training {size} images of {spec.name} at once takes about {gigabytes(need)} on "
                f"{device.type}, of which {gigabytes(free)} is free for it: choose a smaller "
                "network or resolution, or fewer workers"
            )
        count *= 2


def divisible(batch: int, count: int) -> bool:
    """Whether ``count`` micro-batches of a batch can be halved once more."""
    return batch >= 2 * count * SMALLEST


def micro_batch(batch: int, count: int) -> int:
    """Images of the largest of ``count`` parts of ``batch`` that are as equal as can be."""
    return -(-batch // count)
