"""A search at one latency: what is measured, when, how often; its points; its answer."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.families import family
from models.spec import ArchSpec
from reports.scaling import report
from scaling_search.points.costs import Flops
from scaling_search.points.grid import Grid, grid
from scaling_search.points.latency import LatencyCost
from scaling_search.points.point import TOLERANCE, Point, baseline_point
from scaling_search.points.reach import _EXPONENTS, reach
from scaling_search.points.scalable import SpecBaseline
from scaling_search.points.target import latency_ratio
from scaling_search.result import ScalingResult
from scaling_search.search import search
from scaling_search.surface.simplex import mesh
from tests.support.stub_clock import SECONDS, Clock, Notes
from tests.support.surface import baseline, evaluate
from trials.latencies import FEWEST, MOST, Paired, Reading

LEAST_POWER = _EXPONENTS[0]
HERE = {"device": "stub", "threads": 1, "batch": 1}
Weights = tuple[float, float, float]


def run(
    clock: Clock | None, trials: int, run_dir: Path | None = None, **options: Any
) -> ScalingResult:
    options = {"target": "3x", "step": 0.2, "phis": (), "measured_on": HERE, **options}
    score = options.pop("evaluate", evaluate)
    return search(baseline(), score, trials=trials, run_dir=run_dir, measure=clock, **options)


def points(clock: Clock, asked: str = "2x", step: float = 0.2) -> Grid:
    cost = LatencyCost(Paired(Notes(), clock.baseline.spec, clock), clock.baseline.spec)
    return grid(clock.baseline, cost.target(asked), step=step, cost=cost)


@pytest.mark.parametrize("name", ["resnet-18", "efficientnet-b0", "rexnet-1.0"])
@pytest.mark.parametrize("asked", ["2x", "0.5x", "14ms"])
def test_points_share_their_latency_and_not_their_flops(name: str, asked: str) -> None:
    clock = Clock(SpecBaseline(family(name)), (1.0, 1.4, 1.8), noise=0.005)
    found = points(clock, asked)
    target = 0.014 if asked == "14ms" else float(asked[:-1]) * found.cost.of(found.baseline)
    assert found.target == target
    assert found.cost.tolerance == TOLERANCE
    for point in found.points[1:]:
        assert point.latency is not None
        assert point.latency.n == len(clock.said[point.spec.key]) >= FEWEST
        assert point.latency.median == pytest.approx(target, rel=TOLERANCE)
        assert point.error == pytest.approx(point.latency.median / target - 1)
        assert point.to_dict()["latency"]["median"] == point.latency.median
    flops = [point.ratio for point in found.points[1:]]
    assert max(flops) > 1.15 * min(flops)
    assert len(found.points) > 2 * len(found.left_out)


def test_the_flops_of_a_direction_are_those_of_the_points_near_it() -> None:
    """Width is cheap by this clock: at the target, wide networks have the most FLOPs."""
    found = points(Clock(baseline(), (1.0, 1.2, 2.0)), step=0.1)
    fitted = found.flops_ratio(found.shares[1:])
    for point, ratio in zip(found.points[1:], fitted, strict=True):
        assert point.ratio / (1 + point.error) == pytest.approx(ratio, rel=0.1)
    depth, width, resolution = found.flops_ratio(np.eye(3))
    assert width > 1.3 * max(depth, resolution)
    least, most = (extreme(p.ratio for p in found.points[1:]) for extreme in (min, max))
    assert np.all(found.flops_ratio(mesh()) >= 0.97 * least)
    assert np.all(found.flops_ratio(mesh()) <= 1.04 * most)


def test_an_answer_at_a_latency_says_what_it_cost(tmp_path: Path) -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8), noise=0.005)
    found = run(clock, 30, tmp_path / "run", phis=(0.0, 1.0))
    optimum = found.surface.optimum
    assert found.coefficients.product == pytest.approx(found.grid.flops_ratio(optimum[None])[0])
    for name, (low, high) in found.confidence.items():
        assert low <= getattr(found.coefficients, name) <= high
    assert found.coefficients.beta == pytest.approx(found.coefficients.product**0.25, rel=0.1)
    data = json.loads((tmp_path / "run" / "coefficients.json").read_text("utf-8"))
    assert data["target"] == {"seconds": found.grid.target, "ratio": pytest.approx(3)}
    assert data["latency"]["measured_on"] == HERE
    assert data["latency"]["tolerance"] == TOLERANCE
    assert data["point"]["latency"]["median"] == pytest.approx(found.grid.target, rel=TOLERANCE)
    for record in found.trials:
        assert record.attrs["latency"]["n"] >= FEWEST
    page = report(tmp_path / "run").read_text("utf-8")
    assert "times the baseline&#x27;s latency" in page
    assert "spend the same latency" in page
    assert "device stub, threads 1, batch 1" in page
    assert "same FLOPs" not in page
    header = (tmp_path / "run" / "points.csv").read_text("utf-8").splitlines()[0].split(",")
    assert {"macs", "latency_median", "latency_low", "latency_high"} <= set(header)


def test_everything_is_measured_before_the_first_training() -> None:
    clock, seen = Clock(baseline(), (1.0, 1.4, 1.8)), []

    def training(spec: ArchSpec, seed: int) -> float:
        seen.append(clock.count)
        return evaluate(spec, seed)

    run(clock, 12, evaluate=training)
    assert set(seen) == {clock.count}


def test_networks_are_measured_once_in_turn_with_the_baseline() -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8), noise=0.002)
    run(clock, 2)
    own = clock.said.pop(baseline().spec.key)
    counts = [len(readings) for readings in clock.said.values()]
    assert set(counts) == {FEWEST}
    assert len(own) == MOST + 2 * FEWEST + sum(counts)


class Busy(Clock):
    """After the baseline's first timings, other work makes everything three times as slow."""

    def __call__(self, spec: ArchSpec) -> Reading:
        number, reading = self.count, super().__call__(spec)
        slower = 1.0 if number < MOST else 3.0
        return reading._replace(median=slower * reading.median)


