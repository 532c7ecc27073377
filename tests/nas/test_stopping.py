"""Trainings that are stopped early: the rule, the search around it, the report."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

from benchmarks.truth.stopping_simulation import COST, counted, drawn, off_the_line, searched
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.prior import load_prior
from nas.samplers.base import History
from nas.search import search
from nas.space import space
from nas.stopping import BEFORE, FEWEST, HOPE, RUNGS, Curves
from reports.nas import report
from training.evaluator import ByName, Evaluator
from training.recipe import Recipe
from trials.record import Evaluation, Rungs, Stopped
from trials.workers.pool import InProcess

MBCONV = space("mbconv")
AIM = Objective(400e6)


def finished(accuracy: float, at: float, cost: float = 300e6) -> FrozenTrial:
    """A training that came to ``accuracy`` and had ``at`` at every rung."""
    curve = [[share, at] for share in RUNGS]
    found = Evaluation(accuracy, seed=0, seconds=1.0, curve=curve)  # type: ignore[arg-type]
    attrs = {"evaluation": found.to_dict(), "cost": {"cost": cost}}
    return optuna.trial.create_trial(value=accuracy, user_attrs=attrs)


def stopped(at: float) -> FrozenTrial:
    found = Evaluation(at, seed=0, seconds=0.5, curve=((RUNGS[0], at),))
    attrs = {"stopped": Stopped(found).to_dict(), "cost": {"cost": 300e6}}
    return optuna.trial.create_trial(state=TrialState.PRUNED, user_attrs=attrs)


shares = st.floats(0.01, 0.99)
costs = st.floats(200e6, 400e6)
studies = st.lists(st.builds(finished, shares, shares, costs), min_size=FEWEST, max_size=20)
aims = st.sampled_from([AIM, Objective(400e6, "hard"), Objective(400e6, "front")])


@given(st.lists(st.builds(finished, shares, shares, costs), max_size=FEWEST - 1), aims, costs)
def test_nothing_is_stopped_before_enough_is_known(
    trials: list[FrozenTrial], aim: Objective, cost: float
) -> None:
    assert Curves(trials, aim).bars(cost) == tuple((share, 0.0) for share in RUNGS)


@given(studies, aims, st.data())
def test_what_stands_as_the_best_did_is_never_stopped(
    trials: list[FrozenTrial], aim: Objective, data: st.DataObject
) -> None:
    """At the best one's own cost, and for a reward at a cost whose factor makes up for less."""
    last = [trial.user_attrs["evaluation"]["accuracy"] for trial in trials]
    paid = [trial.user_attrs["cost"]["cost"] for trial in trials]
    worth = (
        last if aim.aim == "front" else [aim.reward(a, c) for a, c in zip(last, paid, strict=True)]
    )
    best = int(np.argmax(worth))
    at = dict(trials[best].user_attrs["evaluation"]["curve"])
    for share, bar in Curves(trials, aim).bars(paid[best]):
        assert bar <= at[share] + 1e-12
    cost = data.draw(costs)
    if aim.aim != "front":
        for share, bar in Curves(trials, aim).bars(cost):
            assert aim.reward(bar, cost) <= aim.reward(at[share], paid[best]) + 1e-12


@given(studies, costs, costs)
def test_a_dearer_candidate_has_to_be_better(
    trials: list[FrozenTrial], one: float, other: float
) -> None:
    curves = Curves(trials, AIM)
    cheap, dear = curves.bars(min(one, other)), curves.bars(max(one, other))
    assert all(a[1] <= b[1] for a, b in zip(cheap, dear, strict=True))


def clear(slope: float = 0.5) -> list[FrozenTrial]:
    """Rungs that foretell the end nearly without error, as log-odds."""
    wiggles = (0.01, -0.01) * 4
    return [
        finished(float(expit(slope * logit(at / 10) - 0.5 + w)), at / 10)
        for at, w in zip(range(1, 9), wiggles, strict=True)
    ]


