"""--init: when weights are inherited, from whom, and what a run that goes on has."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.families import family
from models.spec import ArchSpec
from tests.training.test_sizing import arguments
from tests.training.test_transfer import RECIPE, TINY, drawn
from training.data import load
from training.device import choose_device
from training.options import facts, prepare
from training.transfer import options
from training.transfer.options import FINE_TUNING, parent_of, transfer_recipe
from training.transfer.parent import Moments, Parent, keep
from training.transfer.ready import FILE_NAME, check_began_with, here, made_ready
from training.transfer.sources import BASELINE, read_parent
from trials.store.header import read_header, write_header
from trials.store.study import open_run

ARGS = argparse.Namespace(init=None, parent_epochs=1, resume=False, join=False, seed=0,
                          device="cpu", executor="processes")  # fmt: skip
PARENT = drawn(TINY, Moments((0.2,) * 3, (0.5,) * 3))


@pytest.fixture(autouse=True)
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """MobileNetV2's are at hand, and nobody else's."""
    monkeypatch.setattr(options, "at_hand", lambda name: name == "mobilenet-v2")

    def opened(name: str) -> Parent:
        if Path(name).is_dir():
            return replace(PARENT, name=name)
        return replace(PARENT, name=name, source="0" * 16)

    monkeypatch.setattr(options, "open_parent", opened)


def given(**changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(ARGS), **changes})


def chosen(
    args: argparse.Namespace,
    pictures: str = "/pictures",
    baseline: str | None = None,
    candidates: tuple[ArchSpec, ...] = (TINY,),
    follow: bool = False,
) -> str | None:
    found = parent_of(args, pictures, baseline, candidates, {}, None, follow=follow)
    return None if found is None else found.name


def test_pictures_in_colour_inherit_where_weights_are_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen(given()) == "mobilenet-v2"
    assert (
        "weights: inherited from mobilenet-v2; --init scratch for none" in capsys.readouterr().err
    )
    assert chosen(given(), "digits") is chosen(given(), "mnist") is None
    assert chosen(given(init="scratch")) is None
    assert chosen(given(init="inherit:resnet-50"), "digits") == "resnet-50"
    assert chosen(given(init="inherit")) == "mobilenet-v2"
    assert chosen(given(), baseline="efficientnet-b3") == "mobilenet-v2"
    keep(PARENT, tmp_path / BASELINE)
    assert chosen(given(), baseline=str(tmp_path)) == str(tmp_path)


def test_strangers_inherit_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Candidates that would hold next to nothing of the parent's, and no weights at all."""
    far = replace(family("resnet-18"), classes=7)
    assert chosen(given(), candidates=(far,)) is None
    other = replace(TINY, activation="silu")
    assert chosen(given(), candidates=(other,)) is None
    assert chosen(given(), candidates=(other,), follow=True) == "mobilenet-v2"
    monkeypatch.setattr(options, "at_hand", lambda name: False)
    assert chosen(given()) is None
    assert "evenscale[pretrained]" in capsys.readouterr().err


@pytest.mark.parametrize("init", ["random", "lite0", "scratch:lite0"])
def test_other_words_are_refused(init: str) -> None:
    with pytest.raises(ValueError, match="must be scratch, own or inherit:PARENT"):
        chosen(given(init=init))


def test_what_only_a_cluster_has_is_not_asked_for_here() -> None:
    assert here(given(device="cpu")) == torch.device("cpu")
    assert here(given(device="cuda", executor="ray")) == choose_device("auto")
    with pytest.raises(ValueError, match="not to be had here"):
        here(given(device="cuda:99"))


def test_a_run_that_goes_on_has_its_own_parent(tmp_path: Path) -> None:
    data = load("digits", size=16, progress=False)
    assert (
        parent_of(given(resume=True), "/p", None, (), {"kind": "nas"}, tmp_path, follow=True)
        is None
    )
    settings = {"init": {"name": "/gone", "digest": "1"}}
    ready = made_ready(PARENT, given(), replace(RECIPE, images=64), data, tmp_path)
    again = parent_of(given(resume=True), "/p", None, (), settings, tmp_path, follow=True)
    assert again is not None
    assert again.digest == ready.digest
    assert again.facts() == PARENT.facts()
    assert made_ready(again, given(resume=True), RECIPE, data, tmp_path).digest == ready.digest
    (tmp_path / FILE_NAME).unlink()
    fetched = parent_of(given(resume=True), "/p", None, (), settings, tmp_path, follow=True)
    assert fetched is not None
    assert fetched.name == "/gone"


