"""The measurement on a GPU, rehearsed: every step comes to its end on a CPU and writes results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.plan import STEPS, allowances


@pytest.mark.slow
def test_every_step_comes_to_its_end(tmp_path: Path) -> None:
    main(["--rehearse", "--minutes", "6", "--out", str(tmp_path)])
    pages = json.loads((tmp_path / "results.json").read_text())
    assert list(pages) == list(STEPS)
    for name, page in pages.items():
        assert page["status"] == "done", f"{name}: {page}"
        assert page["facts"] or page["tables"] or page["words"], name
    known = {row["known"] for rows in pages["fidelity"]["tables"].values() for row in rows}
    assert len(known) == 2
    assert (tmp_path / "nas-report.html").exists()
    assert (tmp_path / "scaling-report.html").exists()


def test_allowances_share_what_is_left() -> None:
    """A step that ends early leaves its time to the others; none has more than is enough."""
    names, taken = list(STEPS), {}
    for name, seconds in zip(names, allowances(names, 480.0, taken), strict=True):
        assert 0 <= seconds <= STEPS[name].most
        taken[name] = seconds / 2
    assert sum(taken.values()) <= 480
