"""Latency: what is counted, and the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.families import family
from tests.support.command import assert_refused, in_process
from training.commands.latency import main
from training.stopwatch import circumstances, latency
from trials.latencies import Reading, reading_of

TINY = replace(family("mobilenet-v1-0.25-128"), resolution=32, in_channels=2)


class Spy(nn.Module):
    """Notes how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.states: set[tuple[bool, bool]] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        self.states.add((self.training, torch.is_inference_mode_enabled()))
        return x


def test_the_spec_is_run_at_its_own_size_in_evaluation_mode() -> None:
    spy = Spy()
    found = latency(TINY, "cpu", 4, repeats=5, warmup=2, network=spy)
    assert (found.n, len(spy.seen)) == (5, 7)
    assert spy.seen[0].shape == (4, 2, 32, 32)
    assert spy.seen[0].is_contiguous(memory_format=torch.channels_last)
    assert spy.states == {(False, True)}


def test_a_built_network() -> None:
    found = latency(TINY, "cpu", repeats=3, warmup=1)
    assert 0 < found.low <= found.median <= found.high < 60


def test_the_warm_up_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pass takes 100 s by a clock of our own, the others 1, 2 and 3."""
    ticks = iter([0, 100, 200, 201, 300, 302, 400, 403])
    monkeypatch.setattr("training.stopwatch.time.perf_counter", lambda: next(ticks))
    found = latency(TINY, "cpu", repeats=3, warmup=1, network=Spy())
    assert found == Reading(2, 1.5, 2.5, 3)


def test_of_a_slow_network_fewer_passes_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pass takes a second by a clock of our own: 12 of them are the warm-up and ten more."""
    clock = iter(range(1000))
    monkeypatch.setattr("training.stopwatch.time.perf_counter", lambda: next(clock))
    assert latency(TINY, "cpu", warmup=2, longest=5.0, network=Spy()).n == 10
    assert latency(TINY, "cpu", warmup=2, longest=20.0, network=Spy()).n == 18
    assert latency(TINY, "cpu", warmup=2, network=Spy()).n == 50


def test_what_a_latency_holds_for() -> None:
    found = circumstances(torch.device("cpu"), 4)
    assert found["threads"] == torch.get_num_threads()
    assert (found["device"], found["batch"], found["gpu"]) == ("cpu", 4, None)


def test_the_reading_of_one_pass() -> None:
    assert reading_of([2.0]) == Reading(2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"batch": 0}, "batch 0"), ({"repeats": 0}, "repeats 0"), ({"warmup": -1}, "warmup -1"),
     ({"device": "abacus"}, "abacus")],
)  # fmt: skip
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        latency(TINY, **{"device": "cpu", **arguments})  # type: ignore[arg-type]


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("mobilenet-v1-0.25-128", "--device", "cpu", "--repeats", 3, "--resolution", 64)
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    assert "64 pixels" in done.stdout
    assert "3 passes" in done.stdout
    assert_refused(in_process(main, ("resnet-51",), capsys), "resnet-51")
    small = in_process(main, ("resnet-50", "--resolution", 0), capsys)
    assert_refused(small, "whole number")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_is_waited_for() -> None:
    """A thousand times the images take longer; without waiting, launching would take the same."""
    spec = family("resnet-18")
    one, many = (latency(spec, "cuda", batch, repeats=10) for batch in (1, 1000))
    assert many.median > 2 * one.median
