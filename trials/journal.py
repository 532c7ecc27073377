"""The study's log on disk: Optuna's journal, and what to do with what a killed process left."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock


class _NoLock(JournalFileOpenLock):
    """The directory's own lock stands guard already, for the driver's whole life.

    Optuna's lock files outlive a killed holder and are then waited for, half a minute or (a
    symlink by a relative path) for ever; and a Ctrl-C in their `acquire` becomes a RuntimeError.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _Backend(JournalFileBackend):
    """Optuna's file backend, saying what a failed write means to the person who sees it."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            super().append_logs(logs)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror or error}; every finished trial is safe: put this right (free "
                "space?), then resume. Could not write",
                self._file_path,
            ) from error


def open_journal(path: Path) -> JournalStorage:
    """Open the journal for its only writer, who must hold the directory's lock.

    Cuts off what a kill or a full disk left of an unfinished last line. Raises ValueError where
    the log is damaged anywhere else.
    """
    if path.exists():
        cut_torn_tail(path)
    storage = _load(path)
    _sync_directory(path.parent)
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
        return JournalStorage(_Backend(str(path), lock_obj=_NoLock(str(path))))
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged before its last line ({error}): restore it from a copy"
        ) from error


def cut_torn_tail(path: Path) -> int:
    """Cut an unfinished last line off and return how many bytes went.

    Optuna tolerates such a tail while nothing follows it, but appends behind it, which makes it
    a torn middle that no reader accepts. Nothing finished is lost: each line is synced to disk
    before the call that wrote it returns, so a broken one belongs to a write that never returned.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        keep = _sound_length(file.fileno(), size)
        if keep < size:
            file.truncate(keep)
            os.fsync(file.fileno())
    return size - keep


def _sound_length(descriptor: int, size: int) -> int:
    if size == 0:
        return 0
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as log:
        end = log.rfind(b"\n") + 1
        if end == 0:
            return 0
        # After a power cut a line's end can reach the disk before its beginning does.
        start = log.rfind(b"\n", 0, end - 1) + 1
        try:
            json.loads(log[start:end])
        except ValueError:
            return start
        return end


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
