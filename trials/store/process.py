"""Which process wrote something: told apart from those of other machines, containers and boots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process for good, where a pid is given out again and means another one elsewhere.

    table     the boot and the namespace of its pid: one process table, whatever the host is called
    pid       its place there
    started   in clock ticks since the boot
    """

    table: str
    pid: int
    started: int


def this_process() -> Process | None:
    """None where that cannot be known: without Linux's /proc, or with one of another namespace."""
    pid = os.getpid()
    try:
        if os.readlink("/proc/self") != str(pid):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Process(f"{boot} {os.readlink('/proc/self/ns/pid')}", pid, _state_and_start(pid)[1])
    except OSError:
        return None


def is_running(process: Process) -> bool | None:
    """None where this process cannot see it: its table is another one, or its entry is hidden."""
    here = this_process()
    if here is None or here.table != process.table:
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's: it is there
    try:
        state, started = _state_and_start(process.pid)
    except OSError:
        return None
    ended = state in "ZX"  # and not yet waited for by its parent
    return started == process.started and not ended


def _state_and_start(pid: int) -> tuple[str, int]:
    """Fields 3 and 22 of /proc/PID/stat (proc_pid_stat(5)); the name before them may hold any."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[19])
