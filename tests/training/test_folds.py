"""Other parts held out: disjoint, complete, without copies; when finalists are judged by them."""

from __future__ import annotations

import argparse
import pickle
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.host_load import Others
from tests.training.test_transfer import RECIPE, TINY, drawn
from training.data import Data, Split, load
from training.evaluator import ByValue, Evaluator, Folded
from training.options import rehearsal
from training.options.sizing import Speed
from training.pictures.folds import fold, folds
from training.transfer import judges
from training.transfer.judges import by_others, untaught
from training.transfer.parent import Moments, Parent, prepared
from trials.latencies import Reading


def pictures(numbers: list[int]) -> Split:
    """One picture a number, of which it tells; of class number % 3."""
    images = torch.tensor(numbers, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    return Split(images.contiguous(), torch.tensor(numbers) % 3)


def data_of(train: list[int], validation: list[int], test: list[int]) -> Data:
    parts = (pictures(one) for one in (train, validation, test))
    return Data("x", *parts, tuple("abc"), 1, 4, 4, (), 0.0, "0", False)


def numbers(split: Split) -> list[int]:
    found: list[int] = split.images[:, 0, 0, 0].tolist()
    assert split.labels.tolist() == [one % 3 for one in found]
    return found


@given(st.integers(1, 12), st.integers(0, 60))
def test_every_training_picture_is_held_out_once(held: int, more: int) -> None:
    train, validation = list(range(held + more)), list(range(100, 100 + held))
    data = data_of(train, validation, [200, 201])
    seen = []
    for number in range(folds(data)):
        found = fold(data, number)
        own = numbers(found.validation)
        assert sorted(numbers(found.train) + own) == train + validation
        assert len(own) == held
        assert found.test is data.test
        seen += own
    assert len(seen) == len(set(seen)) == held * folds(data)
    assert set(seen) >= set(train[: len(train) - len(train) % held])
    assert len({fold(data, number).digest for number in range(folds(data))}) == folds(data)
    with pytest.raises(ValueError, match="training pictures in memory make"):
        fold(data, folds(data))


def test_copies_of_what_is_held_out_are_not_trained_on() -> None:
    data = data_of([1, 2, 3, 1, 4, 2, 5, 5], [6, 7], [8])
    found = fold(data, 1)
    assert numbers(found.validation) == [1, 2]
    assert numbers(found.train) == [3, 4, 5, 5, 6, 7]


def test_a_fold_of_real_digits_is_stratified_and_travels() -> None:
    data = load("digits", size=16, progress=False)
    found = fold(data, 2)
    counts = [torch.bincount(one.validation.labels, minlength=10) for one in (data, found)]
    assert (counts[0] - counts[1]).abs().max() <= 2
    source = Folded(ByValue(data), 2)
    assert source.data() is source.data()  # put on a device once
    again = pickle.loads(pickle.dumps(source, protocol=5)).data()
    assert torch.equal(again.validation.images, found.validation.images)


PUBLISHED = drawn(replace(TINY, classes=10, in_channels=1), Moments((0.2,), (0.5,)))


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "at_hand", lambda name: name == PUBLISHED.name)
    monkeypatch.setattr(judges, "open_parent", lambda name: PUBLISHED)


@pytest.mark.usefixtures("at_hand")
def test_few_pictures_are_not_asked_twice() -> None:
    data = load("digits", size=16, progress=False)
    ready = replace(PUBLISHED, source=PUBLISHED.digest)
    evaluator = Evaluator(ByValue(data), replace(RECIPE, held_out=1000), "cpu", ready)
    asked: list[tuple[Parent, Data]] = []

    def prepare(parent: Parent, pictures: Data) -> Parent:
        asked.append((parent, pictures))
        return replace(parent, name="ready again")

    found = by_others(evaluator, prepare)
    assert found is not None
    assert found.parent is not None
    assert found.parent.name == "ready again"
    ((parent, others),) = asked
    assert (parent.weights, parent.source) == (PUBLISHED.weights, None)  # which has not seen them
    assert others is found.source.data()
    assert torch.equal(others.validation.images, fold(data, 1).validation.images)
    assert found(TINY, 0).details["data"] != evaluator(TINY, 0).details["data"]

    enough = replace(evaluator, recipe=replace(RECIPE, held_out=len(data.validation)))
    few = data_of([0, 1, 2, 3], [4, 5, 6, 7, 8], [9])
    for odd in (
        enough,
        replace(evaluator, recipe=replace(RECIPE, held_out=None)),
        replace(evaluator, parent=None),
        replace(evaluator, parent=replace(ready, source=None)),  # the user's own
        replace(evaluator, source=ByValue(few)),
    ):
        assert by_others(odd, prepare) is None
    assert len(asked) == 1


