"""The closed form's time against fvcore's, side by side for EfficientNet-B0 to B7.

After that, the time of costing a million candidates of each search space in one call.

    python benchmarks/timing/cost_speed.py

Building the module is not counted against fvcore. Each closed form is the median of 200 calls on
specs made afresh, each fvcore count the median of 3.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis

from models.build import build
from models.cost import cost
from models.families import EFFICIENTNET_MULTIPLIERS, family
from nas.space import SPACES, space

MILLION = 1_000_000


def seconds(call: Callable[[], object], times: int) -> float:
    """Median wall time of ``times`` calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    """Print one row for each network, and the least ratio."""
    torch.set_num_threads(1)
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    print("| network | closed form, ms | fvcore, ms | ratio | equal |\n|---|---|---|---|---|")
    ratios = []
    for name in EFFICIENTNET_MULTIPLIERS:
        specs = iter([replace(family(name), name=f"copy {i}") for i in range(201)])
        cost(next(specs))
        quick = seconds(lambda specs=specs: cost(next(specs)), 200)  # type: ignore[misc]
        spec = family(name)
        module = build(spec).eval()
        image = torch.zeros(1, 3, spec.resolution, spec.resolution)
        totals: list[int] = []

        def count(
            module: torch.nn.Module = module,
            image: torch.Tensor = image,
            totals: list[int] = totals,
        ) -> None:
            totals.append(FlopCountAnalysis(module, image).total())

        with torch.no_grad():
            slow = seconds(count, 3)
        ratios.append(slow / quick)
        equal = totals[0] == cost(spec).fvcore
        print(f"| {name} | {1e3 * quick:.3f} | {1e3 * slow:.0f} | {ratios[-1]:,.0f} | {equal} |")
    print(f"\nleast ratio {min(ratios):,.0f}; torch {torch.__version__}, one thread\n")
    for name in SPACES:
        searched = space(name)
        batch = searched.random(MILLION, np.random.default_rng(0))
        start = time.perf_counter()
        searched.costs(batch)
        print(f"a million candidates of {name}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
