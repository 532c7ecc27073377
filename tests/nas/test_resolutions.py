"""Resolution as a choice of a space, and at how many pixels a network costs a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cost import cost
from models.families import family
from models.scale import PHIS, compound
from models.spec import ArchSpec
from nas.belief.features import Features
from nas.candidates import Candidates
from nas.objective import Objective
from nas.prior import prior_of, read_prior
from nas.rerank.ranking import expected, space_of
from nas.samplers.base import NEARBY
from nas.samplers.climb import REACH
from nas.search import search
from nas.space import RESOLUTION, Space, by_rule, highest, sides_about, space
from trials.store.study import read_run

LITE = family("efficientnet-lite0")
SIDES = (81, 97, 129)


def several() -> Space:
    """``mnasnet`` around Lite0's template, at any of three resolutions."""
    return space("mnasnet").with_template(activation=LITE.activation).at(SIDES)


def test_resolution_is_the_first_choice() -> None:
    searched = several()
    assert searched.names[0] == RESOLUTION
    assert searched.choices[RESOLUTION] == SIDES
    assert searched.size == 3 * space("mnasnet").size
    row = searched.random(1, np.random.default_rng(0))[0]
    at = [searched.spec_of(np.concatenate([[i], row[1:]])) for i in range(3)]
    assert [one.resolution for one in at] == list(SIDES)
    assert len({replace(one, name="x", resolution=81) for one in at}) == 1
    assert len({one.name for one in at}) == 3


def test_one_resolution_is_no_choice() -> None:
    searched = space("mnasnet")
    assert searched.at([96]) == searched.with_template(resolution=96)
    assert several().at([96]).resolutions == ()


def test_a_network_of_another_resolution_is_no_member() -> None:
    searched = several()
    member = searched.spec_of(searched.random(1, np.random.default_rng(1))[0])
    assert searched.contains(member)
    assert not searched.contains(replace(member, resolution=96))


def test_resolutions_ascend() -> None:
    with pytest.raises(ValueError, match=r"\(97, 81\) must ascend"):
        replace(several(), resolutions=(97, 81))


def test_sides_at_which_a_network_costs_about_a_budget() -> None:
    """By hand: 66.8M at 81 pixels, 101.0M at 97, 119.8M at 113, 164.5M at 129, 188.6M at 145; and
    its rule takes it to 100M at 144 pixels."""
    found = by_rule(LITE, 100e6)
    assert found is not None
    assert found.resolution == 144
    assert sides_about(LITE, 100e6) == (81, 97, 113, 129, 145)
    assert sides_about(LITE, 1e5) == ()


@settings(max_examples=25, deadline=None)
@given(st.floats(30e6, 3e9))
def test_sides_reach_from_the_whole_network_to_its_rule(budget: float) -> None:
    found = sides_about(LITE, budget)
    ruled = by_rule(LITE, budget)
    assert ruled is not None
    assert 0 < len(found) <= 6
    assert all(side % 16 == 1 for side in found)
    steps = np.diff(found)
    assert (steps == steps[:1]).all()
    assert found[0] - steps.max(initial=8) < ruled.resolution < found[-1] + steps.max(initial=8)
    whole = highest(LITE, range(65, 1000, 16), budget)
    assert whole is None or whole.resolution in found
    costs = [cost(replace(LITE, resolution=side)).macs for side in found]
    assert min(found[0] - ruled.resolution, costs[0] / budget - 0.6) < 8


def test_where_the_rule_takes_a_network_beyond_all_networks_there_is_none() -> None:
    """At 8 pixels its last downsampling has nothing left, and at 8,000 it cannot grow."""
    small = replace(family("convnext-t"), resolution=33)
    with pytest.raises(ValueError, match="too small for a kernel"):
        cost(compound(small, PHIS[0]))
    assert by_rule(small, 1e5) is None
    assert by_rule(replace(LITE, resolution=8000), 1e15) is not None
    assert sides_about(LITE, 1e15)[-1] > 3000


def test_the_rule_shrinks_and_grows_to_a_budget() -> None:
    """No step of it lies between what is found and the budget."""
    sizes = sorted({cost(compound(LITE, phi)).macs for phi in PHIS})
    for budget in (50e6, 100e6, 600e6):
        found = by_rule(LITE, budget)
        assert found is not None
        paid = cost(found).macs
        assert paid <= budget < sizes[sizes.index(paid) + 1]
    assert by_rule(LITE, cost(LITE).macs) == LITE
    assert by_rule(LITE, sizes[0] - 1) is None


