"""ReXNet's space: channels on a piecewise linear function, their costs, members, conventions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from models.work import work
from nas.candidates import Candidates
from nas.channels import channel_space, linear, stagewise, stretched
from nas.channels.compare import (
    CONVENTIONS,
    LINEAR,
    STAGEWISE,
    read_conventions,
    train_conventions,
    verdict,
)
from nas.channels.conventions import largest
from nas.channels.growth import ON, SLOPES, channels
from nas.objective import Objective
from nas.rerank.ranking import expected, space_of
from nas.samplers import NAMES
from nas.search import search
from nas.space import Space
from reports.channels import off_line, report, widths
from reports.figures import save
from tests.nas.test_nas_search import stub
from trials.conduct import processes
from trials.store.study import read_run

REXNET, MOBILE = family("rexnet-1.0"), family("mobilenet-v2")
SPACES = {
    "rexnet": channel_space(REXNET),
    "rexnet-18": channel_space(REXNET, 18),
    "rexnet-30": channel_space(REXNET, 30),
    "mobilenet": channel_space(MOBILE),
}


CONVENTION_OF = {LINEAR: linear, STAGEWISE: stagewise}


@pytest.fixture(params=SPACES)
def searched(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_channels_rise_from_b_by_a(data: st.DataObject) -> None:
    slopes = data.draw(st.lists(st.sampled_from(SLOPES), min_size=2, max_size=30))
    first, gain = data.draw(st.integers(4, 40)), data.draw(st.floats(20, 400))
    divisor = data.draw(st.sampled_from((1, 8)))
    made = channels(np.array([first]), np.array([gain]), np.array([slopes]), divisor)[0]
    assert (np.diff(made) >= 0).all()
    assert (made % divisor == 0).all()
    assert abs(made[0] - first) <= max(divisor / 2, divisor - first)
    grows = any(slope > 0 for slope in slopes) or slopes[0] == ON
    assert abs(made[-1] - first - gain * grows) <= max(divisor / 2, divisor - first)


def test_blocks_outside_the_subset_stay_on_the_line() -> None:
    """Three knots: straight between them, whatever the depth."""
    slopes = np.array([[1, ON, ON, 4, ON, ON, 0, ON]])
    made = channels(np.array([0]), np.array([150.0]), slopes, 1)[0]
    assert made.tolist() == [1, 10, 20, 30, 70, 110, 150, 150, 150]  # no channel would be none


def test_members(searched: Space) -> None:
    """Every network of the space is found again, as a network if not as choices."""
    for row in searched.random(5, np.random.default_rng(0)):
        spec = searched.spec_of(row)
        choices = searched.choices_of(spec)
        assert choices is not None
        assert searched.spec(choices).key == spec.key
        assert sorted(widths(spec)) == widths(spec)


def test_the_published_channels_are_members() -> None:
    own = SPACES["rexnet"].choices_of(REXNET)
    assert own is not None
    assert (own["b"], own["a"]) == (16, 168.75)
    assert SPACES["rexnet"].spec(own).key == REXNET.key
    line = SPACES["rexnet"].spec(linear(SPACES["rexnet"], 168.75))
    assert widths(line) == [16, 27, 38, 50, 61, 72, 84, 95, 106, 117, 128, 140, 151, 162, 174, 185]
    mobile = SPACES["mobilenet"].choices_of(MOBILE)
    assert mobile is not None
    assert widths(SPACES["mobilenet"].spec(mobile)) == widths(MOBILE)
    assert cost(SPACES["mobilenet"].spec(mobile)) == cost(MOBILE)


def test_the_stage_wise_convention_is_efficientnets_and_constant_within_stages() -> None:
    spec = SPACES["rexnet"].spec(stagewise(SPACES["rexnet"], 304.0))
    assert widths(spec) == widths(family("efficientnet-b0"))
    assert SPACES["rexnet"].contains(spec)
    for name, searched in SPACES.items():
        made = searched.spec(stagewise(searched, 304.0))
        last = made.stages[-1]
        for stage in made.stages:
            inner = stage.widths[:-1] if stage is last else stage.widths
            assert len(set(inner)) <= 1, name
        assert off_line(made) > 0.05
        assert off_line(searched.spec(linear(searched, 168.75))) < 0.02


def test_no_members_are_refused() -> None:
    wide = dataclasses.replace(REXNET, stem=dataclasses.replace(REXNET.stem, channels=48))
    assert not SPACES["rexnet"].contains(wide)
    assert not SPACES["rexnet"].contains(MOBILE)
    falling = dataclasses.replace(
        REXNET, stages=(dataclasses.replace(REXNET.stages[0], channels=(200,)), *REXNET.stages[1:])
    )
    assert not SPACES["rexnet"].contains(falling)
    with pytest.raises(ValueError, match="blocks of kind bottleneck"):
        channel_space(family("resnet-50"))
    with pytest.raises(ValueError, match="at one resolution"):
        SPACES["rexnet"].at((96, 128))


def test_costs_are_those_of_the_specs(searched: Space) -> None:
    rows = searched.random(6, np.random.default_rng(1))
    rows[0] = searched.indices([linear(searched, 45.0)])[0]  # type: ignore[arg-type]
    rows[1] = searched.indices([stagewise(searched, 304.0)])[0]  # type: ignore[arg-type]
    found = searched.costs(rows)
    for i, row in enumerate(rows):
        assert tuple(one[i] for one in found) == cost(searched.spec_of(row))


def test_work_of_every_block_adds_up_to_the_networks(searched: Space) -> None:
    """Sums over shortcuts are where blocks are no line in their channels."""
    rows = searched.random(4, np.random.default_rng(2))
    rows[0] = searched.indices([stagewise(searched, 304.0)])[0]  # type: ignore[arg-type]
    found = searched.over_parts(rows, lambda network, _: work(network)).sum(1)
    for row, one in zip(rows, found, strict=True):
        assert one.tolist() == np.array(work(searched.spec_of(row))).sum(0).tolist()


@pytest.mark.parametrize("depth", [6, 7, 18, 30, 41])
def test_depths(depth: int) -> None:
    made = stretched(REXNET, depth)
    assert sum(stage.layers for stage in made.stages) == depth
    assert min(stage.layers for stage in made.stages) >= 1
    shares = [depth * stage.layers / 16 for stage in REXNET.stages]
    apart = [abs(s.layers - share) for s, share in zip(made.stages, shares, strict=True)]
    assert max(apart) < 1 or depth < 12


def test_depths_that_leave_stages_empty_are_refused() -> None:
    with pytest.raises(ValueError, match="depth 5 is below the 6 stages"):
        stretched(REXNET, 5)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gp", "controller")])
def test_samplers_keep_to_both_limits(name: str) -> None:
    limits = [("params", 4e6)]
    found = search(SPACES["rexnet"], stub, 300e6, 5, name, low=0.8, w=0.0, limits=limits)
    for record in found.trials:
        prices = cost(record.spec)
        assert prices.params <= 4e6
        assert 240e6 <= prices.macs <= 300e6
        assert SPACES["rexnet"].contains(record.spec)


def test_the_largest_of_a_convention_obeys_the_limits_and_the_next_does_not() -> None:
    space = SPACES["rexnet"]
    inside = Candidates(space, Objective(300e6, w=0.0, low=0.8, limits={"params": 4e6}))
    for convention in (linear, stagewise):
        choices = largest(convention, inside)
        prices = cost(space.spec(choices))
        assert prices.macs <= 300e6
        assert prices.params <= 4e6
        gains = space.choices["a"]
        more = convention(space, float(gains[gains.index(choices["a"]) + 1]))
        beyond = cost(space.spec(more))
        assert beyond.macs > 300e6 or beyond.params > 4e6


def test_verdicts() -> None:
    better = {LINEAR: [0.8, 0.82, 0.81], STAGEWISE: [0.7, 0.72, 0.71]}
    found = verdict([better, better])
    assert found is not None
    assert found.difference == pytest.approx(0.1)
    assert found.says == "linear growth beats the stage-wise convention"
    assert (found.n, found.settings) == (6, 2)
    # Welch by hand: variances 1e-4 of three each, twice; 8 degrees of freedom, t 1.860.
    assert found.high - found.difference == pytest.approx(1.8595 * np.sqrt(4 * 1e-4 / 3) / 2, 1e-3)
    worse = verdict([{LINEAR: better[STAGEWISE], STAGEWISE: better[LINEAR]}])
    assert worse is not None
    assert worse.says == "the stage-wise convention beats linear growth"
    tie = verdict([{LINEAR: [0.8, 0.7], STAGEWISE: [0.7, 0.8]}])
    assert tie is not None
    assert "tie" in tie.says
    assert verdict([{LINEAR: [0.8], STAGEWISE: [0.7, 0.8]}]) is None


def test_a_run_of_several_settings_has_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SPACES["rexnet"].with_template(classes=10)
    for name, budget, networks in (("small", 150e6, 12), ("large", 300e6, 16)):
        limits = [("params", 4e6)]
        search(space, stub, budget, networks, "random", w=0.0, low=0.8, limits=limits,
               run_dir=tmp_path / name)  # fmt: skip
        inside = Candidates(space, Objective(budget, w=0.0, low=0.8, limits={"params": 4e6}))
        both = {
            LINEAR: space.spec(largest(linear, inside)),
            STAGEWISE: space.spec(largest(stagewise, inside)),
        }
        train_conventions(both, 3, tmp_path / name / CONVENTIONS, 0, "stub", processes(stub, 1))
        found, specs = read_conventions(tmp_path / name)
        assert {key: len(own) for key, own in found.items()} == {LINEAR: 3, STAGEWISE: 3}
        assert specs[LINEAR].key == both[LINEAR].key
    drawn: list[Figure] = []
    monkeypatch.setattr(
        "reports.channels.save", lambda figure, path: (drawn.append(figure), save(figure, path))
    )
    page = report(tmp_path).read_text()
    assert "from 6 trainings of each in 2 settings" in page
    assert page.index("150M FLOPs, 4.00M params") < page.index("300M FLOPs, 4.00M params")
    assert (tmp_path / "channels.png").stat().st_size > 10_000
    assert len((tmp_path / "channels.csv").read_text().splitlines()) == 1 + 28
    legends = [axes.get_legend() for axes in drawn[0].axes]
    first = [legend.get_texts()[0].get_text() for legend in legends if legend]
    assert first == ["top 10 % (n=1)", "top 10 % (n=2)"]


def test_more_trainings_of_the_conventions_go_on_from_those_there_are(tmp_path: Path) -> None:
    space, seen = SPACES["rexnet"], []

    def evaluate(spec: ArchSpec, seed: int) -> float:
        seen.append((spec.name, seed))
        return 0.5

    networks = {
        name: dataclasses.replace(space.spec(of(space, 168.75)), name=name)
        for name, of in ((LINEAR, linear), (STAGEWISE, stagewise))
    }
    for times in (1, 2, 2):
        train_conventions(networks, times, tmp_path / "c", 0, "r", processes(evaluate, 1))
    assert [name for name, _ in seen] == [LINEAR, STAGEWISE, LINEAR, STAGEWISE]
    assert seen[0][1] == seen[1][1] != seen[2][1] == seen[3][1]
    with pytest.raises(ValueError, match="another search"):
        train_conventions(networks, 2, tmp_path / "c", 0, "other", processes(evaluate, 1))


def test_a_training_of_a_convention_that_was_cut_short_is_made_up_for(tmp_path: Path) -> None:
    """The last one as well, after which no other is begun."""
    space, calls = SPACES["rexnet"], []

    def evaluate(spec: ArchSpec, seed: int) -> float:
        calls.append(spec.name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return 0.5

    networks = {name: space.spec(of(space, 168.75)) for name, of in CONVENTION_OF.items()}
    with pytest.raises(KeyboardInterrupt):
        train_conventions(networks, 2, tmp_path / "c", 0, "r", processes(evaluate, 1))
    done = train_conventions(networks, 2, tmp_path / "c", 0, "r", processes(evaluate, 1))
    assert len(calls) == 5
    assert [(one.attrs["convention"], one.attrs["repeat"]) for one in done] == [
        (LINEAR, 0), (STAGEWISE, 0), (LINEAR, 1), (STAGEWISE, 1),
    ]  # fmt: skip
    assert all(one.evaluation for one in done)


def test_a_finished_search_can_be_ranked_anew(tmp_path: Path) -> None:
    space = SPACES["rexnet"].with_template(classes=7)
    search(space, stub, 300e6, 4, run_dir=tmp_path, limits=[("params", 4e6)])
    view = read_run(tmp_path, from_json=ArchSpec.from_json)
    assert space_of(view) == space
    assert expected(view).keys() == {0, 1, 2, 3}


def test_pages_of_no_search_for_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no search of nas\.channels"):
        report(tmp_path)
