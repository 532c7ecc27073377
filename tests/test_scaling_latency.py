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
from scaling_search.costs import Flops
from scaling_search.grid import Grid, grid
from scaling_search.latency import CALIBRATIONS, Latency
from scaling_search.point import TOLERANCE, Point, baseline_point
from scaling_search.reach import reach
from scaling_search.readings import Reading, Readings
from scaling_search.result import Result
from scaling_search.scalable import SpecBaseline
from scaling_search.search import search
from scaling_search.simplex import mesh, shares
from scaling_search.target import latency_ratio
from tests.stub_clock import Clock, Notes

HERE = {"device": "stub", "threads": 1, "batch": 1}
Weights = tuple[float, float, float]


@cache
def baseline() -> SpecBaseline:
    return SpecBaseline(family("resnet-18"), "nearest")


def evaluate(spec: ArchSpec, seed: int) -> float:
    """Best at shares (0.2, 0.5, 0.3); noise of 0.1 points and an effect of the seed of 0.3."""
    if spec.key == baseline().spec.key:
        return 0.7
    off = ((shares(baseline().realised(spec)) - np.array([0.2, 0.5, 0.3])) ** 2).sum()
    own = np.random.default_rng([seed, int(spec.key, 16) % 2**32]).normal(0, 0.001)
    return float(0.8 - 0.1 * off + own + np.random.default_rng(seed).normal(0, 0.003))


def run(clock: Clock | None, trials: int, run_dir: Path | None = None, **options: Any) -> Result:
    options = {"target": "3x", "step": 0.2, "phis": (), "measured_on": HERE, **options}
    score = options.pop("evaluate", evaluate)
    return search(baseline(), score, trials=trials, run_dir=run_dir, measure=clock, **options)


def points(clock: Clock, asked: str = "2x", step: float = 0.2) -> Grid:
    cost = Latency(Readings(Notes(), clock), clock.baseline.spec)
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
        assert point.latency == clock.said[point.spec.key][1]
        now = target * (1 + found.cost.drift)
        assert point.latency.median == pytest.approx(now, rel=TOLERANCE)
        assert point.error == pytest.approx(point.latency.median / now - 1)
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
        assert record.attrs["latency"]["n"] == 20
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


def test_points_are_measured_twice_and_the_baseline_beside_every_network() -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8), noise=0.002)
    found = run(clock, 2)
    own = clock.said.pop(baseline().spec.key)
    counts = {key: len(readings) for key, readings in clock.said.items()}
    assert set(counts.values()) == {1, 2}
    assert {point.spec.key for point in found.grid.points[1:]} <= {
        key for key, count in counts.items() if count == 2
    }
    assert len(own) == CALIBRATIONS + sum(counts.values())


class Capricious(Clock):
    """Networks of one and a half times the depth take a third longer the second time."""

    def __call__(self, spec: ArchSpec) -> Reading:
        reading = super().__call__(spec)
        again = len(self.said[spec.key]) == 2 and self.baseline.realised(spec).depth == 1.5
        slower = (1.3 * seconds for seconds in reading[:3])
        return Reading(*slower, reading.n) if again else reading


def test_what_is_not_repeated_is_left_out() -> None:
    found = points(Capricious(baseline(), (1.0, 1.4, 1.8)), "3x")
    without = points(Clock(baseline(), (1.0, 1.4, 1.8)), "3x")
    assert "paper" in without.roles
    assert "paper" not in found.roles
    depths = [point.realised.depth for point in found.points]
    assert 1.5 in [point.realised.depth for point in without.points]
    assert 1.5 not in depths
    assert found.dropped > without.dropped
    assert found.points[found.roles["resolution"]].realised.resolution > 1.5


class Disturbed(Clock):
    """Other work comes and goes: while it is there, passes take three times as long. Its beginning
    shows in the quartiles, its middle in nothing but the baseline."""

    busy = range(40, 47)

    def __call__(self, spec: ArchSpec) -> Reading:
        number, reading = self.count, super().__call__(spec)
        if number not in self.busy:
            return reading
        slow = reading._replace(median=3 * reading.median, high=4 * reading.median)
        return slow if number == self.busy.start else slow._replace(low=2.9 * reading.median)


def test_other_work_on_the_machine_changes_nothing() -> None:
    quiet = run(Clock(baseline(), (1.0, 1.4, 1.8)), 6)
    clock = Disturbed(baseline(), (1.0, 1.4, 1.8))
    found = run(clock, 6)
    assert found.grid.points == quiet.grid.points
    assert found.to_dict() == quiet.to_dict()


