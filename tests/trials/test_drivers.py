"""Who is alive: judged without comparing two machines' clocks, names or pids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from tests.support.trials_helpers import toy_run
from trials.store import process
from trials.store.drivers import MISSES, Driver, Fate
from trials.store.process import Process, is_running, this_process

ROOT = Path(__file__).parents[2]
ELSEWHERE = Process("another boot pid:[4026531836]", 1, 5)
ME = this_process()
TELL = (
    "import json; from trials.store.process import this_process; print(json.dumps(this_process()))"
)

pytestmark = pytest.mark.skipif(ME is None, reason="no /proc that shows this process")


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver(optuna.create_study())
    yield made
    made.close()


def begun(study: optuna.Study, name: str | None) -> FrozenTrial:
    """A trial that a driver of that name has begun; None: that nobody has signed."""
    study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=name and {"driver": name}))
    return study.trials[-1]


def beat(study: optuna.Study, name: str, at: object, of: Process | None = ELSEWHERE) -> None:
    study.set_user_attr(f"driver {name}", {"beat": at, "process": of})


def fate(driver: Driver, study: optuna.Study, trial: FrozenTrial) -> Fate:
    return driver.fate(trial, study.user_attrs)


def test_this_process_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ME is not None
    assert is_running(ME) is True
    assert is_running(ME._replace(table=ELSEWHERE.table)) is None

    def not_mine(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", not_mine)
    assert is_running(ME) is True


def test_a_pid_given_out_again_is_another_process() -> None:
    assert ME is not None
    assert is_running(ME._replace(started=ME.started - 1)) is False


def test_a_process_that_has_ended() -> None:
    """Also before its parent has waited for it, when its pid is still taken."""
    child = subprocess.Popen([sys.executable, "-c", TELL], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    found = Process(*json.loads(child.stdout.read()))
    assert ME is not None
    assert (found.table, found.pid) == (ME.table, child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_running(found) is False
    child.communicate()
    assert is_running(found) is False


def test_an_entry_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc mounted with hidepid shows no processes of other users."""
    assert ME is not None
    whole = process._state_and_start

    def hidden(pid: int) -> tuple[str, int]:
        if pid != os.getpid():
            raise FileNotFoundError
        return whole(pid)

    monkeypatch.setattr(process, "_state_and_start", hidden)
    assert is_running(ME._replace(pid=os.getppid() or 1)) is None


@pytest.mark.parametrize("mount", [["--mount-proc"], []])
def test_another_namespace_of_pids(mount: list[str]) -> None:
    """A container's first process is pid 1 there, as this machine's is here."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", *mount]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("namespaces are not allowed here")
    command = [*inside, sys.executable, "-c", TELL]
    said = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    if not mount:  # its /proc is still the one outside
        assert said is None
        return
    found = Process(*said)
    assert ME is not None
    assert found.pid == 1
    assert found.table.split()[0] == ME.table.split()[0]  # the same boot
    assert is_running(found) is None


def test_without_proc_only_beats_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", missing)
    assert this_process() is None
    study = optuna.create_study()
    driver = Driver(study)
    beat(study, "other", 1, of=ME)
    assert fate(driver, study, begun(study, "other")) == "unknown"
    driver.close()


def test_what_can_be_seen_at_once(driver: Driver) -> None:
    study, me = driver.study, ME
    assert me is not None
    beat(study, "beside", 1, of=me)
    beat(study, "dead", 1, of=me._replace(started=me.started - 1))
    beat(study, "elsewhere", 1, of=me._replace(table=ELSEWHERE.table))
    study.set_user_attr("driver left", {"ended": "2030-01-01T00:00:00+00:00"})
    found = {
        name: fate(driver, study, begun(study, name))
        for name in (driver.name, "beside", "dead", "elsewhere", "left", None)
    }
    assert list(found.values()) == ["alive", "alive", "gone", "unknown", "gone", "unknown"]


def test_a_driver_says_that_it_ends() -> None:
    study = optuna.create_study()
    first, second = Driver(study), Driver(study)
    trial = begun(study, first.name)
    assert fate(second, study, trial) == "alive"
    first.close()
    first.close()
    assert fate(second, study, trial) == "gone"
    second.close()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, MISSES - 1), max_size=6),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False), st.text()), min_size=7, max_size=7),
)
def test_a_beat_that_changes_is_a_life(silences: list[int], clock: list[Any]) -> None:
    """Whatever the other machine's clock says: forwards, backwards or nothing like a time."""
    study = optuna.create_study()
    driver = Driver(study)
    trial = begun(study, "other")
    try:
        for count, (silence, time) in enumerate(zip(silences, clock, strict=False)):
            beat(study, "other", [count, time])
            for _ in range(silence + 1):
                driver.look()
                assert fate(driver, study, trial) == ("alive" if count else "unknown")
        beat(study, "other", "last")
        driver.look()
        for misses in range(MISSES):
            assert fate(driver, study, trial) != "gone", misses
            driver.look()
        assert fate(driver, study, trial) == "gone"
        beat(study, "other", "after all")
        assert fate(driver, study, trial) == "alive"
    finally:
        driver.close()


