"""Several processes train as one does: the same losses, every picture measured once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.support.command import assert_refused, in_process
from tests.support.halting import halted
from tests.training.test_checkpoints import TINY
from training.__main__ import main
from training.data import Data, load, part
from training.loop.checkpoints.keeper import Keeper
from training.loop.processes import ALONE, Processes, joined, synchronise
from training.loop.scores import measure
from training.loop.train import final
from training.recipe import Recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


@given(total=st.integers(0, 1000), count=st.integers(1, 9))
def test_parts_are_all_of_it_once_and_as_equal_as_can_be(total: int, count: int) -> None:
    parts = [list(range(total))[Processes(rank, count).part(total)] for rank in range(count)]
    assert list(chain(*parts)) == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_is_exchanged() -> None:
    x = torch.arange(3.0)
    assert ALONE.summed(x) is x
    assert ALONE.any(True, False) == [True, False]
    assert ALONE.told("here") == "here"
    with joined(CPU) as (among, device), among.first_alone():
        assert (among, device) == (ALONE, CPU)


@pytest.fixture
def one_of_one() -> Iterator[None]:
    """A group of this process alone: what is exchanged comes back."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_of_one")
@pytest.mark.parametrize("momentum", [0.3, None])
def test_synchronised_norms_are_batch_norms(momentum: float | None) -> None:
    """Outputs, gradients and running statistics, of maps away from 0 too; without a momentum these
    are the mean over all batches."""
    torch.manual_seed(0)
    own, other = (
        nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5, momentum=momentum)) for _ in range(2)
    )
    other = synchronise(other, CPU)
    for module in (own, other):
        module[1].weight.data = torch.linspace(0.5, 2, 5)
    other.load_state_dict(own.state_dict())
    for _ in range(3):
        x = 5 + torch.randn(4, 3, 6, 6)
        target = torch.randn(4, 5, 6, 6)
        for module in (own, other):
            module.zero_grad()
            F.mse_loss(module(x), target).backward()
        torch.testing.assert_close(other(x), own(x), rtol=1e-4, atol=1e-4)
        for a, b in zip(own.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-4)
    for name, value in own.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-4)
    own.eval(), other.eval()
    torch.testing.assert_close(other(x), own(x))


def test_too_few_images_a_process(digits: Data) -> None:
    with pytest.raises(ValueError, match="fewer than 2"):
        final(TINY, Recipe(batch=3), digits, 0, "cpu", among=Processes(0, 2, 2))


def test_what_is_for_several_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = in_process(main, ("--spec", "resnet-18", "--data", "digits", "--sync-bn"), capsys)
    assert_refused(done, "start them with torchrun")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(ValueError, match="2 processes cannot train on cuda:1"),
        joined(torch.device("cuda:1")),
    ):
        pass


# ---------------------------------------------------------------- two processes

NETWORK = replace(TINY, dropout=0.0, drop_path=0.0)
RECIPE = Recipe(epochs=3, batch=64, lr=0.8, images=640)  # 30 steps
RECIPES = {
    "apart": RECIPE,
    "synchronised": replace(RECIPE, sync_bn=True, recompute=True),
    "divided": replace(RECIPE, micro_batch=16),
    "random": replace(RECIPE, dropout=0.3, crop=0.5, mixup=0.5, ema=0.9),
    "balanced": replace(RECIPE, balance=True),
}
ONE = {  # what one process does that is the same
    "apart": replace(RECIPE, micro_batch=32), "synchronised": RECIPE,
    "divided": RECIPES["divided"],
    "balanced": replace(RECIPE, micro_batch=32, balance=True),
}  # fmt: skip


def both(out: Path) -> None:
    """What each of two processes does: all recipes, and one that is stopped and goes on."""
    digits = load("digits", progress=False)
    with joined(CPU) as (among, place):
        found = {
            name: final(NETWORK, recipe, digits, 0, place, among=among)[1]
            for name, recipe in RECIPES.items()
        }
        with halted(out, among) as keeper:
            final(NETWORK, RECIPES["random"], digits, 0, place, among=among, keeper=keeper)
        keeper = Keeper(out, 1e9, {})
        recipe = RECIPES["random"]
        again = final(NETWORK, recipe, digits, 0, place, among=among, keeper=keeper)
        found["resumed"] = again[1]
        if among.is_first:
            facts = {name: one.to_dict() for name, one in found.items()}
            (out / "found.json").write_text(json.dumps(facts))


def started(*words: object) -> subprocess.CompletedProcess[str]:
    """Two processes, as a user starts them."""
    starter = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return subprocess.run(
        [sys.executable, *starter, *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("two")
    done = started("-m", "tests.training.test_processes", out)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((out / "found.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE)
def test_two_processes_are_one(name: str, two: dict[str, Any], digits: Data) -> None:
    """The loss curve to rounding. Batch norm's statistics are each micro-batch's, each process's,
    or, synchronised, the whole batch's."""
    _, one = final(NETWORK, ONE[name], digits, 0, "cpu")
    found = two[name]["details"]
    assert one.details["losses"][-1] < one.details["losses"][0] - 0.05, "it learns"
    assert found["losses"] == pytest.approx(one.details["losses"], abs=3e-4)
    for fact in ("class_images", "steps", "images", "held_out_images"):
        assert found[fact] == one.details[fact]
    assert found["micro_batch"] == {"divided": 16}.get(name, 32)
    if name == "synchronised":  # then running statistics are one's own too
        assert two[name]["loss"] == pytest.approx(one.loss, abs=1e-3)


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(two: dict[str, Any]) -> None:
    """One is asked to; what is random in each goes on where it was."""
    again, whole = two["resumed"]["details"]["losses"], two["random"]["details"]["losses"]
    assert again == pytest.approx(whole, abs=2e-4)


@pytest.mark.slow
def test_the_command_of_two_speaks_once_and_needs_two_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 1, "--batch", 64,
             "--resolution", 16, "--device", "cpu", "--out", tmp_path, "--sync-bn")  # fmt: skip
    done = started("-m", "training", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    assert done.stderr.count("of pixels are in memory") == 1
    assert sum(json.loads((tmp_path / "evaluation.json").read_text())["details"]["class_images"])
    (tmp_path / "weights.safetensors").unlink()
    refused = in_process(main, ("--resume", "--out", tmp_path), capsys)
    assert_refused(refused, "start them with torchrun")


def test_parts_of_a_split_are_measured_as_the_whole(digits: Data) -> None:
    """By hand: the counts of the parts add up to those of the whole."""
    network, _ = final(TINY, Recipe(epochs=1, batch=32, images=320), digits, 0, "cpu")
    whole = measure(network, digits.test, 8, digits)
    right, losses = torch.zeros(10), 0.0
    for rank in range(3):
        some = part(digits.test, Processes(rank, 3).part(len(digits.test)))
        found = measure(network, some, 8, digits)
        right += torch.tensor(found.correct)
        losses += found.loss * len(some)
    assert right.tolist() == list(whole.correct)
    assert losses / len(digits.test) == pytest.approx(whole.loss)


if __name__ == "__main__":
    both(Path(sys.argv[1]))
