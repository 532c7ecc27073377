"""The stopwatch that the latency search is given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.families import family
from training.stopwatch import Stopwatch

TINY = replace(family("mobilenet-v1-0.25-128"), resolution=32)


def test_it_times_on_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    from training import stopwatch as module

    real = module.latency

    def spy(*arguments: object, **options: object) -> object:
        seen.append(torch.get_num_threads())
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "latency", spy)
    before = torch.get_num_threads()
    clock = Stopwatch("cpu", batch=2, threads=before + 1)
    found = clock(TINY)
    assert 0 < found.low <= found.median <= found.high
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    about = clock.measured_on
    assert (about["device"], about["threads"], about["batch"]) == ("cpu", before + 1, 2)


def test_two_networks_in_turn_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    from training import stopwatch as module

    real = module.build
    monkeypatch.setattr(module, "build", lambda spec: built.append(spec.key) or real(spec))
    clock = Stopwatch("cpu")
    other = replace(TINY, classes=7)
    for _ in range(3):
        clock(TINY)
        clock(other)
    assert built == [TINY.key, other.key]


def test_no_such_device() -> None:
    with pytest.raises(ValueError, match="tpu"):
        Stopwatch("tpu")
