"""When a training is written down, and where: one file, whole or not at all.

``checkpoint.safetensors`` holds a training's ``State``, the facts as JSON in its header; nothing in
it is executed when it is read. It is written beside its place and moved there, so that a kill at
any moment leaves the one before.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from models.pretrained import read_described
from training.loop.checkpoints.state import Run, State, restore, state_of
from trials.store.disk import sync_directory

FILE_NAME = "checkpoint.safetensors"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Halted(KeyboardInterrupt):
    """A training that was asked to stop, after its checkpoint was written."""

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"after step {step:,} of {steps:,}")
        self.step, self.steps = step, steps


class Keeper:
    """Writes a training down every ``minutes``, when it is asked to stop, and at its end.

    of       facts that tell the training from others, JSON; a checkpoint of another is refused
    seconds  that the trainings took which the one in hand goes on from

    Raises ValueError for minutes below 0; 0 writes before every step.
    """

    def __init__(
        self,
        directory: Path,
        minutes: float,
        of: dict[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not minutes >= 0:
            raise ValueError(f"{minutes} minutes between checkpoints must be at least 0")
        self.path, self.of, self.seconds = directory / FILE_NAME, of, 0.0
        self._every, self._clock = 60 * minutes, clock
        self._started = self._written = clock()
        self._asked = False

    def read(self) -> State | None:
        """What was written last; None where nothing was.

        Raises ValueError for a file that is damaged, or of another training.
        """
        if not self.path.exists():
            return None
        try:
            tensors, told = read_described(str(self.path))
            facts = json.loads(told["facts"])
            others = dict(facts["of"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path} cannot be read ({error}): remove it to begin the training again"
            ) from error
        for name, mine in self.of.items():
            if (other := others.get(name)) != mine:
                raise ValueError(
                    f"{self.path} is of another training, its {name} {other!r:.80} and not "
                    f"{mine!r:.80}: choose another --out"
                )
        return State(tensors, facts)

    def begin(self, run: Run, **facts: Any) -> None:
        """Go on where the file says, if there is one; from now on ``run`` is kept, with these
        further facts."""
        if (state := self.read()) is not None:
            restore(run, state)
            self.seconds = state.facts["seconds"]
        self._started = self._written = self._clock()

        def between() -> None:
            due = self._clock() - self._written >= self._every
            asked, due = run.among.any(self._asked, due)
            if asked or due:
                self.write(run, **facts)
            if asked:
                raise Halted(run.step, run.steps)

        run.between = between

    def write(self, run: Run, **facts: Any) -> None:
        """Keep ``run``, which is between two steps, on the disk when this returns; the first of
        several processes writes it."""
        tensors, own = state_of(run)
        self._written = self._clock()
        if not run.among.is_first:
            return
        own |= facts | {"of": self.of, "seconds": self.seconds + self._clock() - self._started}
        # Not tempfile's: only its owner may read such a file, and a run directory may be a group's.
        partial = self.path.with_name(f"{FILE_NAME}.{uuid.uuid4().hex}.part")
        try:
            save_file(tensors, partial, {"facts": json.dumps(own)})
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(self.path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_directory(self.path.parent)

    def forget(self) -> None:
        """Remove what was written: the training begins anew, or is over."""
        for path in (self.path, *self.path.parent.glob(f"{FILE_NAME}.*.part")):
            path.unlink(missing_ok=True)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """A block in which Ctrl-C and SIGTERM ask the training to stop between two steps.

        A second Ctrl-C stops it at once: what was written before stays. (Not SIGTERM, which
        torchrun sends after the terminal's Ctrl-C has arrived.) Outside the main thread, where
        Python hears no signals, nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.getsignal(one) for one in _SIGNALS}

        def hear(number: int, frame: object) -> None:
            if self._asked and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._asked = True

        try:
            for one in _SIGNALS:
                signal.signal(one, hear)
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