def test_other_work_on_the_machine_changes_no_point() -> None:
    quiet = points(Clock(baseline(), (1.0, 1.4, 1.8)), "3x")
    found = points(Busy(baseline(), (1.0, 1.4, 1.8)), "3x")
    assert [point.spec for point in found.points] == [point.spec for point in quiet.points]
    for point, other in zip(found.points, quiet.points, strict=True):
        assert found.cost.of(point) == pytest.approx(quiet.cost.of(other), rel=1e-9)
    assert found.cost.facts()["latency"]["baseline_against_itself"] == pytest.approx(1)


class Forbidden(Clock):
    """Nothing is left to be measured."""

    def __call__(self, spec: ArchSpec) -> Reading:
        raise AssertionError(f"{spec.key} was measured before")


def test_a_resumed_search_measures_nothing_and_decides_the_same(tmp_path: Path) -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8), noise=0.02)
    whole = run(clock, 20)
    run(Clock(baseline(), (1.0, 1.4, 1.8), noise=0.02), 11, tmp_path / "run")
    again = Forbidden(baseline(), (1.0, 1.4, 1.8))
    elsewhere = {**HERE, "threads": 64}  # only trainings are left: where does not matter
    resumed = run(again, 20, tmp_path / "run", resume=True, measured_on=elsewhere)
    assert resumed.to_dict() == whole.to_dict()
    assert [r.params for r in resumed.trials] == [r.params for r in whole.trials]
    with pytest.raises(ValueError, match="target"):
        run(again, 20, tmp_path / "run", resume=True, target="2x")
    with pytest.raises(ValueError, match="cost"):
        run(None, 20, tmp_path / "run", resume=True)


class Interrupted(Clock):
    """Ctrl-C within the fourth network's timings."""

    kept = MOST + 3 * 2 * FEWEST
    left = kept + 5

    def __call__(self, spec: ArchSpec) -> Reading:
        if self.count == self.left:
            raise KeyboardInterrupt
        return super().__call__(spec)


def test_an_interrupted_measuring_goes_on(tmp_path: Path) -> None:
    whole = Clock(baseline(), (1.0, 1.4, 1.8))
    expected = run(whole, 6)
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(baseline(), (1.0, 1.4, 1.8)), 6, tmp_path / "run")
    with pytest.raises(ValueError, match="go on with --resume"):
        report(tmp_path / "run")
    rest = Clock(baseline(), (1.0, 1.4, 1.8))
    with pytest.raises(ValueError, match="same circumstances"):
        run(rest, 6, tmp_path / "run", resume=True, measured_on={**HERE, "threads": 64})
    found = run(rest, 6, tmp_path / "run", resume=True)
    assert rest.count == whole.count - Interrupted.kept
    assert found.grid.points == expected.grid.points


def test_points_out_of_reach_are_left_out_and_said_so() -> None:
    """Nine tenths of the time do not depend on width or resolution, as on a GPU."""
    found = points(Clock(baseline(), (1.0, 2.0, 2.0), fixed=0.9), "2x")
    assert "depth" in found.roles
    assert not {"width", "resolution"} & found.roles.keys()
    assert found.left_out[0].startswith("width alone: ")
    assert "times the baseline's FLOPs" in found.left_out[0]
    assert found.dropped == len(found.left_out) < len(found.points) + found.dropped
    most = max(point.ratio for point in found.points)
    assert most < 2**3 * 1.05


