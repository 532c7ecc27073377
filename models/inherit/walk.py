"""A network run unit by unit over pictures, with what is inside each unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from models.inherit.units import Named, Unit
from models.plan import Act


class Result(NamedTuple):
    """Of a unit on a batch: before the activation that ends its body, if one does; before the one
    after the sum; all done; the shortcut's part of the sum, 0 where there is none."""

    inner: Tensor
    total: Tensor
    out: Tensor
    short: Tensor | float


class Walk:
    """A network in eval mode that runs over all batches, one unit after the other."""

    def __init__(self, network: nn.Module, units: list[Unit], batches: Sequence[Tensor]) -> None:
        self.network, self.units, self.at = network, units, -1
        self.batches = list(batches)  # what the next unit reads
        self.results: list[Result] = []

    def advance(self, number: int) -> None:
        """Up to and with the unit of that number, whose ``results`` are there then."""
        while self.at < number:
            self.at += 1
            self.results = [self._run(self.units[self.at], x) for x in self.batches]
            self.batches = [result.out for result in self.results]

    def fits(self, unit: Unit, other: Walk) -> bool:
        """The unit, fed with what comes next, puts out maps as large as the other's last."""
        own = self._run(unit, self.batches[0][:1]).out
        return own.shape[2:] == other.batches[0].shape[2:]

    def apply(self, layers: Iterable[Named], x: Tensor) -> Tensor:
        for name, _ in layers:
            x = self.network.get_submodule(name)(x)
        return x

    def short(self, unit: Unit, x: Tensor) -> Tensor | float:
        """What the unit adds to its body's output."""
        if unit.shortcut is None:
            return 0.0
        return F.pad(self.apply(unit.shortcut, x), (0, 0, 0, 0, 0, unit.more))

    def _run(self, unit: Unit, x: Tensor) -> Result:
        inner = self.apply(unit.body[:-1] if acts(unit) else unit.body, x)
        # Activations work in place: each gets a copy of what is kept.
        body = self.apply(unit.body[-1:], inner.clone()) if acts(unit) else inner
        short = self.short(unit, x)
        total = body + short
        out = self.apply(unit.after, total.clone()) if unit.after else total
        return Result(inner, total, out, short)


def acts(unit: Unit) -> bool:
    """Its body ends in an activation."""
    return isinstance(unit.body[-1][1], Act)


def goal(unit: Unit, other: Unit, theirs: Result, short: Tensor | float, out: Tensor) -> Tensor:
    """What the unit's body should put out, by its map, for the other's result: before its
    activation where the other has one in the same place."""
    channels = out.clamp(min=0)
    if acts(unit) and acts(other):
        return theirs.inner[:, channels]
    return (theirs.total if unit.after and other.after else theirs.out)[:, channels] - short
