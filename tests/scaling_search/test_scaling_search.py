"""The whole search with a stub in place of training: answers, failures, resuming, workers."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.families import family
from models.spec import ArchSpec
from reports.__main__ import main as report
from scaling_search.coefficients import Multipliers, parse_coefficients
from scaling_search.points.grid import Grid, grid
from scaling_search.points.target import target_macs
from scaling_search.result import ScalingResult
from scaling_search.search import search
from scaling_search.summary import answer
from scaling_search.surface import evidence, samplers
from scaling_search.surface.comparison import Comparison
from scaling_search.surface.evidence import ENOUGH_REPEATS
from scaling_search.surface.samplers import place_in
from tests.support.surface import NAME, baseline, evaluate, off
from trials.loop import SearchFailed
from trials.record import Evaluation, Failure
from trials.store.study import read_run
from trials.workers.worker import attempt


def run(trials: int, run_dir: Path | None = None, **options: Any) -> ScalingResult:
    options = {"target": 4.0, "phis": (0.0, 1.0), **options}
    score = options.pop("evaluate", evaluate)
    return search(baseline(), score, trials=trials, run_dir=run_dir, **options)


def chosen(result: ScalingResult) -> list[tuple[int, int]]:
    return [(place_in(result.grid, item.params), item.attrs["repeat"]) for item in result.trials]


def test_accuracies_of_few_pictures_are_believed_less() -> None:
    def widest(told: object) -> float:
        def on_pictures(spec: ArchSpec, seed: int) -> Evaluation:
            details = {"held_out_images": told}
            return Evaluation(evaluate(spec, seed), seed=seed, seconds=0.0, details=details)

        return max(item.high - item.low for item in run(7, evaluate=on_pictures).comparisons)

    unknown = widest(None)
    assert unknown == widest("many") == widest(-1)  # a user's own details may mean anything
    assert widest(100) > widest(1000) > unknown > widest(10**6)


def test_an_adaptive_search_finds_the_optimum_and_says_so(tmp_path: Path) -> None:
    result = run(35, tmp_path / "run")
    assert result.ended == "complete"
    assert len(result.trials) == 35
    assert result.coefficients.product == pytest.approx(4.0)
    truth = {"alpha": 4**0.2, "beta": 4**0.25, "gamma": 4**0.15}
    for name, value in truth.items():
        assert getattr(result.coefficients, name) == pytest.approx(value, rel=0.08)
        low, high = result.confidence[name]
        assert low <= getattr(result.coefficients, name) <= high
        assert low - 0.05 < value < high + 0.05
    assert {item.against: item.verdict for item in result.comparisons}["depth"] == "better"
    data = json.loads((tmp_path / "run" / "coefficients.json").read_text("utf-8"))
    assert parse_coefficients(json.dumps(data)) == result.coefficients
    assert ArchSpec.from_json(json.dumps(data["point"]["spec"])).key == result.point.spec.key
    assert sorted(path.name for path in (tmp_path / "run" / "family").iterdir()) == [
        "phi-0.json", "phi-1.json"
    ]  # fmt: skip


def test_trainings_of_one_repeat_share_their_seed() -> None:
    result = run(30)
    seeds: dict[int, set[int]] = {}
    for record in result.trials:
        seeds.setdefault(record.attrs["repeat"], set()).add(record.seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set().union(*seeds.values())) == len(seeds)


@pytest.mark.parametrize("method", ["adaptive", "grid"])
def test_a_resumed_search_goes_on_as_if_uninterrupted(tmp_path: Path, method: str) -> None:
    whole = run(26, method=method)
    run(14, tmp_path / "run", method=method)
    resumed = run(26, tmp_path / "run", method=method, resume=True)
    assert chosen(resumed) == chosen(whole)
    assert resumed.to_dict() == whole.to_dict()


def test_another_search_is_not_resumed(tmp_path: Path) -> None:
    run(6, tmp_path / "run")
    with pytest.raises(ValueError, match="already holds a run"):
        run(6, tmp_path / "run")
    with pytest.raises(ValueError, match="target"):
        run(6, tmp_path / "run", target=2.0, resume=True)


def test_the_plain_grid_gives_every_point_equal_repeats() -> None:
    count = len(run(6, method="grid").grid.points)
    result = run(2 * count, method="grid")
    assert sorted(chosen(result)) == sorted((p, r) for p in range(count) for r in range(2))
    assert sorted(place for place, _ in chosen(result)[:5]) == [0, 1, 2, 3, 4]
    found: dict[int, list[float]] = {place: [] for place in range(1, count)}
    for record in result.trials:
        if record.values and (place := place_in(result.grid, record.params)):
            found[place].append(record.values[0])
    best = max(found, key=lambda place: np.mean(found[place]))
    assert result.point == result.grid.points[best]
    assert result.coefficients.product == pytest.approx(4.0)


def test_failures_are_recorded_and_the_search_goes_on() -> None:
    def fragile(spec: ArchSpec, seed: int) -> float:
        if sum(stage.layers for stage in spec.stages) > 20:
            raise RuntimeError("too deep")
        return evaluate(spec, seed)

    result = run(30, evaluate=fragile)
    failed = [record for record in result.trials if record.state == "failed"]
    assert failed
    assert all(record.failure and "too deep" in record.failure.reason for record in failed)
    assert result.to_dict()["failed"] == len(failed)
    assert "depth" in {item.against for item in result.comparisons}


def test_a_search_in_which_nothing_succeeds_stops() -> None:
    def broken(spec: ArchSpec, seed: int) -> float:
        raise RuntimeError("no data")

    with pytest.raises(SearchFailed, match="no data"):
        run(30, evaluate=broken)


class Reversed:
    """Three at a time, the last submitted finishes first."""

    workers = 3

    def __init__(self, evaluate: Callable[[ArchSpec, int], float]) -> None:
        self._evaluate = evaluate
        self._tasks: deque[tuple[int, ArchSpec, int]] = deque()

    def submit(self, number: int, spec: ArchSpec, seed: int) -> None:
        self._tasks.append((number, spec, seed))

    def next(self) -> tuple[int, Evaluation | Failure]:
        number, spec, seed = self._tasks.pop()
        return number, attempt(self._evaluate, spec, seed)

    def close(self) -> None:
        self._tasks.clear()


def test_trainings_side_by_side_differ() -> None:
    result = run(30, executor=lambda: Reversed(evaluate))
    assert len(set(chosen(result))) == 30
    again = run(30, executor=lambda: Reversed(evaluate))
    assert chosen(again) == chosen(result)


def test_a_small_region_ends_the_search_early() -> None:
    result = run(60, region=0.05)
    assert result.ended == "stopped"
    assert len(result.trials) < 60
    assert result.region.size <= 0.05
    assert result.repeats >= ENOUGH_REPEATS


def test_a_small_region_without_repeats_ends_nothing() -> None:
    """On a surface without noise the region is tiny after a dozen trainings of one seed."""

    def smooth(spec: ArchSpec, _: int) -> float:
        return 0.7 if spec.key == baseline().spec.key else float(0.8 - 0.1 * off(spec))

    result = run(14, region=0.05, evaluate=smooth)
    assert result.region.size < 0.05
    assert (result.ended, result.repeats) == ("complete", 0)


def test_below_the_baseline_the_coefficients_shrink() -> None:
    result = run(12, target=0.5)
    assert result.coefficients.product == pytest.approx(0.5)
    for name in ("alpha", "beta", "gamma"):
        low, high = result.confidence[name]
        assert low <= getattr(result.coefficients, name) <= high <= 1


def test_a_family_that_outgrows_all_bounds_ends_before(tmp_path: Path) -> None:
    """Twenty steps of 16 times the cost are no network, one is; the answer is not lost for it."""
    run(8, tmp_path / "run", target=16.0, phis=(0.0, 1.0, 20.0))
    names = sorted(path.name for path in (tmp_path / "run" / "family").iterdir())
    assert names == ["phi-0.json", "phi-1.json"]
    assert (tmp_path / "run" / "coefficients.json").is_file()


def test_no_minutes_left() -> None:
    result = run(60, minutes=1e-9 + 0.002)
    assert result.ended == "out of time"


def test_targets_in_every_spelling() -> None:
    base = baseline().macs(baseline().spec)
    assert target_macs(2.0, baseline()) == 2 * base
    assert target_macs("2x", baseline()) == 2 * base
    assert target_macs(8e8, baseline()) == target_macs("800M", baseline()) == 8e8
    for bad in (0.0, -1.0, math.nan, "400Q", True):
        with pytest.raises(ValueError, match=r"positive|target|size"):
            target_macs(bad, baseline())


@pytest.mark.parametrize(
    "options",
    [{"target": 1.0}, {"trials": 0}, {"method": "random"}, {"region": 2.0}, {"minutes": -1.0},
     {"step": 3.0}],
)  # fmt: skip
def test_bad_arguments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"choose|target|trials|region|minutes|step"):
        run(**{"trials": 5, **options})


def test_the_rounding_of_a_spec_is_checked_and_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="depth rounding"):
        search(family(NAME), evaluate, depth_rounding="floor")
    run(6, tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["settings"]
    assert settings["depth_rounding"] == "nearest"


def compared(*difference: float, told: bool = True) -> Comparison:
    return Comparison("depth", Multipliers(2, 1, 1), *difference, told=told)


def test_verdicts() -> None:
    assert compared(1.0, 0.5, 1.5).verdict == "better"
    assert compared(0.1, -0.5, 0.7).verdict == "tie"
    assert compared(-1.0, -1.5, -0.5).verdict == "worse"
    assert compared(0.0, 0.0, 0.0).verdict == "same"
    assert compared(1.0, 0.5, 1.5, told=False).verdict == "open"
    assert compared(-1.0, -1.5, -0.5, told=False).verdict == "open"
    assert compared(0.1, -0.5, 0.7, told=False).verdict == "tie"


def test_single_trainings_beat_nothing() -> None:
    """However sure the fit through them is: what beats was repeated, or the region rules it out."""

    def steep(spec: ArchSpec, seed: int) -> float:
        return 0.7 if spec.key == baseline().spec.key else 0.9 - 0.3 * off(spec)

    few = run(7, evaluate=steep)
    assert few.repeats == 0
    assert not {"better", "worse"} & {item.verdict for item in few.comparisons}
    apart = [item.against for item in few.comparisons if item.low > 0]
    assert apart  # else nothing was held back
    assert "beats" not in answer(few)
    assert f"{apart[0]} alone" in answer(few).split("not told yet")[0]
    many = run(40, evaluate=steep)
    assert {item.verdict for item in many.comparisons if item.low > 0} == {"better"}
    assert "beats" in answer(many)


@pytest.mark.parametrize("method", ["adaptive", "grid"])
def test_a_grid_that_is_used_up_ends_the_search(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    for module in (evidence, samplers):
        monkeypatch.setattr(module, "MAX_REPEATS", 2)
    found = run(999, method=method, step=0.5)
    assert found.ended == "exhausted"
    places = range(len(found.grid.points))
    every = {(place, repeat) for place in places for repeat in range(2)}
    if method == "adaptive":
        every.remove((0, 1))  # one training of the baseline says all that is wanted of it
    assert sorted(chosen(found)) == sorted(every)


def test_a_trained_network_is_known_by_itself_not_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solved in another order, the same points: a resumed run decides on the same trainings."""
    keeping_nothing(monkeypatch)
    before = run(12, tmp_path / "run")

    def reordered(baseline: Any, target: float, **options: Any) -> Grid:
        found = grid(baseline, target, **options)
        first, *rest = found.points
        count = len(found.points)
        roles = {role: place and count - place for role, place in found.roles.items()}
        return replace(found, points=(first, *reversed(rest)), roles=roles)

    monkeypatch.setattr("scaling_search.points.target.grid", reordered)
    after = run(13, tmp_path / "run", resume=True)
    again = {record.number: record for record in after.trials}
    for record in before.trials:
        place = after.grid.place_of(again[record.number].spec.to_json())
        assert after.grid.points[place].spec == record.spec
    assert after.coefficients.alpha == pytest.approx(before.coefficients.alpha, abs=0.25)


