"""The driver's end of one worker: start it, talk to it, notice its death, replace it."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from multiprocessing import get_context
from typing import TYPE_CHECKING

from trials.record import Failure, Outcome, Rungs
from trials.workers.environment import child_environment
from trials.workers.worker import serve

if TYPE_CHECKING:
    from models.spec import ArchSpec

    Ended = tuple[int, Outcome]

# Spawned, not forked: a forked child could not use CUDA, nor hold its own thread settings.
_SPAWN = get_context("spawn")
_PARTING_SECONDS = 5.0
_NO_START = (
    "a worker process ended ({how}) before it could begin. A script that starts a search with "
    'several workers must do so under `if __name__ == "__main__":`; its message, if any, is above'
)


class Handle(ABC):
    """One worker at a time, replaced by another when it dies.

    A worker says ("ready", "") or ("unusable", why) once, then ("done", outcome) for each task.
    """

    _remedy: str
    """What to do where evaluate cannot be loaded."""

    def __init__(self) -> None:
        self._false_starts = 0
        self._renew()

    def _renew(self) -> None:
        self._ready = False
        self.number: int | None = None
        self._since = 0.0
        self._spawn()

    @property
    def busy(self) -> bool:
        """Whether an evaluation is running."""
        return self.number is not None

    @property
    def idle(self) -> bool:
        """Whether a trial can be given to it; not before it has loaded evaluate, which is what
        keeps a long import out of the evaluation's time."""
        return self._ready and self.number is None

    def elapsed(self) -> float:
        """Seconds since the running evaluation was handed over."""
        return time.monotonic() - self._since

    def start(self, number: int, spec: ArchSpec, seed: int, bars: Rungs) -> None:
        """Hand a trial over."""
        self.number, self._since = number, time.monotonic()
        self._send(spec, seed, bars)

    def kill(self, reason: str, kind: str) -> Ended | None:
        """End the worker at once and start another."""
        number, seconds = self.number, self.elapsed()
        self._destroy()
        self._renew()
        return None if number is None else (number, Failure(reason, seconds=seconds, kind=kind))

    @abstractmethod
    def read(self, readable: bool) -> Ended | None:
        """Take what the worker has to say; the trial that ended by it, if one did."""

    @abstractmethod
    def hang_up(self) -> None:
        """Begin to end: a worker that is at work is killed."""

    @abstractmethod
    def end(self) -> None:
        """Wait until it is gone."""

    @abstractmethod
    def _spawn(self) -> None:
        """Start a worker; returns at once."""

    @abstractmethod
    def _send(self, spec: ArchSpec, seed: int, bars: Rungs) -> None:
        """Give the worker a task. One that is dead is found by the next `read`."""

    @abstractmethod
    def _destroy(self) -> None:
        """End the worker at once."""

    def _understand(self, tag: str, message: object) -> Ended | None:
        if tag == "ready":
            self._ready, self._false_starts = True, 0
            return None
        if tag == "unusable":
            raise ValueError(f"evaluate cannot be loaded in a worker: {self._remedy}\n{message}")
        number, self.number = self.number, None
        if number is None or not isinstance(message, Outcome):
            raise RuntimeError(f"a worker sent {message!r} without being asked")
        if isinstance(message, Failure) and _is_poisoned(message):
            self.kill("", "exception")
        return number, message

    def _begun_badly(self, hopeless: bool, most: int) -> bool:
        """Note a death; whether workers die before they are ready, again and again."""
        if self._ready:
            return False
        self._false_starts += 1
        return hopeless or self._false_starts >= most


class WorkerProcess(Handle):
    """A process on this machine, replaced under the same environment."""

    _remedy = (
        "define it at the top level of a module that can be imported (a notebook's cells and an "
        "interpreter's lines are none), or use workers=1"
    )

    def __init__(self, pickled: bytes, variables: dict[str, str]) -> None:
        self._pickled = pickled
        self._variables = variables
        super().__init__()

    def _spawn(self) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=serve, args=(theirs, self._pickled, os.getpid()), daemon=True
        )
        with child_environment(self._variables):
            self._process.start()
        theirs.close()  # else the worker's death would not end the pipe

    def _send(self, spec: ArchSpec, seed: int, bars: Rungs) -> None:
        with suppress(BrokenPipeError):  # it died while idle
            self.connection.send((spec, seed, bars))

    def _destroy(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def read(self, readable: bool) -> Ended | None:
        """Take what the worker has to say; the trial that ended by it, if one did."""
        try:
            if readable or self.connection.poll():
                return self._understand(*self.connection.recv())
        except (EOFError, OSError):
            return self._bury()
        return None if self._process.is_alive() else self._bury()

    def hang_up(self) -> None:
        """Begin to end: an idle worker leaves by itself, one at work is killed."""
        if not self.idle:
            self._process.kill()
        self.connection.close()

    def end(self) -> None:
        """Wait until it is gone."""
        self._process.join(_PARTING_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _bury(self) -> Ended | None:
        self._process.join(_PARTING_SECONDS)
        code = self._process.exitcode
        how = _how(code)
        # An exit is the script's doing and would repeat; a signal may have come by accident.
        if self._begun_badly(hopeless=(code or 0) >= 0, most=3):
            raise RuntimeError(_NO_START.format(how=how))
        return self.kill(f"the worker process died ({how})", "worker died")


def _is_poisoned(failure: Failure) -> bool:
    """After these, a process's device memory or CUDA context is not to be trusted any more."""
    return failure.kind == "out of memory" or "CUDA error" in failure.traceback


def _how(code: int | None) -> str:
    if code is None:
        return "its pipe closed"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name
