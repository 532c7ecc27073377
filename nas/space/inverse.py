"""From a network back to the choices that make it, or one that is near to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from models.spec import StageSpec
from nas.space.choices import LayerChoices, Place, joined

Row = tuple[int, ...]
# (place, channels that come in) → all that can stand there, and the positions that make each
Members = Callable[[int, int], Mapping[StageSpec | None, Row]]
# (place, channels that come in, kind) → the same of all of that kind
Alike = Callable[[int, int, StageSpec], Mapping[StageSpec, Row]]


def row_of(
    stages: Sequence[StageSpec], places: Sequence[Place], members: Members, stem: int
) -> Row | None:
    """The first row whose network has these stages after ``stem`` channels; None without any.

    Place by place, all ways to have read a part of the stages are followed. They are few: one in a
    space of stages, while layers may have been left out, or be several in one stage.
    """
    read: dict[tuple[int, int], Row] = {(0, 0): ()}  # whole stages, layers of the next
    for i, place in enumerate(places):
        longer = isinstance(places[i + 1] if i + 1 < len(places) else None, LayerChoices)
        after: dict[tuple[int, int], Row] = {}
        for (whole, layers), row in read.items():
            cin = stages[whole - (layers == 0)].widths[-1] if whole or layers else stem
            own = members(i, cin)
            if None in own:
                after.setdefault((whole, layers), row + own[None])
            for piece in _pieces(stages, whole, layers, place, longer):
                if piece in own:
                    end = layers + piece.layers
                    done = end == stages[whole].layers
                    after.setdefault((whole + 1, 0) if done else (whole, end), row + own[piece])
        read = after
    return read.get((len(stages), 0))


def nearest_row(
    stages: Sequence[StageSpec], places: Sequence[Place], alike: Alike, stem: int
) -> Row | None:
    """The row whose network has these stages but for layers and channels, which are the nearest
    that there are, by ratio; None where the places are not these stages, one by one."""
    if len(stages) != len(places) or any(isinstance(place, LayerChoices) for place in places):
        return None
    row: Row = ()
    for i, stage in enumerate(stages):
        if not (same := alike(i, stem, kind(stage))):
            return None
        made = min(same, key=lambda one: _apart(one, stage))
        row, stem = row + same[made], made.widths[-1]
    return row


def kind(stage: StageSpec) -> StageSpec:
    """What a stage is but for its layers and channels."""
    return replace(stage, layers=1, channels=1)


def _apart(one: StageSpec, other: StageSpec) -> float:
    wider = one.widths[-1] / other.widths[-1]
    return abs(math.log(one.layers / other.layers)) + abs(math.log(wider))


def _pieces(
    stages: Sequence[StageSpec], whole: int, layers: int, place: Place, longer: bool
) -> Iterator[StageSpec]:
    """What ``place`` would have to be, to read on; ``longer`` if the next place may lengthen it."""
    if whole == len(stages):
        return
    stage, lengthens = stages[whole], isinstance(place, LayerChoices)
    if layers and not lengthens:
        return
    if not layers and whole and lengthens and joined(stages[whole - 1], stage):
        return
    left = stage.layers - layers
    shorter = range(1, left if longer and isinstance(stage.channels, int) else 1)
    for count in (left, *shorter):
        yield replace(stage, layers=count, stride=1 if layers else stage.stride)
