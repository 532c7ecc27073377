"""What can be scaled, and how a spec answers: candidates, their cost, their realised multipliers.

``Scalable`` is all that the grid knows of a baseline. ``SpecBaseline`` is an ``ArchSpec``;
``scaling_search.points.modules`` has the one for a factory of modules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Protocol

from models.cost import cost, parts
from models.scale import scale, stage_divisor
from models.spec import MAX_CHANNELS, MAX_LAYERS, MAX_RESOLUTION, ArchSpec, StageSpec, Stem
from scaling_search.coefficients import Multipliers


class Candidate(Protocol):
    """A network that can be stored, told apart and trained: an ``ArchSpec`` is one."""

    @property
    def key(self) -> str:
        """Equal for equal networks."""

    def to_json(self) -> str:
        """What the baseline's ``from_json`` reads back."""


class Scalable(Protocol):
    """A baseline as the grid sees it; ``side`` is its input side in pixels."""

    @property
    def networks(self) -> str | None:
        """What kind of networks its run holds, a key of ``kept.READERS``; None: specs. A run of
        another kind can be gone on with, but no report is drawn of it."""

    @property
    def spec(self) -> Any:
        """The baseline itself, a ``Candidate``."""

    @property
    def side(self) -> int:
        """The baseline's input side in pixels."""

    @property
    def largest(self) -> int:
        """The largest input side that a network may have, in pixels."""

    def macs(self, candidate: Any) -> int:
        """Multiply-adds of one image; ValueError where the input is too small for the network."""

    def cost(self, candidate: Any) -> dict[str, int]:
        """Everything that is known of its cost, "macs" at least."""

    def scaled(self, depth: float, width: float, side: int) -> Any:
        """The candidate with these multipliers of layers and channels, at this side."""

    def at_side(self, candidate: Any, side: int) -> Any:
        """The same network at another side."""

    def realised(self, candidate: Any) -> Multipliers:
        """What rounding has made of the multipliers."""

    def near(self, depth: float, width: float, grow: bool) -> Iterable[Any]:
        """Candidates at the baseline's side with about these multipliers.

        None of them shrinks a dimension where ``grow``, none enlarges one otherwise.
        """

    def layer_steps(self, candidate: Any) -> Iterator[Any]:
        """Candidates with one layer more or less in one stage."""

    def width_steps(self, candidate: Any) -> Iterator[Any]:
        """Candidates with one stage a divisor wider or narrower."""

    def from_json(self, text: str) -> Any:
        """Read a candidate back."""


_DEPTH_STEP, _DEPTH_STEPS, _DEPTHS_KEPT = 0.03, 14, 4
_WIDTH_STEP, _WIDTH_STEPS = 0.015, 10


