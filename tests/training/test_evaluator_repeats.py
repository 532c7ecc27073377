"""A network that is trained several times: the means of its trainings, and an early end."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from models.spec import ArchSpec, StageSpec, Stem
from training.evaluator import REPEAT_STEP, ByName, Evaluator, averaged
from training.recipe import Recipe
from trials.record import Evaluation, Stopped

SPEC = ArchSpec("tiny", Stem(4), (StageSpec("conv", 1, 4),), resolution=8, classes=10)
RECIPE = Recipe(resolution=8, reference=8, images=64, held_out=64, epochs=1, batch=32)
ONCE = Evaluator(ByName("digits", 8), RECIPE, "cpu")


def grey(spec: ArchSpec) -> ArchSpec:
    return dataclasses.replace(spec, in_channels=1)


def test_repeats_are_trainings_under_seeds_of_their_own() -> None:
    found = dataclasses.replace(ONCE, repeats=3)(grey(SPEC), 5)
    each = [ONCE(grey(SPEC), 5 + n * REPEAT_STEP) for n in range(3)]
    assert found.details["accuracies"] == [one.accuracy for one in each]
    assert found.accuracy == pytest.approx(sum(one.accuracy for one in each) / 3)
    assert found.seed == 5
    assert pickle.loads(pickle.dumps(dataclasses.replace(ONCE, repeats=3))).repeats == 3


def test_means_of_what_all_have() -> None:
    one = Evaluation(0.5, 1, 2.0, 1.0, details={"plain_accuracy": 0.5, "images": 8, "graph": None})
    two = Evaluation(0.7, 2, 3.0, 2.0, details={"plain_accuracy": 0.9, "images": 8, "graph": None})
    found = averaged([one, two])
    assert found.accuracy == pytest.approx(0.6)
    assert (found.loss, found.seconds, found.seed) == (1.5, 5.0, 1)
    assert found.details == {
        "plain_accuracy": 0.7, "images": 8, "graph": None, "accuracies": [0.5, 0.7],
    }  # fmt: skip
    assert averaged([one, dataclasses.replace(two, loss=None)]).loss is None


def test_a_training_that_loses_is_not_repeated() -> None:
    found = dataclasses.replace(ONCE, repeats=3)(grey(SPEC), 5, ((0.5, 1.0),))
    assert isinstance(found, Stopped)
    assert "accuracies" not in found.evaluation.details