@pytest.mark.usefixtures("at_hand")
def test_a_published_parent_is_known_again_whatever_it_was_made_ready_for() -> None:
    """As ``prepared`` and the benchmarks have it: at the resolution of the networks."""
    data = load("digits", size=16, progress=False)
    for recipe in (RECIPE, replace(RECIPE, reference=32), replace(RECIPE, resolution=None)):
        ready = prepared(PUBLISHED, recipe, data, 0, torch.device("cpu"), 0)
        found = untaught(ready)
        assert found is not None
        assert found.weights is PUBLISHED.weights
        assert found.spec.resolution == ready.spec.resolution  # or it costs as its own asks for
    own = drawn(PUBLISHED.spec, PUBLISHED.moments, seed=1)
    assert untaught(prepared(own, RECIPE, data, 0, torch.device("cpu"), 0)) is None


def test_weights_that_are_not_at_hand_are_no_untaught_ones() -> None:
    assert untaught(replace(PUBLISHED, source=PUBLISHED.digest)) is None


@pytest.mark.usefixtures("at_hand")
def test_a_dry_run_counts_the_finals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as long as a score's training, as what is compared with is."""
    monkeypatch.setattr(rehearsal, "measured", lambda *_: rehearsal.Taken(60.0, 2**30))
    args = argparse.Namespace(executor="processes", device="cpu", workers=1, minutes=None)
    data = ByValue(load("digits", size=16, progress=False))
    evaluator = Evaluator(data, replace(RECIPE, epochs=2), "cpu", PUBLISHED)
    said = rehearsal.rehearsed(args, evaluator, TINY, 14, 4, (6, 3))
    assert "would train 14 networks and 4 trainings to compare and 9 of the best further" in said
    assert f"about {14 + 2 * (4 + 9):.1f} minutes" in said
    scratch = rehearsal.rehearsed(args, replace(evaluator, parent=None), TINY, 14, 4)
    assert "about 18.0 minutes" in scratch
    assert "busy" not in scratch


@pytest.mark.parametrize(("others", "said"), [(None, False), (0.1, False), (1.6, True)])
def test_a_dry_run_says_how_far_its_steps_scatter_and_that_the_machine_is_busy(
    monkeypatch: pytest.MonkeyPatch, others: float | None, said: bool
) -> None:
    step = Reading(0.1, 0.096, 0.118, 8)
    monkeypatch.setattr(rehearsal, "cores", lambda: 2)
    monkeypatch.setattr(
        rehearsal, "measured", lambda *_: rehearsal.Taken(60.0, 2**30, step, others)
    )
    args = argparse.Namespace(executor="processes", device="cpu", workers=1, minutes=None)
    data = ByValue(load("digits", size=16, progress=False))
    found = rehearsal.rehearsed(args, Evaluator(data, RECIPE, "cpu"), TINY, 14)
    assert "quartiles of its steps -4 to +18 % of their median" in found
    assert ("busy: meanwhile other processes kept 1.6 of 2 cores" in found) is said


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_prepare_pictures_are_not_taken_for_others(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    busy = Others()
    busy.cores = 1.6
    monkeypatch.setattr(rehearsal, "cores", lambda: 2)
    monkeypatch.setattr(rehearsal, "others", lambda: nullcontext(busy))
    step = Reading(0.1, 0.1, 0.1, 8)
    monkeypatch.setattr(rehearsal, "speed_of", lambda *_, **__: Speed(1.0, 100.0, step))
    data = load("digits", size=16, progress=False)
    said = rehearsal.rehearsed_alone(TINY, RECIPE, data, torch.device("cpu"), workers)
    assert ("the machine is busy" in said) is not bool(workers)
