"""A parent's weights carried into a child, unit by unit, along channel maps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from models.inherit import rules
from models.inherit.excitation import excitation_of, excite, start_open
from models.inherit.maps import Importance, Map, choose, extend
from models.inherit.tensors import Tensors
from models.inherit.units import Pair, Unit, pairs, units
from models.plan import Conv, Norm
from models.spec import ArchSpec


class Transfer:
    """The child's ``tensors``, and what was done to make them.

    pairs   the child's units and their places among ``units``, the parent's
    maps    of each unit's output: the channel map, and the parent's unit that writes it (-1: none)
    fresh   the numbers of the units that inherit nothing
    lost    the numbers of the units, but for the classifier, that cannot do all that the
            parent's do
    """

    def __init__(
        self,
        parent: ArchSpec,
        weights: Mapping[str, Tensor],
        child: ArchSpec,
        seed: int,
        importance: Mapping[str, Tensor],
    ) -> None:
        self.tensors = Tensors(parent, weights, child, seed)
        self.units, self.pairs = units(parent), pairs(parent, child)
        self.importance = Importance(self.units, self.tensors.theirs, importance)
        self.maps: list[tuple[Map, int]] = []
        self.fresh: set[int] = set()
        self.lost: set[int] = set()
        for pair in self.pairs[:-1]:
            self._unit(pair)
        self._classifier(self.pairs[-1], parent.classes == child.classes)

    def _unit(self, pair: Pair) -> None:
        unit, number = pair.unit, len(self.maps)
        inn, before = self.maps[-1] if self.maps else (torch.arange(unit.cin), -1)
        out = self._out(pair, inn, before)
        self.maps.append((out, -1 if pair.target is None else pair.target))
        if pair.donor is not None and self._reads(pair.donor, before):
            self._carry(pair, number, self.units[pair.donor], inn, out)
            closed = pair.added
        else:
            self._start(pair, number)
            closed = True
        if closed and unit.linked:
            self._close(unit)

    def _start(self, pair: Pair, number: int) -> None:
        """A unit that inherits nothing."""
        if excitation := excitation_of(pair.unit):
            start_open(self.tensors, excitation)
        self.fresh.add(number)
        if not (pair.added and pair.unit.linked):  # else it is closed, and does no harm
            self.lost.add(number)

    def _classifier(self, pair: Pair, same: bool) -> None:
        inn, before = self.maps[-1]
        if pair.donor is None or not self._reads(pair.donor, before):
            return
        *norms, last = zip(pair.unit.weighted, self.units[pair.donor].weighted, strict=True)
        for mine, theirs in norms:  # ConvNeXt's
            self.tensors.carry(mine, theirs, inn, inn, True)
        shared = self.tensors.shared["head"]
        self.tensors.carry(*last, inn, torch.arange(pair.unit.cout) if same else None, True)
        self.tensors.shared["head"] = shared  # a classifier is the user's, not the network's

    def _out(self, pair: Pair, inn: Map, before: int) -> Map:
        """The map of what the unit writes, in the parent's space that it stands for."""
        if pair.target is None:
            return None
        score, unit = self.importance.stream(pair.target), pair.unit
        if unit.linked and inn is not None and self._joined(before, pair.target):
            return extend(inn, score, self.units[before].cout, unit.cout)
        return choose(score, unit.cout)

    def _joined(self, one: int, other: int) -> bool:
        """Two of the parent's units write one stream."""
        chain = self.importance.chain
        return min(one, other) >= 0 and chain[one] == chain[other]

    def _reads(self, donor: int, before: int) -> bool:
        """The donor reads the stream that the unit ``before`` writes."""
        return donor == 0 or self._joined(before, donor - 1)

    def _carry(self, pair: Pair, number: int, donor: Unit, inn: Map, out: Map) -> None:
        unit, counted = pair.unit, not pair.added
        if pair.target != pair.donor and not self._joined(pair.donor or 0, pair.target or 0):
            out = None  # it stands for a later block, which writes another stream
        maps = [inn, *self._hidden(unit, donor), out]
        for space, layers in enumerate(unit.spaces):
            for rank, (mine, theirs) in enumerate(zip(layers, donor.spaces[space], strict=True)):
                reads = maps[space - 1] if space and not rank else maps[space]
                self.tensors.carry(mine, theirs, reads, maps[space], counted)
        excite(self.tensors, unit, donor, maps, counted)
        if unit.projects and donor.projects:
            for named, given in zip(unit.shortcut or (), donor.shortcut or (), strict=True):
                self.tensors.carry(named, given, inn, out, counted)
        elif unit.projects and donor.identity:
            self._join(unit, inn, out)
        if counted:
            self._note(pair, number, donor, maps[:-1])

    def _note(self, pair: Pair, number: int, donor: Unit, maps: list[Map]) -> None:
        """What the unit lost: taps, channels, excitation, its shortcut, layers that followed."""
        unit = pair.unit
        cut = any(
            isinstance(mine, Conv) and isinstance(theirs, Conv) and mine.kernel < theirs.kernel
            for (_, mine), (_, theirs) in zip(unit.weighted, donor.weighted, strict=True)
        )
        if (
            cut
            or any(not _whole(out, width) for out, width in zip(maps, donor.widths, strict=False))
            or (excitation_of(donor) and not excitation_of(unit))
            or unit.nature != donor.nature
            or (donor.projects and not unit.projects)
            or pair.target != pair.donor
        ):
            self.lost.add(number)

    def _hidden(self, unit: Unit, donor: Unit) -> list[Map]:
        """The maps of the spaces inside a body; groups of convolutions stay together."""
        found: list[Map] = []
        for space in range(1, len(unit.spaces) - 1):
            parts = [
                math.gcd(mine.groups, theirs.groups)
                for at in (space, space + 1)
                for (_, mine), (_, theirs) in [(unit.spaces[at][0], donor.spaces[at][0])]
                if isinstance(mine, Conv) and isinstance(theirs, Conv)
            ]
            score = self.importance.hidden(donor, space)
            found.append(choose(score, unit.widths[space], max(parts, default=1)))
        return found

    def _close(self, unit: Unit) -> None:
        """The last norm or layer scale at 0: the block is its shortcut (arXiv:1706.02677)."""
        name, layer = unit.weighted[-1]
        for leaf in ("weight", "bias") if isinstance(layer, Norm) else ("weight",):
            self.tensors.fill(f"{name}.{leaf}", 0)

    def _join(self, unit: Unit, inn: Map, out: Map) -> None:
        """A projecting shortcut that does what the parent's identity did."""
        (conv, layer), (norm, _) = unit.shortcut or ()
        same = rules.joined(out, inn)
        if same is not None and isinstance(layer, Conv) and layer.stride == 1:
            self.tensors.mine[f"{conv}.weight"] = same
            self.tensors.fill(f"{norm}.weight", math.sqrt(1 + self.tensors.eps[1]))


def _whole(out: Map, width: int) -> bool:
    """All channels of the parent's space are there."""
    return out is not None and set(range(width)) <= set(out.tolist())
