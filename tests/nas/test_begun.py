"""At how many pixels the command searches, and which networks it begins with."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.cost import cost
from models.families import family
from nas.objective import Objective
from nas.result import Candidate
from nas.search.against import train
from nas.search.commands import further
from nas.search.commands.resolutions import known_members, resolutions, within
from nas.search.commands.stopping import stops
from nas.search.rivals import USUAL, Plan, Rival
from nas.space import Space, space
from training.evaluator import ByName, Evaluator
from training.transfer.options import trained_further, transfer_recipe
from training.transfer.parent import Moments, Parent
from trials.conduct import Means
from trials.record import Evaluation
from trials.workers.pool import InProcess

LITE = family("efficientnet-lite0")  # of 1,000 classes
PARENT = Parent("lite0", LITE, {}, Moments((0.5,) * 3, (0.5,) * 3))
NAMED = space("mnasnet")


def given(device: str = "cpu", kind: str = "macs", *sides: int) -> argparse.Namespace:
    return argparse.Namespace(device=device, cost=kind, resolution=sides or None)


def searched(sides: tuple[int, ...]) -> Space:
    return NAMED.with_template(activation=LITE.activation, classes=10).at(sides)


@pytest.mark.parametrize(
    ("budget", "cpu", "cuda"),
    [
        (100e6, [81, 97, 113, 129, 145], [81, 97, 113, 129, 145]),
        (300e6, [145, 161, 177], [145, 161, 177, 193]),  # at most 177 on a CPU
        (
            800e6,
            [224],
            [224],
        ),  # all of the parent would have 305
    ],
)
def test_the_default_goes_as_far_as_candidates_are_seen_in_seconds(
    budget: float, cpu: list[int], cuda: list[int]
) -> None:
    for device, expected in (("cpu", cpu), ("cuda", cuda)):
        assert list(resolutions(given(device), NAMED, PARENT, {}, budget)) == expected


def test_what_is_asked_for_and_what_a_run_began_with_stand() -> None:
    assert resolutions(given("cpu", "macs", 97, 300), NAMED, PARENT, {}, 1e8) == (97, 300)
    assert resolutions(given(), NAMED, PARENT, {"resolutions": [65, 81]}, 1e8) == [65, 81]
    assert resolutions(given(), NAMED, PARENT, {"resolutions": None}, 1e8) == (224,)
    assert resolutions(given(), NAMED, None, {}, 1e8) == (224,)
    assert resolutions(given("cpu", "latency"), NAMED, PARENT, {}, 0.01) == (224,)


def test_the_parents_own_classes_take_nothing_off_its_resolution() -> None:
    """At 97 pixels it costs 101.0M with ImageNet's classes, 99.7M with ten."""
    named = NAMED.at((81, 97, 113))
    assert cost(replace(LITE, resolution=97)).macs > 100e6
    assert within(LITE, named, 100e6) == replace(LITE, resolution=97)
    assert within(LITE, named, 1e6).resolution == 81


def test_the_command_begins_with_what_the_window_allows() -> None:
    at = searched((81, 97, 113, 129, 145))
    found = known_members(at, PARENT, "macs", Objective(100e6))
    inside = [one for one in found if cost(one).macs <= 100e6]
    assert sorted(one.resolution for one in inside) == [81, 81, 97, 113, 129, 145]
    higher = known_members(at, PARENT, "macs", Objective(100e6, high=1.3))
    assert max(cost(one).macs for one in higher if one.stages != LITE.stages) > 100e6
    few = known_members(at, PARENT, "params", Objective(2e6))
    assert all(cost(one).params <= 2e6 for one in few if one.stages != LITE.stages)
    assert any(one.stages != LITE.stages for one in few)
    timed = known_members(at, PARENT, "latency", Objective(0.01))
    assert [one.stages for one in timed] == [LITE.stages] * 5
    assert known_members(at, None, "macs", Objective(100e6)) == []


