"""Several drivers on one shared study: who is alive, and whose trials may be taken over."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from typing import Any

import optuna
from optuna.trial import FrozenTrial

BEAT_SECONDS = 20.0
# Six missed beats: a slow database or a clock some seconds off must not look like a death. A wrong
# guess wastes one training, nothing else: whichever driver finishes the trial first counts.
GONE_SECONDS = 120.0


class Driver:
    """This process as a driver of a shared study: it signs its trials and beats while it lives."""

    def __init__(self, study: optuna.Study) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._study = study
        self._closed = threading.Event()
        study.set_user_attr(self._key(self.name), time.time())
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop beating; harmless when repeated."""
        self._closed.set()
        self._thread.join()

    def is_gone(self, trial: FrozenTrial, study_attrs: dict[str, Any]) -> bool:
        """Whether the driver that began this trial has died."""
        name = trial.user_attrs.get("driver")
        if name == self.name:
            return False
        if name is None:  # begun, and its driver died (or is still busy) before signing it
            begun = trial.datetime_start
            return begun is not None and time.time() - begun.timestamp() > GONE_SECONDS
        host, pid, _ = name.rsplit(":", 2)
        if host == socket.gethostname() and not _is_running(int(pid)):
            return True
        last_beat: float = study_attrs.get(self._key(name), 0.0)
        return time.time() - last_beat > GONE_SECONDS

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            # A database that is away for a moment is met again at the next beat; one that stays
            # away stops the search itself, with its own error.
            with contextlib.suppress(Exception):
                self._study.set_user_attr(self._key(self.name), time.time())

    @staticmethod
    def _key(name: str) -> str:
        return f"driver {name}"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
