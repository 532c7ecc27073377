"""Cores that others keep busy, by a /proc/stat of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common import host_load
from common.host_load import others

CORES = sorted(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block lasts 10 s, of which this process computes 4."""
    ticks, own = iter([100.0, 110.0]), iter([1.0, 5.0])
    monkeypatch.setattr(host_load.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(host_load.time, "process_time", lambda: next(own))


def stat(root: Path, seconds: float, steal: float = 0.0) -> None:
    """The first of this process's cores was busy for so long; another's core for ever."""
    hertz = os.sysconf("SC_CLK_TCK")
    parts = (seconds / 2, 0, seconds / 2, 9e6, 9e6, 0, 0, steal, 0, 0)
    told = " ".join(str(round(hertz * part)) for part in parts)
    (root / "proc").mkdir(exist_ok=True)
    other = " ".join(str(round(hertz * 1e6 * (1 + seconds))) for _ in parts)
    lines = [f"cpu  {other}", f"cpu{CORES[0]} {told}", f"cpu{max(CORES) + 1} {other}", "intr 1 2"]
    (root / "proc/stat").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("busy", "steal", "expected"), [(4.0, 0.0, 0.0), (9.0, 0.0, 0.5), (9.0, 10.0, 1.5)]
)
def test_what_is_busy_beyond_this_process_is_others(
    tmp_path: Path, busy: float, steal: float, expected: float
) -> None:
    stat(tmp_path, 50.0)
    with others(tmp_path) as found:
        stat(tmp_path, 50.0 + busy, steal)
        assert found.cores is None
    assert found.cores == pytest.approx(expected)


@pytest.mark.parametrize("text", [None, "", "cpu0 one two", "cpu0 1"])
def test_without_the_file_it_is_not_known(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        stat(tmp_path, 1.0)
        (tmp_path / "proc/stat").write_text(text.replace("cpu0", f"cpu{CORES[0]}"))
    with others(tmp_path) as found:
        pass
    assert found.cores is None
