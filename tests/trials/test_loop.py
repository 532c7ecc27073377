"""The loop: what it asks for, what it makes of failures, when it ends."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.support.trials_helpers import (
    SAMPLERS,
    Toy,
    accuracy,
    objective,
    pid_of,
    propose,
    stamped,
    toy_run,
)
from trials.loop import SearchFailed, run_trials
from trials.progress import Progress
from trials.record import Evaluation, Failure
from trials.store.study import Proposal, Record, Run, read_run
from trials.workers.pool import InProcess, ProcessPool


class Scripted:
    """An executor whose outcomes are told in advance, by trial number and attempt."""

    def __init__(self, workers: int, outcome: Callable[[int, int], Any]) -> None:
        self.workers = workers
        self.outcome = outcome
        self.queue: list[int] = []
        self.seeds: list[int] = []
        self.attempts: dict[int, int] = {}
        self.most = 0
        self.closed = False

    def submit(self, number: int, spec: Any, seed: int) -> None:
        self.queue.append(number)
        self.seeds.append(seed)
        self.most = max(self.most, len(self.queue))

    def next(self) -> tuple[int, Evaluation | Failure]:
        number = self.queue.pop(-1)  # out of order, as workers may
        self.attempts[number] = self.attempts.get(number, 0) + 1
        outcome = self.outcome(number, self.attempts[number])
        if isinstance(outcome, BaseException):
            raise outcome
        return number, outcome

    def close(self) -> None:
        self.closed = True


GOOD = Evaluation(0.5, seed=0, seconds=1.0)


def bad(kind: str = "exception") -> Failure:
    return Failure("KeyError: 'no such layer'", kind=kind)


def states(run: Run) -> list[str]:
    return [trial.state.name for trial in run.study.get_trials(deepcopy=False)]


def test_every_number_once_and_workers_kept_busy() -> None:
    executor = Scripted(3, lambda number, attempt: GOOD)
    seen: list[Record] = []
    with toy_run(None) as run:
        ended = run_trials(run, propose, executor, objective, 10, on_result=seen.append)
        assert (ended.finished, ended.reason) == (10, "complete")
        assert sorted(record.number for record in seen) == list(range(10))
        assert [record.number for record in run.finished()] == list(range(10))
        assert executor.most == 3
        assert run_trials(run, propose, executor, objective, 10).finished == 10
        assert run_trials(run, propose, executor, objective, 12).finished == 12
        assert max(executor.attempts.values()) == 1


def test_closures_and_plain_accuracies() -> None:
    offset = 0.1
    with toy_run(None) as run, InProcess(lambda spec, seed: offset) as executor:
        run_trials(run, propose, executor, objective, 2)
        assert [record.values for record in run.finished()] == [(0.1,), (0.1,)]


def test_failures_are_records_and_the_search_goes_on() -> None:
    executor = Scripted(1, lambda number, attempt: bad() if number % 2 else GOOD)
    with toy_run(None) as run:
        run_trials(run, propose, executor, objective, 6)
        failed = run.finished()[1]
        assert (failed.state, failed.values, failed.failure) == ("failed", None, bad())
        assert states(run) == ["COMPLETE", "FAIL"] * 3


@pytest.mark.parametrize("kind", ["worker died", "timeout", "out of memory"])
def test_accidents_get_a_second_chance(kind: str) -> None:
    def outcome(number: int, attempt: int) -> Evaluation | Failure:
        return bad(kind) if number == 2 or (number == 1 and attempt == 1) else GOOD

    executor = Scripted(1, outcome)
    with toy_run(None) as run:
        run_trials(run, propose, executor, objective, 4)
        assert executor.attempts == {0: 1, 1: 2, 2: 2, 3: 1}
        assert executor.seeds[1] == executor.seeds[2]
        once, twice = run.finished()[1:3]
        assert (once.state, once.retried, once.failure) == ("complete", bad(kind), None)
        assert (twice.state, twice.retried, twice.failure) == ("failed", bad(kind), bad(kind))


@pytest.mark.parametrize("kind", ["exception", "diverged"])
def test_what_would_come_again_gets_none(kind: str) -> None:
    executor = Scripted(1, lambda number, attempt: bad(kind) if number else GOOD)
    with toy_run(None) as run:
        run_trials(run, propose, executor, objective, 3)
        assert set(executor.attempts.values()) == {1}


@pytest.mark.parametrize(("trials", "tried"), [(10, 5), (3, 3)])
def test_a_search_that_only_fails_stops(trials: int, tried: int, tmp_path: Path) -> None:
    executor = Scripted(1, lambda number, attempt: bad())
    with toy_run(tmp_path) as run, pytest.raises(SearchFailed, match="no such layer"):
        run_trials(run, propose, executor, objective, trials)
    assert executor.closed
    with toy_run(tmp_path, resume=True) as run:
        assert len(run.finished()) == tried
        run_trials(run, propose, Scripted(1, lambda number, attempt: GOOD), objective, trials)
        assert len(run.finished()) == trials


def test_failures_after_a_success_do_not_stop() -> None:
    executor = Scripted(1, lambda number, attempt: bad() if number else GOOD)
    with toy_run(None) as run:
        assert run_trials(run, propose, executor, objective, 9).finished == 9


def test_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    def three(trial: optuna.Trial, run: Run) -> Proposal | None:
        proposal = propose(trial, run)
        return proposal if trial.number < 3 else None

    for number, storage in enumerate([None, f"sqlite:///{tmp_path}/study.db"]):
        executor = Scripted(2, lambda number, attempt: GOOD)
        with toy_run(tmp_path / str(number), storage=storage) as run:
            ended = run_trials(run, three, executor, objective, 10)
            assert (ended.finished, ended.reason) == (3, "exhausted")
            assert "RUNNING" not in states(run)
            ended = run_trials(run, propose, executor, objective, 5)
            assert (ended.finished, ended.reason) == (5, "complete")
            assert [record.number for record in run.finished()] == list(range(5))


def test_stopping_early() -> None:
    executor = Scripted(1, lambda number, attempt: GOOD)
    with toy_run(None) as run:

        def enough(seen: Run) -> bool:
            return len(seen.finished()) >= 4

        ended = run_trials(run, propose, executor, objective, 10, stop=enough)
        assert (ended.finished, ended.reason) == (4, "stopped")
        assert run_trials(run, propose, executor, objective, 10, stop=enough).finished == 4
        ended = run_trials(run, propose, executor, objective, 10, max_seconds=0.0)
        assert (ended.finished, ended.reason) == (4, "out of time")
        assert states(run) == ["COMPLETE"] * 4


def test_ctrl_c_leaves_a_study_to_resume(tmp_path: Path) -> None:
    executor = Scripted(2, lambda number, attempt: KeyboardInterrupt() if number == 3 else GOOD)
    with toy_run(tmp_path) as run, pytest.raises(KeyboardInterrupt):
        run_trials(run, propose, executor, objective, 6)
    assert executor.closed
    with toy_run(tmp_path, resume=True) as run:
        before = run.finished()
        again = Scripted(2, lambda number, attempt: GOOD)
        run_trials(run, propose, again, objective, 6)
        after = run.finished()
        assert [record.number for record in after] == list(range(6))
        assert set(again.attempts).isdisjoint(record.number for record in before)


def test_what_was_evaluated_is_told_not_trained_again(tmp_path: Path) -> None:
    with toy_run(tmp_path) as run:
        record = run.begin(trial := run.ask(), propose(trial, run))
        run.note_outcome(record.number, GOOD)
        record = run.begin(trial := run.ask(), propose(trial, run))
        run.note_outcome(record.number, bad())
    executor = Scripted(1, lambda number, attempt: GOOD)
    with toy_run(tmp_path, resume=True) as run:
        run_trials(run, propose, executor, objective, 3)
        assert executor.attempts == {2: 1}
        assert states(run) == ["COMPLETE", "FAIL", "COMPLETE"]


def test_an_objective_that_raises_keeps_the_evaluation(tmp_path: Path) -> None:
    executor = Scripted(1, lambda number, attempt: GOOD)
    for wrong in ([float("nan")], [1.0, 2.0]):
        with toy_run(tmp_path / str(len(wrong))) as run, pytest.raises(ValueError):
            run_trials(run, propose, executor, lambda record, evaluation, v=wrong: v, 2)
    with toy_run(tmp_path / "1", resume=True) as run:
        run_trials(run, propose, executor, objective, 2)
        assert executor.attempts == {0: 2, 1: 1}  # one in each directory, none again


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("cut", range(4))
def test_a_half_proposed_trial_is_proposed_as_it_would_have_been(
    sampler: str, cut: int, tmp_path: Path
) -> None:
    def halting(trial: optuna.Trial, run: Run) -> Proposal:
        if trial.number == 6:
            names = [("depth", 1, 9), ("width", 0.0, 1.0)]
            for name, low, high in names[:cut]:
                suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
                suggest(name, low, high)
            if cut == 3:
                trial.suggest_categorical("what", ["ok", "fine"])
            raise KeyboardInterrupt
        return propose(trial, run)

    def good(spec: Toy, seed: int) -> float:
        return accuracy(spec, seed)

    with toy_run(None, sampler) as run:
        run_trials(run, propose, InProcess(good), objective, 8)
        whole = [record.params for record in run.finished()]
    url = f"sqlite:///{tmp_path}/study.db" if sampler == "random" else None
    with (
        toy_run(tmp_path / "x", sampler, storage=url) as run,
        pytest.raises(KeyboardInterrupt),
    ):
        run_trials(run, halting, InProcess(good), objective, 8)
    with toy_run(tmp_path / "x", sampler, storage=url, resume=True) as run:
        run_trials(run, propose, InProcess(good), objective, 8)
        assert [record.params for record in run.finished()] == whole
        assert [record.spec.depth for record in run.finished()] == [p["depth"] for p in whole]


def test_processes_behind_the_loop(tmp_path: Path) -> None:
    with toy_run(tmp_path) as run, ProcessPool(pid_of, 2) as pool:
        run_trials(run, propose, pool, objective, 8)
        pids = {record.evaluation.details["pid"] for record in run.finished() if record.evaluation}
    assert pids
    assert os.getpid() not in pids


def test_two_drivers_divide_the_numbers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with (
        toy_run(tmp_path / "s", storage=url, join=True) as one,
        toy_run(tmp_path / "s", storage=url, join=True) as two,
    ):

        def other_first(trial: optuna.Trial, run: Run) -> Proposal:
            if two.started() < 5:  # the other driver fills the study while this one proposes
                run_trials(two, propose, Scripted(1, lambda n, a: GOOD), objective, 5)
            return propose(trial, run)

        run_trials(one, other_first, Scripted(2, lambda n, a: GOOD), objective, 5)
        assert [record.number for record in one.finished()] == list(range(5))
        assert states(one).count("RUNNING") == 0


@pytest.mark.parametrize("moment", ["taken over", "proposed", "trained", "told"])
def test_another_driver_may_finish_first(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both took over what a dead one left, and one's look at the trial comes before its write."""
    url = f"sqlite:///{tmp_path}/study.db"
    with (
        toy_run(tmp_path / "s", storage=url, join=True) as one,
        toy_run(tmp_path / "s", storage=url, join=True) as two,
    ):
        two.ask()
        said: list[str] = []

        def other_finishes(now: str, result: Any = None) -> Any:
            if now == moment and not said:
                trial = two.ask_again(0)
                two.begin(trial, propose(trial, two))
                two.note_outcome(0, GOOD)
                two.tell(0, [0.25])
                said.append(now)
            return result

        def propose_late(trial: optuna.Trial, run: Run) -> Proposal:
            return propose(other_finishes("proposed", trial), run)

        monkeypatch.setattr(one._driver, "fate", lambda *_: other_finishes("taken over", "gone"))
        monkeypatch.setattr(one.study.sampler, "after_trial", lambda *_: other_finishes("told"))
        executor = Scripted(1, lambda n, a: other_finishes("trained", GOOD))
        run_trials(one, propose_late, executor, objective, 3)
        assert said == [moment]
        assert [record.values for record in one.finished()] == [(0.25,), (0.5,), (0.5,)]