def keeping_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As runs were before they kept their points."""
    monkeypatch.setattr("scaling_search.search.keep", lambda study, found: None)


def test_a_run_keeps_its_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another version would solve for: trainings, answer and report go by them."""
    whole = run(8, tmp_path / "whole")
    before = run(6, tmp_path / "run")

    def otherwise(baseline: Any, target: float, **options: Any) -> Grid:
        raise AssertionError("the points were solved for again")

    monkeypatch.setattr("scaling_search.points.target.grid", otherwise)
    after = run(8, tmp_path / "run", resume=True)
    assert after.grid == before.grid
    assert chosen(after) == chosen(whole)
    assert after.coefficients == whole.coefficients
    report([str(tmp_path / "run")])
    assert (tmp_path / "run" / "points.csv").exists()


def test_points_that_exist_no_more_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping_nothing(monkeypatch)
    run(12, tmp_path / "run")

    def otherwise(baseline: Any, target: float, **options: Any) -> Grid:
        return grid(baseline, target, **{**options, "step": 0.5})

    monkeypatch.setattr("scaling_search.points.target.grid", otherwise)
    with pytest.raises(ValueError, match="none of the points that this version solves for"):
        run(13, tmp_path / "run", resume=True)


def test_other_pictures_are_not_resumed_on(tmp_path: Path) -> None:
    run(6, tmp_path / "run", settings={"data": {"digest": "0a1b"}})
    with pytest.raises(ValueError, match="its data digest is '0a1b', not 'ffff'"):
        run(7, tmp_path / "run", settings={"data": {"digest": "ffff"}}, resume=True)


def test_the_answer_is_kept_and_an_earlier_family_goes(tmp_path: Path) -> None:
    found = run(6, tmp_path / "run", phis=(0.0, 1.0, 2.0))
    answer = read_run(tmp_path / "run", from_json=ArchSpec.from_json).answer
    assert answer == {"key": found.point.spec.key, "ended": "complete",
                      "coefficients": found.coefficients.to_dict()}  # fmt: skip
    assert (tmp_path / "run" / "family" / "phi-2.json").exists()
    run(7, tmp_path / "run", phis=(0.0, 1.0), resume=True)
    names = sorted(path.name for path in (tmp_path / "run" / "family").iterdir())
    assert names == ["phi-0.json", "phi-1.json"]
