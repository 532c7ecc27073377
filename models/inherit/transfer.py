"""A parent's weights carried into a child, unit by unit, along channel maps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.build import build
from models.inherit import rules
from models.inherit.maps import Importance, Map, choose, column_norms, extend
from models.inherit.units import Excitation, Named, Pair, Unit, excitation_of, pairs, units
from models.plan import Conv, Linear, Norm
from models.pretrained import load_weights
from models.spec import ArchSpec

_LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Transfer:
    """The child's tensors in ``mine``, and what was done to make them.

    pairs       the child's units and their places in the parent
    maps        of each unit's output: the channel map, and the parent's unit that writes it
    inherited   by part (``stem``, ``stages.0`` …): how many of the child's parameters are the
                parent's; added layers do not count
    shared      by part: how many different ones of the parent's those are, the classifier's aside
    fresh       units, but for added ones, that have no donor
    lost        the numbers of the units, but for the classifier, that cannot do all that the
                parent's do
    moved       those of them inside which distributions change: kernels cut, or fresh
    """

    def __init__(
        self,
        parent: ArchSpec,
        weights: Mapping[str, Tensor],
        child: ArchSpec,
        seed: int,
        importance: Mapping[str, Tensor],
    ) -> None:
        self.donor = donated(parent, weights)
        self.theirs: dict[str, Tensor] = dict(self.donor.state_dict())
        self.theirs["stem.0.weight"] = rules.recoloured(
            self.theirs["stem.0.weight"], child.in_channels
        )
        self.mine: dict[str, Tensor] = dict(seeded(child, seed).state_dict())
        self.generator = torch.Generator().manual_seed(seed)
        self.eps = parent.norm_eps, child.norm_eps
        self.units, self.pairs = units(parent), pairs(parent, child)
        self.importance = Importance(self.units, self.theirs, importance)
        self.inherited: Counter[str] = Counter()
        self.shared: Counter[str] = Counter()
        self.fresh = 0
        self.lost: set[int] = set()
        self.moved: set[int] = set()
        self.maps: list[tuple[Map, int]] = []
        for pair in self.pairs:
            self._unit(pair, parent.classes == child.classes)

    def _unit(self, pair: Pair, same_classes: bool) -> None:
        unit, number = pair.unit, len(self.maps)
        inn, before = self.maps[-1] if self.maps else (torch.arange(unit.cin), -1)
        if unit.kind.startswith("classifier"):
            out = torch.arange(unit.cout) if same_classes else None
        else:
            out = self._out(pair, inn, before)
        self.maps.append((out, -1 if pair.target is None else pair.target))
        donor = pair.donor
        if donor is not None and (donor == 0 or self._joined(before, donor - 1)):
            self._carry(pair, self.units[donor], inn, out)
        else:
            donor = None
            self.fresh += not pair.added
            if not (pair.added and unit.linked):
                self._lose(number)
                self.moved.add(number)
            if excitation := excitation_of(unit):
                self._open(excitation)
        if unit.linked and (pair.added or donor is None):
            self._close(unit)

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

    def _carry(self, pair: Pair, donor: Unit, inn: Map, out: Map) -> None:
        unit = pair.unit
        written = out
        if pair.target != pair.donor and not self._joined(pair.donor or 0, pair.target or 0):
            written = None  # it stands for a later block, which writes another space
        maps = [inn, *self._hidden(unit, donor), written]
        for space, layers in enumerate(unit.spaces):
            for rank, (mine, theirs) in enumerate(zip(layers, donor.spaces[space], strict=True)):
                reads = maps[space - 1] if space and not rank else maps[space]
                self._layer(mine, theirs, reads, maps[space], not pair.added)
        self._excite(unit, donor, maps, not pair.added)
        self._note(pair, donor, maps[:-1])
        if unit.projects and donor.projects:
            for mine, theirs in zip(unit.shortcut or (), donor.shortcut or (), strict=True):
                self._layer(mine, theirs, inn, out, not pair.added)
        elif unit.projects and donor.identity:
            self._join(unit, inn, out)

    def _note(self, pair: Pair, donor: Unit, maps: list[Map]) -> None:
        """What the unit lost: channels, taps, excitation, its shortcut, layers that followed."""
        number, unit = len(self.maps) - 1, pair.unit
        convs = zip(unit.weighted, donor.weighted, strict=True)
        cut = any(
            isinstance(a, Conv) and isinstance(b, Conv) and a.kernel < b.kernel
            for (_, a), (_, b) in convs
        )
        widths = [donor.cin, *(layers[0][1].cout for layers in donor.spaces[1:-1])]
        fewer = any(
            there is None or len(there[there >= 0].unique()) < width
            for there, width in zip(maps, widths, strict=True)
        )
        closed = bool(excitation_of(donor)) and not excitation_of(unit)
        moved_on = pair.target != pair.donor
        if not pair.added and (cut or fewer or closed or moved_on or donor.linked != unit.linked):
            self._lose(number)
        if cut:
            self.moved.add(number)

    def _lose(self, number: int) -> None:
        if not self.pairs[number].unit.kind.startswith("classifier"):
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
            count = unit.spaces[space][0][1].cout  # type: ignore[union-attr]
            score = self.importance.hidden(donor, space)
            found.append(choose(score, count, max(parts, default=1)))
        return found

    def _layer(self, mine: Named, theirs: Named, inn: Map, out: Map, counted: bool) -> None:
        (name, layer), (other, donor) = mine, theirs
        if isinstance(layer, Conv) and isinstance(donor, Conv):
            groups, padding = (layer.groups, donor.groups), (layer.padding, donor.padding)
        else:
            groups, padding = (1, 1), (0, 0)
        leaves = [leaf for leaf in _LEAVES if f"{name}.{leaf}" in self.mine]
        for leaf in leaves:
            fresh, there = self.mine[f"{name}.{leaf}"], self.theirs.get(f"{other}.{leaf}")
            if there is None:
                continue
            if isinstance(layer, Conv | Linear) and leaf == "weight":
                found = rules.weights(
                    fresh, there, out, inn, groups, padding, generator=self.generator
                )
            else:
                found = rules.vector(fresh, there, out)
            self.mine[f"{name}.{leaf}"] = found.tensor
            if counted and leaf in ("weight", "bias"):
                self._count(name, found)
        if "running_var" in leaves and self.eps[0] != self.eps[1]:
            variance = self.mine[f"{name}.running_var"]
            self.mine[f"{name}.weight"] *= ((variance + self.eps[1]) / (variance + self.eps[0])).sqrt()

    def _count(self, name: str, found: rules.Carried) -> None:
        self.inherited[part_of(name)] += found.inherited
        if name != self.pairs[-1].unit.body[-1][0]:  # the classifier's
            self.shared[part_of(name)] += found.shared

    def _excite(self, unit: Unit, donor: Unit, maps: list[Map], counted: bool) -> None:
        mine, theirs = excitation_of(unit), excitation_of(donor)
        if mine and theirs:
            self._squeeze(mine, theirs, maps[_space(unit, mine)], counted)
        elif mine:
            self._open(mine)
            self._fold(unit, mine, torch.tensor([1 / rules.OPEN]))
        elif theirs and (out := maps[_space(donor, theirs)]) is not None:
            gate = self._gate(donor, theirs)
            self._fold(unit, theirs, torch.where(out >= 0, gate[out.clamp(min=0)], 1.0))

    def _squeeze(self, mine: Excitation, theirs: Excitation, out: Map, counted: bool) -> None:
        """Excitation of another width inside: the channels by their row's and column's norms."""
        own, given = mine.body, theirs.body
        first, second = (self.theirs[f"{name}.weight"] for name, _ in (given[0], given[-1]))
        score = first.flatten(1).norm(dim=1) * column_norms(second)
        inner = choose(score, len(self.mine[f"{own[0][0]}.bias"]))
        self._layer(own[0], given[0], out, inner, counted)
        if len(own) == len(given) == 3:
            self._layer(own[1], given[1], inner, inner, counted)
        self._layer(own[-1], given[-1], inner, out, counted)

    def _gate(self, donor: Unit, excitation: Excitation) -> Tensor:
        norm = donor.weighted[excitation.place - 1][0]
        act = self.donor.get_submodule(excitation.act) if excitation.act else nn.Identity()
        with torch.no_grad():
            return rules.mean_gate(
                self.donor.get_submodule(f"{excitation.name}.body"),
                act,
                self.theirs[f"{norm}.weight"],
                self.theirs[f"{norm}.bias"],
            )

    def _fold(self, unit: Unit, excitation: Excitation, factor: Tensor) -> None:
        """Multiply what excitation would by ``factor``: the norm right before it, else what reads
        after it."""
        if not excitation.act:
            name, _ = unit.weighted[excitation.place - 1]
            for leaf in ("weight", "bias"):
                self.mine[f"{name}.{leaf}"] = self.mine[f"{name}.{leaf}"] * factor
        else:
            name = f"{unit.weighted[excitation.place][0]}.weight"
            self.mine[name] = self.mine[name] * factor.view(-1, 1, 1)

    def _open(self, excitation: Excitation) -> None:
        """The gate at ``OPEN`` whatever comes in."""
        name, _ = excitation.body[-1]
        self.mine[f"{name}.weight"] = torch.zeros_like(self.mine[f"{name}.weight"])
        self.mine[f"{name}.bias"] = torch.full_like(self.mine[f"{name}.bias"], rules.OPEN_BIAS)

    def _close(self, unit: Unit) -> None:
        """The last norm or layer scale at 0: the block is its shortcut (arXiv:1706.02677)."""
        name, layer = unit.weighted[-1]
        for leaf in ("weight", "bias") if isinstance(layer, Norm) else ("weight",):
            self.mine[f"{name}.{leaf}"] = torch.zeros_like(self.mine[f"{name}.{leaf}"])

    def _join(self, unit: Unit, inn: Map, out: Map) -> None:
        """A projecting shortcut that does what the parent's identity did."""
        (conv, layer), (norm, _) = unit.shortcut or ()
        same = rules.joined(out, inn)
        if same is not None and isinstance(layer, Conv) and layer.stride == 1:
            self.mine[f"{conv}.weight"] = same
            gamma = self.mine[f"{norm}.weight"]
            self.mine[f"{norm}.weight"] = torch.full_like(gamma, math.sqrt(1 + self.eps[1]))


def _space(unit: Unit, excitation: Excitation) -> int:
    """The space of the unit on which its excitation acts."""
    layer = unit.weighted[excitation.place - 1]
    return next(i for i, layers in enumerate(unit.spaces) if layer in layers)


def part_of(name: str) -> str:
    """``stem``, ``stages.0`` …, ``head``: where a tensor of the state dict belongs."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "stages" else parts[0]


def donated(spec: ArchSpec, weights: Mapping[str, Tensor]) -> nn.Module:
    """The parent as a module in eval mode, nothing in it shared with ``weights``.

    Raises ValueError where the weights are another network's.
    """
    network = seeded(spec, 0).eval()
    load_weights(network, weights)
    return network


def seeded(spec: ArchSpec, seed: int) -> nn.Module:
    """As ``build``, the global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(spec)
