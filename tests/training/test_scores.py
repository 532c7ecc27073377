"""What a network takes for what: every picture is counted once, whatever the batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from training.data import Data, Split, load
from training.loop.scores import WORST, Mistake, Scores, measure, scored

CLASSES = 4


class Scripted(nn.Module):
    """Says what it is told to, picture after picture."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self._logits, self._at = logits, 0

    def forward(self, x: Tensor) -> Tensor:
        self._at += len(x)
        return self._logits[self._at - len(x) : self._at]


def data_of(labels: list[int]) -> Data:
    split = Split(torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8), torch.tensor(labels))
    return Data("x", split, split, split, tuple("abcd"), 1, 4, 4, (), 0.0, "0", False)


LABELS = st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=30)


@given(LABELS, st.integers(1, 40), st.integers(0, 2**31))
def test_all_pictures_are_counted_once(labels: list[int], batch: int, seed: int) -> None:
    data = data_of(labels)
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (len(labels), CLASSES)))
    found = measure(Scripted(logits.float()), data.test, 4, data, batch)
    told = found.mistaken()
    counts = np.diag(found.correct)
    for truth, named, count in told["confused"]:
        assert truth != named
        counts[truth, named] += count
    expected = np.zeros((CLASSES, CLASSES), int)
    np.add.at(expected, (labels, logits.argmax(1).tolist()), 1)
    assert counts.tolist() == expected.tolist()
    assert found.images == tuple(expected.sum(1))
    own = logits.softmax(1)[range(len(labels)), labels]
    assert found.probability(False) == pytest.approx(own.mean().item(), rel=1e-5)
    by_class = [own[np.array(labels) == one].mean().item() for one in set(labels)]
    assert found.probability(True) == pytest.approx(sum(by_class) / len(by_class), rel=1e-5)
    assert found.loss == pytest.approx(-own.log().mean().item(), rel=1e-5, abs=1e-6)
    at_once = scored(logits.float(), data.test.labels)
    assert at_once.loss == pytest.approx(found.loss, rel=1e-5)
    assert (at_once.correct, at_once.mistaken()) == (found.correct, told)
    pictures = [count for *_, count in told["confused"]]
    assert pictures == sorted(pictures, reverse=True)


@given(LABELS, st.integers(0, 2**31))
def test_the_worst_mistakes_are_those_of_the_greatest_probability(
    labels: list[int], seed: int
) -> None:
    data = data_of(labels)
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (len(labels), CLASSES)))
    found = measure(Scripted(logits.float()), data.test, 4, data, 7)
    shares = logits.softmax(1)
    for one in found.mistakes:
        assert one.truth == labels[one.place] != one.named == int(logits[one.place].argmax())
        assert math.isclose(one.probability, shares[one.place, one.named], rel_tol=1e-5)
    sure = [one.probability for one in found.mistakes]
    assert sure == sorted(sure, reverse=True)
    assert [Mistake(**one) for one in found.mistaken()["mistakes"]] == list(found.mistakes[:WORST])


def test_a_network_without_mistakes_has_none_to_tell() -> None:
    assert Scores((3, 4), (3, 4), 0.1, (0.9, 0.8)).mistaken() == {"confused": [], "mistakes": []}


def test_every_test_picture_can_be_spoken_of() -> None:
    digits = load("digits", progress=False)
    assert len(set(digits.test_names)) == len(digits.test_names) == len(digits.test)
    number = int(digits.test_names[5].removeprefix("picture "))
    from sklearn.datasets import load_digits

    told = load_digits()
    assert told.target[number] == digits.test.labels[5]
    pixels = np.rint(told.images[number] * (255 / 16)).astype(np.uint8)
    assert np.array_equal(pixels, digits.test.images[5, 0].numpy())
