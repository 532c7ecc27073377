"""What the benchmark of finals says of signals whose worth is known."""

from __future__ import annotations

import numpy as np

from benchmarks.truth.own_finals import FURTHER, SCORE, agreement


def told(loss: float) -> dict[str, float]:
    return {"loss": loss, "probability": float(np.exp(-loss))}


def test_signals_are_ranked_against_what_networks_lack() -> None:
    """The further training is right of all; the score is the reverse of the truth."""
    lacking = np.arange(8) / 10
    found = [{SCORE: told(2 - 0.1 * i), FURTHER: told(1 + 0.1 * i)} for i in range(8)]
    *_, every, half = agreement(lacking, found)
    assert every == "| all, 8 | -1.00 | 1.00 | 0.70, 0.00 |"
    assert half == "| the better half, 4 | -1.00 | 1.00 | 0.70, 0.40 |"  # by score: the last four