class SpecBaseline:
    """An ``ArchSpec`` to be scaled, always from the baseline itself.

    Realised multipliers: ``depth`` is the ratio of total layers (blocks); ``width`` the mean ratio
    of the stages' output channels, weighted by what each stage costs in the baseline;
    ``resolution`` the ratio of sides. Their product depth·width²·resolution² is near the ratio of
    costs and not equal to it: layers of a stage do not all cost the same, and depthwise
    convolutions grow with the width, not with its square.

    ``largest`` is of the input side in pixels, None: as large as a spec may have it. Raises
    ValueError for one below the baseline's.
    """

    networks = None

    def __init__(
        self, spec: ArchSpec, depth_rounding: str = "ceil", largest: int | None = None
    ) -> None:
        self.largest = MAX_RESOLUTION if largest is None else largest
        if self.largest < spec.resolution:
            raise ValueError(
                f"the largest input, {largest} pixels, is below the baseline's {spec.resolution}: "
                "raise it, or give a baseline at fewer pixels"
            )
        self.spec = spec
        self.depth_rounding = depth_rounding
        self._layers = sum(stage.layers for stage in spec.stages)
        self._weights = [part.cost.macs for part in parts(spec)[1:-1]]
        self._scaled = cache(self._scale)
        self._macs = cache(_macs)
        scale(spec, depth_rounding=depth_rounding)  # an unknown rounding is refused here

    @property
    def side(self) -> int:
        """The baseline's input side in pixels."""
        return self.spec.resolution

    def macs(self, candidate: ArchSpec) -> int:
        """Closed-form multiply-adds at the candidate's own side."""
        return self._macs(candidate)

    def cost(self, candidate: ArchSpec) -> dict[str, int]:
        """``models.cost``'s numbers by name."""
        return cost(candidate)._asdict()

    def scaled(self, depth: float, width: float, side: int) -> ArchSpec:
        """``models.scale`` with the multipliers, at this side."""
        return self.at_side(self._scaled(depth, width), side)

    def at_side(self, candidate: ArchSpec, side: int) -> ArchSpec:
        """The same network at another side."""
        return replace(candidate, resolution=side)

    def realised(self, candidate: ArchSpec) -> Multipliers:
        """Ratios to the baseline, as the class describes them."""
        ratios = (
            mine.widths[-1] / base.widths[-1]
            for mine, base in zip(candidate.stages, self.spec.stages, strict=True)
        )
        weighted = sum(w * r for w, r in zip(self._weights, ratios, strict=True))
        return Multipliers(
            sum(stage.layers for stage in candidate.stages) / self._layers,
            weighted / sum(self._weights),
            candidate.resolution / self.spec.resolution,
        )

    def near(self, depth: float, width: float, grow: bool) -> Iterator[ArchSpec]:
        """The nearest depths that rounding allows, each at every width close by."""
        depths = self._depths_near(depth, grow)
        for level in depths:
            for other in _levels(width, _WIDTH_STEP, _WIDTH_STEPS, grow):
                if (found := self._possible(level, other)) is not None:
                    yield found

    def layer_steps(self, candidate: ArchSpec) -> Iterator[ArchSpec]:
        """One layer more or less in one stage, which has the baseline's widths again."""
        room = MAX_LAYERS - sum(stage.layers for stage in candidate.stages)
        for index, (stage, base) in enumerate(zip(candidate.stages, self.spec.stages, strict=True)):
            for change in (-1, 1):
                layers = stage.layers + change
                if layers >= 1 and change <= room:
                    yield _with_stage(candidate, index, self._with_layers(index, base, layers))

    def width_steps(self, candidate: ArchSpec) -> Iterator[ArchSpec]:
        """One stage a divisor wider or narrower, all of its layers alike."""
        for index, stage in enumerate(candidate.stages):
            step = stage_divisor(stage, candidate.divisor)
            for change in (-step, step):
                narrowest, widest = min(stage.widths) + change, max(stage.widths) + change
                if narrowest >= step and widest <= MAX_CHANNELS:
                    yield _with_stage(candidate, index, _shifted(stage, change))

    def from_json(self, text: str) -> ArchSpec:
        """Read a spec back."""
        return ArchSpec.from_json(text)

    def _scale(self, depth: float, width: float) -> ArchSpec:
        return scale(self.spec, depth, width, depth_rounding=self.depth_rounding)

    def _possible(self, depth: float, width: float) -> ArchSpec | None:
        """The scaled network; None where it is larger than a network may be."""
        try:
            return self._scaled(depth, width)
        except ValueError:
            return None

    def _depths_near(self, depth: float, grow: bool) -> list[float]:
        """Multipliers of the layer counts nearest to ``depth``, one for each."""
        found: dict[tuple[int, ...], float] = {}
        for level in _levels(depth, _DEPTH_STEP, _DEPTH_STEPS, grow):
            if (deeper := self._possible(level, 1.0)) is not None:
                found.setdefault(tuple(stage.layers for stage in deeper.stages), level)

        def distance(layers: tuple[int, ...]) -> float:
            return abs(math.log(sum(layers) / self._layers / depth))

        return [found[layers] for layers in sorted(found, key=distance)[:_DEPTHS_KEPT]]

    def _with_layers(self, index: int, base: StageSpec, layers: int) -> StageSpec:
        """The baseline's stage made ``layers`` long."""
        before = self.spec.stages[index - 1].widths[-1] if index else self.spec.stem.channels
        alone = replace(self.spec, stem=Stem(before), stages=(base,))
        return scale(alone, layers / base.layers, depth_rounding="nearest").stages[0]


def _macs(spec: ArchSpec) -> int:
    return cost(spec).macs


def _levels(near: float, step: float, count: int, grow: bool) -> list[float]:
    """Powers of e^step around ``near``, on a lattice that all calls share; 1 among its levels."""
    middle = round(math.log(near) / step)
    indices = range(middle - count, middle + count + 1)
    return [math.exp(step * i) for i in indices if (i >= 0 if grow else i <= 0)]


def _with_stage(spec: ArchSpec, index: int, stage: StageSpec) -> ArchSpec:
    return replace(spec, stages=(*spec.stages[:index], stage, *spec.stages[index + 1 :]))


def _shifted(stage: StageSpec, change: int) -> StageSpec:
    if isinstance(stage.channels, tuple):
        return replace(stage, channels=tuple(width + change for width in stage.channels))
    return replace(stage, channels=stage.channels + change)
