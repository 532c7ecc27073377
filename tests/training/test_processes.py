"""Several processes train as one does: the same losses, every picture measured once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
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

from models.pretrained import read_safetensors
from tests.support.command import assert_refused, in_process
from tests.training.test_checkpoints import TINY
from training.__main__ import main
from training.data import Data, load, part
from training.loop.processes import ALONE, Processes, joined, synchronise
from training.loop.scores import measure
from training.loop.train import final
from training.recipe import Recipe

CPU = torch.device("cpu")


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
def test_synchronised_norms_are_batch_norms() -> None:
    """Outputs, gradients and running statistics, of maps away from 0 too."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5, momentum=0.3))
    other = synchronise(nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5, momentum=0.3)), CPU)
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


def test_too_few_images_a_process() -> None:
    digits = load("digits", progress=False)
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

COMMON = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 3, "--batch", 64,
          "--resolution", 16, "--device", "cpu", "--set", "dropout=0", "--set", "images=320",
          "--set", "lr=0.1")  # fmt: skip


STARTED = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def alone(out: Path, *options: object) -> dict[str, Any]:
    """What one process writes."""
    main([*map(str, (*COMMON, *options)), "--out", str(out)])
    return written(out)


def together(out: Path, *options: object) -> dict[str, Any]:
    """What two write that are started as a user starts them."""
    done = started("-m", "training", *COMMON, *options, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1, "the first one alone speaks"
    return written(out)


def started(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *STARTED, *map(str, words)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip


def written(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes, each with batch norms of its own."""
    out = tmp_path_factory.mktemp("two") / "run"
    together(out)
    return out


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The loss curve, and what was measured, to rounding."""
    assert other["details"]["losses"] == pytest.approx(one["details"]["losses"], abs=2e-3)
    assert other["loss"] == pytest.approx(one["loss"], rel=0.05)
    for name in ("class_images", "steps", "images", "held_out_images"):
        assert one["details"][name] == other["details"][name]


@pytest.mark.slow
def test_two_processes_are_one_with_two_micro_batches(two: Path, tmp_path: Path) -> None:
    """Batch norm's statistics are each micro-batch's, or each process's."""
    assert_same(alone(tmp_path / "one", "--set", "micro_batch=32"), written(two))
    # Both together: four micro-batches.
    four = together(tmp_path / "four", "--set", "micro_batch=16")
    assert_same(alone(tmp_path / "all", "--set", "micro_batch=16"), four)


@pytest.mark.slow
def test_two_synchronised_processes_are_one(two: Path, tmp_path: Path) -> None:
    one, both = alone(tmp_path / "one"), together(tmp_path / "both", "--sync-bn")
    assert_same(one, both)
    assert written(two)["details"]["losses"] != pytest.approx(one["details"]["losses"], abs=2e-3)
    weights = [
        read_safetensors(str(tmp_path / name / "weights.safetensors")) for name in ("one", "both")
    ]
    norm = next(name for name in weights[0] if name.endswith("running_var"))
    torch.testing.assert_close(weights[1][norm], weights[0][norm], rtol=0.02, atol=1e-3)


STOPPED = """
import os, signal, sys
from common.command import run
from training.__main__ import main
from training.loop.trainer import Trainer
whole = Trainer._update
def update(self, *given):
    if self.step == 8 and self.among.rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return whole(self, *given)
Trainer._update = update
sys.exit(run(main, sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, out = tmp_path / "stopped.py", tmp_path / "out"
    script.write_text(STOPPED)
    done = started(script, *COMMON, "--out", out)
    assert "stopped after step 9 of 15" in done.stderr
    assert_refused(in_process(main, ("--resume", "--out", out), capsys), "processes 2 and not 1")
    done = started("-m", "training", "--resume", "--out", out)
    assert done.returncode == 0, done.stderr
    losses = written(out)["details"]["losses"]
    assert losses == pytest.approx(written(two)["details"]["losses"], abs=1e-4)


def test_parts_of_a_split_are_measured_as_the_whole(digits_data: Data) -> None:
    """By hand: the counts of the parts add up to those of the whole."""
    network, _ = final(TINY, Recipe(epochs=1, batch=32, images=320), digits_data, 0, "cpu")
    whole = measure(network, digits_data.test, 8, digits_data)
    right, losses = torch.zeros(10), 0.0
    for rank in range(3):
        some = part(digits_data.test, Processes(rank, 3).part(len(digits_data.test)))
        found = measure(network, some, 8, digits_data)
        right += torch.tensor(found.correct)
        losses += found.loss * len(some)
    assert right.tolist() == list(whole.correct)
    assert losses / len(digits_data.test) == pytest.approx(whole.loss)


@pytest.fixture(scope="module")
def digits_data() -> Data:
    return load("digits", progress=False)
