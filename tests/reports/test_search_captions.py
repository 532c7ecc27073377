"""The pictures of a search's page: whole trials on the axis, a caption of what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from models.families import family
from nas.result import Candidate
from reports import figures
from reports.figures import Marked
from reports.nas.drawings import _caption

NETWORK = family("resnet-18")
EXPECTED = [{"cost": 1.0, "accuracy": 0.5, "low": 0.4, "high": 0.6}]


@pytest.mark.parametrize("trials", [1, 2, 3, 5, 40])
def test_trials_are_whole_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trials: int
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, _: drawn.append(figure))
    found = [
        Candidate(
            n,
            NETWORK,
            0.5 + n / 100,
            1e8,
            0.5,
        )
        for n in range(trials)
    ]
    figures.history(tmp_path / "history.png", found)
    (axis,) = (axes.xaxis for axes in drawn[0].axes)
    assert all(tick == round(tick) for tick in axis.get_ticklocs())


def test_a_caption_tells_what_is_drawn_and_nothing_else() -> None:
    told = _caption([Marked("net", 1.0, 0.5, 0.1)], [("B0", 1.0)], EXPECTED)
    for word in ("star", "other marks", "90 % interval", "upright lines", "band"):
        assert word in told
    bare = _caption([], [], [])
    assert bare == "Accuracy against cost. The star is the chosen network."
    once = _caption([Marked("net", 1.0, 0.5, None)], [], [])
    assert "other marks" in once
    assert "90 %" not in once
