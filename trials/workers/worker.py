"""One evaluation, and the process that makes them one after another."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from common.host_memory import is_out_of_memory
from trials.record import Evaluation, Failure, Outcome, Rungs, Stopped, as_evaluation

if TYPE_CHECKING:
    from models.spec import ArchSpec

# (spec, seed), and the bars where the search stops trainings early
Evaluate = Callable[..., "Evaluation | Stopped | float"]

_LONGEST_TRACEBACK = 8000  # characters; it is stored with the trial, and its end says what happened
_PR_SET_PDEATHSIG = 1


def attempt(evaluate: Evaluate, spec: ArchSpec, seed: int, bars: Rungs = ()) -> Outcome:
    """Evaluate once; whatever goes wrong is a `Failure`. KeyboardInterrupt passes through.

    `evaluate` is given `bars` where there are any: the accuracies below which it may return what
    it has as `Stopped`.
    """
    begun = time.perf_counter()
    try:
        value = evaluate(spec, seed, bars) if bars else evaluate(spec, seed)
        return as_evaluation(value, seed, time.perf_counter() - begun)
    except (Exception, SystemExit) as error:
        return Failure(
            reason=f"{type(error).__name__}: {error}".strip().partition("\n")[0],
            traceback=traceback.format_exc()[-_LONGEST_TRACEBACK:],
            seconds=time.perf_counter() - begun,
            kind=_kind(error),
        )


def _kind(error: BaseException) -> str:
    if is_out_of_memory(error):
        return "out of memory"
    return "diverged" if isinstance(error, FloatingPointError) else "exception"


def serve(connection: Connection, pickled: bytes, driver: int) -> None:
    """A worker's whole life: ("ready" | "unusable", text), then one ("done", outcome) per task.

    Ends at None, at the connection's end, and with the driver, whose process id is `driver`.
    """
    _die_with(driver)
    _die_first()
    with suppress(OSError):  # the driver hung up: nothing is left to do, and nobody to tell
        _serve(connection, pickled)


def _serve(connection: Connection, pickled: bytes) -> None:
    # A Ctrl-C goes to the whole terminal group; it is the driver's to act on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        evaluate: Evaluate = pickle.loads(pickled)
    except Exception:
        connection.send(("unusable", traceback.format_exc()))
        return
    connection.send(("ready", ""))
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(("done", attempt(evaluate, *task)))


def _die_with(driver: int) -> None:
    """A worker in the middle of a training sees no closed pipe: have the kernel end it."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != driver:  # it died before the line above
        os._exit(1)


def _die_first() -> None:
    """Where memory runs out for all, let the kernel end a worker, which is replaced, and not the
    driver or anything else on the machine."""
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("1000")
