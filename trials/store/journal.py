"""The study's log on disk: Optuna's journal, and what to do with what a killed process left."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from trials.store.disk import sync_directory
from trials.store.view import has_outcome


class _NoLock(JournalFileOpenLock):
    """The directory's own lock stands guard already, for the driver's whole life.

    Optuna's lock files outlive a killed holder and are then waited for, half a minute or (a
    symlink by a relative path) for ever; and a Ctrl-C in their `acquire` becomes a RuntimeError.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Backend(JournalFileBackend):
    """Optuna's file backend, syncing what must outlive a power cut: a trial's outcome.

    Whatever is lost with no outcome behind it, the same seed decides again; an outcome is not
    written before all else is synced. What is written, synced or not, outlives the process. A
    failed write says what it means to the person who sees it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_NoLock(str(path)))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            self.write(logs)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror or error}; every finished trial is safe: put this right (free "
                "space?), then resume. Could not write",
                str(self.path),
            ) from error

    def write(self, logs: list[dict[str, Any]]) -> None:
        """A line for each."""
        outcome = any(map(_is_outcome, logs))
        with self.path.open("ab") as file:
            if outcome:
                os.fsync(file.fileno())
            for log in logs:
                file.write(json.dumps(log, separators=(",", ":")).encode() + b"\n")
            file.flush()
            if outcome:
                os.fsync(file.fileno())


def _is_outcome(log: dict[str, Any]) -> bool:
    return has_outcome(log.get("user_attr", {}))


def open_journal(path: Path) -> JournalStorage:
    """Open the journal for its only writer, who must hold the directory's lock.

    Cuts off what a kill, a full disk or a power cut left unfinished at its end. Raises ValueError
    where the log is damaged anywhere else.
    """
    if path.exists():
        cut_torn_tail(path)
    storage = _load(path)
    sync_directory(path.parent)
    return storage


def read_journal(path: Path) -> JournalStorage:
    """Open the journal for reading, lock-free: an append in progress is a torn tail, passed over.

    Raises ValueError where there is none or it is damaged.
    """
    if not path.exists():  # the backend would create it
        raise ValueError(f"{path} does not exist: not a run directory, or its study is elsewhere")
    return _load(path)


def _load(path: Path) -> JournalStorage:
    try:
        return JournalStorage(Backend(path))
    except OSError:
        raise
    except Exception as error:  # Optuna trusts each line to be one of its own
        raise ValueError(
            f"{path} is damaged before its last line ({error!r:.200}): restore it from a copy"
        ) from error


def cut_torn_tail(path: Path) -> int:
    """Cut off what a kill or a power cut left unfinished and return how many bytes went.

    Optuna tolerates an unfinished last line while nothing follows it, but appends behind it, which
    makes it a torn middle that no reader accepts. Nothing finished is lost: where the log holds an
    outcome, all before it was synced, so that only lines behind the last outcome can be broken.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        keep = _sound_length(file.fileno(), size)
        if keep < size:
            file.truncate(keep)
            os.fsync(file.fileno())
    return size - keep


def _sound_length(descriptor: int, size: int) -> int:
    """Bytes before the first broken line behind the last outcome."""
    if size == 0:
        return 0
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as log:
        end = keep = log.rfind(b"\n") + 1
        while end:
            start = log.rfind(b"\n", 0, end - 1) + 1
            line = _parsed(log[start:end])
            if line is None:
                keep = start
            elif _is_outcome(line):
                break
            end = start
        return keep


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line of the log; None for one that is broken."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
