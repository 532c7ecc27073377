"""The networks that a search from a parent's weights begins with, and stays near to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from models.scale import PHIS, compound
from models.spec import ArchSpec
from nas.space.networks import Space

Affordable = Callable[[ArchSpec], bool]


def starts(searched: Space, parent: ArchSpec, affordable: Affordable) -> list[ArchSpec]:
    """Members of the space that are the parent: all of it at each resolution, affordable or not,
    and it as its rule scales it there (``scaled``).

    All of it at few pixels and less of it at many cost the same; which is better depends on the
    pictures. Those at the parent's own resolution come first.
    """
    sides = searched.resolutions or (searched.template.resolution,)
    made: dict[str, ArchSpec] = {}
    for side in sorted(sides, key=lambda side: side != parent.resolution):
        whole = replace(searched.template, stages=parent.stages, resolution=side)
        own = whole if searched.contains(whole) else None
        for one in (own, scaled(searched, replace(parent, resolution=side), affordable)):
            if one is not None:
                made.setdefault(one.key, one)
    return list(made.values())


def largest(searched: Space) -> ArchSpec:
    """The network of most multiply-adds that single choices climb to, from each choice's last: of
    a space whose choices are larger and smaller ones, that of which all others are parts."""
    row = searched.sizes - 1
    while True:
        near = np.vstack([row, searched.neighbours(row)])
        best = near[searched.costs(near).macs.argmax()]
        if np.array_equal(best, row):
            return searched.spec_of(row)
        row = best


def to_raise(searched: Space, known: Iterable[ArchSpec], affordable: Affordable) -> ArchSpec:
    """The network to train first where others are to inherit from one of the space itself.

    The first of the ``known`` that the space has or comes near to, as its rule scales it to the
    most that is affordable, or as it is where it cannot be told what is; else ``largest``.
    """
    for one in known:
        here = replace(one, resolution=searched.template.resolution)
        if (found := scaled(searched, here, affordable) or searched.nearest(here)) is not None:
            return found
    return largest(searched)


def scaled(searched: Space, parent: ArchSpec, affordable: Affordable) -> ArchSpec | None:
    """The member nearest to ``parent`` in the depth and the width to which EfficientNet's rule
    takes it, at its own resolution, for the most that is affordable; None where there is none.

    Menus are coarse, and the step to the next member often is a large one: so it is taken stage by
    stage, from the last, as far as is affordable.
    """
    if searched.nearest(parent) is None:
        return None

    def member(phi: float) -> ArchSpec:  # which is there at every φ, if it is at one
        return searched.nearest(compound(parent, phi, pixels=False)) or parent

    more = bisect_left(PHIS, True, key=lambda phi: not affordable(member(phi)))
    if not more:
        return None
    found, larger = member(PHIS[more - 1]), member(PHIS[min(more, len(PHIS) - 1)])
    for i in reversed(range(len(found.stages))):
        stages = (*found.stages[:i], larger.stages[i], *found.stages[i + 1 :])
        step = searched.nearest(replace(found, stages=stages))
        if step is not None and affordable(step):
            found = step
    return found
