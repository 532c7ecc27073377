"""torch's own training step of a depthwise convolution against ``training.loop.quick``'s.

    python -m benchmarks.timing.depthwise

Layers of EfficientNet-B0's proxy twin at 20 pixels, batch 64, one thread, channels-last; medians of
20 forward and backward passes, taken alternately.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from training.loop.quick.layers import quicken

LAYERS = (
    (144, 5, 2, 10),
    (240, 5, 1, 5),
    (480, 5, 1, 3),
    (672, 5, 1, 3),
    (672, 5, 2, 3),
    (1152, 5, 1, 2),
)
BATCH, TIMES = 64, 20


def step(conv: nn.Module, x: torch.Tensor, grad: torch.Tensor) -> float:
    """Seconds of one forward and backward pass."""
    start = time.perf_counter()
    torch.autograd.grad(conv(x), (x, *conv.parameters()), grad)
    return time.perf_counter() - start


def main() -> None:
    """Print one row a layer."""
    torch.set_num_threads(1)
    print("| channels, kernel, stride, side | torch, ms | here, ms | ratio |\n|---|---|---|---|")
    for channels, kernel, stride, side in LAYERS:
        torch.manual_seed(0)
        plain, quick = (
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
            for _ in range(2)
        )
        quicken(quick)
        x = torch.randn(BATCH, channels, side, side).to(memory_format=torch.channels_last)
        x.requires_grad_()
        grad = torch.randn_like(plain(x))
        times = [(step(plain, x, grad), step(quick, x, grad)) for _ in range(TIMES + 2)][2:]
        slow, fast = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        label = f"{channels}, {kernel}×{kernel}, {stride}, {side}"
        print(f"| {label} | {slow:.2f} | {fast:.2f} | {slow / fast:.1f} |")


if __name__ == "__main__":
    main()
