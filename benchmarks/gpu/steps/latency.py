"""Latency as a cost: how far fresh processes agree on it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.gpu.step import Place
from models.families import family

_TIMINGS = 8


def measure(place: Place) -> None:
    """A row for each network and batch."""
    scale = place.scale
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(scale.processes):
        place.page.part(f"process {number}", lambda: _ask(place, found), least=5)
    for (name, batch), medians in found.items():
        middle = statistics.median(medians)
        place.page.row(
            "latency in fresh processes",
            network=name,
            batch=batch,
            processes=len(medians),
            median_ms=1000 * middle,
            spread=f"{100 * (max(medians) - min(medians)) / middle:.1f} %",
        )


def _ask(place: Place, found: dict[tuple[str, int], list[float]]) -> None:
    scale = place.scale
    asked = [
        sys.executable,
        "-m",
        "benchmarks.gpu.steps.latency",
        scale.device,
        ",".join(map(str, scale.batches)),
        *scale.latencies,
    ]
    done = subprocess.run(
        asked, capture_output=True, text=True, timeout=max(5.0, place.page.left()), check=True
    )
    for name, batch, median in json.loads(done.stdout):
        found.setdefault((name, batch), []).append(median)


def timed(device: str, batches: Sequence[int], names: Sequence[str]) -> list[list[object]]:
    """(network, batch, median of several timings) in this process."""
    from training.stopwatch import Stopwatch

    rows: list[list[object]] = []
    for batch in batches:
        clock = Stopwatch(device, batch)
        for name in names:
            spec = family(name)
            clock(spec)
            medians = [clock(spec).median for _ in range(_TIMINGS)]
            rows.append([name, batch, statistics.median(medians)])
    return rows


if __name__ == "__main__":
    sizes = [int(text) for text in sys.argv[2].split(",")]
    print(json.dumps(timed(sys.argv[1], sizes, sys.argv[3:])))