@pytest.mark.parametrize("storage", [None, "journal", "sqlite"])
def test_a_lone_driver_does_not_list_its_trials(
    storage: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a trial would be dearer the more there are: listings are as many for 3 as for 9."""

    def listings(trials: int) -> int:
        directory = None if storage is None else tmp_path / str(trials)
        url = f"sqlite:///{tmp_path}/study.db" if storage == "sqlite" else None
        with toy_run(directory, storage=url) as run:
            asked, counted = run.ask(), []
            run.put_back(asked)
            kind = type(asked.storage)
            whole = kind.get_all_trials
            with monkeypatch.context() as patched:
                patched.setattr(
                    kind, "get_all_trials", lambda *a, **k: counted.append(a) or whole(*a, **k)
                )
                run_trials(run, propose, Scripted(2, lambda n, a: GOOD), objective, trials)
            assert states(run) == ["COMPLETE"] * trials
        return len(counted)

    assert listings(3) == listings(9)


def test_trials_that_were_put_back_come_first(tmp_path: Path) -> None:
    for _ in range(2):  # a fresh run, and one that is taken up
        with toy_run(tmp_path, resume=(tmp_path / "run.json").exists()) as run:
            begun = run.started()
            asked = [run.ask() for _ in range(3)]
            assert [trial.number for trial in asked] == [0, 1, 2]
            assert run.started() == begun + 3 == 3
            for trial in asked:
                run.put_back(trial)
            assert run.started() == 0


def test_running_trials_are_not_counted_twice() -> None:
    with toy_run(None) as run:
        run_trials(run, propose, Scripted(8, lambda number, attempt: GOOD), objective, 3)
        assert states(run) == [TrialState.COMPLETE.name] * 3


def test_progress_in_a_log() -> None:
    stream = io.StringIO()
    executor = Scripted(1, lambda number, attempt: bad() if number == 1 else GOOD)
    with toy_run(None) as run:
        run_trials(run, propose, executor, objective, 1)
        with Progress(run, 4, stream=stream) as progress:
            run_trials(run, propose, executor, objective, 4, on_result=progress)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3  # as found, the first, the last
    assert lines[0].startswith("1/4 trials, highest accuracy 0.5000 (trial 0)")
    assert lines[-1].startswith(
        "4/4 trials, highest accuracy 0.5000 (trial 0), 1 failed, 0:00, about 0:00 left"
    )


def test_progress_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    executor = Scripted(1, lambda number, attempt: GOOD)
    with (
        toy_run(None) as run,
        Progress(run, 2, stream=stream, what="reward", score=lambda r: 0.25) as progress,
    ):
        run_trials(run, propose, executor, objective, 2, on_result=progress)
    assert "2/2" in stream.getvalue()
    assert "highest reward 0.2500" in stream.getvalue()


def test_a_reader_beside_a_driver_in_flight(tmp_path: Path) -> None:
    view_states: list[int] = []

    def looking(spec: Toy, seed: int) -> Evaluation:
        view_states.append(len(read_run(tmp_path, from_json=Toy.from_json).finished()))
        return stamped(spec, seed)

    with toy_run(tmp_path) as run:
        begun = time.monotonic()
        run_trials(run, propose, InProcess(looking), objective, 3)
        assert time.monotonic() - begun < 10
    assert view_states == [0, 1, 2]
