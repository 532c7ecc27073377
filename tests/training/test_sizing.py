"""What a run's trainings are sized by, once: memory in all, measured speed, or the run resumed."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.families import family
from models.spec import ArchSpec
from training.data import Data
from training.evaluator import ByName, ByValue, Evaluator, proxy_recipe
from training.given import pictures_name
from training.loop import memory
from training.options import add_options, facts, prepare, resumed, sizing, workers
from training.options.prepared import FEWEST_STEPS, SMALLEST_BATCH, in_steps
from training.options.sizing import Machines, Speed, machines, measured, speed, workers_per_device
from training.recipe import Recipe
from trials.latencies import Reading
from trials.store.study import open_run, stored_settings

B0 = replace(family("efficientnet-b0"), classes=10, in_channels=1)
GIB = 1 << 30


def arguments(*given: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.add_argument("--trials", type=int, default=30)
    return parser.parse_args(["--data", "digits", "--device", "cpu", *map(str, given)])


# ---------------------------------------------------------------- pictures and epochs


@given(
    minutes=st.floats(0.01, 10_000), trials=st.integers(1, 2000), rate=st.floats(1, 1e6),
    available=st.integers(2, 2_000_000),
)  # fmt: skip
def test_trainings_fill_the_minutes(
    minutes: float, trials: int, rate: float, available: int
) -> None:
    recipe = proxy_recipe(
        224, "cuda", minutes=minutes, trials=trials, images_per_second=rate, available=available
    )
    images, epochs = recipe.images, recipe.epochs
    assert images is not None
    assert recipe.held_out is not None
    assert 1 <= epochs <= 30
    assert min(2000, available) <= images <= available
    assert recipe.held_out >= min(2000, images)
    seconds, given_ = trials * images * epochs / rate, 60 * minutes
    least = images == min(2000, available) and epochs == 1
    assert seconds <= given_ or least
    if not least and (images, epochs) != (available, 30):
        assert seconds >= 0.4 * given_
    assert epochs <= 5 or images == available  # more pictures before more epochs


def test_constants_where_not_all_is_known() -> None:
    known: dict[str, Any] = {
        "minutes": 10.0, "trials": 30, "images_per_second": 1e4, "available": 50_000,
    }  # fmt: skip
    plain = proxy_recipe(32, "cuda")
    assert (plain.images, plain.epochs, plain.held_out) == (50_000, 5, None)
    for name in known:
        assert proxy_recipe(32, "cuda", **{**known, name: None}) == plain
    assert proxy_recipe(32, "cuda", **known) != plain


class Clock:
    """Tells what time it is; every look takes as long as told."""

    def __init__(self, *ticks: float) -> None:
        self.times = itertools.accumulate(ticks)

    def __call__(self) -> float:
        return next(self.times)


def test_twice_as_many_steps_are_timed_until_they_take_long_enough() -> None:
    recipe = replace(proxy_recipe(8, "cpu"), images=96)
    evaluator = Evaluator(ByName("digits", 8), recipe, "cpu")
    small = replace(family("mobilenet-v1-0.25-128"), classes=10, in_channels=1)
    clock = Clock(0, 7.0, *[0, 0.02] * 8, *[0, 0.04] * 8, *[0, 0.2] * 5, *[0, 0.4] * 3)
    found = speed(evaluator, small, clock=clock)
    assert found.before == 7.0
    assert found.images_per_second == pytest.approx(4 * 8 * 32 / 2.2)
    assert found.step == pytest.approx((0.05, 0.05, 0.1, 8))  # median and quartiles, of 4 steps
    with pytest.raises(StopIteration):
        clock()


def test_measured_in_a_process_of_its_own() -> None:
    recipe = replace(proxy_recipe(8, "cpu"), images=64)
    small = replace(family("mobilenet-v1-0.25-128"), classes=10, in_channels=1)
    found = measured(Evaluator(ByName("digits", 8), recipe, "cpu"), small, "cpu")
    assert 1 < found.images_per_second < 1e7
    assert 0 < found.before < 600


# ---------------------------------------------------------------- machines


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were two GPUs of 80 GiB and 16 GiB."""
    totals = {0: 80 * GIB, 1: 16 * GIB}

    def chosen(name: str) -> torch.device:
        return torch.device("cuda" if name == "auto" else name)

    monkeypatch.setattr(sizing, "choose_device", chosen)
    monkeypatch.setattr(workers, "choose_device", chosen)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(memory, "total_bytes", lambda device: totals[device.index])


@pytest.mark.usefixtures("two_cards")
def test_workers_are_dealt_out_to_the_cards() -> None:
    found = machines("cuda", None, Recipe())
    assert found.devices == ("cuda:0", "cuda:1")
    assert (found.workers, found.sharers) == (2, 1)
    found = machines("cuda", 5, Recipe())
    assert (found.devices, found.workers, found.sharers) == (("cuda:0", "cuda:1"), 5, 3)
    assert machines("cuda:1", None, Recipe()).devices == ("cuda:1",)
    assert machines("cuda:1", 4, Recipe()).sharers == 4


