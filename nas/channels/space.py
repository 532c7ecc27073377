"""The space of all configurations of channels around one network: a ``Space`` like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.spec import ArchSpec, StageSpec
from nas.channels.costs import BLOCKS, ChannelCosts
from nas.channels.growth import FIRSTS, GAINS, SLOPES, Ints, channels, slopes_of
from nas.space import Batch, Choices, OfParts, Space, Value

CHANNELS = "channels"


@dataclass(frozen=True)
class BlockChoices:
    """What a block's place lets one choose: the first block's b and a, a later one's slope."""

    values: Mapping[str, tuple[Value, ...]]

    def label(self, i: int, name: str) -> str:
        """``b``, ``a``, and ``f2`` … of the blocks after the first, counted from 1."""
        return f"f{i + 1}" if name == "f" else name

    def stage(self, values: Mapping[str, Value], cin: int) -> StageSpec | None:
        """None: a block's channels follow from all choices together, never from its own."""
        return None

    def may_be_absent(self, cin: int) -> bool:
        return False


@dataclass(frozen=True)
class ChannelSpace(Space):
    """Networks that differ from ``template`` in their blocks' channels alone, and do not narrow.

    ``places`` are the template's blocks. Everything else of it is fixed: stem, head, kernels,
    strides, expansions, squeeze-and-excitation, skips; what its own channels are does not matter.
    ``nas.channels.growth`` says what the choices mean.

    Raises ValueError for blocks of a kind whose hidden width does not follow from what comes in,
    and for several resolutions.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolutions:
            raise ValueError(f"channels are searched at one resolution, not {self.resolutions}")
        for stage in self.template.stages:
            if stage.block not in BLOCKS:
                raise ValueError(
                    f"{self.template.name} has blocks of kind {stage.block}: the channels of "
                    f"{', '.join(BLOCKS)} are searched; start from rexnet-1.0 or mobilenet-v2"
                )

    def channels(self, rows: Batch) -> Ints:
        """(N, blocks) of candidates (N, D)."""
        menus = [np.array(values) for values in self.choices.values()]
        first, gain = menus[0][rows[:, 0]], menus[1][rows[:, 1]]
        slopes = np.column_stack([menu[rows[:, d + 2]] for d, menu in enumerate(menus[2:])])
        return channels(first, gain, slopes, self.template.divisor)

    def spec_of(self, row: Sequence[int] | Batch) -> ArchSpec:
        """The network of one row of a batch."""
        return self._with(self.channels(np.asarray(row)[None])[0], self._label(row))

    def _with(self, widths: Ints, name: str) -> ArchSpec:
        stages, start = [], 0
        for stage in self.template.stages:
            own = tuple(int(width) for width in widths[start : start + stage.layers])
            stages.append(replace(stage, channels=own))
            start += stage.layers
        return replace(self.template, name=name, stages=tuple(stages))

    def choices_of(self, spec: ArchSpec) -> Choices | None:
        """Choices that make ``spec``'s channels; None where it is no member."""
        if _without_channels(spec) != _without_channels(self.template):
            return None
        widths = np.array([width for stage in spec.stages for width in stage.widths])
        for first in FIRSTS:
            for gain in GAINS:
                ends = channels(
                    np.array([first]), np.array([gain]), np.array([[1]]), self.template.divisor
                )[0]
                if not np.array_equal(ends, widths[[0, -1]]):
                    continue
                found = slopes_of(widths, first, gain, self.template.divisor)
                if found is not None:
                    return dict(zip(self.names, (first, gain, *found.tolist()), strict=True))
        return None

    def over_parts(
        self, batch: Batch | Sequence[Mapping[str, Value]], of: OfParts
    ) -> NDArray[np.int64]:
        """As ``Space.over_parts``: of the stem, each block and the head."""
        rows = batch if isinstance(batch, np.ndarray) else self.indices(batch)
        return self._block_costs(self.channels(rows), of)

    @cached_property
    def _block_costs(self) -> ChannelCosts:
        return ChannelCosts(self.template)


def channel_space(network: ArchSpec, depth: int | None = None) -> ChannelSpace:
    """The configurations of channels of ``network``, of so many blocks where ``depth`` is given.

    Whatever member of it is given, the space is the same. Raises ValueError as ``ChannelSpace`` and
    ``stretched`` do, and for fewer than three blocks.
    """
    template = _without_channels(network if depth is None else stretched(network, depth))
    count = sum(stage.layers for stage in template.stages)
    if count < 3:
        raise ValueError(f"{network.name} has {count} blocks: channels grow over 3 or more")
    ends: dict[str, tuple[Value, ...]] = {"b": FIRSTS, "a": GAINS}
    slope: dict[str, tuple[Value, ...]] = {"f": SLOPES}
    places = (BlockChoices(ends), *(BlockChoices(slope) for _ in range(count - 1)))
    return ChannelSpace(CHANNELS, template, places)


def stretched(network: ArchSpec, depth: int) -> ArchSpec:
    """``network`` with ``depth`` blocks in all, in proportion: by the largest remainders, and at
    least one in each stage. Where the paper fixes depths, 18 and 30, it does not say how.

    Raises ValueError for fewer blocks than stages.
    """
    stages = network.stages
    if depth < len(stages):
        raise ValueError(f"depth {depth} is below the {len(stages)} stages of {network.name}")
    total = sum(stage.layers for stage in stages)
    shares = [depth * stage.layers / total for stage in stages]
    layers = [max(1, int(share)) for share in shares]
    while sum(layers) != depth:
        step = 1 if sum(layers) < depth else -1
        left = [step * (s - n) if n + step else -depth for s, n in zip(shares, layers, strict=True)]
        layers[left.index(max(left))] += step
    made = [replace(s, layers=n, channels=s.widths[0]) for s, n in zip(stages, layers, strict=True)]
    return replace(network, stages=tuple(made))


def _without_channels(network: ArchSpec) -> ArchSpec:
    """``network`` with one channel everywhere: equal for all members of a space."""
    stages = (replace(stage, channels=(1,) * stage.layers) for stage in network.stages)
    return replace(network, name=CHANNELS, stages=tuple(stages))
