"""What a worker process finds around it: its device, threads, share of memory, no Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import resource_tracker

from threadpoolctl import ThreadpoolController

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_CUDA_MEMORY = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")  # newer versions of torch: both
_ON_HOST, _ON_DEVICE = "EVENSCALE_WORKERS", "EVENSCALE_DEVICE_WORKERS"


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_each(workers: int) -> int:
    """A worker's share of the cores; less where `OMP_NUM_THREADS` of this process says less."""
    share = max(1, cores() // workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdecimal() and int(asked) else share


def thread_variables(threads: int) -> dict[str, str]:
    """Without these, every worker starts one thread per core and they all slow each other down.

    glibc is told to keep freed memory: a training step frees and takes the same large buffers
    again and again, and the kernel would have to clear every page of them each time. torch's
    allocator on CUDA is told to grow its segments, so that networks of all sizes one after the
    other leave no holes; it reads this while torch is imported, and what is set already stays.
    """
    told = any(name in os.environ for name in _CUDA_MEMORY)
    return {
        **({} if told else {_CUDA_MEMORY[0]: "expandable_segments:True"}),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    }


def share_variables(on_host: int, on_device: int) -> dict[str, str]:
    """Tell a worker how many there are on its machine, and how many on its own device."""
    return {_ON_HOST: str(on_host), _ON_DEVICE: str(on_device)}


def sharers(*, of_device: bool) -> int:
    """How many workers, this process among them, share the main memory, or the device's."""
    return int(os.environ.get(_ON_DEVICE if of_device else _ON_HOST, "1"))


def device_variables(device: str) -> dict[str, str]:
    """Let a worker see one device only: "cpu", or "cuda:1" for the second that this process sees.

    In the worker the device is then plain "cuda". Raises ValueError for anything else.
    """
    if device == "cpu":
        return {_VISIBLE: ""}
    kind, _, index = device.partition(":")
    if kind != "cuda" or not (index or "0").isdigit():
        raise ValueError(f"a worker's device must be 'cpu' or like 'cuda:0', got {device!r}")
    visible = [item for item in os.environ.get(_VISIBLE, "").split(",") if item]
    position = int(index or 0)
    if visible and position >= len(visible):
        raise ValueError(f"{device!r} is not among {_VISIBLE}={os.environ[_VISIBLE]!r}")
    return {_VISIBLE: visible[position] if visible else str(position)}


class Libraries:
    """The numerical libraries that this process has loaded."""

    def __init__(self) -> None:
        self._modules, self._found = len(sys.modules), ThreadpoolController()

    def one_thread(self) -> AbstractContextManager[object]:
        """A block in which each uses a single thread.

        Looking for them takes milliseconds, so they are looked for again only where modules were
        imported since.
        """
        if self._modules != len(sys.modules):
            self._modules, self._found = len(sys.modules), ThreadpoolController()
        limited: AbstractContextManager[object] = self._found.limit(limits=1)
        return limited


@contextmanager
def child_environment(variables: dict[str, str]) -> Iterator[None]:
    """Processes started in this block inherit `variables`, and a blocked SIGINT.

    Set around the start rather than in the child, where importing the evaluation's module may
    already have initialised torch. A Ctrl-C during the block reaches this process after it.
    """
    # The first spawned process starts this one, which would unblock SIGINT on its way.
    resource_tracker.ensure_running()
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
