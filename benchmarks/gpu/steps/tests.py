"""The tests that need a GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.step import Place

MARK = "@pytest.mark.gpu"


def measure(place: Place) -> None:
    """``pytest -m gpu``; its closing line, and the whole in tests.log."""
    page = place.page
    log = place.page.out / "tests.log"
    # To collect all tests takes longer than to run these.
    files = [str(file) for file in Path("tests").rglob("test_*.py") if MARK in file.read_text()]
    # Other versions of torch and numpy may warn of other things.
    wanted = [
        "-o",
        "filterwarnings=default",
        "-m",
        "gpu",
        "--continue-on-collection-errors",
        *files,
    ]
    with log.open("w") as file:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted],
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=max(5.0, page.left()),
        ).returncode
    page.say(log.read_text().strip().splitlines()[-1])
    if code not in (0, 5):
        page.fail("pytest", log.read_text()[-3000:])