@pytest.mark.usefixtures("two_cards")
def test_workers_of_a_card_are_decided_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers_per_device(proxy_recipe(32, "cuda"), 80 * GIB) == 1
    monkeypatch.setattr(sizing, "workers_per_device", lambda _, room: room // (8 * GIB))
    assert machines("cuda", None, Recipe()).workers == 12
    assert machines("cuda", 3, Recipe()).workers == 3


def test_workers_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "cores", lambda: 6)
    assert machines("cpu", None, Recipe()) == Machines((torch.device("cpu"),), None, 6)
    assert machines("cpu", 4, Recipe()).sharers == 4


# ---------------------------------------------------------------- prepare


def of(*specs: ArchSpec) -> Callable[[Data], Iterable[ArchSpec]]:
    return lambda data: iter(specs)


def test_a_run_decides_its_micro_batch_by_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    """And by all memory, shared by its workers."""
    larger = replace(B0, resolution=288)
    args = arguments("--workers", 2)
    plain, data = prepare(args)
    twin = plain.recipe.network(larger, 10, 1)

    def decided(room: float, **more: Any) -> int | None:
        monkeypatch.setattr(memory, "total_bytes", lambda _: int(room))
        return prepare(args, largest=of(B0, larger), **more)[0].recipe.micro_batch

    held = sum(split.images.numel() for split in (data.train, data.validation, data.test))
    need = memory._need(twin, plain.recipe, 32, 16) / 0.8
    assert decided(1 << 40) is None
    assert decided(2 * (need + held + 1)) == 16
    assert decided(2 * (need + held - 9)) == 8
    with pytest.raises(MemoryError, match="choose a smaller network"):
        decided(1000)
    assert plain.recipe.micro_batch is None
    evaluator, _ = prepare(args, largest=of())
    assert evaluator == plain


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ArchSpec, str]]:
    """2,000 images a second after 9 seconds, whoever asks; what was asked."""
    asked: list[tuple[ArchSpec, str]] = []

    def measure(evaluator: Evaluator, spec: ArchSpec, device: str) -> Speed:
        assert evaluator.device == "cuda"
        asked.append((spec, device))
        return Speed(9.0, 2000.0, Reading(0.1, 0.1, 0.1, 8))

    monkeypatch.setattr(sizing, "measured", measure)
    return asked


