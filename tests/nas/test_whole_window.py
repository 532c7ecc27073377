"""What a benchmark expects of networks of the ``macro`` window whose accuracy is not known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.truth.whole_window import fitted
from nas.space import space

ROWS = space("macro").random(1500, np.random.default_rng(0))


def test_layers_and_pairs_of_them_are_told_from_networks_that_are_known() -> None:
    truth = 0.9 + 0.01 * ROWS.sum(1) - 0.02 * (ROWS[:, 0] == 2) * (ROWS[:, 7] == 1)
    line = fitted(ROWS[:1200], truth[:1200])
    assert line(ROWS[1200:]) == pytest.approx(truth[1200:], abs=2e-3)


def test_what_three_layers_do_together_is_not() -> None:
    truth = 0.9 + 0.05 * (ROWS[:, 0] == 2) * (ROWS[:, 3] == 1) * (ROWS[:, 7] == 1)
    line = fitted(ROWS[:1200], truth[:1200])
    assert np.std(line(ROWS[1200:]) - truth[1200:]) > 2e-3
