"""Several kinds of cost limited at once: before any training, in every search method."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cost import cost
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.costing import Limited, costing
from nas.costing.latency import Latency
from nas.objective import Objective
from nas.rerank.ranking import expected
from nas.samplers import NAMES
from nas.search import search
from nas.search.__main__ import main
from nas.space import space
from reports.nas import report
from tests.nas.test_nas_latency import FakeClock, quirky
from tests.nas.test_nas_search import stub
from tests.support.command import in_process
from trials.store.study import read_run

MBCONV = space("mbconv")
ROWS = MBCONV.random(200, np.random.default_rng(1))
LIMITS = (("params", 4.5e6), ("activations", 6e6))


@given(st.floats(2e6, 1e7), st.floats(3e6, 2e7), st.floats(1e8, 1e9))
@settings(max_examples=40, deadline=None)
def test_what_may_be_trained_is_what_obeys_each_limit(p: float, a: float, f: float) -> None:
    objective = Objective(f, limits={"params": p, "activations": a})
    own = costing(MBCONV, "macs", objective.limits or ())
    told = MBCONV.costs(ROWS)
    each = (told.macs >= f / 2) & (told.macs <= f) & (told.params <= p) & (told.activations <= a)
    inside = objective.admits(own.costs(ROWS), own.limited(ROWS))
    assert np.array_equal(inside, each)
    away = objective.outside(own.costs(ROWS), own.limited(ROWS))
    assert np.array_equal(away > 1e-12, ~each | (away > 1e-12))
    assert (away[each] < 1e-12).all()


def test_how_far_outside_is_the_farthest_of_all_bounds() -> None:
    objective = Objective(4e8, limits={"params": 5e6})
    costs, params = np.array([2e8, 8e8, 3e8, 8e8]), np.array([[1e7], [5e6], [5e6], [2e7]])
    assert objective.outside(costs, params) == pytest.approx(
        [np.log(2), np.log(2), 0, np.log(4)], abs=1e-12
    )
    assert objective.admits(3e8, np.array([5e6]))
    assert not objective.admits(3e8, np.array([5.1e6]))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gp"])
def test_every_sampler_keeps_to_all_limits(name: str) -> None:
    found = search(MBCONV, stub, 400e6, 8, name, limits=LIMITS)
    assert len(found.trials) == 8
    for record in found.trials:
        prices = cost(record.spec)
        assert prices.params <= 4.5e6
        assert prices.activations <= 6e6
        assert 2e8 <= prices.macs <= 4e8


def test_limits_survive_in_the_run_and_must_agree_when_it_goes_on(tmp_path: Path) -> None:
    search(MBCONV, stub, 400e6, 4, run_dir=tmp_path, limits=LIMITS)
    view = read_run(tmp_path, from_json=ArchSpec.from_json)
    objective = Objective.of(view.settings)
    assert objective.limits == dict(LIMITS)
    assert expected(view).keys() == {0, 1, 2, 3}
    assert "at most 4.50M params, 6.00M activations" in report(tmp_path).read_text()
    other = [("params", 5e6), LIMITS[1]]
    with pytest.raises(ValueError, match=r"params is 4500000\.0, not 5000000\.0"):
        search(MBCONV, stub, 400e6, 5, run_dir=tmp_path, resume=True, limits=other)
    again = search(MBCONV, stub, 400e6, 6, run_dir=tmp_path, resume=True, limits=LIMITS)
    whole = search(MBCONV, stub, 400e6, 6, limits=LIMITS)
    assert [r.spec for r in again.trials] == [r.spec for r in whole.trials]


def test_runs_of_before_there_were_limits_go_on(tmp_path: Path) -> None:
    search(MBCONV, stub, 400e6, 2, run_dir=tmp_path)
    header = json.loads((tmp_path / "run.json").read_text())
    del header["settings"]["objective"]["limits"]
    (tmp_path / "run.json").write_text(json.dumps(header))
    assert len(search(MBCONV, stub, 400e6, 3, run_dir=tmp_path, resume=True).trials) == 3
    assert Objective(4e8) == Objective(**{**asdict(Objective(4e8)), "limits": {}})


def test_what_no_network_can_obey_is_told_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"at most 100K params: .* and at least \S+ params"):
        Candidates(MBCONV, Objective(400e6, limits={"params": 1e5}))
    with pytest.raises(ValueError, match="no network of 2"):  # each alone can be obeyed
        Candidates(MBCONV, Objective(400e6, low=0.5, limits={"activations": 1.2e6}))


def test_kinds_are_bounded_once_and_known() -> None:
    with pytest.raises(ValueError, match="macs is bounded twice"):
        search(MBCONV, stub, limits=[("macs", 3e8)])
    with pytest.raises(ValueError, match="params is bounded twice"):
        search(MBCONV, stub, limits=[("params", 3e6), ("params", 4e6)])
    with pytest.raises(ValueError, match="cost 'weight' is unknown"):
        search(MBCONV, stub, limits=[("weight", 3e6)])
    with pytest.raises(ValueError, match=r"limit of params, 0\.0, is not"):
        Objective(4e8, limits={"params": 0.0})


def test_a_measured_latency_is_a_limit_like_any_other(tmp_path: Path) -> None:
    """Nothing is trained that was measured above it; what was measured stays with the trial."""
    clock = FakeClock()
    limits = [*LIMITS[:1], (Latency(clock, {"device": "fake"}), 0.014)]
    found = search(MBCONV, stub, 400e6, 6, run_dir=tmp_path, limits=limits)
    for record in found.trials:
        assert quirky(record.spec) <= 0.014
        assert record.cost["latency"] == pytest.approx(quirky(record.spec))
        assert record.cost["cost"] == cost(record.spec).macs
        assert record.cost["params"] <= 4.5e6
    view = read_run(tmp_path, from_json=ArchSpec.from_json)
    assert view.settings["cost"] == "macs"
    assert view.settings["latency"]["measured_on"] == {"device": "fake"}
    assert expected(view).keys() == {0, 1, 2, 3, 4, 5}
    again = search(MBCONV, stub, 400e6, 8, run_dir=tmp_path, resume=True, limits=limits)
    whole = search(
        MBCONV,
        stub,
        400e6,
        8,
        limits=[limits[0], (Latency(FakeClock(), {"device": "fake"}), 0.014)],
    )
    assert [r.spec for r in again.trials] == [r.spec for r in whole.trials]


def test_functions_are_limits_too() -> None:
    def weight(spec: ArchSpec) -> float:
        return 4.0 * cost(spec).params

    own = Limited(costing(MBCONV, "macs"), [costing(MBCONV, weight)])
    assert own.slow
    assert own.limited(ROWS[:5])[:, 0].tolist() == (4 * MBCONV.costs(ROWS[:5]).params).tolist()
    found = search(MBCONV, stub, 400e6, 3, "random", limits=[(weight, 1.6e7)])
    assert all(r.cost["weight"] == 4 * cost(r.spec).params <= 1.6e7 for r in found.trials)


@pytest.mark.slow
def test_limits_are_of_networks_for_the_pictures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A classifier of 1,000 classes alone would have more parameters than are allowed here."""
    dearest: list[ArchSpec] = []
    monkeypatch.setattr(
        "training.options.rehearsal.rehearsed", lambda _args, _by, spec, *_: dearest.append(spec)
    )
    given = ["--data", "digits", "--device", "cpu", "--init", "scratch", "--against", "none"]
    limits = ["--budget", "100M", "--max-params", "600K", "--dry-run"]
    assert in_process(main, [*given, *limits], capsys).returncode == 0
    assert cost(dearest[0]).params <= 6e5
    assert dearest[0].classes == 10
    assert cost(dataclasses.replace(dearest[0], classes=1000)).params > 1.2e6