def test_the_model_is_told_the_resolution() -> None:
    searched = several()
    features = Features(Candidates(searched, Objective(100e6)))
    rows = np.repeat(searched.random(1, np.random.default_rng(0)), 3, 0)
    rows[:, 0] = range(3)
    groups = features(rows)
    assert len(np.unique(groups["choices"][:, 0])) == 3
    assert (groups["choices"][:, 1:] == groups["choices"][:1, 1:]).all()
    assert len(np.unique(groups["totals"][:, 0])) == 3  # multiply-adds
    assert len(np.unique(groups["totals"][:, 1])) == 1  # parameters


def wide(spec: ArchSpec, seed: int) -> float:
    """More pixels are better, whatever the cost."""
    return 0.5 + spec.resolution / 1000


@pytest.mark.parametrize("sampler", ["auto", "random", "tpe"])
def test_a_search_finds_the_resolution(sampler: str, tmp_path: Path) -> None:
    searched = several()
    sides = (97, 81, 129)
    near = [replace(searched.template, stages=LITE.stages, resolution=side) for side in sides]
    found = search(searched, wide, 105e6, 12, sampler, "hard", seed=0, run_dir=tmp_path, near=near)
    assert [t.spec.resolution for t in found.trials[:2]] == [97, 81]
    assert all(t.spec.stages == LITE.stages for t in found.trials[:2])
    known = {one.key for one in near}
    others = [t.spec for t in found.trials[2 : 2 + NEARBY]]
    assert all(one.key not in known for one in others)
    assert all(0.5 * 105e6 <= cost(t.spec).macs <= 105e6 for t in found.trials)
    if sampler == "auto":
        assert found.best.spec.resolution == 129
        run = read_run(tmp_path, from_json=ArchSpec.from_json)
        assert space_of(run).template == searched.template
        assert space_of(run).resolutions == SIDES
        assert set(expected(run)) == set(range(12))


def test_an_earlier_run_counts_at_its_resolution_or_at_the_highest(tmp_path: Path) -> None:
    searched = several()
    rows = searched.random(6, np.random.default_rng(0))
    specs = [searched.spec_of(row) for row in rows]
    found = prior_of([(spec, 0.1 * i) for i, spec in enumerate(specs)], searched)
    assert (found.rows == rows).all()
    found = prior_of([(replace(s, resolution=224), 0.1 * i) for i, s in enumerate(specs)], searched)
    assert (found.rows[:, 0] == 2).all()
    assert (found.rows[:, 1:] == rows[:, 1:]).all()
    names = searched.names[1:]
    lines = [",".join(["accuracy", *names])]
    for i, spec in enumerate(specs):
        values = searched.choices_of(spec)
        assert values is not None
        lines.append(",".join([str(i), *(str(values[name]) for name in names)]))
    (tmp_path / "t.csv").write_text("\n".join(lines), "utf-8")
    assert (read_prior(tmp_path / "t.csv", searched).rows == found.rows).all()


def test_what_inherits_is_sought_near_its_parents_and_the_best(tmp_path: Path) -> None:
    """Also near one that is not in the window itself: at 129 pixels Lite0 costs too much."""
    searched = several()
    near = [replace(searched.template, stages=LITE.stages, resolution=side) for side in SIDES]
    found = search(searched, wide, 105e6, 20, aim="hard", seed=1, run_dir=tmp_path, near=near)
    rows = searched.indices([searched.choices_of(one.spec) or {} for one in found.trials])
    centres = searched.indices([searched.choices_of(one) or {} for one in near])
    assert [t.spec.resolution for t in found.trials[:2]] == [81, 97]
    for number in range(2 + NEARBY, 20):
        known = np.vstack([centres, rows[:number]])
        assert 0 < (known != rows[number]).sum(1).min() <= REACH
    assert found.basis is not None
    assert set(found.basis["weights"]) == {"none"}  # capacity guesses nothing of what inherits
    leaner = [t.spec for t in found.trials if t.spec.resolution == 129]
    assert leaner
    assert all(cost(spec).macs < cost(near[2]).macs for spec in leaner)


def test_the_highest_resolution_within_a_budget() -> None:
    found = highest(LITE, (129, 81, 97), 105e6)
    assert found is not None
    assert found.resolution == 97
    assert highest(LITE, SIDES, 1e6) is None
