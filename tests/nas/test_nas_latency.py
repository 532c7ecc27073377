"""Latency as a search's cost: measured before a training, predicted for the rest; fake clocks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from models.cost import cost
from models.spec import ArchSpec
from models.work import KINDS, work
from nas.candidates import Candidates
from nas.costing.latency import Latency
from nas.costing.latency_model import LatencyModel, columns
from nas.objective import Objective
from nas.rerank.ranking import expected
from nas.samplers import NAMES, sampler, tell
from nas.samplers.history import History
from nas.search import search
from nas.space import space
from reports.nas import report
from tests.nas.test_nas_search import stub
from trials.latencies import Reading, reference_alone
from trials.store.study import read_run

MBCONV = space("mbconv")
BUDGET = 0.020


def additive(spec: ArchSpec) -> float:
    """Seconds: rates for the network, others for depthwise layers and squeeze-and-excitation."""
    found = dict(zip(KINDS, np.array(work(spec)).sum(0).reshape(-1, 3), strict=True))
    depthwise, squeeze = found["depthwise"], found["squeeze"]
    seconds = 2e-3 + 2e-11 * cost(spec).macs + 1e-9 * cost(spec).activations
    return float(seconds + 5e-11 * depthwise[0] + 5e-10 * depthwise[1] + 2e-4 * squeeze[2])


def quirky(spec: ArchSpec) -> float:
    """The same, but for up to a quarter that no model can know."""
    return additive(spec) * (1 + 0.5 * (int(spec.key, 16) % 1000 / 1000 - 0.5))


class FakeClock:
    """Timings that are ``truth`` exactly, times ``drift`` of the number of timings so far."""

    def __init__(
        self,
        truth: Callable[[ArchSpec], float] = quirky,
        drift: Callable[[int], float] = lambda number: 1.0,
    ) -> None:
        self.truth, self.drift = truth, drift
        self.timed: Counter[str] = Counter()

    def __call__(self, spec: ArchSpec) -> Reading:
        seconds = self.truth(spec) * self.drift(self.timed.total())
        self.timed[spec.key] += 1
        return Reading(seconds, seconds, seconds, 1)


def test_the_model_finds_rates_that_are_there() -> None:
    rows = MBCONV.random(248, np.random.default_rng(0))
    seconds = np.array([additive(MBCONV.spec_of(row)) for row in rows])
    model = LatencyModel(MBCONV, rows[:48], seconds[:48])
    missed = np.abs(model(rows[48:]) / seconds[48:] - 1)
    by_macs = MBCONV.costs(rows).macs.astype(float)
    rate = (seconds[:48] / by_macs[:48]).mean()
    by_rate = np.abs(rate * by_macs[48:] / seconds[48:] - 1)
    assert np.quantile(missed, 0.9) < 0.04 < np.quantile(by_rate, 0.5)


def test_the_parts_of_rows_are_those_of_their_networks() -> None:
    searched = space("mnasnet")
    rows = searched.random(20, np.random.default_rng(2))
    for row, found in zip(rows, columns(searched, rows), strict=True):
        spec = searched.spec_of(row)
        counted = np.array(work(spec)).sum(0)
        assert found[5:].tolist() == counted.tolist()
        assert found[:5].tolist() == [1, *cost(spec)[:3], counted[2::3].sum()]


def test_a_slow_drift_of_the_machine_cancels() -> None:
    """Timings grow five times over the sample, and every tenth is disturbed: ratios stay."""
    drifting = FakeClock(drift=lambda number: (1 + number / 100) * (1.5 if number % 10 == 9 else 1))
    study = optuna.create_study()
    found = Latency(drifting, sample=8).costing(MBCONV, Objective(BUDGET), study, seed=0)
    base = reference_alone(study, MBCONV.template.key)
    assert base is not None
    scale = base.low / quirky(MBCONV.template)
    for row in MBCONV.random(5, np.random.default_rng(3)):
        spec = MBCONV.spec_of(row)
        assert found.settle(row) / quirky(spec) / scale == pytest.approx(1, abs=0.02)


def test_a_quiet_clock_is_asked_no_more_than_needed() -> None:
    quiet, noisy = FakeClock(), FakeClock(drift=lambda number: 1 + 0.3 * (number % 3 == 0))
    for clock, times in ((quiet, 8), (noisy, 32)):
        study = optuna.create_study()
        found = Latency(clock, sample=8).costing(MBCONV, Objective(BUDGET), study, seed=0)
        row = MBCONV.random(9, np.random.default_rng(9))[8]
        found.settle(row)
        assert clock.timed[MBCONV.spec_of(row).key] == times


def test_the_sample_goes_where_the_window_is() -> None:
    clock = FakeClock(additive)
    study = optuna.create_study()
    Latency(clock, sample=48).costing(MBCONV, Objective(BUDGET, low=0.8), study, seed=0)
    readings = [Reading(*v) for name, v in study.user_attrs.items() if name.startswith("latency ")]
    inside = [0.95 * 0.8 * BUDGET <= one.median <= 1.05 * BUDGET for one in readings]
    assert len(inside) == 1 + 48  # the template first
    assert sum(inside[1:17]) < 8
    assert sum(inside[17:]) > 28


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gp"])
def test_what_is_trained_was_measured_inside_the_window(name: str) -> None:
    clock = FakeClock()
    found = search(MBCONV, stub, BUDGET, 8, name, cost=Latency(clock, sample=16), seed=2)
    assert len(found.trials) == 8
    for record in found.trials:
        assert 0.5 * BUDGET <= quirky(record.spec) <= BUDGET
        assert record.cost["cost"] == record.cost["latency"] == pytest.approx(quirky(record.spec))
        assert record.cost["macs"] == cost(record.spec).macs
    assert found.best.cost == pytest.approx(quirky(found.best.spec))
    del clock.timed[MBCONV.template.key]
    assert set(clock.timed.values()) == {8}  # nothing twice
    assert len(clock.timed) < 16 + 8 * 5


def test_what_turns_out_too_slow_is_refused_and_recorded(tmp_path: Path) -> None:
    """Near T, a network whose latency no model can know is as often refused as not."""
    narrow = {"low": 0.85, "run_dir": tmp_path / "run"}
    clock = FakeClock()
    found = search(MBCONV, stub, BUDGET, 8, cost=Latency(clock, sample=16), **narrow)  # type: ignore[arg-type]
    refused = [one for record in found.trials for one in record.attrs.get("refused", ())]
    assert refused
    for one in refused:
        assert one["cost"] == pytest.approx(quirky(MBCONV.spec_of(one["row"])))
        assert not 0.85 * BUDGET <= one["cost"] <= BUDGET
        assert 0.85 * BUDGET <= one["latency_expected"] <= BUDGET
    assert len({str(one["row"]) for one in refused}) == len(refused)
    report(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"{len(refused)} were refused" in page
    assert "ms latency" in page


@pytest.mark.parametrize("last", ["training", "timing"])
@pytest.mark.parametrize("name", ["auto", "controller"])
def test_a_resumed_search_decides_alike_and_measures_nothing_again(
    name: str, last: str, tmp_path: Path
) -> None:
    trained = 0

    def interrupted(spec: ArchSpec, seed: int) -> float:
        nonlocal trained
        trained += 1
        if last == "training" and trained == 6:
            raise KeyboardInterrupt
        return stub(spec, seed)

    whole_clock, clock = FakeClock(), FakeClock()
    narrow = {"low": 0.85, "seed": 4}
    whole = search(MBCONV, stub, BUDGET, 9, name, cost=Latency(whole_clock, sample=16), **narrow)  # type: ignore[arg-type]
    stop = whole_clock.timed.total() - 12 if last == "timing" else math.inf

    def drift(number: int) -> float:
        if number == stop:
            raise KeyboardInterrupt
        return 1.0

    clock.drift = drift
    kept = {**narrow, "run_dir": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        search(MBCONV, interrupted, BUDGET, 9, name, cost=Latency(clock, sample=16), **kept)  # type: ignore[arg-type]
    stop = math.inf
    resumed = search(
        MBCONV,
        stub,
        BUDGET,
        9,
        name,
        cost=Latency(clock, sample=16),
        resume=True,
        **kept,  # type: ignore[arg-type]
    )
    assert [r.spec.key for r in resumed.trials] == [r.spec.key for r in whole.trials]
    assert [r.cost for r in resumed.trials] == [r.cost for r in whole.trials]
    assert [r.attrs for r in resumed.trials] == [r.attrs for r in whole.trials]
    assert resumed.best == whole.best
    del clock.timed[MBCONV.template.key]
    assert max(clock.timed.values()) <= 8 + (last == "timing") * 8


def test_circumstances_must_agree_on_resuming(tmp_path: Path) -> None:
    def again(about: dict[str, int], resume: bool = True) -> None:
        how = Latency(FakeClock(), about, sample=8)
        search(MBCONV, stub, BUDGET, 2, "random", cost=how, run_dir=tmp_path / "run", resume=resume)

    again({"threads": 1}, resume=False)
    with pytest.raises(ValueError, match="latency measured_on threads is 1, not 2"):
        again({"threads": 2})
    again({"threads": 1})


def test_several_drivers_do_not_measure_the_sample_at_once(tmp_path: Path) -> None:
    def share(**how: bool) -> None:
        search(
            MBCONV, stub, BUDGET, 3, "random", cost=Latency(FakeClock(), sample=8),
            run_dir=tmp_path / "run", storage=f"sqlite:///{tmp_path / 'study.db'}", **how,  # type: ignore[arg-type]
        )  # fmt: skip

    with pytest.raises(ValueError, match="without --join"):
        share(join=True)
    share(resume=True)
    share(join=True)


def test_a_window_that_no_network_is_measured_in() -> None:
    """After the sample everything is slow, the template apart."""
    clock = FakeClock()

    def truth(spec: ArchSpec) -> float:
        late = len(clock.timed) > 17 and spec.key != MBCONV.template.key
        return 3 * BUDGET if late else additive(spec)

    clock.truth = truth
    narrow = {"low": 0.9, "cost": Latency(clock, sample=16)}
    with pytest.raises(ValueError, match="no candidate was trained"):
        search(MBCONV, stub, BUDGET, 3, **narrow)  # type: ignore[arg-type]
    assert len(clock.timed) < 60


@pytest.mark.parametrize(
    ("seconds", "sample", "budget", "message"),
    [
        (0.0, 8, BUDGET, "positive"),
        (math.nan, 8, BUDGET, "positive"),
        (0.01, 7, BUDGET, "at least 8"),
        (0.01, 8, 1e-6, r"no network of 0.0005 ms latency to 0.00100 ms latency.*cost from \d"),
    ],
)
def test_bad_latencies(seconds: float, sample: int, budget: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search(MBCONV, stub, budget, 2, cost=Latency(FakeClock(lambda _: seconds), sample=sample))


def test_the_model_of_a_finished_run_needs_no_clock(tmp_path: Path) -> None:
    how = Latency(FakeClock(), sample=16)
    found = search(MBCONV, stub, BUDGET, 8, cost=how, run_dir=tmp_path / "run")
    means = expected(read_run(tmp_path / "run", from_json=ArchSpec.from_json))
    assert set(means) == {record.number for record in found.trials}
    objective = Objective(BUDGET)
    costs = {record.number: record.cost["cost"] for record in found.trials}
    best = max(means, key=lambda number: objective.reward(means[number], costs[number]))
    assert best == found.best.number


def test_a_study_that_knows_no_latency() -> None:
    """A sampler by itself, on trials that no search has begun: predictions stand in."""
    study = optuna.create_study(direction="maximize")
    objective = Objective(BUDGET)
    priced = Latency(FakeClock(), sample=16).costing(MBCONV, objective, study, seed=0)
    study.sampler = sampler("auto", MBCONV, objective, seed=0, cost=priced)
    for _ in range(6):
        trial = study.ask()
        for name, values in MBCONV.choices.items():
            trial.suggest_categorical(name, values)
        spec = MBCONV.spec(trial.params)
        assert 0.5 * BUDGET <= quirky(spec) <= BUDGET
        tell(study, trial, objective, stub(spec, trial.number), quirky(spec))


def test_the_cost_that_a_trial_was_begun_with_stands() -> None:
    """Whatever its kind: a function of the caller's own may answer otherwise by now."""
    rows = MBCONV.random(2, np.random.default_rng(0))
    menus = {name: CategoricalDistribution(values) for name, values in MBCONV.choices.items()}
    study = optuna.create_study(direction="maximize")
    told = {"evaluation": {"accuracy": 0.25}}
    for row, attrs in zip(rows, ({"cost": {"cost": 1.5e8}}, {}), strict=True):
        study.add_trial(
            optuna.trial.create_trial(
                params=MBCONV.values(row), distributions=menus, value=0.5, user_attrs=told | attrs
            )
        )
    objective = Objective(4e8, w=-1.0)
    history = History(Candidates(MBCONV, objective), study)
    assert history.cost.tolist() == [1.5e8, MBCONV.costs(rows).macs[1]]
    assert history.accuracy.tolist() == [0.25, 0.25]  # as measured, whatever value was told
    assert history.reward[0] == pytest.approx(0.25 / (1.5e8 / 4e8))
