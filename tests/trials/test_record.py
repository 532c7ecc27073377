"""Evaluations and failures: what they refuse, and that JSON gives them back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trials.record import (
    FAILURE_KINDS,
    Evaluation,
    Failure,
    as_evaluation,
    installed_versions,
    trial_seed,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
evaluations = st.builds(
    Evaluation,
    accuracy=st.floats(0, 1) | st.sampled_from([0, 1]),
    loss=st.none() | finite,
    seed=st.integers(),
    recipe=st.none() | st.text(),
    seconds=st.floats(0, 1e9),
    device=st.text(),
    versions=st.dictionaries(st.text(), st.text(), max_size=3),
    details=st.dictionaries(st.text(), plain_json, max_size=3),
)
failures = st.builds(
    Failure,
    reason=st.text(),
    traceback=st.text(),
    seconds=st.floats(0, 1e9),
    kind=st.sampled_from(FAILURE_KINDS),
)


@settings(deadline=None)
@given(evaluations)
def test_evaluation_survives_json(evaluation: Evaluation) -> None:
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert Evaluation.from_dict(json.loads(text)) == evaluation


@settings(deadline=None)
@given(failures)
def test_failure_survives_json(failure: Failure) -> None:
    assert Failure.from_dict(json.loads(json.dumps(failure.to_dict()))) == failure


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accuracy": math.nan}, "nan"),
        ({"accuracy": math.inf}, "inf"),
        ({"accuracy": 93.1}, "93.1"),
        ({"accuracy": -0.1}, "-0.1"),
        ({"accuracy": True}, "True"),
        ({"accuracy": "0.5"}, "'0.5'"),
        ({"loss": math.nan}, "nan"),
        ({"seed": 1.5}, "1.5"),
        ({"seconds": -1.0}, "-1.0"),
        ({"recipe": 3}, "3"),
        ({"device": None}, "None"),
        ({"versions": {"torch": 2}}, "2"),
        ({"details": {"curve": [math.nan]}}, "plain JSON"),
        ({"details": {"x": object()}}, "plain JSON"),
        ({"details": [1]}, r"\[1\]"),
    ],
)
def test_evaluation_refuses(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Evaluation(**{"accuracy": 0.5, "seed": 1, "seconds": 0.0, **change})


def test_stored_keys_are_checked() -> None:
    good = Evaluation(0.5, seed=1, seconds=0.0).to_dict()
    with pytest.raises(ValueError, match="colour"):
        Evaluation.from_dict({**good, "colour": "red"})
    del good["device"]
    with pytest.raises(ValueError, match="device"):
        Evaluation.from_dict(good)
    with pytest.raises(ValueError, match="bored"):
        Failure("no", kind="bored")


def test_details_are_a_copy_as_json_gives_it() -> None:
    curve = [0.1]
    evaluation = Evaluation(0.5, seed=1, seconds=0.0, details={"curve": curve, "size": (1, 2)})
    curve.append(0.2)
    assert evaluation.details == {"curve": [0.1], "size": [1, 2]}


@pytest.mark.parametrize("value", [0.25, np.float32(0.25), np.array(0.25), 0, 1])
def test_plain_accuracies_are_wrapped(value: Any) -> None:
    evaluation = as_evaluation(value, seed=3, seconds=1.5)
    assert (evaluation.accuracy, evaluation.seed, evaluation.seconds) == (float(value), 3, 1.5)
    assert evaluation.versions["optuna"] == installed_versions()["optuna"]


def test_an_evaluation_is_taken_as_it_is() -> None:
    evaluation = Evaluation(0.5, seed=1, seconds=9.0)
    assert as_evaluation(evaluation, seed=2, seconds=1.0) is evaluation


@pytest.mark.parametrize("value", [None, "0.5", True, [0.5], 2.0])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        as_evaluation(value, seed=1, seconds=0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan")])
def test_a_diverged_accuracy_says_so(value: float) -> None:
    with pytest.raises(FloatingPointError):
        as_evaluation(value, seed=1, seconds=0.0)


def test_seeds() -> None:
    seeds = [trial_seed(study, number) for study in range(20) for number in range(50)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == len(seeds)
    # Pinned: a resumed search must give an interrupted trial the seed it had.
    assert trial_seed(0, 0) == 745682570
