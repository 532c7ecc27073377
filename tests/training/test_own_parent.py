"""--init own: a parent that the search trains first, from scratch."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.command import Stopped
from models.build import build
from models.cost import cost
from models.families import family
from nas.space import largest, space, to_raise
from tests.training.test_sizing import arguments
from tests.training.test_transfer import TINY
from tests.training.test_transfer_options import given as options_of
from training.data import Data, load
from training.options import facts, prepare, search_directory
from training.recipe import Recipe
from training.transfer import options, own
from training.transfer.child import child
from training.transfer.options import parent_of
from training.transfer.own import MOST, PASSES, SHARE, own_recipe, raise_on, raising, untrained
from training.transfer.parent import Moments, Parent, keep
from training.transfer.ready import FILE_NAME, made_ready
from training.transfer.sources import read_parent

CPU = torch.device("cpu")
MOMENTS = Moments((0.5,) * 3, (0.2,) * 3)
RECIPE = replace(own_recipe(8, "cpu", 1.0, 8, 4), images=300, held_out=200)


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", size=8, progress=False)


@pytest.fixture(scope="module")
def parent(data: Data) -> Parent:
    recipe = raising(RECIPE, "cpu", len(data.train), epochs=10)
    return raise_on(untrained(TINY), recipe, data, 0, CPU)


# ---------------------------------------------------------------- which network


def test_of_macro_all_others_are_parts() -> None:
    """Layers of expansion 6 and kernel 5 throughout; 105.7M, the closed form's."""
    found = largest(space("macro"))
    assert space("macro").choices_of(found) == dict.fromkeys(space("macro").choices, 2)
    assert cost(found).macs == 105_660_928
    assert to_raise(space("macro"), [family("efficientnet-b0")], lambda _: True) == found


@pytest.mark.parametrize("name", ["mnasnet", "mbconv"])
@pytest.mark.parametrize("budget", [200e6, 450e6])
def test_a_space_that_has_a_known_network_raises_it_at_the_budget(name: str, budget: float) -> None:
    searched = space(name)
    known = [family("resnet-18"), family("efficientnet-b0")]
    found = to_raise(searched, known, lambda spec: cost(spec).macs <= budget)
    assert searched.contains(found)
    assert 0.7 * budget < cost(found).macs <= budget
    # What is affordable cannot be told of a cost that is measured.
    assert to_raise(searched, known, lambda _: False) == searched.nearest(known[1])


# ---------------------------------------------------------------- how it is trained


@given(
    native=st.integers(8, 600), reference=st.sampled_from([32, 128, 224]),
    device=st.sampled_from(["cpu", "cuda"]), available=st.integers(50, 200_000),
)  # fmt: skip
def test_a_parent_is_trained_as_its_children_are_seen(
    native: int, reference: int, device: str, available: int
) -> None:
    children = own_recipe(native, device, 1.0, reference, 32)
    assert children.resolution is not None
    assert children.resolution <= min(reference, max(native, 8))
    assert children.resolution % 4 == 0
    assert children.epochs == 0
    longer = raising(children, device, available)
    seen = ("resolution", "reference", "drop_strides", "regularise", "held_out")
    assert [getattr(longer, one) for one in seen] == [getattr(children, one) for one in seen]
    assert longer.images is not None
    assert longer.images <= available
    meant = PASSES * (1 if device == "cpu" else 10)
    assert 1 <= longer.epochs <= MOST
    if 1 < longer.epochs < MOST:
        assert abs(longer.epochs * longer.images - meant) <= longer.images / 2
    assert raising(children, device, available, epochs=3).epochs == 3


