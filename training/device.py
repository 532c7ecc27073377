"""Which device computes, and how a GPU goes about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS repeats itself where this is set


def choose_device(name: str = "auto") -> torch.device:
    """``auto``: CUDA, else Apple's MPS, else the CPU; or the device of that name.

    Raises ValueError for a name that torch does not know or this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):  # "meta" computes nothing
            raise NotImplementedError
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"device {name!r} is not to be had here: try auto or cpu") from None
    return device


def kind_of(name: str) -> str:
    """``cpu``, ``cuda`` or ``mps``: of a device by its name, which may be another machine's."""
    return choose_device().type if name == "auto" else name.partition(":")[0]


@contextmanager
def arithmetic(device: torch.device, deterministic: bool = False) -> Iterator[None]:
    """How a GPU computes in this block: as fast as it can, or every time the same.

    Fast: single precision is TF32, 10 bits of mantissa, in products. cuDNN goes by its own choice:
    to try its algorithms for each new shape takes the time of hundreds of steps and saves some per
    cent of each (``docs/gpu.md``). ``deterministic``, or where torch was told so before:
    the same bits from the same input, by algorithms that may be much slower; an operation that has
    none raises RuntimeError. Settings are put back afterwards. On other devices nothing changes: a
    CPU repeats itself.
    """
    if device.type != "cuda":
        yield
        return
    strict, precision = (
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
    )
    repeat = deterministic or strict
    if repeat:
        os.environ.setdefault(_WORKSPACE, ":4096:8")
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=repeat)
    with torch.cuda.device(device), flags:
        torch.set_float32_matmul_precision("high")
        torch.use_deterministic_algorithms(repeat)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
            torch.use_deterministic_algorithms(strict)


def autocast(device: torch.device) -> torch.autocast:
    """bf16 on CUDA, each weight cast once in a block; elsewhere full precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
