"""How long a network takes for a batch: ``python -m training.latency NETWORK``.

Wall time of one forward pass in evaluation mode and single precision, channels last, at the
network's own resolution, its input already on the device. On a GPU the device is waited for before
and after each pass, so a small network's time holds what it takes to launch its kernels.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from models.command import count, parser, run
from models.spec import ArchSpec
from training.train import choose_device

if TYPE_CHECKING:
    from torch import nn

REPEATS, WARMUP = 50, 10
_FEWEST = 10  # passes that are timed, however long they take


@dataclass(frozen=True)
class Latency:
    """Seconds for one batch: the median, the lower and the upper quartile of ``n`` passes."""

    median: float
    low: float
    high: float
    n: int


def latency(
    spec: ArchSpec,
    device: torch.device | str = "auto",
    batch: int = 1,
    *,
    repeats: int = REPEATS,
    warmup: int = WARMUP,
    longest: float = math.inf,
    network: nn.Module | None = None,
) -> Latency:
    """Measure ``spec`` with fresh weights, or the built ``network``, which is moved and set to
    evaluation mode.

    The first ``warmup`` passes, in which memory is allocated and algorithms are chosen, are not
    counted. Of a slow network fewer than ``repeats`` passes are timed: at least 10, and no further
    ones after ``longest`` seconds, warm-up included. The spread is of the passes in this process:
    other work on the machine widens it.

    Raises ValueError for a batch or repeats below 1, a negative warm-up, a device that is not
    there, and a batch that does not fit into a GPU's memory.
    """
    from models.build import build

    for name, value, least in (("batch", batch, 1), ("repeats", repeats, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{name} {value} must be at least {least}")
    place = choose_device(device) if isinstance(device, str) else device
    network = (build(spec) if network is None else network).eval()
    shape = (batch, spec.in_channels, spec.resolution, spec.resolution)
    try:
        network = network.to(place).to(memory_format=torch.channels_last)
        images = torch.rand(shape, device=place).contiguous(memory_format=torch.channels_last)
        seconds = _passes(network, images, warmup, repeats, longest)
    except torch.cuda.OutOfMemoryError:
        raise ValueError(f"batch {batch} does not fit on {place}: choose a smaller one") from None
    return summary(seconds)


def circumstances(device: torch.device, batch: int) -> dict[str, Any]:
    """What a latency holds for, as JSON: the device, threads (None on a GPU), batch, torch."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    threads = torch.get_num_threads() if device.type == "cpu" else None
    return {"device": str(device), "gpu": gpu, "threads": threads, "batch": batch,
            "torch": str(torch.__version__)}  # fmt: skip


def summary(seconds: Sequence[float]) -> Latency:
    """Median and quartiles (linear between the two nearest passes) of at least one pass."""
    if len(seconds) == 1:
        return Latency(seconds[0], seconds[0], seconds[0], 1)
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Latency(median, low, high, len(seconds))


@torch.inference_mode()
def _passes(
    network: nn.Module, images: torch.Tensor, warmup: int, repeats: int, longest: float
) -> list[float]:
    seconds: list[float] = []
    for done in range(warmup + repeats):
        if done >= warmup + _FEWEST and sum(seconds) >= longest:
            break
        _wait(images.device)
        start = time.perf_counter()
        network(images)
        _wait(images.device)
        seconds.append(time.perf_counter() - start)
    return seconds[warmup:]


def _wait(device: torch.device) -> None:
    """Kernels are queued: the clock may be read only when the queue is empty."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one network and print one line."""
    from models.choose import choose
    from models.cost import cost
    from models.sizes import format_size

    made = parser("training.latency", "How long one network takes for a batch of images.")
    made.add_argument("spec", help="a spec file, a run directory or a family's name")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    made.add_argument("--batch", type=count, default=1, help="images at once")
    made.add_argument("--repeats", type=count, default=REPEATS, help="passes that are timed")
    made.add_argument("--resolution", type=count, help="pixels; default: the network's own")
    args = made.parse_args(argv)
    spec = choose(args.spec)
    spec = replace(spec, resolution=args.resolution or spec.resolution)
    device = choose_device(args.device)
    macs = cost(spec).macs
    found = latency(spec, device, args.batch, repeats=args.repeats)
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    print(f"{spec.name}: median {_ms(found.median)} ms, quartiles {_ms(found.low)} to "
          f"{_ms(found.high)} ms, {found.n} passes; batch {args.batch}, {spec.resolution} pixels, "
          f"{device}{threads}; {format_size(macs)} FLOPs an image")  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.4g}"


if __name__ == "__main__":
    sys.exit(run(main))
