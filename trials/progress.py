"""Show how far a search is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from common.bars import tqdm
from trials.record import Evaluation
from trials.store.view import Record, RunView

_LINE_SECONDS = 10.0


class Progress:
    """Give it to `run_trials` as `on_result`; use as a context manager.

    `trials` is the study's total. What is shown is the highest `score` so far, called `what`, and
    whose it is: no more than that, for what a search chooses in the end weighs more than a single
    training. Counts whatever the run has finished already, but times only what it sees.
    """

    def __init__(
        self,
        run: RunView,
        trials: int,
        *,
        what: str = "accuracy",
        score: Callable[[Record], float] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._what, self._score = what, score or _accuracy
        self._trials = trials
        self._stream = sys.stderr if stream is None else stream
        self._done = self._failed = self._stopped = 0
        self._highest: tuple[float, int] | None = None  # and its trial
        for record in run.finished():
            self._count(record)
        self._before = self._said = self._done
        self._begun = time.monotonic()
        self._shown = self._begun  # when a line was last printed
        self._bar = self._new_bar() if self._stream.isatty() else None

    def __enter__(self) -> Progress:
        if self._bar is None and self._done:
            self._print()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._done > self._said:
            self._print()

    def __call__(self, record: Record) -> None:
        """Count one finished trial and show it, where it is time to."""
        self._count(record)
        if self._bar is not None:
            self._bar.set_postfix_str(self._state(), refresh=False)
            self._bar.update()
        elif self._done - self._before == 1 or time.monotonic() - self._shown >= _LINE_SECONDS:
            self._print()

    def _count(self, record: Record) -> None:
        self._done += 1
        self._failed += record.state == "failed"
        self._stopped += record.state == "stopped"
        if record.state != "complete":
            return
        score = self._score(record)
        if self._highest is None or score > self._highest[0]:
            # Trained again, a network is known by the trial that it was found in.
            self._highest = score, int(record.attrs.get("trial", record.number))

    def _new_bar(self) -> tqdm[Any]:
        bar: tqdm[Any] = tqdm(
            total=self._trials, initial=self._done, unit="trial", file=self._stream
        )
        bar.set_postfix_str(self._state())
        return bar

    def _print(self) -> None:
        self._shown, self._said = time.monotonic(), self._done
        print(self._line(), file=self._stream, flush=True)

    def _line(self) -> str:
        elapsed = time.monotonic() - self._begun
        seen = self._done - self._before
        left = elapsed / seen * max(0, self._trials - self._done) if seen else None
        end = "" if left is None else f", about {_clock(left)} left"
        return f"{self._done}/{self._trials} trials, {self._state()}, {_clock(elapsed)}{end}"

    def _state(self) -> str:
        highest = "no result yet"
        if self._highest is not None:
            highest = "highest {} {:.4f} (trial {})".format(self._what, *self._highest)
        counts = (self._failed, "failed"), (self._stopped, "stopped")
        return ", ".join([highest, *(f"{count} {what}" for count, what in counts if count)])


def _accuracy(record: Record) -> float:
    return record.evaluation.accuracy if isinstance(record.evaluation, Evaluation) else 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
