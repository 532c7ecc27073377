"""The search of networks: its API on a stub, and its command line on real digits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from models.choose import choose
from models.cost import cost
from models.plan import plan
from models.spec import ArchSpec
from nas.search import search
from nas.search.__main__ import main
from nas.space import space
from reports.nas import report
from tests.support.command import assert_refused, command, in_process
from trials.loop import SearchFailed
from trials.store.study import read_run
from trials.workers.pool import InProcess

MBCONV = space("mbconv")


def stub(spec: ArchSpec, seed: int) -> float:
    """Better with more layers and squeeze-and-excitation; noisy by the seed."""
    layers = sum(stage.layers + 2 * bool(stage.se) for stage in spec.stages)
    return 0.4 + 0.01 * layers + 0.001 * np.random.default_rng(seed).standard_normal()


@pytest.mark.parametrize("sampler", ["auto", "random", "tpe"])
@pytest.mark.parametrize("aim", ["reward", "hard", "front"])
def test_every_trial_is_inside_the_window_and_new(sampler: str, aim: str) -> None:
    found = search(MBCONV, stub, 400e6, 12, sampler, aim, seed=3)
    assert len(found.trials) == 12
    specs = [record.spec for record in found.trials]
    assert all(200e6 <= cost(spec).macs <= 400e6 for spec in specs)
    assert len({plan(spec) for spec in specs}) == 12
    assert {record.seed for record in found.trials} != {found.trials[0].seed}
    front = found.front
    assert all(a.cost < b.cost and a.accuracy < b.accuracy for a, b in zip(front, front[1:]))  # noqa: B905, RUF007


@pytest.mark.parametrize(("measure", "budget"), [("params", 4e6), ("activations", 7e6)])
def test_other_costs(measure: str, budget: float) -> None:
    found = search(MBCONV, stub, budget, 5, "random", cost=measure)
    for record in found.trials:
        assert 0.5 * budget <= getattr(cost(record.spec), measure) <= budget
    assert found.best.cost == getattr(cost(found.best.spec), measure)


def layers_of(spec: ArchSpec) -> float:
    return float(sum(stage.layers for stage in spec.stages))


def test_a_users_own_cost() -> None:
    found = search(MBCONV, stub, 16.0, 5, "random", cost=layers_of)
    assert all(8 <= layers_of(record.spec) <= 16 for record in found.trials)


def test_resumed_search_decides_as_an_undisturbed_one(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    calls = 0

    def interrupted(spec: ArchSpec, seed: int) -> float:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return stub(spec, seed)

    whole = search(MBCONV, stub, trials=9, seed=5)
    with pytest.raises(KeyboardInterrupt):
        search(MBCONV, interrupted, trials=9, seed=5, run_dir=tmp_path / "run")
    resumed = search(MBCONV, stub, trials=9, seed=5, run_dir=tmp_path / "run", resume=True)
    assert [r.spec.key for r in resumed.trials] == [r.spec.key for r in whole.trials]
    assert [r.values for r in resumed.trials] == [r.values for r in whole.trials]
    assert resumed.best == whole.best
    longer = search(MBCONV, stub, trials=11, seed=5, run_dir=tmp_path / "run", resume=True)
    assert len(longer.trials) == 11


def test_another_search_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    search(MBCONV, stub, trials=2, sampler="random", run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="resume"):
        search(MBCONV, stub, trials=2, sampler="random", run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="objective"):
        search(MBCONV, stub, 300e6, 2, "random", run_dir=tmp_path / "run", resume=True)


def test_a_run_in_a_database_gets_its_report(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    found = search(MBCONV, stub, trials=3, sampler="random", run_dir=tmp_path / "run", storage=url)
    report(tmp_path / "run", url)
    assert found.best.spec.name in (tmp_path / "run" / "report.html").read_text()


def test_failures_are_recorded_and_the_search_goes_on() -> None:
    def sometimes(spec: ArchSpec, seed: int) -> float:
        if seed % 2:
            raise RuntimeError("no luck")
        return stub(spec, seed)

    found = search(MBCONV, sometimes, trials=10, sampler="random")
    failed = [record for record in found.trials if record.failure is not None]
    assert 0 < len(failed) < 10
    assert all(r.failure and "no luck" in r.failure.reason for r in failed)


def test_a_search_whose_candidates_all_fail_stops_and_says_why() -> None:
    def never(spec: ArchSpec, seed: int) -> float:
        raise RuntimeError("the disk is gone")

    with pytest.raises(SearchFailed, match="the disk is gone"):
        search(MBCONV, never, trials=50, sampler="random")


def test_workers_and_executor() -> None:
    found = search(MBCONV, stub, trials=6, sampler="random", workers=2)
    assert sorted(record.number for record in found.trials) == list(range(6))
    again = search(MBCONV, stub, trials=6, sampler="random", executor=lambda: InProcess(stub))
    assert len(again.trials) == 6


def test_an_impossible_budget_names_the_spaces_costs() -> None:
    with pytest.raises(ValueError, match=r"no network of .* cost"):
        search(MBCONV, stub, 1e3, 5)


def test_command_line_end_to_end(tmp_path: Path) -> None:
    """A real search on real digits: small, short, but with every part in it."""
    out = tmp_path / "run"
    quick = ("--data", "digits", "--proxy-images", 120, "--proxy-epochs", 1, "--device", "cpu")
    done = command("nas.search", "--budget", "400M", "--trials", 3, "--out", out, *quick)
    assert done.returncode == 0, done.stderr
    baseline = ArchSpec.from_json((out / "baseline.json").read_text())
    assert (baseline.classes, baseline.in_channels, baseline.resolution) == (10, 1, 224)
    assert 200e6 <= cost(baseline).macs <= 400e6
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete"] * 3
    page = (out / "report.html").read_text()
    assert baseline.name in page
    assert "data:image/png;base64," in page
    assert (out / "pareto.csv").exists()
    assert "/3 trials" in done.stderr
    settings = json.loads((out / "run.json").read_text())
    assert "budget" in json.dumps(settings)

    refused = command("nas.search", "--trials", 3, "--out", out, *quick)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    longer = command("nas.search", "--trials", 4, "--out", out, "--resume", *quick)
    assert longer.returncode == 0, longer.stderr
    assert "4/4 trials" in longer.stderr
    drawn = command("reports", out)
    assert drawn.returncode == 0, drawn.stderr


@pytest.mark.slow
def test_command_line_with_a_parent_of_its_own(tmp_path: Path) -> None:
    """Rehearsed, trained first, and named where its networks' weights come from."""
    out = tmp_path / "run"
    quick = ("--data", "digits", "--proxy-images", 120, "--device", "cpu", "--init", "own",
             "--space", "macro", "--budget", "50M", "--parent-epochs", 1, "--out", out)  # fmt: skip
    rehearsed = command("nas.search", *quick, "--trials", 2, "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "after the parent's own training, about " in rehearsed.stdout
    assert not out.exists()
    done = command("nas.search", *quick, "--trials", 2)
    assert done.returncode == 0, done.stderr
    assert "the parent: " in done.stderr
    assert "2 networks are trained further, round 1" in done.stderr
    assert (out / "baseline.safetensors").is_file()
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert settings["init"]["own"] is True
    assert settings["recipe"]["epochs"] == 0
    assert "weights of own-macro" in (out / "report.html").read_text()


@pytest.mark.slow
def test_command_line_with_measured_latencies(tmp_path: Path) -> None:
    """Whatever this machine's latencies are: the window is wide, and small pictures are quick."""
    out = tmp_path / "run"
    wide = ("--cost", "latency", "--budget", "10s", "--low", "0.00001", "--latency-sample", 8)
    quick = ("--data", "digits", "--proxy-images", 120, "--proxy-epochs", 1, "--device", "cpu",
             "--resolution", 64, "--out", out)  # fmt: skip
    done = command("nas.search", *wide, *quick, "--trials", 2)
    assert done.returncode == 0, done.stderr
    assert "latency" in done.stdout
    assert " ms, " in done.stdout
    settings = json.loads((out / "run.json").read_text())["settings"]
    about = settings["latency"]["measured_on"]
    assert (settings["cost"], settings["objective"]["budget"]) == ("latency", 10.0)
    assert (about["device"], about["threads"], about["batch"]) == ("cpu", 1, 1)
    page = (out / "report.html").read_text()
    assert "cpu" in page
    assert "1 thread, batch 1" in page
    longer = command("nas.search", *wide, *quick, "--trials", 3, "--resume")
    assert longer.returncode == 0, longer.stderr
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        low, median, high = (float(row[f"latency{end}"]) for end in ("_low", "", "_high"))
        assert 1e-4 <= low <= median <= high <= 10
    other = command("nas.search", *wide, *quick, "--trials", 4, "--resume", "--latency-batch", 2)
    assert_refused(other, "batch is 1, not 2")
    again = command("nas.rerank", out, "--high", "0.5", "--out", tmp_path / "best.json")
    assert again.returncode == 0, again.stderr
    assert "latency 0.100 ms to 5.00 s" in again.stdout
    assert ArchSpec.from_json((tmp_path / "best.json").read_text()).resolution == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "400X"), "400X"),
        (("--budget", "12ms"), "12ms"),
        (("--cost", "latency"), "'400M' is no time"),
        (("--cost", "latency", "--budget", "12ms", "--latency-device", "tpu"), "tpu"),
        (("--cost", "latency", "--budget", "12ms", "--latency-sample", "7"), "at least 8"),
        (("--prior", "/nowhere/prior.csv"), "/nowhere/prior.csv"),
        (("--data", "/nowhere/at/all"), "/nowhere/at/all"),
        (("--trials", "0"), "at least 1"),
        (("--sampler", "magic"), "magic"),
        (("--budget", "1K"), "its networks cost"),
        (("--device", "tpu"), "tpu"),
        (("--low", "2"), "window"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--data", "digits", "--out", tmp_path / "run", *arguments)
    assert_refused(in_process(main, given, capsys), message)


def test_a_search_from_python_leaves_a_baseline_and_its_answer(tmp_path: Path) -> None:
    """Its directory is a ``--baseline`` and its report is drawn from the study alone."""
    found = search(MBCONV, stub, trials=6, run_dir=tmp_path / "run")
    assert choose(str(tmp_path / "run")) == found.best.spec
    answer = read_run(tmp_path / "run", from_json=ArchSpec.from_json).answer
    named = {"trial": found.best.number, "key": found.best.spec.key}
    front = [point._asdict() for point in found.expected_front]
    assert front
    assert answer == {**named, "belief": found.basis, "expected_front": front}
    (tmp_path / "run" / "baseline.json").unlink()
    report(tmp_path / "run")
    assert f"{found.best.spec.name}: " in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_minutes_that_are_none_are_refused(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(ValueError, match="minutes must be positive"):
        search(MBCONV, stub, trials=2, run_dir=tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_a_cost_that_is_no_number_is_refused_at_once(bad: float) -> None:
    calls = []

    def cost_of(spec: ArchSpec) -> float:
        calls.append(spec)
        return bad

    with pytest.raises(ValueError, match=r"cost cost_of of mbconv-\w+ is .*finite"):
        search(MBCONV, stub, 16.0, 5, cost=cost_of)
    assert len(calls) == 1


def test_a_budget_in_another_unit_is_told_after_few_costs() -> None:
    """400 where 400e6 was meant: a function of the spec may take a millisecond a network."""
    calls = []

    def macs_of(spec: ArchSpec) -> float:
        calls.append(spec)
        return float(cost(spec).macs)

    with pytest.raises(ValueError, match=r"no network of 200 macs_of to 400 macs_of.* cost from"):
        search(MBCONV, stub, 400.0, 5, cost=macs_of)
    assert len(calls) < 5000


def test_two_functions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    search(MBCONV, stub, 16.0, 3, "random", cost=lambda s: layers_of(s), run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match=r"cost <lambda> says .*, of which the run has"):
        search(
            MBCONV, stub, 16.0, 4, "random", cost=lambda s: layers_of(s) / 2,
            run_dir=tmp_path / "run", resume=True,
        )  # fmt: skip
