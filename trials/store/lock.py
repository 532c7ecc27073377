"""One driver per run directory, by a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DirectoryLock:
    """Holds DIR/run.lock from construction to `release`.

    `shared` lets other shared holders in and keeps an exclusive one out. Raises ValueError,
    naming the other driver's pid, where the directory is taken.
    """

    def __init__(self, directory: Path, *, shared: bool = False) -> None:
        # Never deleted: between one process's unlink and another's open, two could hold "the" lock.
        self._file = (directory / "run.lock").open("a+")
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise ValueError(
                f"{directory} is being driven by another process (pid {holder}): "
                "wait for it, stop it, or choose another --out"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let go; harmless when repeated."""
        self._file.close()
