"""Counting a module that no spec describes, by one pass of shapes through it.

The same convention as ``models.cost`` states, and fvcore's integers without fvcore: on the meta
device nothing is computed, so that a network of 300 G multiply-adds is counted in a second.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode


class Count(NamedTuple):
    """Multiply-adds of one image, learnable parameters, fvcore's total (see ``models.cost``)."""

    macs: int
    params: int
    fvcore: int


def count(module: nn.Module, resolution: int, channels: int = 3) -> Count:
    """What one square image of ``resolution`` pixels costs in evaluation mode.

    Works on whatever device the module is on; build it under ``torch.device("meta")`` to count
    without memory or arithmetic. The module's training mode is left as it was.

    macs are those of convolutions and of every matrix product; fvcore adds, by fvcore 0.1.5's
    handles, 2 for each element that enters a batch norm, 5 a layer or group norm (1 and 4 without
    weights), 1 an adaptive average pool.
    """
    device = next(module.parameters(), torch.empty(0)).device
    image = torch.zeros(1, channels, resolution, resolution, device=device)
    training = module.training
    try:
        module.eval()
        with torch.no_grad(), _Extras() as extras, FlopCounterMode(display=False) as products:
            module(image)
    finally:
        module.train(training)
    macs = products.get_total_flops() // 2
    params = sum(parameter.numel() for parameter in module.parameters())
    return Count(macs, params, macs + extras.total)


def count_on_meta(make: Callable[[], nn.Module], resolution: int, channels: int = 3) -> Count:
    """``count`` of the network that ``make`` constructs, without allocating its weights."""
    with torch.device("meta"):
        return count(make(), resolution, channels)


class _Extras(TorchFunctionMode):
    """What fvcore counts beside products, seen at the functional level.

    Below it an adaptive pool to one pixel is a plain mean, which fvcore does not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _EACH:
            affine = any(isinstance(extra, Tensor) for extra in _weights(func, args, kwargs))
            self.total += _EACH[func][affine] * args[0].numel()
        return func(*args, **kwargs)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_val, exc_tb)  # type: ignore[no-untyped-call]


# For each function: what an element of the input costs without weights, and with.
_EACH: dict[Any, tuple[int, int]] = {
    F.batch_norm: (1, 2),
    F.layer_norm: (4, 5),
    F.group_norm: (4, 5),
    F.adaptive_avg_pool2d: (1, 1),
}
# Where the weight of a norm stands among its positional arguments.
_WEIGHT = {F.batch_norm: 3, F.layer_norm: 2, F.group_norm: 2}


def _weights(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    at = _WEIGHT.get(func)
    return () if at is None else (*args[at : at + 1], kwargs.get("weight"))
