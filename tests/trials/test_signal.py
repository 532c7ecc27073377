"""A training's loss beside its accuracy: it reads as one, and both are learned from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trials.record import Evaluation
from trials.signal import measure_of, told

NONE = np.array([math.nan])
MERITS = st.lists(st.floats(0.05, 0.95), min_size=3, max_size=20, unique=True)


@given(MERITS, st.integers(0, 2**32 - 1))
def test_a_loss_reads_as_an_accuracy(merits: list[float], seed: int) -> None:
    loss = -np.log(merits)
    accuracy = 0.1 + 0.8 * np.array(merits)
    accuracy += 0.1 * np.ptp(merits) * np.random.default_rng(seed).uniform(0, 1, len(merits))
    found = told(accuracy, loss, NONE.repeat(len(loss)))
    assert found.mean() == pytest.approx(accuracy.mean())
    if np.cov(accuracy, merits)[0, 1] > 0:
        alone = 2 * found - accuracy  # what the losses say
        assert alone.std() == pytest.approx(accuracy.std())
        assert np.corrcoef(alone, merits)[0, 1] == pytest.approx(1)


@given(MERITS, st.integers(0, 2**32 - 1))
def test_probabilities_are_believed_before_accuracies(merits: list[float], seed: int) -> None:
    """They and the losses alone, moved to where the accuracies lie."""
    rng, both = np.random.default_rng(seed), np.array(merits)
    given_ = both * rng.uniform(0.5, 1.5, len(both))
    accuracy = 0.1 + 0.5 * both + 0.05 * np.ptp(both) * rng.uniform(0, 1, len(both))
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = -np.log(2 * both - given_)
    assert np.isfinite(loss).all()
    found = told(accuracy, loss, given_)
    assert found.mean() == pytest.approx(accuracy.mean())
    assert found.std() == pytest.approx(accuracy.std())
    assert np.corrcoef(found, both)[0, 1] == pytest.approx(1)
    assert (told(accuracy, -2 * accuracy, -both) == accuracy).all() or (
        np.cov(accuracy, np.exp(2 * accuracy) - both)[0, 1] > 0
    )


def test_one_measure_for_all_of_several_trainings() -> None:
    def trained(accuracy: float, loss: float | None, given_: float | None) -> Evaluation:
        details = {} if given_ is None else {"probability": given_}
        return Evaluation(accuracy, 0, 1.0, loss, details=details)

    full, without = trained(0.9, 0.5, 0.7), trained(0.8, 0.3, None)
    bare = trained(0.6, None, None)
    expected = (0.65 + math.exp(-0.5)) / 2
    assert measure_of([full])([full, trained(0.9, 0.5, 0.6)]) == pytest.approx(expected)
    assert measure_of([full, without])([full]) == pytest.approx(math.exp(-0.5))
    assert measure_of([full, without])([full, without]) == pytest.approx(math.exp(-0.4))
    assert measure_of([full, without, bare])([full, without]) == pytest.approx(0.85)


@given(MERITS, st.floats(0.1, 0.9), st.floats(0.1, 10))
def test_a_loss_that_says_the_same_changes_nothing(
    merits: list[float], level: float, slope: float
) -> None:
    accuracy = level + slope * (np.array(merits) - 0.5)
    assert told(accuracy, -np.log(merits), NONE.repeat(len(merits))) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "loss",
    [[1.0, 0.9, math.nan, 0.7], [0.7, 0.8, 0.9, 1.0], [1.0, 1.0, 1.0, 1.0]],
    ids=["one has none", "the other way", "all alike"],
)
def test_accuracies_stand_where_losses_do_not_tell(loss: list[float]) -> None:
    accuracy = np.array([0.1, 0.2, 0.3, 0.4])
    found = told(accuracy, np.array(loss), NONE.repeat(4))
    assert (found == accuracy).all()
    found[:] = 0  # what stopped trials are expected to reach is written into it
    assert accuracy.min() > 0


def test_a_running_trial_has_neither() -> None:
    accuracy, loss = np.array([0.1, np.nan, 0.3, 0.2]), np.array([3.0, np.nan, 1.0, 1.5])
    found = told(accuracy, loss, NONE.repeat(len(loss)))
    assert np.isnan(found[1])
    assert found[[0, 3, 2]].tolist() == sorted(found[[0, 3, 2]].tolist())
    few = accuracy[:3]
    assert np.array_equal(told(few, loss[:3], NONE.repeat(3)), few, equal_nan=True)