def test_minutes_bound_it(
    data: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 100 pictures a second."""
    speed = argparse.Namespace(images_per_second=100.0)
    monkeypatch.setattr(own, "speed_of", lambda *_: speed)
    long = raising(RECIPE, "cpu", len(data.train))
    parent = untrained(TINY)
    assert own.within(long, parent, data, CPU, 10_000) == long
    assert capsys.readouterr().err == ""
    shorter = own.within(long, parent, data, CPU, 2)
    assert shorter == replace(long, epochs=int(100 * 120 * SHARE / len(data.train)))
    assert f"{shorter.epochs} epochs of 1,259 pictures" in capsys.readouterr().err
    assert own.within(long, parent, data, CPU, 0.1).images == 180


def test_it_learns_and_children_have_it(parent: Parent, data: Data) -> None:
    """What is not learned yet are ten classes; a child of other widths is far above chance."""
    assert parent.own
    assert not parent.untrained
    assert (parent.spec.classes, parent.spec.in_channels) == (10, 1)
    _, itself = child(parent, TINY, RECIPE, data, 0, CPU)
    assert itself.details["inherited"]["distance"] == 0
    stages = (*TINY.stages[:2], replace(TINY.stages[2], channels=12))
    _, cut = child(parent, replace(TINY, stages=stages), RECIPE, data, 0, CPU)
    _, fresh = child(untrained_for(data), TINY, RECIPE, data, 0, CPU)
    assert itself.accuracy > 0.8
    assert cut.accuracy > 0.7
    assert fresh.loss is not None
    assert itself.loss is not None
    assert itself.loss < fresh.loss - 0.3


def untrained_for(data: Data) -> Parent:
    nothing = replace(raising(RECIPE, "cpu", 300), epochs=0)
    return raise_on(untrained(TINY), nothing, data, 0, CPU)


def test_a_parent_is_seen_without_the_strides_that_its_children_lack(parent: Parent) -> None:
    """Or block outputs that children are fitted to would lie elsewhere."""
    assert parent.twin(RECIPE) is parent
    without = replace(RECIPE, drop_strides=1)
    twin = parent.twin(without)
    assert twin is parent.twin(without)
    assert [stage.stride for stage in twin.spec.stages] == [1, 1, 2]
    assert twin.weights is parent.weights


def test_children_of_a_twin_are_fitted_to_its_maps(data: Data) -> None:
    recipe = replace(RECIPE, drop_strides=1)
    longer = raising(recipe, "cpu", len(data.train), epochs=4)
    parent = raise_on(untrained(TINY), longer, data, 0, CPU)
    stages = (*TINY.stages[:2], replace(TINY.stages[2], channels=12))
    _, cut = child(parent, replace(TINY, stages=stages), recipe, data, 0, CPU)
    assert cut.accuracy > 0.5


# ---------------------------------------------------------------- the options


def chosen(args: argparse.Namespace, **more: Any) -> Parent | None:
    return parent_of(args, "digits", None, (), {}, None, follow=True, **more)


def test_own_is_asked_for_by_name() -> None:
    found = chosen(options_of(init="own"), raised=lambda: TINY)
    assert found is not None
    assert found.name == "own-tiny"
    assert found.untrained
    assert chosen(options_of(init="own"), raised=lambda: TINY).digest == found.digest  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="--init own is for one network's search"):
        chosen(options_of(init="own"))


@pytest.mark.parametrize("pictures", ["/pictures", "digits"])
@pytest.mark.parametrize("at_hand", [True, False])
def test_it_is_the_default_where_no_published_weights_suit(
    pictures: str,
    at_hand: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Weights of a network that is nothing like these, or none at all; not for the digits."""
    far = Parent("far", family("resnet-18"), build(family("resnet-18")).state_dict(), MOMENTS)
    monkeypatch.setattr(options, "at_hand", lambda _: at_hand)
    monkeypatch.setattr(options, "open_parent", lambda _: far)
    given = options_of(), pictures, None, (TINY,), {}, None
    assert parent_of(*given, follow=True) is None
    found = parent_of(*given, follow=True, raised=lambda: TINY)
    if pictures == "digits":
        assert found is None
        return
    assert found is not None
    assert found.untrained
    why = "too little of efficientnet-b0's" if at_hand else "none are at hand"
    said = capsys.readouterr().err
    assert "inherited from own-tiny, which is trained on the pictures first" in said
    assert why in said
    assert "--init scratch for none" in said


def test_it_is_kept_and_found_again(tmp_path: Path, data: Data) -> None:
    args = options_of(init="own", parent_epochs=1, minutes=None)
    ready = made_ready(untrained(TINY), args, RECIPE, data, tmp_path)
    again = read_parent(tmp_path / FILE_NAME)
    assert again.own
    assert not again.untrained
    assert again.digest == ready.digest
    assert again.facts() == ready.facts()
    assert ready.facts()["own"] is True
    resumed = options_of(init=None, resume=True)
    settings = {"init": {**ready.facts(), "weights": ready.digest}}
    found = parent_of(resumed, "digits", None, (), settings, tmp_path, follow=True)
    assert found is not None
    assert found.digest == ready.digest
    (tmp_path / FILE_NAME).unlink()  # then it is trained again
    found = parent_of(
        resumed, "digits", None, (), settings, tmp_path, follow=True, raised=lambda: TINY
    )
    assert found is not None
    assert found.untrained
    assert made_ready(found, args, RECIPE, data, tmp_path).digest == ready.digest


def test_a_run_is_prepared_with_it_and_goes_on(tmp_path: Path) -> None:
    args = arguments("--init", "own", "--parent-epochs", 1, "--proxy-images", 200)
    evaluator, told = prepare(
        args, parent=untrained(TINY), reference=16, stride=4, run_dir=tmp_path
    )
    assert evaluator.parent is not None
    assert not evaluator.parent.untrained
    assert evaluator.recipe.epochs == 0
    assert facts("digits", told, evaluator)["init"]["own"] is True


def test_a_dry_run_trains_nothing(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    args = options_of(init="own", parent_epochs=None, minutes=5.0, dry_run=True)
    made_ready(untrained(TINY), args, RECIPE, data, None)
    assert "validation pictures" not in capsys.readouterr().err


def test_parents_of_others_are_not_its(tmp_path: Path) -> None:
    other = Parent("other", TINY, untrained(TINY).weights, untrained(TINY).moments)
    assert not other.untrained
    keep(other, tmp_path / FILE_NAME)
    assert not read_parent(tmp_path / FILE_NAME).own
    assert "own" not in other.facts()


def test_recipes_are_told_apart() -> None:
    assert Recipe().key != RECIPE.key != raising(RECIPE, "cpu", 300).key


def test_its_training_is_stopped_and_goes_on_to_the_same_weights(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = options_of(init="own", parent_epochs=4, minutes=None)
    whole = made_ready(untrained(TINY), args, RECIPE, data, tmp_path / "whole")
    raised_on = own.raise_on

    def stopped(*given: Any) -> Parent:
        *before, _, keeper = given
        return raised_on(
            *before, lambda n, _: n == 1 and signal.raise_signal(signal.SIGINT), keeper
        )

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(own, "raise_on", stopped)
        with pytest.raises(Stopped, match=r"is kept in .*run: the same command with"):
            made_ready(untrained(TINY), args, RECIPE, data, run)
    assert not (run / FILE_NAME).exists()
    again = argparse.Namespace(out=run, resume=True, join=False, storage=None)
    assert search_directory(again, "nas") == run
    assert not again.resume  # there is no run yet
    assert "the training of its parent goes on" in capsys.readouterr().err
    ready = made_ready(untrained(TINY), args, RECIPE, data, run)
    assert ready.digest == whole.digest
    assert {one.name for one in run.iterdir()} == {FILE_NAME}


def test_the_length_that_its_training_began_with_stays(tmp_path: Path, data: Data) -> None:
    keeper = own.keeper_in(tmp_path, untrained(TINY), RECIPE, data, 0)
    assert own.began_with(keeper) is None
    longer = raising(RECIPE, "cpu", len(data.train), epochs=2)
    raise_on(untrained(TINY), longer, data, 0, CPU, None, keeper)
    again = own.keeper_in(tmp_path, untrained(TINY), RECIPE, data, 0)
    assert own.began_with(again) == longer
    other = own.keeper_in(tmp_path, untrained(TINY), RECIPE, data, 1)
    with pytest.raises(ValueError, match="is of another training, its seed 0 and not 1"):
        own.began_with(other)
