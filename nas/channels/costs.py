"""What a million configurations of channels cost, without their specs.

A block's numbers depend on the channels that come in and those that leave it. In the blocks of
this space all that lies inside follows from what comes in: the hidden width, what squeezes and
excites, everything but the convolution that projects. So for one number of channels in, each number
is linear in the channels out: along one line where more leave than come in, another where fewer do,
and at a point of its own where they are equal, because that decides of the shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cost import Part, parts
from models.spec import ArchSpec, StageSpec, Stem
from nas.space.costs import OfParts

Ints = NDArray[np.int64]
BLOCKS = ("mbconv", "rexnet", "dsconv")  # in which the law above holds


class ChannelCosts:
    """Sums over the blocks of ``template``, of any number of configurations at once."""

    def __init__(self, template: ArchSpec) -> None:
        self._template = template
        self._blocks = blocks(template)
        self._memo: dict[Any, Any] = {}  # equal blocks that meet maps of one side share theirs

    def __call__(self, widths: Ints, of: OfParts) -> Ints:
        """(N, blocks + 2, numbers) of channels (N, blocks): the stem's, each block's, the head's
        as ``of`` gives them."""
        (channels, side), numbers = self._known(("stem", of), partial(self._stem, of))
        found = np.zeros((len(widths), widths.shape[1] + 2, len(numbers)), dtype=np.int64)
        found[:, 0] = numbers
        coming = np.full(len(widths), channels)
        for i, block in enumerate(self._blocks):
            for sign in (-1, 0, 1):  # narrower, as wide, wider
                at = np.sign(widths[:, i] - coming) == sign
                if not at.any():
                    continue
                law = partial(self._law, of, block, side, sign)
                base, slope = self._each(coming[at], law, (of, block, side, sign)).swapaxes(0, 1)
                found[at, i + 1] = base + slope * widths[at, i, None]
            coming, side = widths[:, i], self._side(block, side)
        found[:, -1] = self._each(coming, partial(self._head, of, side), (of, side))
        return found

    def _each(self, channels: Ints, make: Callable[[int], Any], key: tuple[Any, ...]) -> Ints:
        """What ``make`` says of each of ``channels`` (N,), (N, …)."""
        unique, place = np.unique(channels, return_inverse=True)
        each = [self._known((*key, c), partial(make, c)) for c in unique.tolist()]
        found: Ints = np.array(each, dtype=np.int64)[place]
        return found

    def _law(
        self, of: OfParts, block: StageSpec, side: int, sign: int, cin: int
    ) -> list[list[int]]:
        """The line of each number on that side of ``cin``: where it begins, and its slope."""
        first = self._numbers(of, block, side, cin, cin + sign)
        if not sign or cin + 2 * sign < 1:  # a single point
            return [list(first), [0] * len(first)]
        second = self._numbers(of, block, side, cin, cin + 2 * sign)
        slope = [sign * (b - a) for a, b in zip(first, second, strict=True)]
        return [[a - s * (cin + sign) for a, s in zip(first, slope, strict=True)], slope]

    def _numbers(
        self, of: OfParts, block: StageSpec, side: int, cin: int, cout: int
    ) -> Sequence[int]:
        return self._alone(of, replace(block, channels=cout), cin, side)[1]

    def _side(self, block: StageSpec, side: int) -> int:
        """Of the maps that leave it."""
        made: list[Part] = self._known(
            ("leaving", block, side), lambda: parts(self._network(block, 1, side))
        )
        return made[1].side

    def _stem(self, of: OfParts) -> tuple[tuple[int, int], Sequence[int]]:
        network = replace(self._template, stages=(StageSpec("conv", 1, 1, kernel=1),))
        made = parts(network)
        return (made[0].channels, made[0].side), of(network, made)[0]

    def _head(self, of: OfParts, side: int, channels: int) -> Sequence[int]:
        return self._alone(of, StageSpec("conv", 1, channels, kernel=1), channels, side)[2]

    def _alone(self, of: OfParts, stage: StageSpec, cin: int, side: int) -> Sequence[Sequence[int]]:
        network = self._network(stage, cin, side)
        return of(network, parts(network))

    def _network(self, stage: StageSpec, cin: int, side: int) -> ArchSpec:
        """One in which ``stage`` meets maps of that many channels and that side."""
        stem = Stem(cin, kernel=1, stride=1)
        return replace(self._template, stem=stem, stages=(stage,), resolution=side)

    def _known(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]


def blocks(template: ArchSpec) -> list[StageSpec]:
    """Each block as a stage of its own, whose channels mean nothing."""
    return [
        replace(stage, layers=1, channels=1, stride=1 if i else stage.stride)
        for stage in template.stages
        for i in range(stage.layers)
    ]
