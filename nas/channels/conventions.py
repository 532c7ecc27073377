"""Two ways for channels to grow: on a line, ReXNet's, and by stages, everybody else's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.candidates import Candidates
from nas.channels.growth import ON
from nas.channels.space import ChannelSpace
from nas.space import Choices

# From 16 to 24, 40, 80, 112, 192 and 320 channels, in units of 8: EfficientNet-B0's seven stages
# (arXiv:1905.11946, Table 1), which are MobileNetV2's but for widths and layers.
STEPS = (1, 2, 5, 4, 10, 16)
FIRST = 16

Convention = Callable[[ChannelSpace, float], Choices]


def linear(space: ChannelSpace, gain: float) -> Choices:
    """The same increment at every block."""
    return _choices(space, gain, [ON] * (len(space.places) - 1))


def stagewise(space: ChannelSpace, gain: float) -> Choices:
    """The same channels within a stage, EfficientNet-B0's steps between stages; the last block is
    a stage of its own, as there.

    Raises ValueError where that does not make seven stages.
    """
    ends = np.cumsum([stage.layers for stage in space.template.stages])
    starts = sorted({*ends[:-1].tolist(), len(space.places) - 1})
    if len(starts) != len(STEPS):
        raise ValueError(
            f"the convention has {len(STEPS) + 1} stages, this network's last block included "
            f"{len(starts) + 1}: start from rexnet-1.0 or mobilenet-v2"
        )
    slopes = dict(zip(starts, STEPS, strict=True))
    return _choices(space, gain, [slopes.get(i, 0) for i in range(1, len(space.places))])


def largest(convention: Convention, candidates: Candidates) -> Choices:
    """The network of that convention that gains the most channels and may be trained, but for the
    window's lower end.

    Raises ValueError where none may.
    """
    space = candidates.space
    if not isinstance(space, ChannelSpace):
        raise ValueError(f"space {space.name} is not one of channels")
    gains = [float(gain) for gain in space.choices["a"]]
    rows = space.indices([convention(space, gain) for gain in gains])
    objective = candidates.objective
    costs, limited = candidates.costs(rows), candidates.costing.limited(rows)
    fits = (costs <= objective.high * objective.budget) & (limited <= objective.most).all(1)
    if not fits.any():
        raise ValueError(
            f"no network of {convention.__name__} channels obeys the limits: raise them"
        )
    return space.values(rows[np.flatnonzero(fits)[-1]])


def _choices(space: ChannelSpace, gain: float, slopes: list[int]) -> Choices:
    return dict(zip(space.names, (FIRST, gain, *slopes), strict=True))