@pytest.mark.parametrize("hours", [-14, 0, 14])
def test_nobodys_trial_is_judged_by_how_long_it_was_watched(driver: Driver, hours: int) -> None:
    """Optuna stores when it began in the local time of wherever that was."""
    trial = create_trial(state=TrialState.RUNNING)
    trial.datetime_start = datetime.now() + timedelta(hours=hours)
    driver.study.add_trial(trial)
    (trial,) = driver.study.trials
    for _ in range(MISSES + 1):
        assert fate(driver, driver.study, trial) == "unknown"
        driver.look()
    assert fate(driver, driver.study, trial) == "gone"


@pytest.mark.parametrize("stored", [None, 0.0, 1.7e9, {}, {"process": [1, 2]}, "text"])
def test_beats_of_other_versions_must_only_change(driver: Driver, stored: object) -> None:
    study = driver.study
    trial = begun(study, "host:1:abc")
    if stored is not None:
        study.set_user_attr("driver host:1:abc", stored)
    for _ in range(MISSES + 1):
        assert fate(driver, study, trial) == "unknown"
        driver.look()
    assert fate(driver, study, trial) == "gone"


def test_no_beat_is_missed_while_the_database_is_away(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = driver.study
    trial = begun(study, "other")
    beat(study, "other", 1)
    driver.look()
    own = study.user_attrs[f"driver {driver.name}"]
    turns = iter([False] * 20 + [True])
    monkeypatch.setattr(driver._closed, "wait", lambda _: next(turns))

    def away(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(study, "set_user_attr", away)
        driver._live()
    assert fate(driver, study, trial) == "unknown"
    turns = iter([False] * MISSES + [True])
    driver._live()
    assert fate(driver, study, trial) == "gone"
    assert study.user_attrs[f"driver {driver.name}"] != own


def test_the_first_look_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be other work; a driver that has none waits until it knows."""
    url = f"sqlite:///{tmp_path}/study.db"
    with toy_run(tmp_path / "s", storage=url, join=True) as run:
        silent, lively, nobodys = run.ask(), run.ask(), run.ask()
        silent.set_user_attr("driver", "silent")
        lively.set_user_attr("driver", "lively")
        run.study.add_trial(create_trial(state=TrialState.RUNNING))
        beat(run.study, "silent", 1)
        waits: list[int] = []

        def wait() -> None:
            waits.append(len(waits))
            beat(run.study, "lively", len(waits))
            driver.look()

        driver = run._driver
        assert driver is not None
        monkeypatch.setattr(driver, "wait", wait)
        assert run.interrupted() == []
        assert waits == []
        found = [trial.number for trial in run.interrupted()]
        assert found == [silent.number, nobodys.number + 1]
        assert len(waits) == MISSES + 1
        assert run.interrupted() == []
        assert len(waits) == MISSES + 1


def test_a_driver_that_comes_back_ends_the_wait(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = driver.study
    begun(study, "other")
    beat(study, "other", 1)
    driver.look()
    monkeypatch.setattr(driver, "wait", lambda: beat(study, "other", 2))
    assert driver.orphans(wait=True) == []
    assert caplog.messages == ["waiting to see whether the drivers of unfinished trials live"]
    caplog.clear()
    driver.look()
    assert driver.orphans(wait=True) == []
    assert caplog.messages == []
