"""c_i = a·f(i) + b: channels that grow on a piecewise linear function f, and back.

f rises from f(1) = 0 to f(d) = 1; b is the first block's channels and a what is gained by the last.
A block of the chosen subset gives f another slope, as a weight; a block outside of it goes on with
that of the block before. Weights are relative: f is their running sum over their total. With no
block chosen f is a straight line, ReXNet's; weights of 0 within stages make the stage-wise
convention. The paper does not say how f, a and b were drawn: menus are ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ON = -1  # no other slope: the block is not in the subset
# The steps of EfficientNet-B0's and MobileNetV2's stages, in units of 8 channels, are among them.
SLOPES = (ON, 0, 1, 2, 4, 5, 8, 10, 16, 20)
# 168.75 is ReXNet's (11.25 a block, 15 times), 304 that of the other two, from 16 to 320.
GAINS = tuple(sorted({11.25 * step for step in range(1, 33)} | {304.0}))
FIRSTS = (8, 12, 16, 20, 24, 32)


def channels(first: Ints, gain: NDArray[np.float64], slopes: Ints, divisor: int) -> Ints:
    """(N, d) from b (N,), a (N,) and the slopes (N, d - 1) of the blocks after the first, of which
    ``ON`` is that of the block before (of the second: 1).

    Rounded to the nearest multiple of ``divisor``, halves to the even one as in ReXNet's published
    code. Where all slopes are 0, nothing grows.
    """
    weights = slopes.copy()
    weights[weights[:, 0] == ON, 0] = 1
    for i in range(1, weights.shape[1]):
        weights[:, i] = np.where(weights[:, i] == ON, weights[:, i - 1], weights[:, i])
    total = np.cumsum(weights, 1)
    f = total / np.maximum(total[:, -1:], 1)
    exact = np.column_stack([first, first[:, None] + gain[:, None] * f])
    # 38.5 must stay 38.5, whatever the order in which it was computed.
    found = np.rint(np.round(exact / divisor, 9)).astype(np.int64) * divisor
    return np.maximum(found, divisor)


def slopes_of(widths: Ints, first: float, gain: float, divisor: int) -> Ints | None:
    """Slopes (d - 1,) by which ``channels`` gives ``widths`` (d,); None where none do.

    Every total of the weights is tried; block by block the running sums are followed that round to
    the width. Of several answers the one of the least total.
    """
    half = divisor / 2
    low, high = (widths[1:] - half - first) / gain, (widths[1:] + half - first) / gain
    menu = [slope for slope in SLOPES if slope != ON]
    for total in range(1, max(menu) * len(low) + 1):
        paths: dict[int, list[int]] = {0: []}
        for i in range(len(low)):
            least, most = total * low[i] - 1e-6, total * high[i] + 1e-6
            paths = {
                at + slope: [*path, slope]
                for at, path in paths.items()
                for slope in menu
                if least <= at + slope <= most
            }
        if total in paths:
            found = np.array(paths[total], dtype=np.int64)
            made = channels(np.array([first]), np.array([gain], dtype=float), found[None], divisor)
            if np.array_equal(made[0], widths):
                return found
    return None
