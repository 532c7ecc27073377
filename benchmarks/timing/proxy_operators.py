"""Where a proxy training's time goes, by operator, and its share of the matrix-product roofline.

    python -m benchmarks.timing.proxy_operators --data cifar10 --networks 3 --images 320

The project's training and the plain loop of ``benchmarks.support.plain`` on the same
networks, one thread each, in turn. Seconds are processor seconds, so that other work on the machine
counts little; they are divided by the shares of time that torch's profiler sees in another run. The
roofline: the twin's multiply-adds, three times for a training step and once for evaluation, against
those that a product of 1024×1024 matrices computes in the same seconds on the same thread.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.support.plain import plain
from benchmarks.timing.proxy_throughput import drawn, options
from common.command import parser
from common.command import run as run_command
from models.cost import cost
from models.spec import ArchSpec
from training.data import Data, load
from training.loop.train import train
from training.recipe import Recipe

KINDS = {
    "convolution, forward": ("aten::mkldnn_convolution",),
    "convolution, backward": ("aten::convolution_backward",),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "batch norm": ("aten::native_batch_norm", "aten::native_batch_norm_backward"),
    "SiLU": ("aten::silu", "aten::silu_", "aten::silu_backward"),
    "products, sums and copies": ("aten::mul", "aten::sum", "aten::add", "aten::add_", "aten::div",
                                  "aten::copy_", "aten::fill_"),
    "average pools": ("aten::avg_pool2d", "aten::avg_pool2d_backward", "aten::mean"),
}  # fmt: skip
OF = {name: kind for kind, names in KINDS.items() for name in names}
TAPS, LOADING, REST = "weight gradients over taps", "pictures, in the DataLoader", "everything else"
SIDE = 1024


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and the two shares of the roofline."""
    args = options(parser("benchmarks.timing.proxy_operators", __doc__ or "")).parse_args(argv)
    torch.set_num_threads(1)
    data = load(args.data, progress=False)
    specs, recipe = drawn(data, args)
    spent: list[Counter[str]] = [Counter(), Counter()]
    rates: list[list[float]] = [[], []]
    peak = roofline()
    for spec in specs:
        work = multiply_adds(spec, recipe, data)
        ways: list[Callable[[], object]] = [
            partial(plain, spec, recipe, data, 0),
            partial(train, spec, recipe, data, 0, "cpu"),
        ]
        for way, sums, rate in zip(ways, spent, rates, strict=True):
            parts = profiled(way)  # and warm
            taken = processor_seconds(way)
            rate.append(work / taken)
            peak = max(peak, roofline())
            sums.update({kind: taken * part / len(specs) for kind, part in parts.items()})
    table(*spent)
    print(f"matrix product: {peak / 1e9:.1f}G multiply-adds a second")
    for name, rate in zip(("plain", "ours"), rates, strict=True):
        mean, least, most = (100 * f(rate) / peak for f in (statistics.mean, min, max))
        print(f"{name}: {mean:.0f} % of that ({least:.0f} to {most:.0f}, n = {len(rate)})")


def multiply_adds(spec: ArchSpec, recipe: Recipe, data: Data) -> int:
    """Of a whole training: a step takes three times those of a look, for its two gradients."""
    steps = min(recipe.images or len(data.train), len(data.train)) // recipe.batch
    held_out = min(recipe.held_out or len(data.validation), len(data.validation))
    images = 3 * recipe.epochs * steps * recipe.batch + held_out
    return images * cost(recipe.network(spec, len(data.classes), data.channels)).macs


def table(plain: Counter[str], ours: Counter[str]) -> None:
    """Seconds of one training, the mean over the networks, and their percentages."""
    print("| | plain, s | % | ours, s | % |\n|---|---|---|---|---|")
    for kind in (*KINDS, TAPS, LOADING, REST):
        cells = [
            f"{spent[kind]:.2f} | {100 * spent[kind] / spent.total():.0f}"
            for spent in (plain, ours)
        ]
        print(f"| {kind} | {' | '.join(cells)} |")
    print(f"| all | {plain.total():.2f} | 100 | {ours.total():.2f} | 100 |")


def processor_seconds(work: Callable[[], object]) -> float:
    """Seconds of this process's processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def roofline() -> float:
    """Multiply-adds a second of a float32 matrix product, the best of ten."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return float(SIDE**3 / min(processor_seconds(lambda: a @ b) for _ in range(10)))


def profiled(work: Callable[[], object]) -> dict[str, float]:
    """The share of each kind in the time of ``work``."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    found: Counter[str] = Counter()
    for event in seen.events():
        found[kind_of(event)] += event.self_cpu_time_total
    return {kind: spent / sum(found.values()) for kind, spent in found.items()}


def kind_of(event: torch.autograd.profiler_util.FunctionEvent) -> str:
    """Where the table counts an event: by what it is part of, else by its own name."""
    above: torch.autograd.profiler_util.FunctionEvent | None = event
    while above is not None:
        if above.name.startswith("enumerate(DataLoader)"):
            return LOADING
        if above.name == "_ConvolutionBackward" and event.name != "aten::convolution_backward":
            return TAPS
        above = above.cpu_parent
    return OF.get(event.name, REST)


if __name__ == "__main__":
    sys.exit(run_command(main))
