"""A finished search ranked anew: the function, and the command line on runs of a stub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.cost import cost
from models.spec import ArchSpec
from nas.costing.latency import Latency
from nas.objective import Objective
from nas.prior import load_prior
from nas.rerank.__main__ import main
from nas.rerank.ranking import expected, rerank
from nas.result import candidates
from nas.search import search
from tests.nas.test_nas_latency import BUDGET, MBCONV, FakeClock
from tests.nas.test_nas_search import layers_of, stub
from tests.support.command import assert_refused, command, in_process
from trials.store.study import RunView, read_run


def test_the_order() -> None:
    accuracies, costs = [0.70, 0.74, 0.76, 0.60], [200e6, 300e6, 400e6, 390e6]
    assert rerank(accuracies, costs, Objective(400e6)) == [2, 1, 0, 3]
    assert rerank(accuracies, costs, Objective(400e6, w=-0.3)) == [0, 1, 2, 3]
    assert rerank(accuracies, costs, Objective(300e6)) == [1, 0]
    assert rerank(accuracies, costs, Objective(400e6, "front")) == [0, 1, 2]
    with pytest.raises(ValueError, match=r"25.0M to 50.0M \(they cost 200M to 400M\): widen"):
        rerank(accuracies, costs, Objective(50e6))
    with pytest.raises(ValueError, match=r"6.00 ms to 12.0 ms \(none is\)"):
        rerank([], [], Objective(0.012), "latency")
    with pytest.raises(ValueError, match="one each"):
        rerank([0.5], [], Objective(0.012))


@pytest.fixture(scope="module")
def auto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 trials of the sampler auto."""
    path: Path = tmp_path_factory.mktemp("runs") / "auto"
    search(MBCONV, stub, trials=20, seed=1, run_dir=path)
    return path


def opened(path: Path) -> RunView:
    return read_run(path, from_json=ArchSpec.from_json)


def lines(out: str) -> list[list[str]]:
    """The rows of the printed table: place, network, trial, …"""
    return [line.split() for line in out.splitlines() if line.split()[0].isdigit()][1:]


def test_unchanged_it_says_what_the_search_said(
    auto: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = search(MBCONV, stub, trials=20, seed=1, run_dir=auto, resume=True)
    done = in_process(main, [auto], capsys)
    assert done.returncode == 0, done.stderr
    table = lines(done.stdout)
    assert len(table) == 10
    assert table[0][:3] == ["1", found.best.spec.name, str(found.best.number)]
    assert "that the search's model expects" in done.stdout
    rewards = [float(row[-1]) for row in table]
    assert rewards == sorted(rewards, reverse=True)


def test_another_budget_and_exponent(
    auto: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["--budget", "300M", "--w", "-0.9", "--high", "1.1", "--by", "measured"]
    done = in_process(main, [auto, *given, "--out", tmp_path / "best.json"], capsys)
    assert done.returncode == 0, done.stderr
    objective = Objective(300e6, w=-0.9, high=1.1)
    inside = [one for one in candidates(opened(auto).finished(), objective)
              if objective.admits(one.cost)]  # fmt: skip
    best = max(inside, key=lambda one: one.reward)
    table = lines(done.stdout)
    assert done.stdout.startswith(f"{len(inside)} of 20 trained networks")
    assert table[0][1] == best.spec.name
    assert table[0][-1] == f"{best.reward:.4f}"
    assert all(150e6 <= cost(one.spec).macs <= 330e6 for one in inside)
    assert "as measured" in done.stdout
    assert ArchSpec.from_json((tmp_path / "best.json").read_text()) == best.spec


def test_the_model_and_the_measurements_can_differ(auto: Path) -> None:
    means = expected(opened(auto))
    measured = {
        one.number: one.accuracy for one in candidates(opened(auto).finished(), Objective(1))
    }
    assert means.keys() == measured.keys()
    off = np.array([means[number] - measured[number] for number in means])
    assert 0 < np.abs(off).max() < 0.01  # the stub's noise is 0.001


def test_front(auto: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "best.json"
    done = in_process(main, [auto, "--aim", "front", "--by", "measured", "--out", out], capsys)
    assert "lie on the Pareto front of the window" in done.stdout
    table = lines(done.stdout)
    accuracies = [float(row[3]) for row in table]
    assert accuracies == sorted(accuracies)
    trained = candidates(opened(auto).finished(), Objective(400e6))
    shown = [one for one in trained if one.spec.name in {row[1] for row in table}]
    best = max(shown, key=lambda one: one.reward)
    assert ArchSpec.from_json(out.read_text()) == best.spec


def test_latency_is_read_in_milliseconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = Latency(FakeClock(), sample=16)
    found = search(MBCONV, stub, BUDGET, 8, cost=how, run_dir=tmp_path / "run")
    done = in_process(main, [tmp_path / "run"], capsys)
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[0][1] == found.best.spec.name
    assert "latency 10.0 ms to 20.0 ms" in done.stdout
    assert "FLOPs" in done.stdout
    done = in_process(main, [tmp_path / "run", "--budget", "0.019s"], capsys)
    assert "T = 19.0 ms" in done.stdout
    assert_refused(in_process(main, [tmp_path / "run", "--budget", "300M"], capsys), "no time")


def test_other_samplers_have_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    found = search(MBCONV, stub, trials=6, sampler="random", run_dir=run)
    done = in_process(main, [run], capsys)
    assert "as measured" in done.stdout
    assert lines(done.stdout)[0][1] == found.best.spec.name
    assert (
        "that the search's model expects" in in_process(main, [run, "--by", "model"], capsys).stdout
    )


def test_the_model_wants_the_searchs_own_prior(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier, run = tmp_path / "earlier", tmp_path / "run"
    search(MBCONV, stub, trials=8, sampler="random", run_dir=earlier, seed=9)
    found = search(MBCONV, stub, trials=6, run_dir=run, prior=load_prior(earlier, MBCONV))
    assert_refused(in_process(main, [run], capsys), "the search's prior was earlier (8 networks")
    done = in_process(main, [run, "--prior", earlier], capsys)
    assert lines(done.stdout)[0][1] == found.best.spec.name
    assert in_process(main, [run, "--by", "measured"], capsys).returncode == 0


def test_refusals(auto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, message in (
        ([auto, "--budget", "50M"], "no trained network costs 25.0M to 50.0M (they cost "),
        ([auto, "--budget", "12ms"], "no size"),
        ([auto, "--low", "2"], "window"),
        ([tmp_path / "nothing"], "holds no run"),
        ([auto, "--out", tmp_path / "no" / "file.json"], "No such file"),
    ):
        assert_refused(in_process(main, given, capsys), message)  # type: ignore[arg-type]
    own = tmp_path / "own"
    search(MBCONV, stub, 16.0, 5, cost=layers_of, run_dir=own)
    assert_refused(in_process(main, [own], capsys), "its caller's own")
    assert in_process(main, [own, "--by", "measured"], capsys).returncode == 0


def test_as_a_module(auto: Path) -> None:
    done = command("nas.rerank", auto, "--budget", "10M")
    assert_refused(done, "widen the window")
    assert len(done.stderr.splitlines()) == 1
    assert "--budget" in command("nas.rerank", "--help").stdout
