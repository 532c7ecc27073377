"""What makes an answer worth little: chance, few pictures, pictures that could not be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from trials.caution import (
    CHANCE,
    FEW,
    SKIPPED,
    Pictures,
    cautions,
    closing,
    judged,
    least,
    nothing_learned,
)
from trials.record import Evaluation

MANY = Pictures(chance=0.2, held_out=1000, training={"cat": 100, "dog": 200})


def kinds(pictures: Pictures, accuracy: float, trainings: int = 1) -> list[str]:
    return [one.kind for one in judged(pictures, accuracy, trainings)]


@given(st.integers(1, 400), st.data())
def test_the_bound_is_clopper_and_pearsons(pictures: int, data: st.DataObject) -> None:
    """Were it the truth, as many as were right, or more, would come with the level's chance."""
    right = data.draw(st.integers(1, pictures))
    bound = least(right / pictures, pictures)
    assert bound < right / pictures
    assert binom.sf(right - 1, pictures, bound) == pytest.approx(0.05, rel=1e-6)
    assert least(right / pictures, pictures, 30) < bound


@given(st.floats(0.02, 0.98), st.integers(1, 2000), st.integers(1, 1000))
def test_who_names_the_commonest_class_has_learned_nothing(
    chance: float, pictures: int, trainings: int
) -> None:
    assert CHANCE in kinds(Pictures(chance, pictures), chance, trainings)


def test_the_best_of_thirty_lucky_ones_is_still_luck() -> None:
    """At chance, 30 trainings on 200 pictures: in 400 searches few are taken for learning."""
    rng = np.random.default_rng(0)
    best = rng.binomial(200, 0.2, (400, 30)).max(1) / 200
    alone = sum(not kinds(Pictures(0.2, 200), accuracy) for accuracy in best)
    together = sum(not kinds(Pictures(0.2, 200), accuracy, 30) for accuracy in best)
    assert together <= 0.05 * 400 < 0.5 * 400 < alone


def test_what_stands_is_not_doubted() -> None:
    assert judged(MANY, 0.5, 30) == []


def test_few_pictures() -> None:
    (few,) = judged(Pictures(0.1, 36, {"cat": 4, "dog": 80}), 0.9)
    assert few.kind == FEW
    assert "36 validation pictures tell an accuracy to ±16 points" in few.said
    assert "the smallest class, cat, has 4 for training" in few.said
    assert few.change == (
        "add at least 6 of cat to train on, and 64 of any class for validation; unless validation "
        "pictures have a folder of their own, a fifth of all become such"
    )
    assert kinds(Pictures(0.1, 100, {"cat": 10}), 0.9) == []


def test_what_to_add_is_told_by_class_and_kind() -> None:
    def change(*given: object, **more: object) -> str:
        (few,) = judged(Pictures(0.1, *given, **more), 0.9)  # type: ignore[arg-type]
        return few.change

    assert change(36, part="test") == (
        "add at least 64 of any class for test; unless test pictures have a folder of their own, "
        "a tenth of all become such"
    )
    many = {"a": 9, "b": 2, "c": 10, "d": 1, "e": 3, "f": 8}
    assert change(500, many) == (
        "add at least 9 of d, 8 of b, 7 of e, some of 2 further classes to train on"
    )
    assert change(500, {"a": 9, "b": 30}) == "add at least 1 of a to train on"


def test_pictures_that_there_are_need_not_be_added() -> None:
    """--proxy-images leaves most of a folder unused."""
    (few,) = judged(Pictures(0.1, 500, {"cat": 4, "dog": 5}, {"cat": 400, "dog": 6}), 0.9)
    assert few.change == (
        "add at least 4 of dog to train on; train on more of the pictures that there are "
        "(--proxy-images): of cat 4 of 400 were used"
    )


def test_skipped_pictures_are_named() -> None:
    skipped = [("cat/a.png", "truncated"), ("cat/b.png", "truncated")]
    (one,) = judged(Pictures(0.1, 500, skipped=skipped), 0.9)
    assert one.kind == SKIPPED
    assert one.said.startswith("2 pictures could not be read")
    assert "cat/a.png (truncated)" in one.said


def test_of_a_run() -> None:
    def trained(accuracy: float, **details: int) -> Evaluation:
        return Evaluation(accuracy, seed=0, seconds=1.0, details=details)

    data = {"chance": 0.5, "validation": 1000, "skipped": [], "classes": ["cat", "dog"]}
    settings = {"data": data, "class_counts": [[500, 400], [600, 400]]}
    assert cautions(settings, [trained(0.51), trained(0.7)]) == []
    assert nothing_learned(cautions(settings, [trained(0.51), trained(0.52)]))
    # Unequal classes: a balanced accuracy on as many pictures is worth fewer.
    assert nothing_learned(cautions(settings, [trained(0.6, effective_images=30)]))
    assert cautions({}, [trained(0.1)]) == []  # a search of somebody's own: chance is not known
    assert cautions(settings, []) == []


def test_how_a_command_ends() -> None:
    assert closing([], "found", "go on") == "found\nnext: go on"
    said = closing(judged(Pictures(0.1, 36), 0.9), "found", "go on").splitlines()
    assert said[0].startswith("! Very few pictures")
    assert said[1] == "found"
    assert said[2].startswith("change: add at least 64 of any class")
    assert said[3] == "next: go on"
    lost = closing(judged(MANY, 0.2, longer="train longer"), "found", "go on").splitlines()
    assert lost[0].startswith("! Nothing was learned")
    assert lost[1:] == ["found", "change: train longer"]
