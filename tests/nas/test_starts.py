"""The networks that a search from inherited weights begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cost import cost
from models.families import family
from models.scale import PHIS, compound
from models.spec import ArchSpec
from nas.space import Space, sides_about, space, starts
from nas.space.starts import scaled

LITE = replace(family("efficientnet-lite0"), classes=10)
BUDGET = 100e6


def around(name: str, budget: float = BUDGET) -> Space:
    searched = space(name).with_template(activation=LITE.activation, classes=10)
    return searched.at(sides_about(LITE, budget))


def affordable(spec: ArchSpec) -> bool:
    return cost(spec).macs <= BUDGET


MNASNET = around("mnasnet")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), phi=st.floats(-6, 3))
def test_the_nearest_member_is_nearer_than_any_other(seed: int, phi: float) -> None:
    """A member's own nearest is itself; another's differs in layers and channels alone, of which
    no single change brings it nearer."""
    searched = MNASNET
    row = searched.random(1, np.random.default_rng(seed))[0]
    assert searched.nearest(member := searched.spec_of(row)) == member
    wanted = replace(compound(LITE, phi, pixels=False), resolution=113)
    found = searched.nearest(wanted)
    assert found is not None
    assert searched.contains(found)
    assert found.resolution == 113
    kinds = [replace(stage, layers=1, channels=1) for stage in LITE.stages]
    assert [replace(stage, layers=1, channels=1) for stage in found.stages] == kinds
    row = searched.indices([searched.choices_of(found) or {}])[0]
    for near in searched.neighbours(row):
        other = searched.spec_of(near)
        alike = [replace(stage, layers=1, channels=1) for stage in other.stages] == kinds
        assert not alike or apart(found, wanted) <= apart(other, wanted) + 1e-9


def apart(one: ArchSpec, other: ArchSpec) -> float:
    """Sum of the ratios' logarithms, of layers and of channels."""
    pairs = list(zip(one.stages, other.stages, strict=True))
    layers = sum(abs(np.log(a.layers / b.layers)) for a, b in pairs)
    return float(layers + sum(abs(np.log(a.widths[-1] / b.widths[-1])) for a, b in pairs))


def test_what_a_space_does_not_have_is_near_to_nothing() -> None:
    searched = around("mnasnet")
    assert searched.nearest(replace(LITE, resolution=99)) is None
    seven = replace(LITE.stages[1], kernel=7)
    strange = replace(LITE, resolution=97, stages=(LITE.stages[0], seven, *LITE.stages[2:]))
    assert searched.nearest(strange) is None
    assert searched.nearest(replace(LITE, resolution=97, stages=LITE.stages[:-1])) is None
    assert space("macro").nearest(replace(LITE, resolution=32)) is None


def test_a_search_begins_with_all_of_its_parent_and_with_less_of_it_at_more_pixels() -> None:
    """By hand: all of Lite0 is within 100M at 81 and 97 pixels, and at 97 the rule leaves all."""
    searched = around("mnasnet")
    found = starts(searched, replace(LITE, resolution=97), affordable)
    assert all(searched.contains(one) for one in found)
    assert len({one.key for one in found}) == len(found) == 9
    assert [one.resolution for one in found] == [97, 81, 81, 113, 113, 129, 129, 145, 145]
    whole = [one.resolution for one in found if one.stages == LITE.stages]
    assert whole == [97, 81, 113, 129, 145]
    inside = [one for one in found if affordable(one)]
    assert [one.resolution for one in inside] == [97, 81, 81, 113, 129, 145]
    params = [cost(one).params for one in inside if one.resolution >= 97]
    assert params == sorted(params, reverse=True)  # the more pixels, the leaner
    assert cost(inside[2]).params > cost(LITE).params  # and the fewer, the larger


@pytest.mark.parametrize("name", ["mnasnet", "mbconv"])
@pytest.mark.parametrize("side", [81, 97, 113, 129, 145])
def test_the_scaled_parent_uses_the_budget(name: str, side: int) -> None:
    """It costs as much as any affordable step of the rule, or more."""
    searched = around(name)
    found = scaled(searched, replace(LITE, resolution=side), affordable)
    if found is None:  # mbconv has one width, and cannot be as lean as that
        assert name == "mbconv"
        return
    assert 0.5 * BUDGET <= cost(found).macs <= BUDGET
    members = [searched.nearest(replace(compound(LITE, phi), resolution=side)) for phi in PHIS]
    sizes = [cost(one).macs for one in members if one is not None]
    assert cost(found).macs >= max(size for size in sizes if size <= BUDGET)


def test_nothing_is_scaled_where_nothing_is_known_to_be_affordable() -> None:
    found = starts(around("mnasnet"), LITE, lambda spec: False)
    assert [one.resolution for one in found] == [81, 97, 113, 129, 145]
    assert all(one.stages == LITE.stages for one in found)
