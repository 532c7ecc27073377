"""Which choices matter is told with intervals, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.belief.account import FEWEST
from nas.belief.belief import Belief
from nas.belief.importance import importance, shares, told_apart
from nas.belief.knowledge import Knowledge
from nas.candidates import Candidates
from nas.objective import Objective
from nas.search import search
from nas.space import Batch, space
from reports.nas import report
from tests.nas.test_nas_search import stub

MBCONV = space("mbconv")
CANDIDATES = Candidates(MBCONV, Objective(400e6))
SEE = Knowledge(CANDIDATES)
ROWS = CANDIDATES.draw(40, np.random.default_rng(0))
PLACE = MBCONV.names.index


@given(st.integers(0, 2**32 - 1))
def test_shares_of_known_accuracies(seed: int) -> None:
    """Of a choice that alone decides, all; of one that has nothing to do with it, next to none; of
    a kind, what its choices have together. No scale or level changes them."""
    rng = np.random.default_rng(seed)
    rows = MBCONV.random(400, rng)
    one, other, third = (PLACE(name) for name in ("block0_k", "block3_k", "block5_e"))
    accuracy = np.array([rows[:, one], rows[:, one] + rows[:, other], np.full(400, 0.5)])
    assert shares(accuracy, rows, [one])[0] == pytest.approx(1)
    assert shares(accuracy, rows, [third])[0] < 0.04
    assert shares(accuracy, rows, [one, other])[:2] == pytest.approx([1, 1])
    assert shares(accuracy, rows, [one])[1] == pytest.approx(0.5, abs=0.12)
    assert shares(accuracy, rows, [one])[2] == 0
    again = shares(0.3 + 0.01 * accuracy, rows, [one])
    assert again[:2] == pytest.approx(shares(accuracy, rows, [one])[:2])


def believed(accuracy: np.ndarray, rows: Batch = ROWS) -> dict[str, object] | None:
    def fit(some: np.ndarray) -> Belief:
        return Belief(SEE, rows[some], accuracy[some])

    return importance(fit, len(accuracy), SEE, MBCONV)


def test_what_decides_is_found_with_its_interval() -> None:
    rng = np.random.default_rng(1)
    kernels = np.mean([ROWS[:, PLACE(f"block{i}_k")] for i in range(7)], 0)
    found = believed(0.6 + 0.05 * kernels + 0.001 * rng.standard_normal(len(ROWS)))
    assert found is not None
    kinds: dict[str, list[float]] = found["kinds"]  # type: ignore[assignment]
    assert max(kinds, key=lambda kind: kinds[kind][1]) == "k"
    assert all(0 <= low <= middle <= high <= 1 for low, middle, high in kinds.values())
    assert kinds["k"][0] > kinds["se"][2]
    assert told_apart(found)
    choices: list[dict[str, str]] = found["choices"]  # type: ignore[assignment]
    assert [one["name"] for one in choices] == list(MBCONV.names)


def test_few_trainings_tell_nothing() -> None:
    accuracy = np.linspace(0.5, 0.6, FEWEST - 1)
    assert believed(accuracy) is None
    assert not told_apart(
        {"kinds": {"k": [0, 0.1, 0.9], "e": [0.2, 0.5, 1]}, "choices": [{"share": [0, 0, 1]}]}
    )


@pytest.mark.parametrize("trials", [5, 14])
def test_the_page_says_it_or_why_not(trials: int, tmp_path: Path) -> None:
    search(MBCONV, stub, trials=trials, run_dir=tmp_path / "run")
    text = report(tmp_path / "run").read_text()
    assert "Which choices mattered" in text
    drawn = (tmp_path / "run" / "importance.png").exists()
    assert drawn == ("so much is explained by" in text)
    if trials < FEWEST:
        assert not drawn
        assert f"Not told by {trials} trainings" in text


def test_other_samplers_say_nothing(tmp_path: Path) -> None:
    search(MBCONV, stub, trials=3, sampler="random", run_dir=tmp_path / "run")
    assert "Which choices mattered" not in report(tmp_path / "run").read_text()