def test_the_bar_is_where_the_hope_ends() -> None:
    trials = clear()
    (_, bar), _ = Curves(trials, AIM).bars(300e6)
    at, last = logit(np.arange(1, 9) / 10), logit([t.value for t in trials])
    slope, start = np.polyfit(at, last, 1)
    error = np.sqrt(((last - start - slope * at) ** 2).sum() / 6)
    hope = float(student.ppf(norm.cdf(HOPE), 6))  # eight trainings, two figures of a line
    assert bar == pytest.approx(expit((last.max() - hope * error - start) / slope))
    assert 0.7 < bar < 0.8
    assert Curves(trials, AIM).bars(300e6) == Curves(trials, AIM).bars(300e6)


def test_rungs_that_foretell_nothing_stop_nothing() -> None:
    level = [finished(0.5, at / 10) for at in range(1, 9)]
    for trials in (clear(-0.1), level, [finished(0.1 * i, 0.5) for i in range(1, 9)]):
        assert all(bar == 0 for _, bar in Curves(trials, AIM).bars(300e6))


@given(st.integers(1, 99), st.lists(shares, min_size=FEWEST, max_size=20))
def test_where_all_stand_alike_nothing_is_stopped(percent: int, last: list[float]) -> None:
    """At the accuracy of a guess, say, whose mean need not be that number to the last bit."""
    trials = [finished(accuracy, percent / 100) for accuracy in last]
    assert all(bar == 0 for _, bar in Curves(trials, AIM).bars(300e6))


@pytest.mark.parametrize("count", [FEWEST, 8])
def test_as_many_rungs_as_trainings_judge_nobody(count: int) -> None:
    rng = np.random.default_rng(0)
    rungs = tuple(i / 10 for i in range(1, 7))
    trials = []
    for accuracy in rng.uniform(0.2, 0.8, count):
        curve = tuple((share, accuracy * share) for share in rungs)
        found = Evaluation(accuracy, seed=0, seconds=1.0, curve=curve)
        attrs = {"evaluation": found.to_dict(), "cost": {"cost": 3e8}}
        trials.append(optuna.trial.create_trial(value=accuracy, user_attrs=attrs))
    bars = Curves(trials, AIM, rungs).bars(3e8)
    assert all(np.isfinite(bar) for _, bar in bars)
    assert (bars[0][1] > 0) == (count > FEWEST)


def test_on_the_way_to_a_front_only_cheaper_ones_are_rivals() -> None:
    curves = Curves(clear(), Objective(400e6, "front"))
    assert all(bar == 0 for _, bar in curves.bars(299e6))
    assert all(bar > 0.7 for _, bar in curves.bars(301e6))


def test_what_is_tried_for_the_front_loses_only_on_it() -> None:
    trials = [*clear(), finished(0.12, 0.1, 250e6)]
    one, other = Curves(trials, AIM), Curves(trials, Objective(400e6, "front"))
    assert one.bars(260e6, along=True) == other.bars(260e6)
    assert one.bars(260e6)[0][1] > one.bars(260e6, along=True)[0][1]


def test_what_a_stopped_training_would_have_come_to() -> None:
    trials = clear()
    expected, error = Curves(trials, AIM).expected(stopped(0.2))
    assert expected == pytest.approx(expit(0.5 * logit(0.2) - 0.5), abs=0.002)
    assert 0 < error < 0.004
    assert np.isnan(Curves(trials[:3], AIM).expected(stopped(0.3))).all()


def test_what_was_cut_to_pieces_is_expected_to_end_no_lower_than_it_stood() -> None:
    """Six sound networks made the line, far above it."""
    before = (0.90, 0.91, 0.92, 0.93, 0.94, 0.95)
    trials = [finished(0.87 + 2 * (at - 0.9), at) for at in before]
    curves = Curves(trials, AIM)
    for at in (0.0, 0.1, 0.5):
        expected, error = curves.expected(stopped(at))
        assert expected == pytest.approx(max(at, 1e-3))
        assert error > 0.3 * curves.expected(stopped(0.92))[1] > 0
    assert curves.expected(stopped(1.0))[0] < 1