def test_a_target_that_nothing_reaches_is_refused() -> None:
    """Seven tenths of the time never change."""
    clock = Clock(baseline(), (1.0, 2.0, 2.0), constant=0.7)
    with pytest.raises(ValueError, match=r"within 3 % of 5\.00 ms: choose another target"):
        points(clock, "5ms")


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
def test_how_well_ratios_are_known_is_said(noise: float) -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8), noise=noise)
    found = points(clock, "3x", step=0.1)
    errors = found.cost.facts()["latency"]["standard_error"]
    rounds = min(max((1.25 * 2**0.5 * noise / 0.01) ** 2, FEWEST), MOST)
    assert errors["median"] == pytest.approx(1.25 * 2**0.5 * noise / rounds**0.5, rel=0.5)
    assert errors["median"] < errors["largest"]
    assert f"standard error of {100 * errors['median']:.1f} %" in found.cost.described()
    assert Flops().described() == ""
    true = Clock(baseline(), (1.0, 1.4, 1.8))
    missed = [abs(true(point.spec).median / (3 * SECONDS) - 1) for point in found.points[1:]]
    # Of several tries the one is kept that reads like the target, so errors are a little larger.
    assert np.median(missed) < TOLERANCE / 2 + 2 * errors["median"]
    assert len(missed) > 20


@pytest.mark.parametrize("median", [0.0, -1.0, math.nan, math.inf])
def test_a_clock_that_is_out_of_order_is_refused(median: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        search(baseline(), evaluate, "2x", measure=lambda _: Reading(median, median, median, 1))


@pytest.mark.parametrize("target", ["12", "12 parsecs", "x", "0ms", "1.05x", 1.0, math.nan, True])
def test_bad_targets_are_refused_before_anything_is_measured(target: Any, tmp_path: Path) -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8))
    with pytest.raises(ValueError, match=r"write a number|at least 10 %"):
        run(clock, 6, tmp_path / "run", target=target)
    assert clock.count == 0
    assert not (tmp_path / "run").exists()


def test_multiples_and_times() -> None:
    assert latency_ratio("2x") == 2
    assert latency_ratio("12ms") is None
    with pytest.raises(ValueError, match="12ms"):
        latency_ratio("12")


def test_a_shared_study_is_measured_by_one_driver_first(tmp_path: Path) -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8))
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    shared = {"run_dir": tmp_path / "run", "storage": storage}
    with pytest.raises(ValueError, match="go on with --resume, without --join"):
        run(clock, 6, join=True, **shared)
    assert clock.count == 0
    run(clock, 2, resume=True, **shared)
    joined = run(Forbidden(baseline(), (1.0, 1.4, 1.8)), 6, join=True, **shared)
    assert len(joined.trials) == 6


LARGE = SpecBaseline(replace(family("resnet-18"), resolution=1000))


@cache
def ladder() -> list[Point]:
    """A large network at many sides, as if its FLOPs grew with their squares."""
    base = baseline_point(LARGE)
    found = []
    for step in range(-256, 256):
        spec = LARGE.at_side(LARGE.spec, round(1000 * math.exp(step / 128)))
        realised = LARGE.realised(spec)
        ratio = realised.resolution**2
        found.append(Point(base.nominal, spec, realised, int(ratio * base.macs), ratio, 0.0))
    return found


@settings(max_examples=100, deadline=None)
@given(
    exponent=st.floats(0.3, 1.8),
    constant=st.floats(0.0, 0.6),
    ratio=st.floats(1.3, 4.0) | st.floats(0.3, 0.8),
)
def test_a_direction_is_followed_to_the_target(
    exponent: float, constant: float, ratio: float
) -> None:
    """Latency is a power of the FLOPs beside a constant: the target is met, or needs more FLOPs
    (or fewer) than may be asked for, or lies where latency hardly depends on them."""
    clock = Clock(LARGE, (1.0, 1.0, 2 * exponent), constant=constant)
    cost = LatencyCost(Paired(Notes(), LARGE.spec, clock), LARGE.spec)
    target = ratio * cost.base.low

    def solve(macs: float) -> Point:
        return min(ladder(), key=lambda point: abs(point.macs - macs))

    found = reach(solve, cost, target, None, baseline_point(LARGE))
    assert found is not None
    assert len(clock.said) <= 1 + cost.rounds
    limit = abs(3 * math.log(ratio))
    assert abs(math.log(found.ratio)) < limit + 0.1
    if abs(found.error) > TOLERANCE:
        part = (ratio - constant) / (1 - constant)  # of the time that changes
        power = exponent * (ratio - constant) / ratio  # of the FLOPs, at the target
        assert power < LEAST_POWER or abs(math.log(part)) / exponent > limit - 0.1
