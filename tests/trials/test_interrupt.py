"""Ctrl-C on the command line: exit code 130, and a study that --resume completes."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import command

ARGUMENTS = ("--data", "digits", "--trials", "6", "--proxy-images", "120", "--proxy-epochs", "1",
             "--device", "cpu", "--workers", "2")  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_and_resume(tmp_path: Path) -> None:
    out = tmp_path / "run"
    driver = subprocess.Popen(
        [sys.executable, "-m", "nas.search", *ARGUMENTS, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with driver:
        try:
            assert driver.stderr is not None
            for line in driver.stderr:  # the first trial has finished
                if "/6 trials" in line:
                    break
            driver.send_signal(signal.SIGINT)
            rest = driver.communicate(timeout=120)[1]
        finally:
            driver.kill()  # a driver that does not end must not trouble the tests after this one
    assert driver.returncode == 130, rest
    assert "--resume" in rest
    assert "Traceback" not in rest
    done = command("nas.search", *ARGUMENTS, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(6))
    assert all(row["state"] == "complete" for row in rows)
