"""Known networks beside the chosen one: which, brought into the window how, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from nas.objective import Objective
from nas.search import search
from nas.search.against import Against, train
from nas.search.rivals import USUAL, Plan, Rival, families, planned
from nas.space import space
from reports.nas import report
from tests.nas.test_nas_search import stub
from trials.conduct import Means
from trials.record import Evaluation
from trials.store.study import read_run
from trials.workers.pool import InProcess

TEMPLATE = space("mbconv").template
AIM = Objective(400e6)


def macs(spec: ArchSpec) -> float:
    return float(cost(spec).macs)


def test_known_networks_of_the_window_are_taken_as_they_are() -> None:
    plan = planned(families(USUAL), TEMPLATE, AIM, macs, 30)
    assert [one.name for one in plan.known] == list(USUAL)
    assert [one.spec.stages for one in plan.known] == [family(name).stages for name in USUAL]
    assert {one.spec.classes for one in plan.known} == {TEMPLATE.classes}
    assert (plan.seeds, plan.trainings, plan.left_out) == (3, 9, ())
    assert planned(families(USUAL), TEMPLATE, AIM, macs, 10).trainings == 6


@settings(deadline=None, max_examples=25)
@given(st.floats(20e6, 4e9))
def test_others_are_brought_into_it_by_the_resolution(budget: float) -> None:
    """At the highest that the window allows: one pixel more, and it costs too much."""
    aim = Objective(budget)
    plan = planned(families(("efficientnet-b0",)), TEMPLATE, aim, macs, 30)
    for one in plan.known:
        assert aim.admits(one.cost)
        assert one.cost == macs(one.spec)
        if one.spec.resolution != TEMPLATE.resolution:
            assert f" at {one.spec.resolution} pixels" in one.name
            assert macs(replace(one.spec, resolution=one.spec.resolution + 1)) > budget
    assert len(plan.known) + len(plan.left_out) == 1


def test_what_no_resolution_brings_in_is_left_out_with_a_word() -> None:
    by_size = planned(
        families(USUAL), TEMPLATE, Objective(4e6), lambda s: float(cost(s).params), 30
    )
    assert [one.name for one in by_size.known] == ["mobilenet-v2"]
    (line,) = by_size.left_out
    assert line == "efficientnet-b0, whose cost lies outside the window at every resolution"
    assert any(line in said for said in by_size.said(30))
    measured = planned(families(USUAL), TEMPLATE, Objective(0.001), lambda s: 1.0, 30, None)
    assert (measured.known, measured.trainings, len(measured.left_out)) == ((), 0, 2)


def test_too_few_trials_and_unknown_names() -> None:
    with pytest.raises(ValueError, match="--against none"):
        planned(families(USUAL), TEMPLATE, AIM, macs, 6)
    with pytest.raises(ValueError, match="efficientnet-b00"):
        planned(families(("efficientnet-b00",)), TEMPLATE, AIM, macs, 30)


def rival(name: str, *accuracies: float) -> Rival:
    own = replace(family("mobilenet-v2"), resolution=224 if name == "chosen" else 192)
    return Rival(name, own, 3e8, accuracies)


def test_words_follow_the_noise() -> None:
    clear = Against(rival("chosen", 0.90, 0.91), (rival("b0", 0.80, 0.81), rival("v2", 0.9, 0.91)))
    better, same = clear.in_words("macs").split("interval).")[:2]
    assert better.startswith("The chosen one (90.5 %, trained again) is better than b0 (80.5 % at")
    assert "+10.0 points" in better
    assert "is not told from v2" in same
    noisy = Against(rival("chosen", 0.5, 0.9), (rival("b0", 0.4, 0.8),))
    assert "is not told from b0" in noisy.in_words("macs")
    worse = Against(rival("chosen", 0.5, 0.51), (rival("b0", 0.8, 0.81),), ("v2, too dear",))
    assert "is worse than b0" in worse.in_words("macs")
    assert worse.in_words("macs").endswith("Not compared with v2, too dear.")
    once = Against(rival("chosen", 0.5), (rival("b0", 0.8),))
    assert once.half_width(once.chosen) is None
    assert "of single trainings" in once.in_words("macs")
    assert Against.from_dict(clear.to_dict()) == clear


def test_equals_are_told_apart_as_seldom_as_the_level_says() -> None:
    rng, told = np.random.default_rng(0), 0
    for _ in range(400):
        own = [rival(name, *rng.normal(0.5, 0.02, 3)) for name in ("chosen", "b0")]
        told += "is not told from" not in Against(own[0], (own[1],)).in_words("macs")
    assert 0.05 * 400 < told < 0.15 * 400  # one in ten


def test_a_search_is_compared_resumed_and_drawn(tmp_path: Path) -> None:
    """The same seeds for all; nothing is trained twice; a chosen network that changes is added."""
    plan, calls = planned(families(("mobilenet-v2",)), TEMPLATE, AIM, macs, 10), []

    def counted(spec: ArchSpec, seed: int) -> float:
        calls.append((spec.key, seed))
        return stub(spec, seed)

    def compare(best: Rival) -> Against | None:
        means = Means(lambda: InProcess(counted))
        return train(plan, best, tmp_path / "run" / "against", 3, "recipe", means)

    def own(best: object) -> dict[str, object] | None:
        found = compare(Rival("chosen", best.spec, best.cost))  # type: ignore[attr-defined]
        return None if found is None else found.to_dict()

    found = search(space("mbconv"), stub, 400e6, 5, run_dir=tmp_path / "run", against=own)
    assert found.against is not None
    told = Against.from_dict(found.against)
    assert len(calls) == plan.trainings == 4
    seeds = {key: {seed for other, seed in calls if other == key} for key, _ in calls}
    assert len({frozenset(one) for one in seeds.values()}) == 1
    assert len(told.chosen.accuracies) == len(told.known[0].accuracies) == 2
    assert told.chosen.spec == found.best.spec
    again = compare(Rival("chosen", found.best.spec, found.best.cost))
    assert again == told
    assert len(calls) == 4
    other = Rival("chosen", next(r.spec for r in found.trials if r.spec != found.best.spec), 3e8)
    assert compare(other) is not None
    assert len(calls) == 6
    assert read_run(tmp_path / "run", from_json=ArchSpec.from_json).answer == found.answer
    report(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert told.in_words("macs").replace("'", "&#x27;") in page


def test_networks_that_fail_are_left_out(tmp_path: Path) -> None:
    plan = planned(families(USUAL), TEMPLATE, AIM, macs, 30)
    failing = {plan.known[0].spec.key}

    def evaluate(spec: ArchSpec, seed: int) -> Evaluation:
        if spec.key in failing:
            raise RuntimeError("too large")
        return Evaluation(0.5, seed=seed, seconds=0.0)

    chosen = rival("chosen")
    found = train(plan, chosen, tmp_path / "a", 0, "r", Means(lambda: InProcess(evaluate)))
    assert found is not None
    assert [one.name for one in found.known] == ["mobilenet-v2"]
    assert found.left_out == ("efficientnet-b0, none of whose trainings ended well",)
    lonely = Plan(plan.known[:1], (), 2)
    means = Means(lambda: InProcess(evaluate))
    assert train(lonely, chosen, tmp_path / "b", 0, "r", means) is None
    failing.add(chosen.spec.key)
    assert train(lonely, chosen, tmp_path / "c", 0, "r", means) is None


@given(st.floats(0.5e6, 8e6), st.floats(0.5e6, 12e6))
def test_limits_beside_the_budget_hold_for_known_networks(
    params: float, activations: float
) -> None:
    """Activations fall with the resolution, parameters do not: what has too many is left out."""
    limits = {"params": params, "activations": activations}
    aim = Objective(400e6, low=0.05, limits=limits)
    others = {
        "params": lambda spec: float(cost(spec).params),
        "activations": lambda spec: float(cost(spec).activations),
    }
    plan = planned(families(USUAL), TEMPLATE, aim, macs, 30, others=others)
    assert len(plan.known) + len(plan.left_out) == len(USUAL)
    for one in plan.known:
        assert aim.admits(one.cost)
        assert cost(one.spec).params <= params
        assert cost(one.spec).activations <= activations
        if one.spec.resolution != TEMPLATE.resolution:
            larger = replace(one.spec, resolution=one.spec.resolution + 1)
            assert macs(larger) > 400e6 or cost(larger).activations > activations
    for name in USUAL:
        too_many = cost(replace(family(name), classes=TEMPLATE.classes)).params > params
        said = [line for line in plan.left_out if line.startswith(name)]
        assert any(" params" in line and "more than the limit" in line for line in said) == too_many
