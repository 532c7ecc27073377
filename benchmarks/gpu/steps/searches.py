"""A whole network search and a whole scaling search by the command lines, on real pictures."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.step import Place

_REPORT = 15.0  # seconds that a command is given beyond its minutes: start, report, last trainings


def measure(place: Place) -> None:
    """Both searches, half of the time each; their reports are kept."""
    page, work = place.page, place.work
    data = ("--data", place.pictures, "--device", place.scale.device, *place.scale.budgets)
    seconds = page.left() / 2 - _REPORT
    nas, scaling = work / "nas", work / "scaling"
    page.part(
        "nas.search",
        lambda: run(
            place,
            "nas.search",
            [*data, "--minutes", f"{seconds / 60:.2f}", "--out", nas],
            nas,
            "nas-report.html",
            seconds + 2 * _REPORT,
        ),
    )
    baseline = nas if (nas / "baseline.json").exists() else "efficientnet-b0"
    seconds = page.left() - 2 * _REPORT
    page.part(
        "scaling_search",
        lambda: run(
            place,
            "scaling_search",
            [
                *data,
                "--baseline",
                baseline,
                "--minutes",
                f"{max(seconds, 1) / 60:.2f}",
                "--out",
                scaling,
            ],
            scaling,
            "scaling-report.html",
            max(5.0, page.left() - 2),
        ),
    )


def run(
    place: Place, module: str, arguments: list[object], run_dir: Path, name: str, most: float
) -> None:
    """One command: its last lines, its seconds, its report."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=most,
        check=False,
    )
    place.page.fact(f"{module}: seconds", time.perf_counter() - start)
    for line in [*done.stderr.strip().splitlines()[-1:], *done.stdout.strip().splitlines()]:
        place.page.say(f"{module}: {line}")
    if done.returncode:
        place.page.fail(module, done.stderr)
    if (run_dir / "report.html").exists():
        place.page.keep(run_dir / "report.html", name)
