"""Search spaces: which networks there are, and what a million of them cost.

A space is a template (stem, head, resolution, activation …) and places in it, each with choices of
its own. Places are whole stages (``StageChoices``: a space factorised by stage, as MnasNet's,
arXiv:1807.11626, section 4.1) or single layers (``LayerChoices``: a layer-wise space, as those of
ProxylessNAS, arXiv:1812.00332, FBNet, 1812.03443, and single-path supernets). A candidate is a
mapping from choice names to values, ``{"block0_k": 3, …}`` or ``{"layer0": 1, …}``; a batch of
candidates is an integer array (N, D) of positions in each choice's values, in the order of
``names``. ``docs/own-networks.md`` shows spaces of one's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.spec import ArchSpec, StageSpec
from nas.space.choices import Choices, LayerChoices, Operator, Place, Value, joined
from nas.space.costs import Batch, Costs, OfParts, SpaceCosts, part_costs
from nas.space.inverse import Row, kind, nearest_row, row_of

RESOLUTION = "resolution"


@dataclass(frozen=True)
class Space:
    """All networks that ``template`` becomes with its stages made place by place.

    Every combination of choices must be a network. One that cannot be made is a ValueError when it
    is first met, as a spec or among costs, naming the choices.

    With ``resolutions``, pixels in ascending order, resolution is a choice as well, the first:
    networks of one window of costs are then wide at few pixels or lean at many.

    Raises ValueError where nothing at all might stand between stem and head, and for resolutions
    out of order.
    """

    name: str
    template: ArchSpec
    places: tuple[Place, ...]
    resolutions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(self.places))
        object.__setattr__(self, "resolutions", sides := tuple(self.resolutions))
        if list(sides) != sorted(set(sides)):
            raise ValueError(f"resolutions {sides} must ascend, each once")
        if all(place.may_be_absent(self.template.stem.channels) for place in self.places):
            raise ValueError(
                f"space {self.name!r:.60} has a network of no layers: leave the identity out of "
                "one layer's operators"
            )

    @cached_property
    def choices(self) -> dict[str, tuple[Value, ...]]:
        """Every choice's name and values, resolution first, then place by place: ``block0_k`` →
        (3, 5)."""
        sides: dict[str, tuple[Value, ...]] = (
            {RESOLUTION: self.resolutions} if self.resolutions else {}
        )
        return sides | {
            place.label(i, name): values
            for i, place in enumerate(self.places)
            for name, values in place.values.items()
        }

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.choices)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many values each choice has, (D,)."""
        return np.array([len(values) for values in self.choices.values()], dtype=np.int64)

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return math.prod(len(values) for values in self.choices.values())

    def spec(self, choices: Mapping[str, Value]) -> ArchSpec:
        """The network of ``choices``, with the template's classes and what is no choice.

        Raises ValueError for a missing or unknown name, or a value that is not in its menu.
        """
        row = self.indices([choices])[0]
        return self.spec_of(row)

    def spec_of(self, row: Sequence[int] | Batch) -> ArchSpec:
        """The network of one row of a batch."""
        made: list[StageSpec] = []
        for i, own in self._split(row):
            cin = made[-1].widths[-1] if made else self.template.stem.channels
            if (stage := self._stage(i, own, cin)) is None:
                continue
            lengthens = made and isinstance(self.places[i], LayerChoices)
            if lengthens and (longer := joined(made[-1], stage)):
                made[-1] = longer
            else:
                made.append(stage)
        side = self.resolutions[int(row[0])] if self.resolutions else self.template.resolution
        return replace(self.template, name=self._label(row), stages=tuple(made), resolution=side)

    def _split(self, row: Sequence[int] | Batch) -> Iterator[tuple[int, Row]]:
        """Each place and its own positions."""
        start = 1 if self.resolutions else 0
        for i, place in enumerate(self.places):
            end = start + len(place.values)
            yield i, tuple(int(index) for index in row[start:end])
            start = end

    def _label(self, row: Sequence[int] | Batch) -> str:
        """The space's name and the candidate's place in it, in base 36."""
        place, digits = 0, ""
        for index, size in zip(row, self.sizes, strict=True):
            place = place * int(size) + int(index)
        while place:
            place, digit = divmod(place, 36)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        return f"{self.name}-{digits or '0'}"

    def with_template(self, **changes: Any) -> Self:
        """The same choices around another template: ``resolution=192``, ``classes=10`` …"""
        return replace(self, template=replace(self.template, **changes))

    def at(self, resolutions: Sequence[int]) -> Space:
        """The same choices at one resolution, or at any of several, the template's the highest."""
        sides = tuple(sorted(set(resolutions)))
        made = self.with_template(resolution=sides[-1])
        return replace(made, resolutions=sides if len(sides) > 1 else ())

    def choices_of(self, spec: ArchSpec) -> Choices | None:
        """The choices that make ``spec``, the first where several do; None where it is no member.

        Several do where a layer was left out among equal ones: which of them, nobody can tell.
        """
        free: dict[str, Any] = {"name": "x", "stages": self.template.stages}
        side: Row = ()
        if self.resolutions:
            if spec.resolution not in self.resolutions:
                return None
            free["resolution"] = self.template.resolution
            side = (self.resolutions.index(spec.resolution),)
        if replace(spec, **free) != replace(self.template, **free):
            return None
        stem = self.template.stem.channels
        row = row_of(spec.stages, self.places, self._members, stem)
        return None if row is None else self.values(side + row)

    def nearest(self, spec: ArchSpec) -> ArchSpec | None:
        """The member at ``spec``'s resolution with stages of its kinds, in layers and channels the
        nearest to it; None where its resolution or one of its stages is not to be had."""
        sides = self.resolutions or (self.template.resolution,)
        stem = self.template.stem.channels
        row = nearest_row(spec.stages, self.places, self._alike, stem)
        if row is None or spec.resolution not in sides:
            return None
        return self.spec_of((sides.index(spec.resolution), *row) if self.resolutions else row)

    def contains(self, spec: ArchSpec) -> bool:
        """Whether ``spec`` is a member, whatever its name."""
        return self.choices_of(spec) is not None

    def values(self, row: Sequence[int] | Batch) -> Choices:
        """One row of a batch as a mapping."""
        return {
            name: values[int(index)]
            for (name, values), index in zip(self.choices.items(), row, strict=True)
        }

    def indices(self, candidates: Sequence[Mapping[str, Value]]) -> Batch:
        """Mappings as a batch (N, D); ValueError as for ``spec``."""
        known = self.choices
        batch = np.empty((len(candidates), len(known)), dtype=np.int64)
        for n, candidate in enumerate(candidates):
            if set(candidate) != set(known):
                odd = sorted(set(candidate) ^ set(known))[0]
                raise ValueError(f"the choices of space {self.name} are {list(known)}: see {odd!r}")
            for d, (name, values) in enumerate(known.items()):
                if candidate[name] not in values:
                    raise ValueError(f"{name}={candidate[name]!r} is not one of {values}")
                batch[n, d] = values.index(candidate[name])
        return batch

    def random(self, count: int, rng: np.random.Generator) -> Batch:
        """``count`` candidates drawn uniformly, (count, D); repeats are possible."""
        return rng.integers(0, self.sizes, size=(count, len(self.sizes)))

    def sample(self, rng: np.random.Generator) -> Choices:
        """One candidate drawn uniformly."""
        return self.values(self.random(1, rng)[0])

    def mutate(self, choices: Mapping[str, Value], rng: np.random.Generator) -> Choices:
        """``choices`` with one choice, drawn uniformly, given another of its values."""
        return self.values(self.mutated(self.indices([choices]), rng)[0])

    def mutated(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Each row with one choice that has alternatives moved to another of its values.

        Raises ValueError where none has.
        """
        out = batch.copy()
        movable = np.flatnonzero(self.sizes > 1)
        if not len(movable):
            raise ValueError(f"space {self.name} has a single candidate: enlarge its menus")
        where = rng.choice(movable, size=len(batch))
        steps = rng.integers(1, self.sizes[where])
        rows = np.arange(len(batch))
        out[rows, where] = (out[rows, where] + steps) % self.sizes[where]
        return out

    def neighbours(self, row: Batch) -> Batch:
        """Every candidate that differs from ``row`` (D,) in exactly one choice."""
        out = []
        for d, size in enumerate(self.sizes):
            for index in range(size):
                if index != row[d]:
                    out.append(np.concatenate([row[:d], [index], row[d + 1 :]]))
        return np.array(out, dtype=np.int64).reshape(len(out), len(self.sizes))

    def encode(self, batch: Batch) -> NDArray[np.float64]:
        """Ordinal features (N, D): positions scaled to [0, 1]."""
        return batch / np.maximum(1, self.sizes - 1)

    def costs(self, batch: Batch | Sequence[Mapping[str, Value]]) -> Costs:
        """Each candidate's cost, equal to ``models.cost.cost`` of its spec, without its spec.

        ``batch`` is an index array (N, D) or a sequence of mappings.
        """
        return Costs(*self.part_costs(batch).sum(1).T)

    def part_costs(self, batch: Batch | Sequence[Mapping[str, Value]]) -> NDArray[np.int64]:
        """(N, places + 2, 4): macs, params, activations, fvcore of stem, each place and head."""
        return self.over_parts(batch, part_costs)

    def over_parts(
        self, batch: Batch | Sequence[Mapping[str, Value]], of: OfParts
    ) -> NDArray[np.int64]:
        """(N, places + 2, numbers): the numbers of stem, each place and head that ``of`` gives.

        A place's must depend on its own choices and on the channels and side that come in, on
        nothing else: each such combination is asked for once, and looked up. What stands nowhere
        has zeros.
        """
        rows = batch if isinstance(batch, np.ndarray) else self.indices(batch)
        if (odd := (rows < 0) | (rows >= self.sizes)).any():
            n, d = np.argwhere(odd)[0]
            raise ValueError(f"row {n}: {self.names[d]} has no value at position {rows[n, d]}")
        return self._costs(rows, of)

    @cached_property
    def _costs(self) -> SpaceCosts:
        menus = [[len(values) for values in place.values.values()] for place in self.places]
        return SpaceCosts(self.template, menus, self._stage, self.resolutions)

    @cached_property
    def _memo(self) -> dict[Any, Any]:
        return {}

    def _stage(self, i: int, row: Row, cin: int) -> StageSpec | None:
        """What stands in the i-th place by these positions, when ``cin`` channels come in."""
        key = (i, row, cin)
        if key not in self._memo:
            menus = self.places[i].values.items()
            values = {name: menu[j] for (name, menu), j in zip(menus, row, strict=True)}
            try:
                self._memo[key] = self._checked(self.places[i].stage(values, cin))
            except ValueError as error:
                raise ValueError(f"{self._described(i, row)} is no stage: {error}") from error
        made: StageSpec | None = self._memo[key]
        return made

    def _checked(self, made: StageSpec | None) -> StageSpec | None:
        """``made``, where it can stand in the template."""
        if made is not None:
            if not isinstance(made, StageSpec):
                raise ValueError(f"{made!r:.60} was made: return a StageSpec")
            replace(self.template, stages=(made,))
        return made

    def _described(self, i: int, row: Row) -> str:
        """The positions as the choices that a person wrote."""
        menus = self.places[i].values.items()
        chosen = [
            f"{self.places[i].label(i, name)}={menu[j]!r}"
            for (name, menu), j in zip(menus, row, strict=True)
        ]
        return f"in space {self.name}, {', '.join(chosen) or f'place {i}'}"

    def _members(self, i: int, cin: int) -> dict[StageSpec | None, Row]:
        """All that may stand in the i-th place, met by ``cin`` channels → its positions."""
        key = ("members", i, cin)
        if key not in self._memo:
            radix = [len(values) for values in self.places[i].values.values()]
            rows = [tuple(row) for row in np.ndindex(*radix)]
            self._memo[key] = {self._stage(i, row, cin): row for row in reversed(rows)}
        members: dict[StageSpec | None, Row] = self._memo[key]
        return members

    def _alike(self, i: int, cin: int, wanted: StageSpec) -> dict[StageSpec, Row]:
        """Those of ``_members`` that are of the ``wanted`` kind."""
        key = ("alike", i, cin, wanted)
        if key not in self._memo:
            pairs = self._members(i, cin).items()
            self._memo[key] = {one: row for one, row in pairs if one and kind(one) == wanted}
        alike: dict[StageSpec, Row] = self._memo[key]
        return alike


def layerwise(
    name: str,
    template: ArchSpec,
    layers: Sequence[tuple[int, int]],
    operators: Mapping[Any, Operator | None],
) -> Space:
    """A space of layers of given (channels, stride), each any of the same ``operators``.

    ``operators`` as in ``LayerChoices``; the choices are ``layer0``, ``layer1`` …
    """
    return Space(name, template, tuple(LayerChoices(c, s, operators) for c, s in layers))
