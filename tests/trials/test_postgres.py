"""Several drivers on one study in a real PostgreSQL server, which these tests start and stop."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from benchmarks.support import postgres
from tests.support.trials_helpers import Toy, objective, propose, stamped, toy_run
from trials.loop import run_trials
from trials.record import Evaluation, trial_seed
from trials.store.study import Record, read_run
from trials.workers.pool import InProcess

ROOT = Path(__file__).parents[2]
TRIALS = 15

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(postgres.INITDB is None, reason="PostgreSQL is not installed: no initdb"),
    pytest.mark.skipif(not importlib.util.find_spec("psycopg"), reason="no extra postgres"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """The URL of an empty database of the test's own."""
    return postgres.empty_database(server)


class Watched:
    """Leaves a file for each evaluation, named by its seed and process, and waits for `go`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, spec: Toy, seed: int) -> Evaluation:
        (self.directory / f"{seed}.{os.getpid()}").touch()
        while not (self.directory / "go").exists():
            time.sleep(0.005)
        return stamped(spec, seed)


def drive(url: str, directory: str) -> None:
    """One driver of the study, in a process of its own."""
    evaluate = Watched(Path(directory))
    with toy_run(Path(directory) / str(os.getpid()) / "s", storage=url, join=True) as run:
        run_trials(run, propose, InProcess(evaluate), objective, TRIALS)


def start(url: str, directory: Path) -> subprocess.Popen[str]:
    code = "import sys; from tests.trials.test_postgres import drive; drive(*sys.argv[1:])"
    command = [sys.executable, "-c", code, url, str(directory)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool], drivers: list[subprocess.Popen[str]]) -> None:
    while not condition():
        for driver in drivers:
            assert driver.poll() is None, driver.communicate()[1]
        time.sleep(0.01)


def evaluations(directory: Path) -> list[tuple[int, int]]:
    """(seed, process) of every evaluation that was begun."""
    names = (path.name.split(".") for path in directory.glob("*.*"))
    return sorted((int(seed), int(process)) for seed, process in names)


def decision(record: Record) -> tuple[Any, ...]:
    return record.number, record.params, record.spec, record.seed, record.values


def undisturbed() -> list[tuple[Any, ...]]:
    with toy_run(None) as run:
        run_trials(run, propose, InProcess(stamped), objective, TRIALS)
        return [decision(record) for record in run.finished()]


def check_whole(url: str, run_dir: Path) -> None:
    """Every trial asked for is there once, as a lone driver would have left it."""
    view = read_run(run_dir, from_json=Toy.from_json)
    assert [decision(record) for record in view.finished()] == undisturbed()
    states = {trial.state for trial in view.study.trials[TRIALS:]}
    assert states <= {TrialState.WAITING}  # asked for by two drivers at once, and given back


@pytest.mark.parametrize("killed", [False, True])
def test_three_drivers(killed: bool, url: str, tmp_path: Path) -> None:
    drivers = [start(url, tmp_path) for _ in range(3)]
    try:
        # All meet the empty database at about the same time, and each one has begun a trial.
        wait_until(lambda: len(evaluations(tmp_path)) == 3, drivers)
        victim, before = drivers[0], evaluations(tmp_path)
        if killed:
            victim.send_signal(signal.SIGKILL)
            victim.communicate()
            drivers.remove(victim)
        (tmp_path / "go").touch()
        for driver in drivers:
            _, said = driver.communicate(timeout=120)
            assert driver.returncode == 0, said
    finally:
        for driver in drivers:
            with driver:
                driver.kill()
    check_whole(url, tmp_path / str(drivers[0].pid) / "s")
    again = evaluations(tmp_path)
    if killed:
        (lost,) = (entry for entry in before if entry[1] == victim.pid)
        taken_over = [entry for entry in again if entry[0] == lost[0] and entry != lost]
        # By one survivor as a rule; by both where they look at the same moment, and one counts.
        assert 1 <= len(taken_over) <= 2
        again = [entry for entry in again if entry not in taken_over]
    assert sorted(seed for seed, _ in again) == sorted(trial_seed(7, n) for n in range(TRIALS))


def test_one_driver_resumes_and_reads(url: str, tmp_path: Path) -> None:
    for trials in (2, 5):
        with toy_run(tmp_path / "s", storage=url, resume=trials > 2) as run:
            run_trials(run, propose, InProcess(stamped), objective, trials)
    found = read_run(tmp_path / "s", from_json=Toy.from_json).finished()
    assert [decision(record) for record in found] == undisturbed()[:5]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    url = f"postgresql://me:secret@/any?host={tmp_path}"
    with pytest.raises(ValueError, match="cannot open storage") as caught:
        toy_run(tmp_path / "s", storage=url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
