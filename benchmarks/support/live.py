"""Bytes of the tensors that are alive while some work is done, on any device: meta too, where
nothing is computed and nothing takes memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A block in which tensors are made: ``now``, the bytes of those alive, and their ``peak``.

    What an operation allocates and frees inside itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, Tensor):
                self._add(one.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._seen:
            return

        def gone(_: object) -> None:
            self.now -= size
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def expected(
    build: Callable[[], torch.nn.Module], side: int, batch: int, channels: int = 3, steps: int = 2
) -> int:
    """Peak bytes of training steps of a network on ``batch`` pictures of ``side`` pixels, SGD with
    momentum, computed by torch on the meta device."""
    with Live() as live, torch.device("meta"):
        network = build().train().to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        for _ in range(steps):
            images = torch.empty(batch, channels, side, side)
            images = images.contiguous(memory_format=torch.channels_last)
            network(images).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    peak: int = live.peak
    return peak
