"""Rounding rules against the published networks and their defining properties."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.cost import cost
from models.families import family
from models.scale import PHIS, compound, round_channels, round_layers, scale
from models.spec import ArchSpec
from tests.support.strategies import specs

# Stem, stages, head of the released networks (tensorflow/tpu efficientnet_model.py).
CHANNELS = {
    "efficientnet-b1": [32, 16, 24, 40, 80, 112, 192, 320, 1280],
    "efficientnet-b2": [32, 16, 24, 48, 88, 120, 208, 352, 1408],
    "efficientnet-b3": [40, 24, 32, 48, 96, 136, 232, 384, 1536],
    "efficientnet-b4": [48, 24, 32, 56, 112, 160, 272, 448, 1792],
    "efficientnet-b5": [48, 24, 40, 64, 128, 176, 304, 512, 2048],
    "efficientnet-b6": [56, 32, 40, 72, 144, 200, 344, 576, 2304],
    "efficientnet-b7": [64, 32, 48, 80, 160, 224, 384, 640, 2560],
}
BLOCKS = {
    "efficientnet-b0": 16,
    "efficientnet-b1": 23,
    "efficientnet-b2": 23,
    "efficientnet-b3": 26,
    "efficientnet-b4": 32,
    "efficientnet-b5": 39,
    "efficientnet-b6": 45,
    "efficientnet-b7": 55,
}
# EfficientNet-Lite's stem, stages and head; layers of the stages (``fix_head_stem`` of the same
# code); millions of parameters and pixels of its README (tensorflow/tpu).
LITE = {
    0: ([32, 16, 24, 40, 80, 112, 192, 320, 1280], [1, 2, 2, 3, 3, 4, 1], 4.7, 224),
    1: ([32, 16, 24, 40, 80, 112, 192, 320, 1280], [1, 3, 3, 4, 4, 5, 1], 5.4, 240),
    2: ([32, 16, 24, 48, 88, 120, 208, 352, 1280], [1, 3, 3, 4, 4, 5, 1], 6.1, 260),
    3: ([32, 24, 32, 48, 96, 136, 232, 384, 1280], [1, 3, 3, 5, 5, 6, 1], 8.2, 280),
    4: ([32, 24, 32, 56, 112, 160, 272, 448, 1280], [1, 4, 4, 6, 6, 8, 1], 13.0, 300),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_of_the_released_networks(name: str) -> None:
    spec = family(name)
    widths = [spec.stem.channels, *(stage.channels for stage in spec.stages), spec.head]
    assert widths == CHANNELS[name]


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_the_released_networks(name: str) -> None:
    assert sum(stage.layers for stage in family(name).stages) == BLOCKS[name]


@pytest.mark.parametrize("which", LITE)
def test_lite_scales_neither_stem_nor_head_nor_the_ends_layers(which: int) -> None:
    spec = family(f"efficientnet-lite{which}")
    widths, layers, millions, side = LITE[which]
    assert [spec.stem.channels, *(stage.channels for stage in spec.stages), spec.head] == widths
    assert [stage.layers for stage in spec.stages] == layers
    assert spec.resolution == side
    assert round(cost(spec).params / 1e6, 1) == millions
    assert (spec.activation, spec.norm_eps) == ("relu6", 1e-3)
    assert not any(stage.se for stage in spec.stages)


def test_true_powers_of_the_coefficients_are_another_ladder() -> None:
    b7 = scale(family("efficientnet-b0"), 1.2**6, 1.1**6, 1.15**6)
    assert cost(b7).params / 1e6 == pytest.approx(45.5, abs=0.06)
    assert cost(b7).macs / 1e9 == pytest.approx(20.1, abs=0.06)


@given(st.integers(1, 4096), st.floats(0.05, 8), st.sampled_from([1, 4, 8, 16]))
def test_round_channels(channels: int, width: float, divisor: int) -> None:
    rounded = round_channels(channels, width, divisor)
    if width == 1:
        assert rounded == channels
        return
    assert rounded % divisor == 0
    assert rounded >= divisor
    assert rounded >= 0.9 * channels * width
    assert rounded <= max(divisor, channels * width + divisor)


@given(st.integers(1, 100), st.floats(0.05, 8))
def test_round_layers(layers: int, depth: float) -> None:
    up, near = round_layers(layers, depth), round_layers(layers, depth, "nearest")
    assert up == max(1, math.ceil(layers * depth - 1e-8))
    assert near >= 1
    assert abs(near - layers * depth) <= 0.5 + 1e-8 or near == 1


def test_floating_point_does_not_add_a_layer() -> None:
    assert round_layers(10, 1.1) == 11


@given(specs())
def test_multipliers_of_one_change_nothing(spec: ArchSpec) -> None:
    assert scale(spec) == spec


@given(specs(), st.floats(1, 3), st.floats(1, 3), st.floats(1, 3))
def test_growing_never_shrinks(spec: ArchSpec, d: float, w: float, r: float) -> None:
    before, after = cost(spec), cost(scale(spec, d, w, r))
    assert after.macs >= 0.8 * before.macs  # 90 % of a width at worst, on both sides
    assert cost(scale(spec, depth=d)).macs >= before.macs
    assert cost(scale(spec, resolution=r)).macs >= before.macs


@given(specs(), st.floats(0.1, 1), st.floats(0.1, 1))
def test_shrinking_keeps_the_minimums(spec: ArchSpec, d: float, w: float) -> None:
    small = scale(spec, d, w)
    assert all(stage.layers >= 1 and min(stage.widths) >= 1 for stage in small.stages)


def test_rexnet_keeps_its_course_when_it_grows_deeper() -> None:
    base = family("rexnet-1.0")
    deeper = scale(base, depth=2)
    assert [stage.layers for stage in deeper.stages] == [2 * stage.layers for stage in base.stages]
    for old, new in zip(base.stages, deeper.stages, strict=True):
        assert new.widths[1::2] == old.widths
    grown = [width for stage in deeper.stages[1:] for width in stage.widths]
    assert grown == sorted(grown)  # the first stage narrows the stem


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), 1e9])
def test_bad_multipliers(bad: float) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        scale(family("efficientnet-b0"), depth=bad)


def test_bad_rounding_and_resolution() -> None:
    with pytest.raises(ValueError, match="floor"):
        scale(family("efficientnet-b0"), depth=1.2, depth_rounding="floor")
    with pytest.raises(ValueError, match="resolution"):
        scale(replace(family("efficientnet-b0"), resolution=8000), resolution=2)


def test_unknown_family_names_its_neighbours() -> None:
    with pytest.raises(ValueError, match="efficientnet-b0"):
        family("eficientnet-b0")
    for bad in ("mobilenet-v2-0", "rexnet-nan", "mobilenet-v1-1-2-3", "mobilenet-v1-1-9.5", ""):
        with pytest.raises(ValueError, match="did you mean"):
            family(bad)


def test_numpys_multipliers() -> None:
    b0 = family("efficientnet-b0")
    grid = np.array([1.2, 1.1, 1.15])
    scaled = scale(b0, *grid)
    assert scaled == scale(b0, 1.2, 1.1, 1.15)
    assert scaled.to_json() == scale(b0, 1.2, 1.1, 1.15).to_json()
    assert scale(b0, np.int64(2)) == scale(b0, 2)
    with pytest.raises(ValueError, match="width multiplier nan"):
        scale(b0, width=np.float64("nan"))


def courses(spec: ArchSpec) -> Iterator[tuple[int, ...]]:
    """Of every stage whose layers have widths of their own: what goes in, and these."""
    before = spec.stem.channels
    for stage in spec.stages:
        if isinstance(stage.channels, tuple):
            yield before, *stage.channels
        before = stage.widths[-1]


def rises_and_falls(course: tuple[int, ...]) -> bool:
    steps = [after - one for one, after in pairwise(course) if after != one]
    return any(one > 0 > after for one, after in pairwise(steps))


@given(specs(), st.floats(-6, 3), st.booleans())
def test_no_step_of_the_rule_is_cheaper_than_the_one_below(
    spec: ArchSpec, phi: float, pixels: bool
) -> None:
    assert 0 in PHIS
    assert compound(spec, 0, pixels=pixels) == spec
    assume(not any(map(rises_and_falls, courses(spec))))
    smaller, larger = (compound(spec, at, pixels=pixels) for at in (phi, phi + 0.02))
    try:
        price = cost(smaller).macs
    except ValueError:  # a map of no pixels
        assume(False)
    assert price <= cost(larger).macs
    assert pixels or smaller.resolution == spec.resolution
