"""What a million networks of a space cost, without their specs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.cost import Cost, Part, Shape, parts
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

    ``menus`` are, place by place, how many values each choice has; ``stage(i, row, cin)`` makes
    what stands in the i-th place from positions in them, None for nothing, when ``cin`` channels
    come in. What it adds depends on its own choices and on the channels and side of the maps that
    come in; so each such combination is asked for once and remembered. With ``sides`` a row begins
    with its position in them: the pixels of the pictures.
    """

    def __init__(
        self,
        template: ArchSpec,
        menus: Sequence[Sequence[int]],
        stage: Callable[[int, tuple[int, ...], int], StageSpec | None],
        sides: Sequence[int] = (),
    ) -> None:
        self._template, self._menus, self._stage = template, menus, stage
        self._sides = sides
        self._memo: dict[Any, Any] = {}

    def __call__(self, rows: Batch, of: OfParts) -> NDArray[np.int64]:
        """(N, places + 2, numbers) of candidates (N, D), as ``Space.over_parts`` says."""
        stems = [self._stem(of, side) for side in self._sides or (self._template.resolution,)]
        states = [shape for shape, _ in stems]
        own = np.array([numbers for _, numbers in stems])
        start = 1 if self._sides else 0
        state = rows[:, 0] if self._sides else np.zeros(len(rows), dtype=np.int64)
        found = np.zeros((len(rows), len(self._menus) + 2, own.shape[1]), dtype=np.int64)
        found[:, 0] = own[state]  # of ``states`` that which comes in
        for i, menu in enumerate(self._menus):
            code = state
            for size in menu:
                code, start = code * size + rows[:, start], start + 1
            codes, inverse = np.unique(code, return_inverse=True)
            table, leaving = [], []
            for one in codes:
                incoming, row = _digits(int(one), menu)
                shape, numbers = self._place(of, i, row, states[incoming])
                table.append(numbers)
                leaving.append(shape)
            found[:, i + 1] = np.array(table).reshape(len(codes), found.shape[2])[inverse]
            states = sorted(set(leaving))
            place = {shape: position for position, shape in enumerate(states)}
            state = np.array([place[shape] for shape in leaving], dtype=np.int64)[inverse]
        heads = [self._head(of, *shape) for shape in states]
        found[:, -1] = np.array(heads).reshape(len(states), found.shape[2])[state]
        return found

    def _stem(self, of: OfParts, side: int) -> tuple[Shape, Sequence[int]]:
        """What leaves the stem for pictures of that side, and its numbers."""
        key = (of, side)
        if key not in self._memo:
            part, numbers = _part(of, 0, replace(self._template, resolution=side))
            self._memo[key] = ((part.channels, part.side), numbers)
        found: tuple[Shape, Sequence[int]] = self._memo[key]
        return found

    def _place(
        self, of: OfParts, i: int, row: tuple[int, ...], shape: Shape
    ) -> tuple[Shape, Sequence[int]]:
        """What leaves the i-th place made from ``row`` when maps of that shape come in, and its
        numbers."""
        key = (of, i, row, shape)
        if key not in self._memo:
            stage = self._stage(i, row, shape[0])
            if stage is None:
                self._memo[key] = (shape, (0,) * len(self._head(of, *shape)))
            else:
                part, numbers = _part(of, 1, self._alone(stage, *shape))
                self._memo[key] = ((part.channels, part.side), numbers)
        found: tuple[Shape, Sequence[int]] = self._memo[key]
        return found

    def _head(self, of: OfParts, channels: int, side: int) -> Sequence[int]:
        """The head's numbers after maps of that shape, whatever made them."""
        key = (of, channels, side)
        if key not in self._memo:
            # One layer of stride 1 and kernel 1 keeps any number of channels and any side.
            block = "convnext" if self._template.norm == "layer" else "conv"
            neutral = StageSpec(block, 1, channels, kernel=1)
            self._memo[key] = _part(of, -1, self._alone(neutral, channels, side))[1]
        numbers: Sequence[int] = self._memo[key]
        return numbers

    def _alone(self, stage: StageSpec, channels: int, side: int) -> ArchSpec:
        """A network in which ``stage`` meets maps of that many channels and that side."""
        stem = Stem(channels, kernel=1, stride=1)
        return replace(self._template, stem=stem, stages=(stage,), resolution=side)


def _digits(number: int, menu: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """``number`` in the mixed radix of ``menu``: what exceeds it, and the digits."""
    digits = []
    for size in reversed(menu):
        number, digit = divmod(number, size)
        digits.append(digit)
    return number, tuple(reversed(digits))


def _part(of: OfParts, i: int, network: ArchSpec) -> tuple[Part, Sequence[int]]:
    made = parts(network)
    return made[i], of(network, made)[i]
