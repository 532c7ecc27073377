"""How many joules the machine has taken between two moments, by the counters that it has.

RAPL counts what each processor package takes (/sys/class/powercap, Linux; since 2020 only root may
read it unless told otherwise), NVML what each NVIDIA GPU takes (package nvidia-ml-py, where it is
installed). Both count for all processes together, so that one process sees a whole run with its
workers, and whatever else the machine did. What cannot be read is not known: nothing is estimated.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_POWERCAP = Path("/sys/class/powercap")
_ZONE = re.compile(r"intel-rapl:\d+")  # a package; its parts have a further number


class Counter(NamedTuple):
    """Of one device: ``read`` gives the joules since some moment, None where it cannot be read;
    after ``wraps`` joules they begin anew, None: never."""

    device: str
    read: Callable[[], float | None]
    wraps: float | None = None


class Meter:
    """Joules by device since it was made, of those counters that can be read; of a counter that
    was reset, or can be read no more, nothing is known."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        first = {one: one.read() for one in counters}
        self._last = {one: value for one, value in first.items() if value is not None}
        self.joules = {one.device: 0.0 for one in self._last}

    def read(self) -> None:
        """Count what has been taken since the last call."""
        for one, before in list(self._last.items()):
            now = one.read()
            taken = None if now is None else now - before
            if taken is not None and taken < 0:
                taken = None if one.wraps is None else taken + one.wraps
            if now is None or taken is None:
                del self._last[one], self.joules[one.device]
            else:
                self._last[one] = now
                self.joules[one.device] += taken


def in_words(joules: Mapping[str, float]) -> str:
    """``"12.3 kJ by CPU package 0: whole devices, …"``."""
    each = ", ".join(f"{joules[device] / 1e3:.3g} kJ by {device}" for device in sorted(joules))
    return f"{each}: whole devices, with all that other processes did meanwhile"


def counters(gpus: bool) -> list[Counter]:
    """The machine's; of its GPUs only where they are used."""
    return [*packages(), *(nvidia() if gpus else ())]


def packages(root: Path = _POWERCAP) -> list[Counter]:
    """A counter for each processor package."""
    found = []
    for zone in sorted(root.glob("intel-rapl:*")) if root.is_dir() else ():
        name = _text(zone / "name") or ""
        most = _micro(zone / "max_energy_range_uj")
        if _ZONE.fullmatch(zone.name) and name.startswith("package-") and most is not None:
            device = f"CPU package {name.removeprefix('package-')}"
            found.append(Counter(device, _reader(zone / "energy_uj"), most))
    return found


def nvidia() -> list[Counter]:
    """A counter for each NVIDIA GPU; none without the package, the driver or a GPU that counts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an older package of this name says to take the newer
            import pynvml
        pynvml.nvmlInit()
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(place) for place in range(pynvml.nvmlDeviceGetCount())
        ]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    except Exception:  # whatever the driver lacks: then nothing is known
        return []

    def reader(handle: object) -> Callable[[], float | None]:
        def read() -> float | None:
            try:
                return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
            except pynvml.NVMLError:
                return None

        return read

    return [
        Counter(f"GPU {place} ({name})", reader(handle))
        for place, (name, handle) in enumerate(zip(names, handles, strict=True))
    ]


def _reader(path: Path) -> Callable[[], float | None]:
    return lambda: _micro(path)


def _micro(path: Path) -> float | None:
    """Joules of a file of microjoules."""
    try:
        return int(_text(path) or "") / 1e6
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