def test_a_run_that_goes_on_inherits_the_weights_that_it_began_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--parent-epochs", 1, "--proxy-images", 60)

    def told(*more: str) -> dict[str, Any]:
        args = arguments(*given, *more)
        evaluator, data = prepare(args, parent=PARENT, reference=16, own=True, run_dir=tmp_path)
        found = {**facts("digits", data, evaluator), "kind": "nas", "seed": 0}
        with open_run(
            tmp_path, found, ["maximize"], from_json=ArchSpec.from_json, resume=bool(more)
        ):
            return found

    begun = told()
    assert told("--resume") == begun
    assert "compared" not in capsys.readouterr().err
    kept = read_parent(tmp_path / FILE_NAME)
    weights = {name: one + 1e-3 * one.is_floating_point() for name, one in kept.weights.items()}
    keep(replace(kept, weights=weights), tmp_path / FILE_NAME)
    assert read_parent(tmp_path / FILE_NAME).facts() == kept.facts()  # of the source, which stays
    with pytest.raises(ValueError, match=r"not \w{16} as when .* restore .*from a copy, or choose"):
        told("--resume")

    header = read_header(tmp_path)  # as an earlier version left it
    del header.settings["init"]["weights"]
    write_header(tmp_path, header)
    changed = told("--resume")["init"]
    assert "could not be compared" in capsys.readouterr().err
    assert changed["weights"] != begun["init"]["weights"]
    told("--resume")
    assert "compared" not in capsys.readouterr().err


def test_a_driver_on_another_machine_may_have_other_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"init": {**PARENT.facts(), "weights": "0" * 16}}
    with pytest.raises(ValueError, match=PARENT.digest):
        check_began_with(PARENT, settings, tmp_path, joins=False)
    check_began_with(PARENT, settings, tmp_path, joins=True)
    assert "other than in the run that is joined" in capsys.readouterr().err
    check_began_with(PARENT, {}, tmp_path, joins=False)  # a new run
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("native", "device", "growth", "reference", "side"),
    [(200, "cpu", 1, 224, 81), (28, "cpu", 1, 224, 65), (200, "cpu", 1.42, 224, 65),
     (500, "cuda", 1, 224, 225), (500, "cuda", 1, 96, 97), (100, "cuda", 1, 224, 97),
     (32, "cpu", 1, 32, 32), (32, "cuda", 1.3, 32, 25), (500, "cpu", 1, 32, 32)],
)  # fmt: skip
def test_the_side_at_which_children_are_scored(
    native: int, device: str, growth: float, reference: int, side: int
) -> None:
    recipe = transfer_recipe(native, device, growth, reference)
    assert recipe.epochs == FINE_TUNING
    assert (recipe.resolution, recipe.side(replace(TINY, resolution=reference))) == (side, side)
    assert (side - 1) % 16 == 0 or reference < 65
    assert recipe.network(replace(TINY, resolution=reference), 7, 3).stages == TINY.stages


@pytest.mark.parametrize("epochs", [None, 0, 3])
def test_children_are_tuned_shortly_unless_told_otherwise(epochs: int | None) -> None:
    told = [] if epochs is None else ["--proxy-epochs", epochs]
    args = arguments("--parent-epochs", 1, "--proxy-images", 60, *told)
    found = prepare(args, parent=PARENT, reference=16, own=True)[0].recipe
    assert found.epochs == (FINE_TUNING if epochs is None else epochs)


def test_random_weights_are_not_scored_as_they_are() -> None:
    with pytest.raises(ValueError, match="--proxy-epochs 0 scores inherited weights: give 1"):
        prepare(arguments("--proxy-epochs", 0))
