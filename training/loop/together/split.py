"""A network cut into runs of layers that follow each other, of costs as equal as can be.

What is not cut are ``units``: the stem, each block (or other layer) of a stage, the head. In this
order they are what ``models.build`` makes of a spec: ``stem``, the modules of ``stages``, ``head``.

GPipe (Huang et al. 2019, arXiv:1811.06965, section 2.2) minimises the variance of the stages'
costs; a pipeline is as slow as its dearest stage, so that is what is minimised here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from models.cost import Cost, Part, fold
from models.plan import Layer, Repeat, plan
from models.spec import ArchSpec


def units(spec: ArchSpec, side: int | None = None) -> list[Part]:
    """What cannot be cut, in order: each unit's cost, and the channels and side of its output, of
    pictures of ``side`` pixels; None: the spec's own.

    Raises ValueError where nothing would be left of such pictures.
    """
    spec = spec if side is None else replace(spec, resolution=side)
    network = plan(spec)
    layers: list[tuple[Layer, ...]] = [network.stem]
    layers += [own for stage in network.stages for layer in stage for own in _copies(layer)]
    shape, found = (spec.in_channels, spec.resolution), []
    for own in (*layers, network.head):
        cost, shape = fold(own, shape)
        found.append(Part(cost, *shape))
    return found


def _copies(layer: Layer) -> list[tuple[Layer, ...]]:
    return [layer.body] * len(layer.drops) if isinstance(layer, Repeat) else [(layer,)]


def split(spec: ArchSpec, count: int) -> list[slice]:
    """``count`` runs of ``units`` of which the dearest costs as few multiply-adds as can be.

    Raises ValueError where there are fewer units.
    """
    found = units(spec)
    if count > len(found):
        raise ValueError(
            f"{spec.name} has {len(found)} parts that cannot be divided, too few for {count} "
            "stages: choose fewer stages or a deeper network"
        )
    return balanced([one.cost.macs for one in found], count)


def balanced(costs: Sequence[int], count: int) -> list[slice]:
    """``count`` runs of ``costs``, none of them empty, whose greatest sum is the least there is.

    Exact, by dynamic programming over where the last run begins. 1 <= count <= len(costs).
    """
    sums = [0, *accumulate(costs)]
    # Of the first n costs in so many runs: the least greatest sum, and where the last run begins.
    best: list[dict[int, tuple[int, int]]] = [{0: (0, 0)}]
    for runs in range(1, count + 1):
        before = best[-1]
        best.append(
            {
                end: min(
                    (max(before[start][0], sums[end] - sums[start]), start)
                    for start in range(runs - 1, end)
                    if start in before
                )
                for end in range(runs, len(costs) - (count - runs) + 1)
            }
        )
    found, end = [], len(costs)
    for runs in range(count, 0, -1):
        start = best[runs][end][1]
        found.append(slice(start, end))
        end = start
    return found[::-1]


def of_run(parts: Sequence[Part], run: slice) -> Cost:
    """What a run of units costs together."""
    total = Cost(0, 0, 0, 0)
    for one in parts[run]:
        total = total.plus(one.cost)
    return total
