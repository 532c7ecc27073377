"""A plan cut into units, and whose weights each unit of a child may start from.

A unit reads one channel space and writes one: the stem, a block, what stands between ConvNeXt's
stages, the head's convolution, the classifier.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from models.plan import (
    Act,
    Conv,
    Layer,
    LayerScale,
    Linear,
    Norm,
    Pool,
    Repeat,
    Residual,
    plan,
)
from models.spec import ArchSpec

Named = tuple[str, Layer]
Weighted = Conv | Norm | Linear | LayerScale
_DEPTHWISE = ("dsconv", "mbconv", "rexnet", "convnext")


class Unit(NamedTuple):
    """``body``, ``shortcut`` and ``after`` hold (name in the state dict, layer).

    part        0 the stem, i the i-th stage counted from 1, then the head
    kind        units of equal kind hold the same layers, but for activations and excitation
    depthwise   the name of the convolution that keeps its channel space, or nothing
    shortcut    None where nothing is added to the body
    more        channels by which the shortcut is filled up or cut
    """

    part: int
    kind: str
    body: tuple[Named, ...]
    depthwise: str = ""
    shortcut: tuple[Named, ...] | None = None
    more: int = 0
    after: tuple[Named, ...] = ()

    @property
    def weighted(self) -> list[tuple[str, Weighted]]:
        return [
            (name, x) for name, x in self.body if isinstance(x, Conv | Norm | Linear | LayerScale)
        ]

    @property
    def projects(self) -> bool:
        """The shortcut is a convolution of its own."""
        return any(isinstance(layer, Conv) for _, layer in self.shortcut or ())

    @property
    def linked(self) -> bool:
        """The first output channels are the input's, plus what the body adds."""
        return self.shortcut is not None and not self.projects

    @property
    def identity(self) -> bool:
        """The shortcut is the input itself."""
        return self.shortcut == ()

    @property
    def widths(self) -> list[int]:
        """Channels of each of ``spaces``."""
        first = self.weighted[0][1]
        found = [first.channels if isinstance(first, Norm | LayerScale) else first.cin]
        for layers in self.spaces[1:]:
            layer = layers[0][1]
            if isinstance(layer, Conv | Linear):
                found.append(layer.cout)
        return found

    @property
    def cin(self) -> int:
        return self.widths[0]

    @property
    def cout(self) -> int:
        return self.widths[-1]

    @property
    def nature(self) -> tuple[object, ...]:
        """What it does beside its weights: the activations, whether something is added to the
        body, and pools on the way."""
        layers = [x for _, x in (*self.body, *self.after, *(self.shortcut or ()))]
        fixed = tuple(x for x in layers if isinstance(x, Act | Pool))
        return (*fixed, self.shortcut is None)

    @property
    def stride(self) -> int:
        return math.prod(x.stride for _, x in self.body if isinstance(x, Conv | Pool))

    @property
    def spaces(self) -> list[list[tuple[str, Weighted]]]:
        """The weighted layers on each channel space in turn; those after the first begin with the
        layer that writes it, the last writes the output."""
        found: list[list[tuple[str, Weighted]]] = [[]]
        for name, layer in self.weighted:
            if isinstance(layer, Conv | Linear) and name != self.depthwise:
                found.append([])
            found[-1].append((name, layer))
        return found


def units(spec: ArchSpec) -> list[Unit]:
    """All units in the order in which the image meets them; the last is the classifier."""
    layers = plan(spec)
    found = [_unit(0, layers.stem, "stem")]
    for index, (stage, inside) in enumerate(zip(spec.stages, layers.stages, strict=True)):
        found += _stage(index, inside, stage.block in _DEPTHWISE)
    head = tuple(_named(layers.head, "head"))
    last, part = 3 if spec.head else 0, len(spec.stages) + 1
    if last:
        found.append(Unit(part, "head", head[:last]))
    return [*found, Unit(part, f"classifier {spec.norm}", head[last:])]


def _stage(index: int, layers: tuple[Layer, ...], depthwise: bool) -> Iterator[Unit]:
    place, between = 0, []
    for layer in layers:
        if not isinstance(layer, Repeat):
            between.append((f"stages.{index}.{place}", layer))
            place += 1
            continue
        if between:
            yield Unit(index + 1, "between", tuple(between))
            between = []
        for _ in layer.drops:
            yield _unit(index + 1, layer.body, f"stages.{index}.{place}", depthwise)
            place += 1


def _unit(part: int, layers: tuple[Layer, ...], prefix: str, depthwise: bool = False) -> Unit:
    first, *rest = _named(layers, prefix)
    residual = first[1]
    if not isinstance(residual, Residual):
        unit = Unit(part, "", (first, *rest))
    else:
        body, shortcut, after = (
            tuple(_named(getattr(residual, what), f"{first[0]}.{what}"))
            for what in ("body", "shortcut", "after")
        )
        unit = Unit(part, "", body, "", shortcut, residual.more, (*after, *rest))
    convs = [name for name, layer in unit.body if isinstance(layer, Conv)]
    kinds = [type(layer).__name__ for _, layer in unit.weighted]
    return unit._replace(
        kind=" ".join([*("depthwise",) * depthwise, *kinds]) if part else "stem",
        depthwise=convs[max(0, len(convs) - 2)] if depthwise else "",
    )


def _named(layers: tuple[Layer, ...], prefix: str) -> Iterator[Named]:
    return ((f"{prefix}.{i}", layer) for i, layer in enumerate(layers))


class Pair(NamedTuple):
    """A unit of the child and units of the parent, by their number.

    donor    whose weights it starts from; None: of nobody
    target   whose output its own stands for; None: of nobody
    added    the parent has no such unit, its ``donor`` is one that it repeats
    """

    unit: Unit
    donor: int | None
    target: int | None
    added: bool = False


def pairs(parent: ArchSpec, child: ArchSpec) -> list[Pair]:
    """For each unit of ``child`` its place in ``parent``.

    Stage to stage where their number and strides agree, else by the stride that the stages have
    reached; there block to block in order: the first, which may have the stride, stays, and
    what is missing or too many is so at the end. The last of fewer stands for the parent's last.
    """
    theirs, mine = units(parent), units(child)
    staged = [stage.stride for stage in parent.stages] == [stage.stride for stage in child.stages]
    places = _places(theirs, staged)
    own = _places(mine, staged)
    found = []
    for number, (unit, place) in enumerate(zip(mine, own, strict=True)):
        there = [i for i, other in enumerate(places) if other == place]
        rank, last = own[:number].count(place), place not in own[number + 1 :]
        found.append(_pair(unit, theirs, there, rank, last))
    return found


def _places(them: list[Unit], staged: bool) -> list[tuple[str, int]]:
    """What a unit may be compared with: its role, and how deep in the network it stands."""
    found, reached = [], 1
    for unit in them:
        reached *= unit.stride
        role = unit.kind.partition(" ")[0]
        if role in ("stem", "head", "classifier"):
            found.append((role, 0))
        else:
            found.append((role if role == "between" else "block", unit.part if staged else reached))
    return found


def _pair(unit: Unit, theirs: list[Unit], there: list[int], rank: int, last: bool) -> Pair:
    if not there:
        return Pair(unit, None, None)
    target = there[-1] if last or rank >= len(there) else there[rank]
    added = rank >= len(there)
    donor = there[min(rank, len(there) - 1)]
    fits = theirs[donor].kind == unit.kind and (theirs[donor].linked or not added)
    return Pair(unit, donor if fits else None, target, added)
