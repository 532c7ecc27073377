"""Where evaluations run: in this process, or in worker processes that may die without harm."""

from __future__ import annotations

import os
import pickle
import sys
from collections import deque
from collections.abc import Collection, Sequence
from multiprocessing import connection
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from trials.record import Outcome, Rungs
from trials.workers.environment import (
    device_variables,
    share_variables,
    thread_variables,
    threads_each,
)
from trials.workers.handle import Handle, WorkerProcess
from trials.workers.worker import Evaluate, attempt

if TYPE_CHECKING:
    from models.spec import ArchSpec

_LONGEST_WAIT = 1.0  # seconds; a worker's forked children can keep its pipe open after its death

H = TypeVar("H", bound=Handle)


class Executor(Protocol):
    """Evaluates up to `workers` networks at a time; each one submitted comes back exactly once."""

    @property
    def workers(self) -> int:
        """How many evaluations run at once."""

    def submit(self, number: int, spec: ArchSpec, seed: int, bars: Rungs = ()) -> None:
        """Take a trial; returns at once. `bars` are for `evaluate`, where there are any."""

    def next(self) -> tuple[int, Outcome]:
        """Wait for a trial to end. Raises ValueError where none is in flight."""

    def close(self) -> None:
        """Stop everything, evaluations in flight too; harmless when repeated."""


class _Closing:
    """`with executor:` closes it, however the block ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class InProcess(_Closing):
    """One at a time in the calling process: any callable will do, and its crash is this one's.

    KeyboardInterrupt passes through `next`.
    """

    workers = 1

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._tasks: deque[tuple[int, ArchSpec, int, Rungs]] = deque()

    def submit(self, number: int, spec: ArchSpec, seed: int, bars: Rungs = ()) -> None:
        """Take a trial; `next` evaluates it."""
        self._tasks.append((number, spec, seed, bars))

    def next(self) -> tuple[int, Outcome]:
        """Evaluate the oldest trial. Raises ValueError where none was submitted."""
        if not self._tasks:
            raise ValueError("no trial is in flight: submit one first")
        number, spec, seed, bars = self._tasks.popleft()
        return number, attempt(self._evaluate, spec, seed, bars)

    def close(self) -> None:
        """Forget what was submitted."""
        self._tasks.clear()


class Pool(_Closing, Generic[H]):
    """Workers behind handles, one for each of `workers` trials at a time; the others wait here.

    An evaluation longer than `timeout` seconds is killed, a worker that dies is a `Failure`; both
    are replaced. Raises ValueError for numbers that are not positive.
    """

    def __init__(self, workers: int, timeout: float | None) -> None:
        check_positive(workers=workers, timeout=timeout)
        self.workers = workers
        self._timeout = timeout
        self._tasks: deque[tuple[int, ArchSpec, int, Rungs]] = deque()
        self._done: deque[tuple[int, Outcome]] = deque()
        self._handles: list[H] = []

    def submit(self, number: int, spec: ArchSpec, seed: int, bars: Rungs = ()) -> None:
        """Take a trial; it starts as soon as a worker is free."""
        self._tasks.append((number, spec, seed, bars))
        self._hand_out()

    def next(self) -> tuple[int, Outcome]:
        """Wait for a trial to end.

        Raises ValueError where none is in flight or evaluate cannot be loaded in a worker, and
        RuntimeError where a worker cannot even start.
        """
        while not self._done:
            if not self._tasks and all(handle.number is None for handle in self._handles):
                raise ValueError("no trial is in flight: submit one first")
            self._hand_out()
            self._wait()
        return self._done.popleft()

    def close(self) -> None:
        """Kill workers that are at work, let the idle ones end."""
        self._tasks.clear()
        for handle in self._handles:
            handle.hang_up()
        for handle in self._handles:
            handle.end()
        self._handles.clear()

    def _readable(self, seconds: float) -> Collection[H]:
        """Handles whose workers have something to say; waits for one at most so many seconds."""
        raise NotImplementedError

    def _hand_out(self) -> None:
        for handle in self._handles:
            if self._tasks and handle.idle:
                handle.start(*self._tasks.popleft())

    def _wait(self) -> None:
        """Until some worker has something to say, has died or is over its time."""
        longest = _LONGEST_WAIT
        if self._timeout is not None:
            left = [self._timeout - handle.elapsed() for handle in self._handles if handle.busy]
            longest = max(0.0, min([longest, *left]))
        readable = self._readable(longest)
        for handle in self._handles:
            ended = handle.read(handle in readable)
            if ended is None and handle.busy and self._overdue(handle):
                ended = handle.kill(f"no result within {self._timeout} s", "timeout")
            if ended is not None:
                self._done.append(ended)

    def _overdue(self, handle: H) -> bool:
        return self._timeout is not None and handle.elapsed() >= self._timeout


class ProcessPool(Pool[WorkerProcess]):
    """`workers` processes, each evaluating one network at a time.

    `devices` ("cpu", "cuda:0", …) are dealt out in turn, each worker seeing its own alone, as
    "cuda"; `threads` is what each may use (None: `threads_each`); an evaluation longer
    than `timeout` seconds is killed. A worker that dies is a `Failure` and is replaced. Workers
    die with this process. Raises ValueError for an evaluate that cannot be pickled.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        workers: int,
        *,
        devices: Sequence[str] | None = None,
        threads: int | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(workers, timeout)
        check_positive(threads=threads)
        if devices is not None and not devices:
            raise ValueError("devices must name at least one, or be None")
        pickled = _pickled(evaluate)
        places = [device_variables(device) for device in devices or ()] or [{}]
        share = {
            **thread_variables(threads or threads_each(workers)),
            **share_variables(workers, -(-workers // len(places))),
        }
        for index in range(workers):
            variables = {**share, **places[index % len(places)]}
            self._handles.append(WorkerProcess(pickled, variables))

    def _readable(self, seconds: float) -> Collection[WorkerProcess]:
        ready = connection.wait([handle.connection for handle in self._handles], seconds)
        return [handle for handle in self._handles if handle.connection in ready]


def _check_program() -> None:
    """A spawned process begins by loading the program, which standard input gives only once."""
    program = sys.modules["__main__"]
    file = getattr(program, "__file__", None)
    if getattr(program, "__spec__", None) is None and file and not os.path.exists(file):
        raise ValueError(
            f"worker processes cannot load a program that is no file ({file}): save it as a "
            "script, or use workers=1"
        )


def check_positive(**values: float | None) -> None:
    """Raises ValueError, naming the value, for one that is neither positive nor None."""
    for name, value in values.items():
        if value is not None and not value > 0:  # NaN is not
            raise ValueError(f"{name} must be positive, got {value}")


def _pickled(evaluate: Evaluate) -> bytes:
    _check_program()
    try:
        return pickle.dumps(evaluate)
    except Exception as error:
        raise ValueError(
            f"evaluate {evaluate!r} cannot be sent to worker processes ({error}): make it a "
            "function or object defined at the top level of a module, or use workers=1"
        ) from error
