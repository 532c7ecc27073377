"""Other people's search methods on a few networks whose accuracies are known."""

from __future__ import annotations

import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rivals import BLIND, missing
from benchmarks.rivals.base import Rival, Trained
from benchmarks.rivals.of_optuna import Gp, Tpe
from benchmarks.support.surrogate import Floats, Table
from benchmarks.truth.beliefs import Measured, Run, World, searched
from benchmarks.truth.rivals import NAMES, line, main, sampler_of
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import Batch, space

SPACE, AIM = space("macro"), Objective(70e6)
ROWS = Candidates(SPACE, AIM).draw(600, np.random.default_rng(0))
TRIALS = 20  # trainings after which a network is named
QUICK = "auto", "tpe", "gp"


def merit(rows: Batch) -> Floats:
    """Accuracy: the later a layer, the more its operator is worth."""
    found: Floats = 0.5 + rows @ np.arange(1, 9) / 200
    return found


def world(trained: list[bytes]) -> World:
    """A table of 600 networks that keeps what was trained."""
    cost = Measured(SPACE, ROWS)

    def truth(row: Batch) -> float:
        trained.append(row[0].tobytes())
        return float(merit(row)[0])

    other = Table(ROWS[:0], merit(ROWS[:0]))
    return World(SPACE, AIM, truth, 0.0, cost, (merit(ROWS), cost.costs(ROWS)), other)


def trained(rows: Batch, accuracy: Floats) -> Trained:
    cost = SPACE.costs(rows).macs.astype(float)
    return Trained(rows, accuracy, cost, AIM.reward(accuracy, cost))


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in NAMES if not name.startswith(QUICK)]


@pytest.mark.parametrize("name", [*(name for name in NAMES if name.startswith(QUICK)), *SLOW])
def test_each_trains_networks_of_the_table_once_and_names_one(name: str) -> None:
    if lacks := [] if name == "auto" else missing(name):
        pytest.skip(f"{', '.join(lacks)} not installed: benchmarks/rivals/requirements.txt")
    if name.startswith("saas"):
        pytest.skip("takes minutes to sample: the benchmark runs it")
    seen: list[bytes] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages, about each other
        found = searched(world(seen), name, 0, TRIALS, sampler_of)
    assert len(seen) == len(set(seen)) == TRIALS
    assert set(seen) <= {row.tobytes() for row in ROWS}
    assert found["named"].keys() == {10, TRIALS}
    assert 0 <= found["named"][TRIALS] < TRIALS
    assert found["seconds"] > 0


def test_optunas_mean_of_exact_trainings_is_what_was_observed() -> None:
    candidates = Candidates(SPACE, AIM)
    rows = candidates.draw(40, np.random.default_rng(1))
    told = trained(rows, merit(rows))
    expected = Gp(candidates, knows=True).expected(told)
    assert np.corrcoef(expected, told.reward)[0, 1] > 0.99


@pytest.mark.parametrize("knows", [True, False])
def test_botorch_foresees_the_rewards_of_networks_that_were_not_trained(knows: bool) -> None:
    pytest.importorskip("botorch", reason="benchmarks/rivals/requirements.txt is not installed")
    from benchmarks.rivals.of_botorch import SingleTask

    candidates = Candidates(SPACE, AIM)
    rows, others = np.split(candidates.draw(80, np.random.default_rng(1)), [40])
    rival, told, new = (
        SingleTask(candidates, knows),
        *(trained(r, merit(r)) for r in (rows, others)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages, about each other
        expected = rival.expected(told)
        model, _ = rival.fitted(told, seed=0)
    np.testing.assert_allclose(expected, told.reward, atol=0.01)
    foreseen = rival.mean(model, rival.inputs(others))
    assert np.abs(foreseen - new.reward).mean() < 0.3 * new.reward.std()


@pytest.mark.parametrize("kind", [Gp, Tpe])
def test_who_knows_the_cost_looks_inside_the_window(kind: type[Rival]) -> None:
    """Told that the dearer is the better, in a window below most networks of the space."""
    aim = Objective(40e6)
    candidates = Candidates(SPACE, aim)
    rows = candidates.draw(20, np.random.default_rng(2))
    cost = SPACE.costs(rows).macs.astype(float)
    told = Trained(rows, cost / 1e8, cost, aim.reward(cost / 1e8, cost))

    def inside(knows: bool) -> float:
        suggested = kind(candidates, knows).suggest(told, np.random.default_rng(0))
        return float(candidates.admits(np.array(list(islice(suggested, 40)))).mean())

    if kind is Gp:  # blind, it has a single suggestion
        assert (inside(True), inside(False)) == (1, 0)
    else:
        assert inside(True) > inside(False) + 0.3


def test_the_command_prints_what_was_measured_and_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr("benchmarks.truth.beliefs.world", lambda *_: world(seen))
    lacks = {"gp": [], "smac": ["smac"]}
    monkeypatch.setattr("benchmarks.truth.rivals.missing", lacks.__getitem__)
    command = ["--tasks", "70M-0", "--samplers", "gp", "smac", "--seeds", "1", "--trials", "20"]
    main([*command, "--out", str(tmp_path)])
    out, err = capsys.readouterr()
    assert "smac is left out: smac not installed" in err
    assert [row.split(" | ")[1] for row in out.splitlines()[2:]] == ["gp"]
    assert len(seen) == TRIALS
    main([*command, "--out", str(tmp_path)])  # kept: nothing is trained again
    assert (capsys.readouterr().out, len(seen)) == (out, TRIALS)


def test_a_row_of_the_table() -> None:
    found = [
        Run([1.0, 0.3, 0.1], {20: 0.5, 40: 0.1}, 2.0),
        Run([0.9, 0.05, 0.05], {20: 0.3, 40: 0.2}, 4.0),
        Run([0.9, 0.8, 0.7], {20: 0.1, 40: 0.9}, 3.0),
    ]
    assert line("70M-1", "gp" + BLIND, found) == (
        "| 70M-1 | gp-blind | posterior mean | 3 | 3 (3–∞) | 0.30 (0.50) | 0.20 (0.90) |  | 3.0 |"
    )