def true_accuracy(spec: ArchSpec) -> float:
    return 0.3 + 0.01 * sum(stage.layers + 2 * bool(stage.se) for stage in spec.stages)


class Racer:
    """Curves that end where ``true_accuracy`` says; notes every training."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.interrupt_at, self.calls = interrupt_at, 0

    def __call__(self, spec: ArchSpec, seed: int, bars: Rungs) -> Evaluation | Stopped:
        self.calls += 1
        if self.calls == self.interrupt_at:
            raise KeyboardInterrupt
        noise = np.random.default_rng(seed).normal(0, 0.002, len(bars) + 1)
        last, curve = true_accuracy(spec), []
        for (share, bar), wrong in zip(bars, noise, strict=False):
            curve.append((share, share * last + wrong))
            if curve[-1][1] < bar:
                return Stopped(Evaluation(curve[-1][1], seed, share, curve=tuple(curve)))
        return Evaluation(last + noise[-1], seed, 1.0, curve=tuple(curve))


def to_the_end(spec: ArchSpec, seed: int) -> float:
    return true_accuracy(spec)


def test_a_search_stops_some_and_names_none_of_them(tmp_path: Path) -> None:
    found = search(MBCONV, Racer(), trials=20, sampler="random", stop_early=True,
                   run_dir=tmp_path / "run")  # fmt: skip
    out = [record for record in found.trials if record.stopped is not None]
    assert 3 < len(out) < 15
    assert len(found.trials) == 20
    assert all(r.state == "stopped" and r.evaluation is None and r.values is None for r in out)
    assert all(
        r.stopped and r.stopped.evaluation.accuracy < dict(r.bars)[r.stopped.share] for r in out
    )
    numbers = {record.number for record in out}
    assert found.best.number not in numbers
    assert not numbers & {one.number for one in found.front}
    assert min(numbers) >= FEWEST
    everything = search(
        MBCONV, lambda spec, seed: Racer()(spec, seed, ()), trials=20, sampler="random"
    )
    assert [r.spec.key for r in everything.trials] == [r.spec.key for r in found.trials]
    assert everything.best.spec == found.best.spec

    report(tmp_path / "run")
    with (tmp_path / "run" / "trials.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["state"] == "stopped"]
    assert {int(row["number"]) for row in rows} == numbers
    assert all(float(row["stopped_at"]) in RUNGS and row["accuracy"] == "" for row in rows)
    assert all(float(row["seconds"]) == float(row["stopped_at"]) for row in rows)
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"(0 failed, {len(out)} stopped early)" in page
    assert "Trainings stopped early" in page
    with (tmp_path / "run" / "pareto.csv").open() as file:
        assert all(row["state"] == "complete" for row in csv.DictReader(file))
    assert len(load_prior(tmp_path / "run", MBCONV).rows) == 20 - len(out)


def test_damage_that_heals_hides_no_difference_among_the_sound() -> None:
    """Three candidates were cut to pieces and recovered: between 93 and 98 % before the training a
    line of accuracies would see no difference any more."""
    before = (0.1, 0.2, 0.4, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98)
    trials = [finished(float(expit(2.2 + 0.3 * logit(at))), at) for at in before]
    ((_, bar),) = Curves(trials, Objective(400e6, "hard"), RUNGS[:1]).bars(300e6)
    assert 0.975 < bar <= 0.98


def test_some_are_not_even_begun() -> None:
    """Of inherited weights: what is known before the training foretells its end."""

    def evaluate(spec: ArchSpec, seed: int, bars: Rungs = ()) -> Evaluation | Stopped:
        before = 0.1 + 0.002 * (seed % 100)
        curve = tuple((share, before) for share, _ in bars)
        if curve and before < bars[0][1]:
            return Stopped(Evaluation(before, seed=seed, seconds=0.1, curve=curve))
        end = before + 0.4 + 0.001 * (seed % 7)
        return Evaluation(end, seed=seed, seconds=1.0, curve=curve)

    asked = {"trials": 24, "sampler": "random", "aim": "hard"}
    found = search(MBCONV, evaluate, stop_early=True, rungs=BEFORE, **asked)  # type: ignore[arg-type]
    whole = search(MBCONV, evaluate, **asked)  # type: ignore[arg-type]
    states = [record.state for record in found.trials]
    assert states.count("stopped") > 4
    assert "stopped" not in states[:FEWEST]
    assert {one.stopped.share for one in found.trials if one.stopped} == {0.0}
    assert found.best.spec == whole.best.spec


@pytest.mark.parametrize("sampler", ["auto", "tpe"])
@pytest.mark.parametrize("aim", ["reward", "front"])
def test_interrupted_and_resumed_it_decides_as_an_undisturbed_one(
    sampler: str, aim: str, tmp_path: Path
) -> None:
    asked = {"trials": 24, "sampler": sampler, "aim": aim, "seed": 0, "stop_early": True}
    whole = search(MBCONV, Racer(), **asked)  # type: ignore[arg-type]
    first = next(r.number for r in whole.trials if r.stopped is not None)
    kept = {**asked, "run_dir": tmp_path / "run"}
    for interrupted in (first + 1, 1):  # while the one after a stopped trial runs, and at once
        with pytest.raises(KeyboardInterrupt):
            search(MBCONV, Racer(interrupted + 1 if interrupted > 1 else 1), **kept,  # type: ignore[arg-type]
                   resume=(tmp_path / "run").exists())  # fmt: skip
    resumed = search(MBCONV, Racer(), **kept, resume=True)  # type: ignore[arg-type]
    for a, b in zip(resumed.trials, whole.trials, strict=True):
        assert (a.state, a.bars, a.spec.key, a.values) == (b.state, b.bars, b.spec.key, b.values)
    assert resumed.best == whole.best
    with pytest.raises(ValueError, match="stop_early"):
        search(MBCONV, Racer(), **{**kept, "stop_early": False}, resume=True)  # type: ignore[arg-type]


def test_optuna_is_told_how_far_a_stopped_trial_came() -> None:
    runs = []

    class Seen:
        def __enter__(self) -> Callable[..., None]:
            return lambda record: None

        def __exit__(self, *_: object) -> None: ...

    def progress(run: object, *_: object, **__: object) -> Seen:
        runs.append(run)
        return Seen()

    search(MBCONV, Racer(), trials=16, sampler="tpe", stop_early=True, progress=progress)  # type: ignore[arg-type]
    study = runs[0].study  # type: ignore[attr-defined]
    pruned = study.get_trials(states=[TrialState.PRUNED])
    assert pruned
    for trial in pruned:
        share, accuracy = trial.user_attrs["stopped"]["curve"][-1]
        reward = AIM.reward(accuracy, trial.user_attrs["cost"]["cost"])
        assert trial.intermediate_values == {round(100 * share): reward}
    history = History(Candidates(MBCONV, AIM), study)
    at = [list(history.numbers).index(trial.number) for trial in pruned]
    assert np.isnan(history.accuracy[at]).all()
    assert (history.error[at] > 0).all()
    assert (history.estimate[at] < np.nanmax(history.accuracy)).all()
    assert (history.error[history.finished] == 0).all()


def test_what_cannot_be_stopped_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trust 0\.2"):
        search(MBCONV, Racer(), trials=3, stop_early=True, trust=0.2)
    with pytest.raises(ValueError, match="must take"):
        search(MBCONV, lambda spec, seed: 0.5, trials=3, stop_early=True)
    with pytest.raises(ValueError, match="curve"):
        Stopped(Evaluation(0.5, 0, 1.0))


@pytest.mark.slow
def test_real_trainings_are_stopped_and_resumed(tmp_path: Path) -> None:
    recipe = Recipe(resolution=8, drop_strides=3, width=0.25, images=160, held_out=160, epochs=4,
                    batch=32, lr=0.8, regularise=False)  # fmt: skip
    evaluator = Evaluator(ByName("digits"), recipe, "cpu")
    digits = MBCONV.with_template(resolution=224, classes=10, in_channels=1)
    asked = {"sampler": "random", "stop_early": True, "run_dir": tmp_path / "run"}
    search(digits, evaluator, trials=7, **asked)  # type: ignore[arg-type]
    found = search(digits, evaluator, trials=12, **asked, resume=True)  # type: ignore[arg-type]
    out = [record for record in found.trials if record.stopped is not None]
    assert 0 < len(out) <= 12 - FEWEST
    for record in out:
        assert record.stopped is not None
        assert record.stopped.evaluation.details["steps"] == record.stopped.share * 20
    whole = evaluator(out[0].spec, out[0].seed, tuple((share, 0.0) for share in RUNGS))
    assert isinstance(whole, Evaluation)
    assert out[0].stopped is not None
    at = len(out[0].stopped.evaluation.curve)
    assert out[0].stopped.evaluation.curve == whole.curve[:at]
    report(tmp_path / "run")
    assert f"{len(out)} stopped early" in (tmp_path / "run" / "report.html").read_text()


def test_without_it_evaluate_sees_no_bars() -> None:
    asked = {"trials": 8, "sampler": "random", "executor": lambda: InProcess(to_the_end)}
    found = search(MBCONV, to_the_end, **asked)  # type: ignore[arg-type]
    assert all(record.bars == () and record.state == "complete" for record in found.trials)


def test_outcomes_survive_json_and_pickle() -> None:
    whole = Evaluation(0.5, 0, 1.0, curve=((0.25, 0.1), (0.5, 0.2)))
    halted = Stopped(replace(whole, accuracy=0.2))
    assert halted.share == 0.5
    assert Stopped.from_dict(halted.to_dict()) == halted
    assert pickle.loads(pickle.dumps(halted)) == halted
    old = whole.to_dict()
    del old["curve"]
    assert Evaluation.from_dict(old).curve == ()


@pytest.mark.parametrize(
    "curve",
    [((0.5, 0.1), (0.5, 0.2)), ((-0.1, 0.1),), ((1.0, 0.1),), ((0.5, 1.1),), ((0.5,),), "no", (3,)],
)
def test_bad_curves_are_refused(curve: Rungs) -> None:
    with pytest.raises(ValueError, match=r"rungs|shares|accuracies"):
        Evaluation(0.5, 0, 1.0, curve=curve)


def test_the_line_is_true_though_the_trainings_that_would_bend_it_are_missing() -> None:
    """Two hundred searches of forty networks: a line through whole trainings alone is off by a
    point at one standard deviation above the mean, the composed one by nothing that shows."""
    rng = np.random.default_rng(0)
    off = np.array([off_the_line(searched(drawn(40, rng))) for _ in range(200)])
    composed, whole = np.nanmean(off, axis=0)
    error = np.nanstd(off[:, 0]) / len(off) ** 0.5
    assert abs(composed) < 3 * error < 0.004
    assert whole > 0.006


def test_bars_mean_what_they_say_and_few_of_the_best_are_stopped() -> None:
    """As the documents say; 200 searches of forty networks. A network that stands at a bar would
    lead one time in 44, also where few trainings made the line."""
    rng = np.random.default_rng(1)
    found = [counted(drawn(40, rng), np.full(40, COST)) for _ in range(200)]
    assert 0.015 < np.concatenate([one.chances for one in found]).mean() < 0.035
    assert 0.02 < np.mean([one.lost for one in found]) < 0.09
    assert 20 < np.mean([one.stopped for one in found]) < 35
