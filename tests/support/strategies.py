"""Hypothesis strategies that more than one test file draws from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from models.spec import ACTIVATIONS, BLOCKS, SKIPS, ArchSpec, StageSpec, Stem
from nas.space import LayerChoices, Space, StageChoices


@st.composite
def stages(draw: st.DrawFn, convnext: bool) -> StageSpec:
    """A stage small enough to build in milliseconds."""
    kinds = ["convnext"] if convnext else [block for block in BLOCKS if block != "convnext"]
    block = draw(st.sampled_from(kinds))
    layers = draw(st.integers(1, 3))
    width = st.integers(1, 6).map(lambda c: 4 * c)
    channels = draw(width | st.lists(width, min_size=layers, max_size=layers).map(tuple))
    grouped = block == "bottleneck" and draw(st.booleans())
    expansion = {
        "mbconv": draw(st.sampled_from([1, 1.5, 3, 6])),
        "rexnet": draw(st.sampled_from([1, 6])),
        "bottleneck": 0.5,
        "convnext": 4,
    }.get(block, 1)
    return StageSpec(
        block,
        layers,
        channels,
        kernel=draw(st.sampled_from([1, 3, 5])),
        stride=draw(st.integers(1, 2)),
        expansion=expansion,
        se=draw(st.sampled_from([0, 1 / 12, 0.25])),
        skip=draw(st.sampled_from(["identity", "pool", "partial", "none"])),
        groups=2 if grouped else 1,
    )


@st.composite
def specs(draw: st.DrawFn) -> ArchSpec:
    """Any kind of network, small, at an odd resolution as likely as an even one."""
    convnext = draw(st.booleans()) and draw(st.booleans())
    return ArchSpec(
        name=draw(st.text(min_size=1, max_size=5)),
        stem=Stem(
            4 * draw(st.integers(1, 4)),
            draw(st.sampled_from([3, 4, 7])),
            draw(st.sampled_from([1, 2])),
            pool=not convnext and draw(st.booleans()),
        ),
        stages=tuple(draw(st.lists(stages(convnext), min_size=1, max_size=3))),
        head=draw(st.sampled_from([0, 24])),
        resolution=draw(st.integers(33, 48)),
        classes=draw(st.integers(2, 12)),
        in_channels=draw(st.sampled_from([1, 3])),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        norm="layer" if convnext else "batch",
        dropout=draw(st.sampled_from([0.0, 0.2])),
        drop_path=draw(st.sampled_from([0.0, 0.2])),
        divisor=draw(st.sampled_from([1, 4, 8])),
    )


_MENUS: dict[str, list[Any]] = {
    "layers": [1, 2, 3],
    "channels": [4, 8, 12, 20, 24],
    "grow": [0, 4],  # channels from layer to layer; 0: one number for all
    "kernel": [1, 3, 5],
    "stride": [1, 2, 3],
    "expansion": [0.5, 1, 1.5, 6],
    "se": [0, 1 / 12, 0.25],
    "skip": list(SKIPS),
    "groups": [1, 2],  # a bottleneck's
}


def _stage(fixed: dict[str, Any], **chosen: Any) -> StageSpec:
    values = {**fixed, **chosen}
    grow, groups = values.pop("grow"), values.pop("groups")
    layers, channels = values["layers"], values["channels"]
    if grow:
        values["channels"] = tuple(channels + grow * i for i in range(layers))
    return StageSpec(**values, groups=groups if values["block"] == "bottleneck" else 1)


def _menu(of: list[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Some of the values, one or more; NumPy's numbers as likely as Python's."""

    def numpys(values: list[Any]) -> tuple[Any, ...]:
        return tuple(value if isinstance(value, str) else np.array(value)[()] for value in values)

    some = st.lists(st.sampled_from(of), min_size=1, max_size=3, unique=True)
    return some.map(tuple) | some.map(numpys)


@st.composite
def _stage_choices(draw: st.DrawFn, menus: dict[str, list[Any]]) -> StageChoices:
    fixed = {name: draw(st.sampled_from(values)) for name, values in menus.items()}
    varied = draw(st.lists(st.sampled_from(list(menus)), max_size=4, unique=True))
    return StageChoices({name: draw(_menu(menus[name])) for name in varied}, partial(_stage, fixed))


@st.composite
def _layer_choices(draw: st.DrawFn, menus: dict[str, list[Any]], identity: bool) -> LayerChoices:
    def operator(fixed: dict[str, Any], channels: int, stride: int) -> StageSpec:
        return _stage(fixed, channels=channels, stride=stride, grow=0)

    made: dict[int, Callable[[int, int], StageSpec] | None] = {
        value: partial(operator, {name: draw(st.sampled_from(of)) for name, of in menus.items()})
        for value in range(draw(st.integers(1, 3)))
    }
    if identity and draw(st.booleans()):
        made[-1] = None
    return LayerChoices(
        draw(st.sampled_from(menus["channels"])), draw(st.sampled_from(menus["stride"])), made
    )


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Any kind of space whose every candidate is a network: of stages, of layers, of both, of one
    resolution or of several."""
    template = draw(specs())
    convnext = template.norm == "layer"
    kinds = ["convnext"] if convnext else [block for block in BLOCKS if block != "convnext"]
    menus = {"block": kinds, **_MENUS}
    if convnext:  # patches without padding: something must be left of the map
        template = replace(template, resolution=8 * template.resolution)
    place = _stage_choices(menus) | _layer_choices(menus, identity=not convnext)
    places = draw(st.lists(place, min_size=1, max_size=4))
    if all(one.may_be_absent(template.stem.channels) for one in places):
        places.append(draw(_stage_choices(menus)))
    sides = [template.resolution + more for more in draw(st.sets(st.integers(0, 40), max_size=3))]
    return Space("drawn", template, tuple(places)).at(sides or [template.resolution])
