"""What a run took of energy, kept in its directory: ``energy.json``, joules by device.

Counted once, in the command's own process, whose counters see its workers' work too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from common.energy import Counter, Meter
from trials.store.disk import replace_text

FILE_NAME = "energy.json"
# A package's counter begins anew after some 262 kJ, at 1 kW in 260 s: it must be read more often.
_SECONDS = 60.0


@contextmanager
def metered(begun: Path, goes_on: bool, counters: Sequence[Counter]) -> Iterator[None]:
    """A block of a run whose joules are kept beside ``begun``, the file by which it is one, while
    that is there.

    With ``goes_on``, those of the run's earlier parts are added; a device of which they were not
    known is known no more. The file is written every minute, so that a killed run loses no more.
    """
    path = begun.with_name(FILE_NAME)
    before = (kept(begun.parent) or {}) if goes_on else None
    meter, done = Meter(counters), threading.Event()

    def write() -> None:
        meter.read()
        total = meter.joules
        if before is not None:
            total = {name: before[name] + own for name, own in total.items() if name in before}
        if total and begun.is_file():
            replace_text(path, json.dumps(total))
        else:
            path.unlink(missing_ok=True)

    def watch() -> None:
        while not done.wait(_SECONDS):
            with suppress(OSError):  # a full disk is told by what must be written
                write()

    watcher = threading.Thread(target=watch, daemon=True)
    if meter.joules:
        watcher.start()
    try:
        yield
    finally:
        done.set()
        if watcher.is_alive():
            watcher.join()
        with suppress(OSError):
            write()


def kept(run_dir: Path) -> dict[str, float] | None:
    """Joules by device that a run's directory tells; None where nothing is known.

    Raises ValueError for a damaged file.
    """
    path = run_dir / FILE_NAME
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(device): float(joules) for device, joules in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it") from None
