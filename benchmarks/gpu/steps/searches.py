"""A whole network search and a whole scaling search by the command lines, on real pictures."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.step import Place

_LAST = 30.0  # seconds for the trainings in flight when the minutes are over, and the report
_REPORT = 20.0  # seconds in which a report is drawn of what a command that overran has finished


def measure(place: Place) -> None:
    """Both searches, half of the time each; their reports are kept."""
    page, work = place.page, place.work
    data = ("--data", place.pictures, "--device", place.scale.device, *place.scale.budgets)
    nas, scaling = work / "nas", work / "scaling"
    half = page.left() / 2
    page.part(
        "nas.search",
        lambda: run(
            place,
            "nas.search",
            [*data, "--minutes", _minutes(half), "--out", nas],
            nas,
            "nas-report.html",
            half,
        ),
    )
    baseline = nas if (nas / "baseline.json").exists() else "efficientnet-b0"
    page.part(
        "scaling_search",
        lambda: run(
            place,
            "scaling_search",
            [*data, "--baseline", baseline, "--minutes", _minutes(page.left()), "--out", scaling],
            scaling,
            "scaling-report.html",
            page.left(),
        ),
    )


def _minutes(seconds: float) -> str:
    """Of a command that has so many seconds in all."""
    return f"{max(seconds / 3, seconds - _LAST - _REPORT) / 60:.2f}"


def run(
    place: Place, module: str, arguments: list[object], run_dir: Path, name: str | None, most: float
) -> None:
    """One command: its last lines, its seconds, its report as ``name``.

    Where it overruns it is ended ``_REPORT`` seconds before ``most`` are over, and the report is of
    what had finished.
    """
    page, start = place.page, time.perf_counter()
    line = [sys.executable, "-m", module, *map(str, arguments)]
    code, said, errors = _ended(line, max(1.0, most - _REPORT))
    if code is None:
        page.say(f"{module}: overran and was ended")
        code, _, errors = _ended([sys.executable, "-m", "reports", str(run_dir)], _REPORT - 2)
        if code != 0:
            page.say(f"{module}: no report of it: {(errors.splitlines() or ['too slow'])[-1]}")
    elif code:
        page.fail(module, errors)
    page.fact(f"{module}: seconds", time.perf_counter() - start)
    for text in [*errors.strip().splitlines()[-1:], *said.strip().splitlines()]:
        page.say(f"{module}: {text}")
    if name and (run_dir / "report.html").exists():
        page.keep(run_dir / "report.html", name)


def _ended(line: list[str], seconds: float) -> tuple[int | None, str, str]:
    """A command's exit code, None where it had to be killed, and what it said on both streams."""
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return None, *process.communicate()
    finally:
        process.kill()
    return process.returncode, said, errors
