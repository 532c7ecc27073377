"""How much memory the machine has and has free, and whether an error means that it ran out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# The CPU's allocator and the system's ENOMEM; CUDA and MPS; cuBLAS and cuDNN; oneDNN, which gives
# no other reason when its scratch memory cannot be had; C++'s own.
_OUT_OF_MEMORY = (
    "allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "could not create a primitive",
    "std::bad_alloc",
)

_ROOT = Path("/")
# Of a control group's memory, by version: the limit, the use, and how much of the use is cached
# files that the kernel drops where memory runs short.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the host or a device.

    By names and texts: torch's own class must be recognised without importing torch, and where
    torch asks the system or a library of the device, only the text of a RuntimeError tells.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(
        text in str(error) for text in _OUT_OF_MEMORY
    )


def gigabytes(count: float) -> str:
    """``"3.2 GiB"``, for messages."""
    return f"{count / 2**30:.3g} GiB"


def free_host_bytes() -> int | None:
    """Bytes of main memory that can still be taken without swapping; None where that is unknown.

    On Linux: the least of what the kernel calls available and of what each control group that this
    process is in (a container's, a job's, a slice's) leaves below its limit. Elsewhere all there
    is in the machine.
    """
    if not sys.platform.startswith("linux"):
        return _all_bytes()
    kilobytes = _number_after("MemAvailable:", _ROOT / "proc/meminfo")
    free = [] if kilobytes is None else [1024 * kilobytes]
    return max(0, min([*free, *_left_by_groups()])) if free else None


def total_host_bytes() -> int | None:
    """Bytes of main memory that there are for this process, free or not; None where unknown.

    On Linux: the least of the machine's memory and the limits of the control groups that this
    process is in. The same at every call, whatever else runs.
    """
    if not sys.platform.startswith("linux"):
        return _all_bytes()
    kilobytes = _number_after("MemTotal:", _ROOT / "proc/meminfo")
    there = [] if kilobytes is None else [1024 * kilobytes]
    limits = (_number_in(folder / _FILES[version][0]) for folder, version in _groups())
    return min([*there, *(limit for limit in limits if limit is not None)], default=None)


def _all_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # not a Unix, or without these names
        return None


def _left_by_groups() -> Iterator[int]:
    for folder, version in _groups():
        limit_name, use_name, cached_name = _FILES[version]
        limit, use = _number_in(folder / limit_name), _number_in(folder / use_name)
        if limit is not None and use is not None:
            yield limit - use + (_number_after(cached_name, folder / "memory.stat") or 0)


def _groups() -> Iterator[tuple[Path, int]]:
    """The folder and the version of each control group that this process's memory counts in."""
    for line in _lines(_ROOT / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        version = 1 if controllers else 2
        mount = _ROOT / "sys/fs/cgroup" / ("memory" if version == 1 else "")
        # A container sees its own group as the root, under a path that only the host has.
        own = mount / path.strip("/")
        for folder in (own, *own.parents):
            yield folder, version
            if folder == mount:
                break


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []


def _number_in(path: Path) -> int | None:
    """A file's one number; None for ``max`` and where there is no such file."""
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _number_after(name: str, path: Path) -> int | None:
    for line in _lines(path):
        words = line.split()
        if words[:1] == [name] and words[1:2] and words[1].isdecimal():
            return int(words[1])
    return None
