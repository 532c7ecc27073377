"""How well scores rank networks: against brute force, and what is explained by something else."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from benchmarks.support.rankings import ALIKE, at_equal_cost, beside

numbers = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=4, max_size=12)


@given(numbers)
def test_only_pairs_of_equal_cost_count(rows: list[tuple[int, int, int]]) -> None:
    values, truth, size = np.array(rows, dtype=float).T
    macs = 1e6 * np.exp(0.02 * size)
    agree = ranked = 0
    for i, j in itertools.combinations(range(len(rows)), 2):
        if abs(math.log(macs[i] / macs[j])) < ALIKE:
            sign = np.sign(values[i] - values[j]) * np.sign(truth[i] - truth[j])
            agree, ranked = agree + sign, ranked + abs(sign)
    found = at_equal_cost(values, truth, macs)
    assert math.isnan(found) if not ranked else found == pytest.approx(agree / ranked)


def test_what_another_score_explains_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    other = rng.normal(size=400)
    values, truth = (other + rng.normal(size=400) for _ in range(2))
    assert kendalltau(values, truth).statistic > 0.25
    # Normal scores that have only ``other`` in common keep a little of it: τ is not linear in it.
    assert abs(beside(values, truth, other)) < 0.15
    # What nothing else explains stays whole.
    alone = rng.normal(size=400)
    assert beside(values, truth, alone) == pytest.approx(
        kendalltau(values, truth).statistic, abs=0.02
    )


def test_a_score_that_the_other_explains_wholly_says_nothing() -> None:
    other = np.arange(9.0)
    assert math.isnan(beside(other, np.roll(other, 3), other))
