"""What the two rules of rounding layers make of nominal points, by hand for a network of blocks."""

from __future__ import annotations

import math

import pytest

from models.families import family
from models.scale import scale
from scaling_search.coefficients import Multipliers
from scaling_search.points.rounding import roundings


def test_both_rules_on_points_that_can_be_counted_by_hand() -> None:
    """ResNet-18 has 2 + 2 + 2 + 2 blocks: 1.2 times as many are 12 rounded up, 8 to the nearest."""
    spec = family("resnet-18")
    wanted = [Multipliers(1.2, 1.0, 1.0), Multipliers(2.0, 1.0, 1.0)]
    ceil, nearest = roundings(spec, wanted, 2.0)
    assert (ceil.rule, nearest.rule) == ("ceil", "nearest")
    assert ceil.points == ceil.levels == nearest.levels == 2
    assert ceil.deeper == pytest.approx((1.0, 1.125, 1.25))
    assert nearest.deeper == pytest.approx((1 / 1.2, (1 + 1 / 1.2) / 2, 1.0))
    assert nearest.dearer[0] == pytest.approx(0.5)
    assert ceil.dearer[0] > nearest.dearer[0]


def test_what_costs_as_asked_is_counted() -> None:
    side = math.sqrt(2)
    spec = scale(family("mobilenet-v1"), resolution=1.0)
    for item in roundings(spec, [Multipliers(1.0, 1.0, side), Multipliers(1.0, 1.0, 1.0)], 2.0):
        assert (item.within, item.points, item.levels) == (1, 2, 1)


def test_points_that_are_no_network_are_not_counted() -> None:
    wanted = [Multipliers(1.0, 1.0, 1.0), Multipliers(1e4, 1.0, 1.0)]
    assert [item.points for item in roundings(family("resnet-18"), wanted, 2.0)] == [1, 1]
    with pytest.raises(ValueError, match="choose a ratio"):
        roundings(family("resnet-18"), wanted[1:], 2.0)
