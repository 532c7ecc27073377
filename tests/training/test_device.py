"""How a GPU is gone about, checked without one: settings, pictures put there once, the way back."""

from __future__ import annotations

import gc
import os
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from models.build import build
from models.spec import ArchSpec, StageSpec, Stem
from training.data import Data, load
from training.device import arithmetic
from training.loop import train as training
from training.loop.feeds import placed as placing
from training.loop.feeds.placed import placed
from training.loop.train import train
from training.recipe import Recipe

TINY = ArchSpec("tiny", Stem(8, stride=1), (StageSpec("conv", 1, 16, 3, 2),), resolution=8,
                classes=10, in_channels=1)  # fmt: skip
QUICK = Recipe(epochs=1, batch=32, lr=0.8, regularise=False, images=128)
CPU, CUDA, META = torch.device("cpu"), torch.device("cuda"), torch.device("meta")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


# ---------------------------------------------------------------- settings


def settings() -> dict[str, Any]:
    return {
        "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.backends.cudnn.deterministic,
        "precision": torch.get_float32_matmul_precision(),
        "strict": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.fixture
def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


FAST = {"benchmark": False, "deterministic": False, "precision": "high", "strict": False}
REPEATED = {"benchmark": False, "deterministic": True, "precision": "high", "strict": True}


@pytest.mark.usefixtures("without_a_gpu")
@pytest.mark.parametrize(("deterministic", "expected"), [(False, FAST), (True, REPEATED)])
def test_settings_hold_in_the_block_alone(deterministic: bool, expected: dict[str, Any]) -> None:
    before = settings()
    with pytest.raises(KeyError), arithmetic(CUDA, deterministic):
        assert settings() == expected
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) is deterministic
        raise KeyError
    assert settings() == before


@pytest.mark.usefixtures("without_a_gpu")
def test_what_torch_was_told_before_is_kept() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with arithmetic(CUDA):
            assert settings() == REPEATED
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("device", [CPU, torch.device("mps")])
def test_other_devices_are_left_alone(device: torch.device) -> None:
    before = settings()
    with arithmetic(device, deterministic=True):
        assert settings() == before


# ---------------------------------------------------------------- pictures on the device


def test_pictures_are_put_on_a_device_once(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[torch.device] = []
    to = Data.to

    def counted(self: Data, device: torch.device) -> Data:
        copies.append(device)
        return to(self, device)

    monkeypatch.setattr(Data, "to", counted)
    there = placed(digits, META)
    assert there.train.images.device == META
    assert placed(digits, META) is there
    assert placed(there, META) is there
    assert placed(digits, CPU) is digits
    assert copies == [META]


def test_pictures_of_one_digest_may_differ(digits: Data) -> None:
    fewer = replace(digits, validation=digits.test)
    assert fewer.digest == digits.digest
    assert len(placed(fewer, META).validation) == len(digits.test)
    assert len(placed(digits, META).validation) == len(digits.validation)


def test_a_copy_goes_with_its_original(digits: Data) -> None:
    gc.collect()
    held = len(placing._PLACED)
    some = replace(digits, name="some")
    placed(some, META)
    assert len(placing._PLACED) == held + 1
    del some
    gc.collect()
    assert len(placing._PLACED) == held


def test_trainings_share_the_copy(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several trainings in one process only the first computes the moments of its pictures."""
    fresh, computed = replace(digits), 0
    moments = Data.__dict__["_moments"]
    compute = moments.func

    def counted(self: Data) -> Any:
        nonlocal computed
        computed += 1
        return compute(self)

    monkeypatch.setattr(moments, "func", counted)
    for seed in range(2):
        train(TINY, QUICK, fresh, seed, "cpu")
    assert computed == 1


# ---------------------------------------------------------------- Apple's device


class Lacking(nn.Module):
    """A network with an operation that a device does not have."""

    def __init__(self, network: nn.Module, error: Exception) -> None:
        super().__init__()
        self.network, self.error, self.calls = network, error, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == 3:
            raise self.error
        out: torch.Tensor = self.network(x)
        return out


def fresh(error: Exception) -> Lacking:
    torch.manual_seed(0)
    return Lacking(build(TINY), error)


MISSING = NotImplementedError("The operator 'aten::some' is not implemented for MPS\nAs a fix, …")


def test_an_operation_that_mps_lacks_is_said_and_the_cpu_trains(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(TINY, QUICK, digits, 0, "cpu", network=fresh(MISSING).network)
    # Its tensors stay on the CPU here: what is tested is the way back.
    monkeypatch.setattr(training, "placed", lambda data, _: data)
    monkeypatch.setattr(training, "choose_device", torch.device)
    monkeypatch.setattr(training.memory, "release", lambda _: None)
    with pytest.warns(UserWarning, match="tiny is trained on the CPU, not on MPS: The operator"):
        found = train(TINY, QUICK, digits, 0, "mps", network=fresh(MISSING))
    assert (found.accuracy, found.loss) == (expected.accuracy, expected.loss)
    assert found.device.startswith("cpu")


def test_elsewhere_it_is_an_error(digits: Data) -> None:
    with pytest.raises(NotImplementedError, match="aten::some"):
        train(TINY, QUICK, digits, 0, "cpu", network=fresh(MISSING))