@pytest.mark.usefixtures("two_cards")
def test_on_gpus_the_minutes_size_the_trainings(
    timed: list[tuple[ArchSpec, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    larger = replace(B0, resolution=288)
    args = arguments("--device", "cuda", "--minutes", 10, "--trials", 31)
    evaluator, data = prepare(args, largest=of(B0, larger))
    assert timed == [(larger, "cuda:0")]
    left = 10 - 16 * 9 / 60  # 16 trainings on one of the cards
    expected = proxy_recipe(
        8, "cuda", minutes=left, trials=16, images_per_second=2000.0, available=len(data.train)
    )
    assert evaluator.recipe == replace(expected, batch=32)  # pictures are few
    assert (expected.images, expected.epochs) == (len(data.train), 30)
    assert "2,000 images a second after 9.0 s" in capsys.readouterr().err
    args.trials = 1000  # more than there is time to begin: half of it goes into trainings
    fewer = proxy_recipe(
        8, "cuda", minutes=10 - 33 * 9 / 60, trials=33, images_per_second=2000.0,
        available=len(data.train),
    )  # fmt: skip
    assert prepare(args, largest=of(B0))[0].recipe == replace(fewer, batch=32)
    assert "for some 66 networks" in capsys.readouterr().err
    args.minutes = 0.01  # not even one
    least = prepare(args, largest=of(B0))[0].recipe
    assert (least.images, least.epochs) == (len(data.train), 1)


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize(
    "given",
    [("--device", "cpu", "--minutes", "10"), ("--device", "cuda"),
     ("--device", "cuda", "--minutes", "10", "--proxy-epochs", "2")],
    ids=["on a CPU", "no minutes", "said in words"],
)  # fmt: skip
def test_else_they_are_as_ever(
    given: tuple[str, ...], timed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda _: 80 * GIB)
    args = arguments(*given)
    expected = replace(proxy_recipe(8, args.device), batch=32)  # pictures are few
    if args.proxy_epochs:
        expected = replace(expected, epochs=args.proxy_epochs)
    assert prepare(args, largest=of(B0))[0].recipe == expected
    assert timed == []
    del args.trials  # a study has repeats
    args.minutes = 10.0
    assert prepare(args, largest=of(B0))[0].recipe == expected


def test_networks_are_trained_at_the_proxys_resolution_whatever_their_own() -> None:
    spec = replace(B0, resolution=32, stem=replace(B0.stem, stride=1))
    recipe = prepare(arguments(), reference=32, stride=16)[0].recipe
    assert recipe.side(spec) == recipe.resolution == 8
    assert recipe.drop_strides == proxy_recipe(8, "cpu").drop_strides - 1


@pytest.mark.usefixtures("two_cards")
def test_a_speed_that_cannot_be_measured_sizes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(*_: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sizing, "measured", measure)
    args = arguments("--device", "cuda", "--minutes", 10)
    assert prepare(args, largest=of(B0))[0].recipe == replace(proxy_recipe(8, "cuda"), batch=32)
    assert "could not be measured" in capsys.readouterr().err


# ---------------------------------------------------------------- resumed


def never(_: Data) -> Iterable[ArchSpec]:
    raise AssertionError("what was decided is decided again")


def begun(run_dir: Path, recipe: Recipe, **options: Any) -> None:
    _, data = prepare(arguments())
    settings = {
        **facts("digits", data, Evaluator(ByValue(data), recipe)),
        "kind": "test",
        "seed": 0,
        "growth": 1.25,
    }
    open_run(run_dir, settings, ["maximize"], from_json=ArchSpec.from_json, **options).close()


def test_a_resumed_run_keeps_its_recipe(tmp_path: Path) -> None:
    recipe = replace(proxy_recipe(8, "cuda"), images=777, epochs=3, micro_batch=16)
    begun(tmp_path / "run", recipe)
    args = arguments("--resume")
    evaluator, _ = prepare(args, largest=never, run_dir=tmp_path / "run")
    assert evaluator.recipe == recipe
    assert resumed(args, tmp_path / "run")["growth"] == 1.25
    # What it is resumed with is what it began with, and goes on.
    begun(tmp_path / "run", evaluator.recipe, resume=True)
    other, _ = prepare(arguments("--resume", "--proxy-epochs", 4), run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="recipe"):
        begun(tmp_path / "run", other.recipe, resume=True)


def test_a_new_run_is_nobodys(tmp_path: Path) -> None:
    begun(tmp_path / "run", replace(proxy_recipe(8, "cpu"), images=777))
    assert prepare(arguments(), run_dir=tmp_path / "run")[0].recipe == proxy_recipe(8, "cpu")
    assert resumed(arguments("--resume"), tmp_path / "none") == {}


def test_a_driver_that_joins_takes_the_recipe_of_the_study(tmp_path: Path) -> None:
    """Another directory, on another machine: the study itself knows."""
    storage = f"sqlite:///{tmp_path}/study.db"
    recipe = replace(proxy_recipe(8, "cpu"), micro_batch=4)
    args = arguments("--join", "--storage", storage)
    there = tmp_path / "there" / "run"
    assert resumed(args, there) == {}
    begun(tmp_path / "here" / "run", recipe, storage=storage, join=True)
    assert prepare(args, largest=never, run_dir=there)[0].recipe == recipe
    assert not there.exists()
    begun(there, recipe, storage=storage, join=True)
    assert stored_settings(there, storage) == stored_settings(tmp_path / "here" / "run")


def test_a_run_of_before_there_were_micro_batches_goes_on(tmp_path: Path) -> None:
    recipe = proxy_recipe(8, "cpu")
    assert "micro_batch" not in recipe.to_dict()
    begun(tmp_path / "run", recipe)
    evaluator, _ = prepare(arguments("--resume"), run_dir=tmp_path / "run")
    assert evaluator.recipe == recipe


@pytest.mark.parametrize("source", ["digits", "mnist"])
def test_pictures_have_their_name_before_they_are_decoded(source: str, tmp_path: Path) -> None:
    assert pictures_name(source) == ByName(source).data().name
    assert pictures_name(f"{tmp_path}/a/../my pictures/") == "my pictures"


@given(
    images=st.none() | st.integers(2, 60_000),
    available=st.integers(2, 60_000),
    epochs=st.integers(1, 30),
    batch=st.sampled_from([16, 32, 48, 64, 256]),
)
def test_a_batch_is_as_large_as_there_are_steps_for(
    images: int | None, available: int, epochs: int, batch: int
) -> None:
    recipe = Recipe(images=images, epochs=epochs, batch=batch)
    found, seen = in_steps(recipe, available), min(available, images or available)
    assert replace(found, batch=batch) == recipe
    if found.batch < batch:
        assert found.batch >= SMALLEST_BATCH
        assert replace(found, batch=2 * found.batch).steps(seen) < FEWEST_STEPS
    assert found.batch < 2 * SMALLEST_BATCH or found.steps(seen) >= FEWEST_STEPS
