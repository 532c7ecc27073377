"""The GPU's depthwise kernels against torch's own convolution in double precision: on a GPU where
there is one, and everywhere by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.loop.quick.depthwise import convolve, takes

ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 6e-3}  # of the kinds' 24 and 8 bits
ROOT = Path(__file__).parents[2]
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SHAPES = [  # images, channels, height, width, kernel, stride, padding
    (2, 8, 5, 6, 3, 1, 1),
    (1, 12, 7, 4, 5, 2, 2),  # channels that do not come in eights
    (2, 40, 6, 6, 7, 1, 3),
    (1, 72, 5, 5, 3, 2, 1),  # more than one program's channels
    (3, 8, 1, 1, 5, 1, 2),  # all but one tap on the padding
    (1, 8, 9, 9, 3, 3, 0),
    (2, 16, 8, 8, 5, 2, 0),  # an edge that no tap reaches
    (9, 8, 12, 12, 3, 1, 1),  # more pixels than one program of the weight's gradient sums
]


def errors(shape: tuple[int, ...], kind: torch.dtype, device: str) -> list[float]:
    """Relative errors of the output and of both gradients."""
    images, channels, height, width, kernel, stride, padding = shape
    torch.manual_seed(0)
    x = torch.randn(images, channels, height, width).to(device, kind)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(channels, 1, kernel, kernel).to(device).requires_grad_()
    y = convolve(x, weight, stride, padding)
    grad = torch.randn(y.shape).to(device, y.dtype)
    found = (y, *torch.autograd.grad(y, (x, weight), grad))
    one, two = (part.detach().double().requires_grad_() for part in (x, weight))
    expected = F.conv2d(one, two, None, stride, padding, 1, channels)
    wanted = (expected, *torch.autograd.grad(expected, (one, two), grad.double()))
    return [_error(*pair) for pair in zip(found, wanted, strict=True)]


def _error(found: Tensor, wanted: Tensor) -> float:
    return float((found.detach().double() - wanted.detach()).norm() / wanted.detach().norm())


def judge(device: str) -> None:
    """Raise AssertionError where an error is above rounding."""
    for shape in SHAPES:
        for kind, most in ROUNDING.items():
            for what, error in zip(("y", "x", "weight"), errors(shape, kind, device), strict=True):
                assert error < most, (shape, kind, what, error)


def test_kernels_by_the_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton comes with torch for GPUs on Linux")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}  # read when Triton is imported
    line = [sys.executable, "-W", "ignore", "-m", "tests.training.test_quick_depthwise"]
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stdout.strip()) == (0, "as torch's"), ended.stderr


def test_only_depthwise_convolutions_on_a_gpu_are_taken() -> None:
    x = torch.zeros(1, 8, 3, 3)
    assert not takes(nn.Conv2d(8, 8, 3, groups=8), x)
    assert not takes(nn.Conv2d(8, 8, 3, groups=2), x.to("meta"))


@pytest.mark.gpu
@on_a_gpu
def test_kernels_on_a_gpu() -> None:
    judge("cuda")


@pytest.mark.gpu
@on_a_gpu
def test_under_autocast_the_output_is_its_kind_and_the_gradient_the_weights() -> None:
    x = torch.randn(2, 8, 5, 5, device="cuda", requires_grad=True)
    weight = torch.randn(8, 1, 3, 3, device="cuda", requires_grad=True)
    with torch.autocast("cuda", torch.bfloat16):
        y = convolve(x, weight, 1, 1)
    y.float().sum().backward()  # type: ignore[no-untyped-call]
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert x.grad is not None
    assert x.grad.dtype == torch.float32


if __name__ == "__main__":
    judge("cpu")
    print("as torch's")