def test_work_that_does_not_end_ends_the_measuring(tmp_path: Path) -> None:
    clock = Disturbed(baseline(), (1.0, 1.4, 1.8))
    clock.busy = range(40, 1000)
    with pytest.raises(ValueError, match="8 times in a row: what is measured is kept"):
        run(clock, 6, tmp_path / "run")
    found = run(Clock(baseline(), (1.0, 1.4, 1.8)), 6, tmp_path / "run", resume=True)
    assert found.to_dict() == run(Clock(baseline(), (1.0, 1.4, 1.8)), 6).to_dict()


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
    assert [r.attrs["place"] for r in resumed.trials] == [r.attrs["place"] for r in whole.trials]
    with pytest.raises(ValueError, match="target"):
        run(again, 20, tmp_path / "run", resume=True, target="2x")
    with pytest.raises(ValueError, match="cost"):
        run(None, 20, tmp_path / "run", resume=True)


class Interrupted(Clock):
    """Ctrl-C after so many measurements."""

    left = 17

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
    assert rest.count == whole.count - Interrupted.left
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


@pytest.mark.parametrize("noise", [0.005, 0.025, 0.04])
def test_the_tolerance_follows_the_spread_of_repeated_measurements(noise: float) -> None:
    clock = Clock(baseline(), (1.0, 1.4, 1.8), noise=noise)
    found = points(clock, "3x", step=0.1)
    spread = found.cost.facts()["latency"]["spread"]
    assert spread == pytest.approx(noise, rel=0.4)
    assert found.cost.tolerance == max(TOLERANCE, 2 * spread)
    medians = [reading.median for reading in clock.said[baseline().spec.key][:CALIBRATIONS]]
    assert found.cost.of(found.baseline) == np.median(medians)
    errors = [abs(point.error) for point in found.points[1:]]
    assert max(errors) <= found.cost.tolerance
    assert len(errors) > 20


def test_a_target_within_the_tolerance_of_the_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match=r"may differ by .* choose a target farther"):
        points(Clock(baseline(), (1.0, 1.4, 1.8), noise=0.04), "1.15x")


def test_a_busy_machine_that_becomes_quiet_is_noticed() -> None:
    """The baseline was measured beside other work: nothing can be compared with that."""
    clock = Disturbed(baseline(), (1.0, 1.4, 1.8))
    clock.busy = range(-1, 20)
    with pytest.raises(ValueError, match=r"takes 7\.00 ms now, and 21\.0 ms when .* another --out"):
        run(clock, 6)


def test_latencies_that_cannot_be_repeated_are_refused_and_forgotten(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be repeated: .* end other work"):
        run(Clock(baseline(), (1.0, 1.4, 1.8), noise=0.3), 6, tmp_path / "run")
    found = run(Clock(baseline(), (1.0, 1.4, 1.8)), 6, tmp_path / "run", resume=True)
    assert found.to_dict() == run(Clock(baseline(), (1.0, 1.4, 1.8)), 6).to_dict()


def test_a_machine_that_slows_down_meanwhile() -> None:
    steady = run(Clock(baseline(), (1.0, 1.4, 1.8)), 6)
    assert steady.to_dict()["latency"]["drift"] == 0
    assert "changed by +0.0 % meanwhile" in steady.grid.cost.described()
    slower = run(Clock(baseline(), (1.0, 1.4, 1.8), drift=0.0002), 6)
    assert 0.005 < slower.to_dict()["latency"]["drift"] < 0.05
    assert len(slower.grid.points) >= 0.9 * len(steady.grid.points)
    with pytest.raises(ValueError, match="other work"):
        run(Clock(baseline(), (1.0, 1.4, 1.8), drift=0.002), 6)
    assert Flops().described() == ""


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
    with pytest.raises(ValueError, match="--resume in place of --join"):
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
    (or fewer) than may be asked for."""
    clock = Clock(LARGE, (1.0, 1.0, 2 * exponent), constant=constant)
    cost = Latency(Readings(Notes(), clock), LARGE.spec)
    target = ratio * cost.base.median

    def solve(macs: float) -> Point:
        return min(ladder(), key=lambda point: abs(point.macs - macs))

    found = reach(solve, cost, target, None, baseline_point(LARGE))
    assert found is not None
    assert clock.count <= CALIBRATIONS + 2 * cost.rounds
    limit = abs(3 * math.log(ratio))
    assert abs(math.log(found.ratio)) < limit + 0.1
    if abs(found.error) > TOLERANCE:
        part = (ratio - constant) / (1 - constant)  # of the time that changes
        assert part <= 0 or abs(math.log(part)) / exponent > limit - 0.1
