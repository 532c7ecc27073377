"""The rank ratio of random blocks against their dimension ratio."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from reports.ranks.blocks import BLOCKS, NONLINEARITIES, draw, outputs
from reports.ranks.rank import TOLERANCES, ranks

Floats = NDArray[np.float64]

# d_in/d_out: the reciprocals of the expansions 20, 10 and 6, ReXNet's two ratios of blocks (0.22,
# 0.8), and steps between them.
RATIOS = (1 / 20, 1 / 10, 1 / 6, 0.22, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
WIDTHS = (20, 40)  # the least and the greatest d_out drawn; 1/20 of the least is one channel
_DRAWN = 5  # widths at each ratio: networks of one width are computed together
Z = 1.645  # 90 % of a normal distribution lie so many standard errors around its mean


@dataclass(frozen=True)
class Ranks:
    """Rank ratios, rank(f(WX))/d_out, of random networks.

    found[block, nonlinearity] is (ratios, networks, tolerances). The nonlinearities of a block were
    measured in the same networks: differences between them are paired, between ratios not.
    """

    ratios: tuple[float, ...]
    tolerances: tuple[float, ...]
    found: dict[tuple[str, str], Floats]

    @property
    def networks(self) -> int:
        """Random networks of each block, all ratios together."""
        one = next(iter(self.found.values()))
        return int(one.shape[0] * one.shape[1])

    def of(self, block: str, f: str, ratio: float, tolerance: float) -> Floats:
        """(networks,) at one ratio, in the order in which they were drawn."""
        i, j = self.ratios.index(ratio), self.tolerances.index(tolerance)
        found: Floats = self.found[block, f][i, :, j]
        return found

    def table(self) -> pd.DataFrame:
        """One row a block, nonlinearity, ratio and tolerance: mean, 90 % interval of the mean,
        the networks' quartiles, and how many they are."""
        return pd.DataFrame(list(self._rows()))

    def _rows(self) -> Iterator[dict[str, Any]]:
        for (block, f), found in self.found.items():
            for i, ratio in enumerate(self.ratios):
                for j, tolerance in enumerate(self.tolerances):
                    one = found[i, :, j]
                    mean, half = float(one.mean()), half_width(one)
                    low, high = np.quantile(one, (0.25, 0.75))
                    yield {
                        "block": block,
                        "nonlinearity": f,
                        "dimension_ratio": ratio,
                        "tolerance": tolerance,
                        "networks": len(one),
                        "mean": mean,
                        "mean_low": mean - half,
                        "mean_high": mean + half,
                        "quartile_low": low,
                        "quartile_high": high,
                    }


def half_width(values: Floats) -> float:
    """Half of the 90 % interval of their mean, by the normal distribution."""
    return Z * float(values.std(ddof=1)) / math.sqrt(len(values))


def study(
    networks: int = 1000,
    seed: int = 0,
    tolerances: tuple[float, ...] = TOLERANCES,
    watch: Iterable[str] = tuple(BLOCKS),
) -> Ranks:
    """Measure at least so many random networks of each block of ``watch``, over all ratios.

    Every network is measured with every nonlinearity. The seed decides all of it.
    """
    per_width = -(-networks // (len(RATIOS) * _DRAWN))
    found: dict[tuple[str, str], Floats] = {}
    for block in watch:
        generator = torch.Generator().manual_seed(seed)
        shape = (len(RATIOS), _DRAWN * per_width, len(tolerances))
        own = {f: np.empty(shape) for f in NONLINEARITIES}
        for i, ratio in enumerate(RATIOS):
            for n in range(_DRAWN):
                at = slice(n * per_width, (n + 1) * per_width)
                for f, one in _measured(block, ratio, per_width, tolerances, generator):
                    own[f][i, at] = one
        found |= {(block, f): values for f, values in own.items()}
    return Ranks(RATIOS, tolerances, found)


def _measured(
    block: str,
    ratio: float,
    networks: int,
    tolerances: tuple[float, ...],
    generator: torch.Generator,
) -> Iterator[tuple[str, Floats]]:
    """Rank ratios (networks, tolerances) with each nonlinearity, of networks of one width."""
    least, most = WIDTHS
    d_out = int(torch.randint(least, most + 1, (1,), generator=generator))
    inputs, kernels = draw(block, max(1, round(ratio * d_out)), d_out, networks, generator)
    for f, apply in NONLINEARITIES.items():
        found = ranks(outputs(inputs, kernels, apply), tolerances)
        yield f, (found / d_out).numpy().astype(float)
