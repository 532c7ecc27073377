"""What the device can do at most, and the roofline of a training.

A training's roofline is the longer of two times: its floating-point operations at the rate of a
large matrix product, and the bytes that it must move at the rate of a large copy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from models.cost import cost
from models.spec import ArchSpec
from training.recipe import Recipe

# Passes over every map that a convolution puts out, where each kernel reads its inputs once and
# writes its output once, and norm and activation are no more kernels than batch norm's statistics
# demand. Forward: written; read for the statistics; read and written as normalised; read by the
# next layer. Backward: its gradient is written by the next layer's, which reads the map again for
# its weights' gradient; the norm's two sums read map and gradient; the gradient before the norm is
# made from both and written; the convolution reads that for its input's and its weights' gradient.
FORWARD, BACKWARD = 5, 9
JUDGED = 2  # written, and read: without statistics the norm is part of the convolution
_BYTES = 2  # of a bfloat16


@dataclass(frozen=True)
class Ceilings:
    """Measured rates: operations a second, a multiply and an add being two; bytes a second, read
    and written."""

    operations: float
    bytes: float


def measured(device: str, matrix: int, copied: int) -> Ceilings:
    """Medians over products of random matrices of that side, bfloat16 on a GPU, and copies of so
    many bytes."""
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    one, other = (torch.randn(matrix, matrix, device=device).to(kind) for _ in range(2))
    source = torch.randn(copied // 4, device=device)
    target = torch.empty_like(source)
    product = median_seconds(device, lambda: one @ other)
    copy = median_seconds(device, lambda: target.copy_(source))
    return Ceilings(2 * matrix**3 / product, 2 * copied / copy)


def median_seconds(device: str, work: Callable[[], object], repeats: int = 10) -> float:
    """Of ``repeats`` runs after one that does not count."""
    found = []
    for _ in range(1 + repeats):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Work:
    """What a training asks for at the least: operations, and bytes of maps."""

    operations: float
    bytes: float

    def seconds(self, most: Ceilings) -> float:
        """The roofline."""
        return max(self.operations / most.operations, self.bytes / most.bytes)

    def binding(self, most: Ceilings) -> str:
        """Which of the two it is."""
        arithmetic = self.operations / most.operations > self.bytes / most.bytes
        return "arithmetic" if arithmetic else "memory"


def work(spec: ArchSpec, recipe: Recipe, classes: int, trained: int, judged: int) -> Work:
    """Of the training of ``spec`` on so many pictures an epoch, and of judging it by so many.

    A step takes three times the forward pass's operations: as many again for the gradients of the
    maps, and of the weights.
    """
    price = cost(recipe.network(spec, classes, 3))
    batch = recipe.batch_of(trained)
    images = recipe.epochs * (trained // batch) * batch
    passes = (FORWARD + BACKWARD) * images + JUDGED * judged
    return Work(
        2.0 * price.macs * (3 * images + judged), float(_BYTES * price.activations * passes)
    )
