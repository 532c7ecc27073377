"""Running the command lines as a user does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from common.command import run


def command(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """``python -m`` with these arguments; output captured, exit code not checked."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """One clear line that holds ``message``, exit code 2, no traceback."""
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def in_process(
    main: Callable[[Sequence[str] | None], None],
    arguments: Sequence[object],
    capsys: pytest.CaptureFixture[str],
) -> subprocess.CompletedProcess[str]:
    """The same without a new interpreter, which takes seconds to load torch."""
    given = [str(argument) for argument in arguments]
    try:
        code = run(main, given)
    except SystemExit as stop:  # argparse's way
        code = stop.code if isinstance(stop.code, int) else 1
    out, err = capsys.readouterr()
    return subprocess.CompletedProcess(given, code, out, err)
