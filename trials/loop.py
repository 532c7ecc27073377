"""The one loop of every search: ask, propose, evaluate, tell, until enough is known."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.trial import FrozenTrial

from trials.record import Evaluation, Failure, Outcome
from trials.store.run import Run
from trials.store.view import Proposal, Record, has_outcome
from trials.workers.environment import Libraries
from trials.workers.pool import Executor

Propose = Callable[[optuna.Trial, Run], "Proposal | None"]
Objective = Callable[[Record, Evaluation], Sequence[float]]

# Given a second chance, under the same number and seed: these can come from the machine (another
# process took the memory, the kernel or an operator killed the worker, the node was overloaded).
# An exception or a divergence comes from the network and its seed, and would come again.
RETRIED = frozenset({"worker died", "timeout", "out of memory"})


class SearchFailed(ValueError):
    """The first candidates all failed, so the rest would too; says why the first did.

    A ValueError, because what they have in common is the search's input.
    """


@dataclass(frozen=True)
class Ended:
    """How `run_trials` ended: `finished` trials in the whole study, and what stopped it."""

    finished: int
    reason: Literal["complete", "stopped", "out of time", "exhausted"]


def run_trials(
    run: Run,
    propose: Propose,
    executor: Executor,
    objective: Objective,
    trials: int,
    *,
    on_result: Callable[[Record], None] | None = None,
    stop: Callable[[Run], bool] | None = None,
    max_seconds: float | None = None,
    failures_to_stop: int = 5,
) -> Ended:
    """Bring the study to `trials` trials, numbers 0 … trials - 1, each finished exactly once.

    First what an earlier driver left unfinished is finished, under its own numbers. Then, while
    fewer than `executor.workers` are in flight, `propose` says what to try next (None: nothing is
    left) and `objective` turns its running record and evaluation into the study's values.
    `on_result` sees each finished record. `stop` is asked before each new trial; it and
    `max_seconds` end the proposing, what is in flight is finished. All of these are called in
    this thread.

    Raises SearchFailed when the first `failures_to_stop` candidates (or all, if fewer) fail.
    Whatever is raised, KeyboardInterrupt included, the executor is closed, the study holds every
    finished trial, and the run can be resumed.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    loop = _Loop(run, propose, executor, objective, trials)
    loop.on_result, loop.stop = on_result, stop
    loop.deadline = None if max_seconds is None else time.monotonic() + max_seconds
    loop.failures_left = max(1, min(failures_to_stop, trials - len(run.finished())))
    try:
        loop.go()
    except BaseException:
        executor.close()
        raise
    return Ended(len(run.finished()), loop.reason)


class _Loop:
    on_result: Callable[[Record], None] | None
    stop: Callable[[Run], bool] | None
    deadline: float | None
    failures_left: int

    def __init__(
        self, run: Run, propose: Propose, executor: Executor, objective: Objective, trials: int
    ) -> None:
        self.run = run
        self.propose = propose
        self.executor = executor
        self.libraries = Libraries()
        self.objective = objective
        self.trials = trials
        self.in_flight: dict[int, Record] = {}
        self.reason: Literal["complete", "stopped", "out of time", "exhausted"] = "complete"
        self.succeeded = any(record.state != "failed" for record in run.finished())
        self.interrupted: deque[FrozenTrial] = deque()

    def go(self) -> None:
        self._take_over()
        while True:
            while len(self.in_flight) < self.executor.workers and self._start_one():
                pass
            if self.in_flight:
                self._settle(*self.executor.next())
            elif not (self.run.shared and self._take_over()):
                return  # in a shared study, another driver may have died since we looked

    def _take_over(self) -> bool:
        """Queue what was interrupted; a trial that has its outcome is only told."""
        for trial in self.run.interrupted():
            if has_outcome(trial.user_attrs):
                self._finish(self.run.record(trial))
            else:
                self.interrupted.append(trial)
        return bool(self.interrupted)

    def _start_one(self) -> bool:
        """Start a trial if there is one to start; False when there is no point in calling again."""
        if self.interrupted:
            trial = self.interrupted.popleft()
            if "spec" in trial.user_attrs:
                return self._submit(self.run.record(trial))
            with self.run.unless_finished(trial.number):
                return self._begin(self.run.ask_again(trial.number))
            return True
        if not self._wants_more():
            return False
        asked = self.run.ask()
        if asked.number >= self.trials:  # in a shared study, another driver was faster
            self.run.put_back(asked)
            return False
        return self._begin(asked)

    def _wants_more(self) -> bool:
        if self.reason != "complete" or self.run.started() >= self.trials:
            return False
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = "out of time"
        elif self.stop is not None and self.stop(self.run):
            self.reason = "stopped"
        return self.reason == "complete"

    def _begin(self, trial: optuna.Trial) -> bool:
        # A proposal's linear algebra is small: its threads would only wait for the cores on which
        # the workers train, for seconds at a time.
        with self.libraries.one_thread():
            proposal = self.propose(trial, self.run)
        if proposal is None:
            self.run.put_back(trial)
            self.reason = "exhausted"
            return bool(self.interrupted)
        return self._submit(self.run.begin(trial, proposal))

    def _submit(self, record: Record) -> bool:
        self.in_flight[record.number] = record
        # Executors that know nothing of bars will do for a search that has none.
        bars = (record.bars,) if record.bars else ()
        self.executor.submit(record.number, record.spec, record.seed, *bars)
        return True

    def _settle(self, number: int, outcome: Outcome) -> None:
        record = self.in_flight.pop(number)
        if isinstance(outcome, Failure) and outcome.kind in RETRIED and record.retried is None:
            self._submit(self.run.note_retry(number, outcome))
        else:
            self._finish(self.run.note_outcome(number, outcome))

    def _finish(self, record: Record) -> None:
        if record.stopped is not None:
            values = self.objective(record, record.stopped.evaluation)
            record = self.run.tell_stopped(record.number, record.stopped.share, values)
        else:
            found = record.evaluation
            told = None if found is None else self.objective(record, found)
            record = self.run.tell(record.number, told)
        if self.on_result is not None:
            self.on_result(record)
        self._check_failures(record)

    def _check_failures(self, record: Record) -> None:
        self.succeeded = self.succeeded or record.state != "failed"
        self.failures_left -= 1
        if self.succeeded or self.failures_left > 0:
            return
        first = next(item for item in self.run.finished() if item.failure is not None)
        reason = first.failure.reason if first.failure is not None else ""
        raise SearchFailed(
            f"the search stops: no candidate has succeeded, trial {first.number} failed with: "
            f"{reason}. Put this right, then resume"
        )
