"""What every search is wired with alike: a runner for its trainings, a bar, an end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial

from trials.loop import Ended, Objective, Propose, run_trials
from trials.record import Evaluation
from trials.store.run import Run
from trials.store.view import Record
from trials.workers.pool import Executor, InProcess, ProcessPool, check_positive
from trials.workers.worker import Evaluate

# (run, trials) → a context manager that sees each finished record, as `trials.progress.Progress`;
# a search may add `what` it scores records by, and the `score`
Watch = Callable[..., AbstractContextManager[Callable[[Record], None]]]


@dataclass(frozen=True)
class Means:
    """What trainings run with.

    executor   makes their runner, once the search's arguments have been checked
    minutes    no new training begins after so long
    progress   makes what sees each finished record, from the run and the number of trials

    Raises ValueError for minutes that are not positive.
    """

    executor: Callable[[], Executor]
    minutes: float | None = None
    progress: Watch | None = None

    def __post_init__(self) -> None:
        check_positive(minutes=self.minutes)


def processes(evaluate: Evaluate, workers: int) -> Callable[[], Executor]:
    """`Means.executor` of so many processes; 1 is this one, in which any callable will do.

    Raises ValueError for workers that are not positive.
    """
    check_positive(workers=workers)
    if workers == 1:
        return partial(InProcess, evaluate)
    return partial(ProcessPool, evaluate, workers)


def conduct(
    run: Run,
    propose: Propose,
    objective: Objective,
    trials: int,
    means: Means,
    *,
    stop: Callable[[Run], bool] | None = None,
) -> Ended:
    """`trials.loop.run_trials` of an open run with a runner that is closed at its end."""
    with ExitStack() as stack:
        runner = means.executor()
        stack.callback(runner.close)
        shown = stack.enter_context(means.progress(run, trials)) if means.progress else None
        return run_trials(
            run,
            propose,
            runner,
            objective,
            trials,
            on_result=shown,
            stop=stop,
            max_seconds=None if means.minutes is None else 60 * means.minutes,
        )


def accuracy(_: Record, evaluation: Evaluation) -> list[float]:
    """The objective of searches that maximise accuracy."""
    return [evaluation.accuracy]
