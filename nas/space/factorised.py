"""Search spaces: which networks there are, and what a million of them cost.

A space is factorised by stage, as MnasNet's is (arXiv:1807.11626, section 4.1): each stage has
choices of its own, everything else (stem, head, strides, activation) is a template's. A candidate
is a mapping from choice names to values, ``{"block0_k": 3, …}``; a batch of candidates is an
integer array (N, D) of positions in each choice's values, in the order of ``names``.

A space of one's own:

    from models.families import family
    from nas.space import Space, StageChoices

    def stage(k, e, channels, layers, stride):
        return StageSpec("mbconv", layers, channels, k, stride, e, se=0.25)

    mine = Space("mine", family("mobilenet-v2"), tuple(
        StageChoices({"k": (3, 5, 7), "e": (3, 6)}, partial(stage, channels=c, layers=n, stride=s))
        for c, n, s in ((24, 2, 2), (40, 3, 2), (80, 3, 2), (160, 2, 2))
    ))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.spec import ArchSpec, StageSpec
from nas.space.costs import Batch, Costs, OfParts, SpaceCosts, part_costs

Value = int | float | str
Choices = dict[str, Value]


@dataclass(frozen=True)
class StageChoices:
    """What may vary in one stage, in ascending order where there is one, and the stage it makes."""

    values: Mapping[str, tuple[Value, ...]]
    make: Callable[..., StageSpec]


@dataclass(frozen=True)
class Space:
    """All networks that ``template`` becomes with each stage made from its choices."""

    name: str
    template: ArchSpec
    stages: tuple[StageChoices, ...]

    @cached_property
    def choices(self) -> dict[str, tuple[Value, ...]]:
        """Every choice's name and values, stage by stage: ``block0_k`` → (3, 5)."""
        return {
            f"block{i}_{name}": values
            for i, stage in enumerate(self.stages)
            for name, values in stage.values.items()
        }

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.choices)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many values each choice has, (D,)."""
        return np.array([len(values) for values in self.choices.values()])

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return math.prod(len(values) for values in self.choices.values())

    def spec(self, choices: Mapping[str, Value]) -> ArchSpec:
        """The network of ``choices``, at the template's resolution and classes.

        Raises ValueError for a missing or unknown name, or a value that is not in its menu.
        """
        row = self.indices([choices])[0]
        return self.spec_of(row)

    def spec_of(self, row: Sequence[int] | Batch) -> ArchSpec:
        """The network of one row of a batch."""
        made, start = [], 0
        for i, stage in enumerate(self.stages):
            end = start + len(stage.values)
            made.append(self._stage(i, tuple(int(index) for index in row[start:end])))
            start = end
        return replace(self.template, name=self._label(row), stages=tuple(made))

    def _label(self, row: Sequence[int] | Batch) -> str:
        """The space's name and the candidate's place in it, in base 36."""
        place, digits = 0, ""
        for index, size in zip(row, self.sizes, strict=True):
            place = place * int(size) + int(index)
        while place:
            place, digit = divmod(place, 36)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        return f"{self.name}-{digits or '0'}"

    def with_template(self, **changes: Any) -> Space:
        """The same choices around another template: ``resolution=192``, ``classes=10`` …"""
        return replace(self, template=replace(self.template, **changes))

    def choices_of(self, spec: ArchSpec) -> Choices | None:
        """The choices that make ``spec``, None where it is no member."""
        if len(spec.stages) != len(self.stages):
            return None
        rest = replace(spec, name="x", stages=self.template.stages)
        if rest != replace(self.template, name="x"):
            return None
        row: list[int] = []
        for i, stage in enumerate(spec.stages):
            if (found := self._members(i).get(stage)) is None:
                return None
            row += found
        return self.values(row)

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
        """Each row with one choice that has alternatives moved to another of its values."""
        out = batch.copy()
        movable = np.flatnonzero(self.sizes > 1)
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
        """(N, stages + 2, 4): macs, params, activations, fvcore of stem, each stage and head."""
        return self.over_parts(batch, part_costs)

    def over_parts(
        self, batch: Batch | Sequence[Mapping[str, Value]], of: OfParts
    ) -> NDArray[np.int64]:
        """(N, stages + 2, numbers): the numbers of stem, each stage and head that ``of`` gives.

        A stage's must depend on its own choices and on the channels and side that come in, on
        nothing else: each such combination is asked for once, and looked up.
        """
        rows = batch if isinstance(batch, np.ndarray) else self.indices(batch)
        return self._costs(rows, of)

    @cached_property
    def _costs(self) -> SpaceCosts:
        menus = [[len(values) for values in stage.values.values()] for stage in self.stages]
        return SpaceCosts(self.template, menus, self._stage)

    @cached_property
    def _memo(self) -> dict[Any, Any]:
        return {}

    def _stage(self, i: int, row: tuple[int, ...]) -> StageSpec:
        key = (i, row)
        if key not in self._memo:
            menus = self.stages[i].values.items()
            values = {name: menu[j] for (name, menu), j in zip(menus, row, strict=True)}
            self._memo[key] = self.stages[i].make(**values)
        made: StageSpec = self._memo[key]
        return made

    def _members(self, i: int) -> dict[StageSpec, tuple[int, ...]]:
        """Every stage that the i-th choices can make → their positions."""
        key = ("members", i)
        if key not in self._memo:
            radix = [len(values) for values in self.stages[i].values.values()]
            rows = [tuple(row) for row in np.ndindex(*radix)]
            self._memo[key] = {self._stage(i, row): row for row in reversed(rows)}
        members: dict[StageSpec, tuple[int, ...]] = self._memo[key]
        return members
