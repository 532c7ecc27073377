"""Several drivers on one shared study: who is alive, and whose trials may be taken over.

No two machines' clocks are compared. Of a driver in the same process table it can be seen whether
its process runs. Of any other one, only whether its beat changes from one look to the next, and
looks are as far apart as beats.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import uuid
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from trials.store.process import Process, is_running, this_process

BEAT_SECONDS = 20.0
# A slow database must not look like a death. A wrong guess wastes one training, nothing else:
# whichever driver finishes the trial first counts.
MISSES = 6

Fate = Literal["alive", "gone", "unknown"]

_log = logging.getLogger(__name__)


class _Seen(NamedTuple):
    """A driver's last beat, how many looks since found the same, and whether it ever changed."""

    beat: object
    misses: int = 0
    changed: bool = False

    def then(self, beat: object) -> _Seen:
        """At the next look."""
        if beat != self.beat:
            return _Seen(beat, changed=True)
        return self._replace(misses=self.misses + 1)


class Driver:
    """This process as a driver of a shared study: it signs its trials and beats while it lives."""

    def __init__(self, study: optuna.Study) -> None:
        # Host and pid are for people to read; nothing is concluded from them.
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        self.study = study
        self._process = this_process()
        self._seen: dict[str, _Seen] = {}
        self._closed = threading.Event()
        self._beat()
        self.look()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop beating and say so: what is unfinished is the others'. Harmless when repeated."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # the others will miss its beats
            self.study.set_user_attr(_key(self.name), {"ended": _now()})

    def orphans(self, *, wait: bool) -> list[FrozenTrial]:
        """Unfinished trials whose driver is gone.

        With `wait`, where there are none, not before it is known of each driver whether it lives:
        of one that was killed elsewhere, after six missed beats.
        """
        found = self._fates()
        if wait and _is_open(found):
            _log.warning("waiting to see whether the drivers of unfinished trials live")
        while wait and _is_open(found):
            self.wait()
            found = self._fates()
        return [trial for trial, fate in found if fate == "gone"]

    def fate(self, trial: FrozenTrial, study_attrs: dict[str, Any]) -> Fate:
        """What is known of the driver that began this unfinished trial.

        A trial that nobody signed was begun just now, or its driver died before it could.
        """
        if trial.user_attrs.get("driver") == self.name:
            return "alive"
        key = _driver_of(trial)
        beat = study_attrs.get(key)
        seen = self._seen.get(key, _Seen(beat))
        runs = _runs(beat)
        if runs is False or (seen.beat == beat and seen.misses >= MISSES):
            return "gone"
        return "alive" if runs or seen.changed or seen.beat != beat else "unknown"

    def look(self) -> None:
        """See whose beat has changed; to be called `BEAT_SECONDS` after the last time."""
        attrs, running = self._unfinished()
        keys = {name for name in attrs if name.startswith(_key(""))} | set(map(_driver_of, running))
        before = self._seen
        self._seen = {
            key: before[key].then(attrs.get(key)) if key in before else _Seen(attrs.get(key))
            for key in keys
        }

    def wait(self) -> None:
        """Until another look may have told more."""
        self._closed.wait(BEAT_SECONDS / 4)

    def _live(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            # A database that is away for a moment is met again at the next beat, and no beat of
            # the others is missed meanwhile; one that stays away stops the search itself, with its
            # own error.
            with contextlib.suppress(Exception):
                self._beat()
                self.look()

    def _beat(self) -> None:
        self.study.set_user_attr(_key(self.name), {"beat": _now(), "process": self._process})

    def _fates(self) -> list[tuple[FrozenTrial, Fate]]:
        attrs, running = self._unfinished()
        return [(trial, self.fate(trial, attrs)) for trial in running]

    def _unfinished(self) -> tuple[dict[str, Any], list[FrozenTrial]]:
        """The study's attributes, and its trials that were begun.

        The attributes come second: a trial's driver has set its own before it signs.
        """
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return self.study.user_attrs, running


def _is_open(found: list[tuple[FrozenTrial, Fate]]) -> bool:
    fates = {fate for _, fate in found}
    return "gone" not in fates and "unknown" in fates


def _key(name: str) -> str:
    return f"driver {name}"


def _driver_of(trial: FrozenTrial) -> str:
    """The study's attribute of its driver; where it is not signed, a name of its own."""
    name = trial.user_attrs.get("driver")
    return f"trial {trial.number}" if name is None else _key(name)


def _runs(beat: object) -> bool | None:
    """Whether the process of that beat runs; None where that cannot be seen from here."""
    match beat:
        case {"ended": _}:
            return False
        case {"process": [str(table), int(pid), int(started)]}:
            return is_running(Process(table, pid, started))
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat()
