"""The Ray cluster that trials run on: whether it can be reached, joining it, its room."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from trials.workers.environment import cores

_CONNECT_SECONDS = 5.0
# Ray's own patience with an address where nothing answers adds up to minutes.
_IMPATIENCE = {"RAY_py_gcs_connect_timeout_s": "5", "RAY_gcs_server_port_wait_time_s": "1"}


def check_ray(address: str | None, gpus: float) -> None:
    """Check what can be checked in an instant or two, without starting or joining anything.

    Raises ValueError where Ray is not installed, nothing listens at the address, or GPUs cannot
    be divided so.
    """
    if find_spec("ray") is None:
        raise ValueError("Ray is not installed: pip install 'evenscale[ray]'")
    if not gpus >= 0 or (gpus > 1 and gpus % 1):
        raise ValueError(f"GPUs per trial must be a share of one or a whole number, got {gpus}")
    if address is None or address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"{address!r:.80} is no address of a Ray cluster such as head:6379")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(f"nothing answers at the Ray address {address} ({error})") from None


def connect(address: str | None, workers: int | None) -> bool:
    """Make this process a driver; False where it is one already."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is not None:
        for name, value in _IMPATIENCE.items():
            os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return False
    local = {"num_cpus": workers or cores(), "include_dashboard": False}
    try:
        with _uninterrupted():
            ray.init(
                address=address or "local",
                **(local if address is None else {}),
                log_to_driver=False,
                logging_level="ERROR",
            )
    except Exception as error:  # Ray raises what it likes
        what = "start Ray on this machine" if address is None else f"join Ray at {address}"
        raise ValueError(f"cannot {what}: {' '.join(str(error).split())[:400]}") from error
    except KeyboardInterrupt:
        ray.shutdown()
        raise
    return True


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A Ctrl-C waits until the end: Ray cannot end what it has not quite started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        signal.raise_signal(signal.SIGINT)


def room(nodes: Collection[Mapping[str, Any]], gpus: float) -> int:
    """How many trials the nodes that are alive have room for. Raises ValueError for none."""
    count = 0
    for node in nodes:
        if node["Alive"]:
            has = node["Resources"]
            shared = int(has.get("GPU", 0) // max(1.0, gpus)) * per_gpu(gpus)
            count += shared if gpus else int(has.get("CPU", 0))
    if not count:
        need = f"{gpus:g} GPUs" if gpus else "one CPU"
        raise ValueError(f"no node of the Ray cluster has {need}, which a trial takes")
    return count


def per_gpu(gpus: float) -> int:
    """How many trials share one GPU."""
    return max(1, int(1 / gpus + 1e-9)) if gpus else 1
