"""What a million networks of a space cost, without their specs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.cost import Cost, Part, parts
from models.spec import ArchSpec, StageSpec, Stem

Batch = NDArray[np.int64]
# (a network, its parts) → the same count of numbers for its stem, each stage and its head
OfParts = Callable[[ArchSpec, list[Part]], Sequence[Sequence[int]]]


class Costs(NamedTuple):
    """``models.cost.Cost`` of many networks: int64 arrays (N,)."""

    macs: NDArray[np.int64]
    params: NDArray[np.int64]
    activations: NDArray[np.int64]
    fvcore: NDArray[np.int64]


def part_costs(network: ArchSpec, made: list[Part]) -> Sequence[Cost]:
    """An ``OfParts``: what each part costs."""
    return [part.cost for part in made]


class SpaceCosts:
    """Sums over a network's parts, of any number of a space's candidates at once.

    ``menus`` are, stage by stage, how many values each choice has; ``stage(i, row)`` makes the i-th
    stage from positions in them. What a stage adds depends on its own choices and on the channels
    and side of the maps that come in; so each such combination is asked for once and remembered.
    """

    def __init__(
        self,
        template: ArchSpec,
        menus: Sequence[Sequence[int]],
        stage: Callable[[int, tuple[int, ...]], StageSpec],
    ) -> None:
        self._template, self._menus, self._stage = template, menus, stage
        self._memo: dict[Any, tuple[Part, Sequence[int]]] = {}

    def __call__(self, rows: Batch, of: OfParts) -> NDArray[np.int64]:
        """(N, stages + 2, numbers) of candidates (N, D), as ``Space.over_parts`` says."""
        stem, numbers = _part(of, 0, self._template)
        found = np.zeros((len(rows), len(self._menus) + 2, len(numbers)), dtype=np.int64)
        found[:, 0] = numbers
        states = [(stem.channels, stem.side)]
        state = np.zeros(len(rows), dtype=np.int64)  # which of ``states`` comes in
        start = 0
        for i, menu in enumerate(self._menus):
            code = state * math.prod(menu)
            code += np.ravel_multi_index(rows[:, start : start + len(menu)].T, menu)
            start += len(menu)
            codes, inverse = np.unique(code, return_inverse=True)
            table, leaving = [], []
            for one in codes:
                incoming, own = divmod(int(one), math.prod(menu))
                row = tuple(int(index) for index in np.unravel_index(own, menu))
                part, numbers = self._stage_part(of, i, row, states[incoming])
                table.append(numbers)
                leaving.append((part.channels, part.side))
            found[:, i + 1] = np.array(table).reshape(len(codes), found.shape[2])[inverse]
            states = sorted(set(leaving))
            place = {shape: position for position, shape in enumerate(states)}
            state = np.array([place[shape] for shape in leaving], dtype=np.int64)[inverse]
        heads = [self._head(of, *shape) for shape in states]
        found[:, -1] = np.array(heads).reshape(len(states), found.shape[2])[state]
        return found

    def _stage_part(
        self, of: OfParts, i: int, row: tuple[int, ...], shape: tuple[int, int]
    ) -> tuple[Part, Sequence[int]]:
        """The i-th stage made from ``row``, met by maps of that shape (channels, side)."""
        key = (of, i, row, shape)
        if key not in self._memo:
            self._memo[key] = _part(of, 1, self._alone(self._stage(i, row), *shape))
        return self._memo[key]

    def _head(self, of: OfParts, channels: int, side: int) -> Sequence[int]:
        """The head's numbers after maps of that shape, whatever made them."""
        key = (of, channels, side)
        if key not in self._memo:
            # One layer of stride 1 and kernel 1 keeps any number of channels and any side.
            block = "convnext" if self._template.norm == "layer" else "conv"
            neutral = StageSpec(block, 1, channels, kernel=1)
            self._memo[key] = _part(of, -1, self._alone(neutral, channels, side))
        return self._memo[key][1]

    def _alone(self, stage: StageSpec, channels: int, side: int) -> ArchSpec:
        """A network in which ``stage`` meets maps of that many channels and that side."""
        stem = Stem(channels, kernel=1, stride=1)
        return replace(self._template, stem=stem, stages=(stage,), resolution=side)


def _part(of: OfParts, i: int, network: ArchSpec) -> tuple[Part, Sequence[int]]:
    made = parts(network)
    return made[i], of(network, made)[i]
