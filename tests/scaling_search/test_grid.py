"""The grid: realised cost within its tolerance for every family, target and rounding."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from scaling_search.coefficients import PAPER, Coefficients, Multipliers
from scaling_search.points.grid import grid
from scaling_search.points.point import SINGLES, TOLERANCE, multipliers
from scaling_search.points.scalable import SpecBaseline
from scaling_search.points.solver import FINE, single, solve
from scaling_search.surface.simplex import basis, mesh, shares
from tests.support.strategies import specs

FAMILIES = ("efficientnet-b0", "mobilenet-v1", "mobilenet-v2", "resnet-50", "rexnet-1.0",
            "convnext-t", "mnasnet-a1", "resnext-50")  # fmt: skip
ROUNDINGS = ("ceil", "nearest")


@cache
def baseline(name: str, rounding: str = "ceil") -> SpecBaseline:
    return SpecBaseline(family(name), rounding)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_every_point_of_a_grid_costs_the_target(name: str, ratio: float) -> None:
    base = baseline(name)
    target = ratio * cost(base.spec).macs
    found = grid(base, target, step=0.2)
    assert {"baseline", *SINGLES, "paper"} == found.roles.keys()
    assert found.points[0].spec == base.spec
    for point in found.points[1:]:
        assert cost(point.spec).macs == point.macs
        assert abs(point.macs / target - 1) <= TOLERANCE
        assert point.error == pytest.approx(point.macs / target - 1)
        sign = math.copysign(1, math.log(ratio))
        # A step of one divisor, in adjusting, may take a width a little past the baseline's.
        assert all(sign * math.log(factor) >= -0.03 for factor in point.realised)
        assert float(shares(point.realised).sum()) == pytest.approx(1)
    assert len({point.spec.key for point in found.points}) == len(found.points)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(FAMILIES),
    st.sampled_from(ROUNDINGS),
    st.floats(math.log(0.4), math.log(8)).filter(lambda log: abs(log) > 0.1),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_solve_reaches_its_target_in_every_family(
    name: str, rounding: str, log: float, cuts: list[float]
) -> None:
    base = baseline(name, rounding)
    split = (cuts[0], cuts[1] - cuts[0], 1 - cuts[1])
    wanted = multipliers(split, 2.0)
    target = math.exp(log) * cost(base.spec).macs
    point = solve(base, Coefficients(*wanted), target)
    assert abs(cost(point.spec).macs / target - 1) <= TOLERANCE


@settings(max_examples=40, deadline=None)
@given(specs(), st.sampled_from(ROUNDINGS), st.sampled_from([0.6, 1.7, 3.0]))
def test_small_networks_reach_the_target_or_say_so(
    spec: ArchSpec, rounding: str, ratio: float
) -> None:
    base = SpecBaseline(spec, rounding)
    target = ratio * cost(spec).macs
    try:
        point = solve(base, PAPER, target)
    except ValueError as error:
        assert "choose another target" in str(error)
    else:
        assert abs(cost(point.spec).macs / target - 1) <= TOLERANCE
        assert ArchSpec.from_json(point.spec.to_json()) == point.spec


@pytest.mark.parametrize("name", FAMILIES)
def test_single_dimensions_leave_the_others_be(name: str) -> None:
    base = baseline(name)
    target = 2 * cost(base.spec).macs
    for place, dimension in enumerate(SINGLES):
        point = single(base, dimension, target)
        assert abs(point.error) <= FINE
        for other, factor in enumerate(point.realised):
            if other != place:
                assert factor == 1 or (other == 1 and "widths" in point.adjusted)
                assert factor == pytest.approx(1, abs=0.03)
        assert shares(point.realised)[place] == pytest.approx(1, abs=0.06)


def test_rounding_makes_b0_deeper_than_asked() -> None:
    base = baseline("efficientnet-b0")
    deeper = base.scaled(1.05, 1.0, 224)
    assert base.realised(deeper) == Multipliers(23 / 16, 1.0, 1.0)


def test_a_coarse_resolution_is_made_up_for_by_widths() -> None:
    base = SpecBaseline(replace(family("resnet-18"), resolution=64))
    target = 2 * cost(base.spec).macs
    found = grid(base, target)
    adjusted = [point for point in found.points if point.adjusted == ("resolution", "widths")]
    assert adjusted
    for point in found.points[1:]:
        assert abs(point.error) <= TOLERANCE


def test_points_beyond_reach_are_dropped_and_counted() -> None:
    tiny = ArchSpec("tiny", family("mobilenet-v1").stem, family("mobilenet-v1").stages[:1],
                    resolution=8, divisor=64)  # fmt: skip
    found = grid(SpecBaseline(tiny), 3 * cost(tiny).macs)
    assert found.dropped == len(found.left_out) > 0
    assert found.left_out[0].startswith("width alone: 296K FLOPs, 2.57 times")
    assert "width" not in found.roles
    assert all(abs(point.error) <= TOLERANCE for point in found.points[1:])
    with pytest.raises(ValueError, match=r"within 3 % of 156K FLOPs: choose another target"):
        grid(SpecBaseline(tiny), 1.35 * cost(tiny).macs)


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18"])
def test_a_dimension_that_would_grow_beyond_all_bounds_is_left_out(name: str) -> None:
    """A thousand times deeper is no network; wider and finer ones are."""
    base = baseline(name)
    found = grid(base, 1000 * cost(base.spec).macs, step=0.25)
    assert found.left_out[0].startswith("depth alone")
    assert {"width", "resolution"} <= found.roles.keys()


def test_one_number_of_flops_is_the_same_in_every_direction() -> None:
    base = baseline("resnet-18")
    found = grid(base, 2 * cost(base.spec).macs, step=0.2)
    np.testing.assert_allclose(found.flops_ratio(mesh()), 2, rtol=1e-12)


def test_the_grid_is_the_same_every_time() -> None:
    target = 4 * cost(family("resnet-18")).macs
    first, second = (grid(SpecBaseline(family("resnet-18")), target) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("ratio", [1.0, 1.05, 0.95, -1.0, math.inf])
def test_a_target_at_the_baseline_is_refused(ratio: float) -> None:
    base = baseline("mobilenet-v1")
    with pytest.raises(ValueError, match="at least 10 %"):
        grid(base, ratio * cost(base.spec).macs)


def test_bad_arguments_are_refused() -> None:
    base = baseline("mobilenet-v1")
    with pytest.raises(ValueError, match="grid step"):
        grid(base, 2 * cost(base.spec).macs, step=0)
    with pytest.raises(ValueError, match="dimension 'height' is unknown"):
        single(base, "height", 1e9)
    with pytest.raises(ValueError, match="depth rounding"):
        SpecBaseline(base.spec, "floor")
    with pytest.raises(ValueError, match="scales nothing"):
        shares(Multipliers(1, 1, 1))


def test_the_basis_is_orthonormal_and_ordered_by_degree() -> None:
    values = basis(mesh())
    np.testing.assert_allclose(values.T @ values / len(values), np.eye(15), atol=1e-9)
    np.testing.assert_allclose(np.abs(values[:, 0]), 1)
    quadratic = (mesh()[:, 0] - 0.2) ** 2 + mesh()[:, 1] * mesh()[:, 2]
    left = quadratic - values[:, :6] @ (values[:, :6].T @ quadratic) / len(values)
    np.testing.assert_allclose(left, 0, atol=1e-9)