@pytest.mark.parametrize("parent", [None, PARENT])
def test_rivals_of_what_inherits_are_trained_as_its_finals(
    parent: Parent | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A short training would judge by how deeply each was cut."""
    seen: list[str] = []
    monkeypatch.setattr(further, "train", lambda *given: seen.append(given[4]))
    recipe = transfer_recipe(64, "cpu", 1.0, 65)
    plan = Plan((Rival("efficientnet-b0", LITE, 1.0),), (), 1)
    args = argparse.Namespace(minutes=None, seed=0)
    evaluator = Evaluator(ByName("digits"), recipe, "cpu", parent)
    minutes = further.minutes_of(args, evaluator, 4, plan, 0.0)
    compare = further.against_of(args, plan, evaluator, tmp_path, minutes)
    assert compare is not None
    assert compare(Candidate(0, LITE, 0.5, 1.0, 0.5)) is None
    expected = trained_further(recipe) if parent else recipe
    assert seen == [expected.key]
    assert trained_further(recipe).epochs > recipe.epochs
    assert trained_further(recipe).held_out == 4 * (recipe.held_out or 0) > 0
    everything = replace(recipe, held_out=None)
    assert trained_further(everything).held_out is None


def asked(trials: int, **changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{"against": None, "trials": trials, "join": False, **changes})


def test_what_inherits_is_compared_with_its_parent_by_default() -> None:
    """At the highest searched resolution that the budget allows; named ones stay as named."""
    at, aim = searched((81, 97, 113, 129, 145)), Objective(100e6)
    (one,) = further.compared(asked(30), at, PARENT, aim, "macs", ()).known
    assert (one.name, one.spec.resolution) == ("lite0 at 97 pixels", 97)
    assert (one.spec.stages, one.spec.classes) == (LITE.stages, 10)
    (fixed,) = further.compared(
        asked(30), NAMED.with_template(classes=10), PARENT, Objective(400e6), "macs", ()
    ).known
    assert (fixed.name, fixed.spec.resolution) == ("lite0", 224)
    assert further.compared(asked(15), at, PARENT, aim, "macs", ()).known == ()
    assert further.compared(asked(30, join=True), at, PARENT, aim, "macs", ()).known == ()
    assert further.compared(asked(30, against=()), at, PARENT, aim, "macs", ()).known == ()
    free = further.compared(asked(30), NAMED, None, Objective(400e6), "macs", ())
    assert [each.name for each in free.known] == list(USUAL)


def test_a_chosen_network_that_is_the_parent_is_not_compared_with_itself(tmp_path: Path) -> None:
    at, aim = searched((81, 97, 113)), Objective(100e6)
    plan = further.compared(asked(30), at, PARENT, aim, "macs", ())
    chosen = Rival("chosen", replace(plan.known[0].spec, name="mnasnet-0"), plan.known[0].cost)
    means = Means(lambda: InProcess(lambda spec, seed: Evaluation(0.5, seed=seed, seconds=0.0)))
    found = train(plan, chosen, tmp_path / "against", 0, "recipe", means)
    assert found is not None
    assert len(found.chosen.accuracies) == plan.seeds  # trained once, not twice
    said = found.in_words("macs")
    assert said == "The chosen network is lite0 at 97 pixels itself."


@pytest.mark.parametrize(
    ("inherits", "epochs", "trust", "asked", "before", "stopped"),
    [
        (True, 2, None, None, {}, True),
        (True, 2, 1.0, None, {}, True),
        (True, 2, None, False, {}, False),
        (True, 0, None, None, {}, False),  # nothing is trained
        (True, 2, 0.5, None, {}, False),  # a network may be named whose training loses
        (False, 2, None, None, {}, False),
        (False, 2, None, True, {}, True),
        (True, 2, None, None, {"stop_early": None}, False),  # a run of before
        (True, 2, None, None, {"stop_early": True}, True),
    ],
)
def test_what_inherits_is_stopped_before_its_training_by_default(
    inherits: bool,
    epochs: int,
    trust: float | None,
    asked: bool | None,
    before: dict[str, Any],
    stopped: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = argparse.Namespace(stop_early=asked, trust=trust)
    evaluator: Any = SimpleNamespace(
        parent=object() if inherits else None, recipe=SimpleNamespace(epochs=epochs)
    )
    assert stops(args, evaluator, before) == stopped
    said = "--no-stop-early trains all" in capsys.readouterr().err
    assert said == (stopped and asked is None and not before)


def test_what_is_not_trained_cannot_be_stopped() -> None:
    untrained: Any = SimpleNamespace(parent=object(), recipe=SimpleNamespace(epochs=0))
    with pytest.raises(ValueError, match="scored without one"):
        stops(argparse.Namespace(stop_early=True, trust=None), untrained, {})
