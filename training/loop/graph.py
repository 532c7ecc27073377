"""A training's step captured once on a GPU and replayed: Python launches one graph, not kernels.

After "Whole-network capture" of PyTorch's notes on CUDA graphs: some steps on a side stream, in
which libraries choose their algorithms and the optimiser makes its state; then the whole step, from
the pictures' numbers to the optimiser, is captured; then it is replayed, reading its input and
learning rate from tensors that stay where they are. Random numbers of the network itself (dropout,
stochastic depth) come from torch's own generator, which is safe in a graph. All steps have the same
shapes, for an epoch's last images that fill no batch are left out.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

WARM_UP = 3  # steps before the capture, the notes' own number
FEWEST = 100  # steps of a training that is captured unasked: capturing takes some steps' time
SWITCH = "EVENSCALE_GRAPH"
"""The environment's variable: 0 captures nothing, 1 every training on CUDA."""


class NotCaptured(Exception):
    """A step could not be captured, for the reason given; without a graph it may well run."""


class Graph(Protocol):
    """What captures work of a device and does it again."""

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work as it will be captured."""

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Note the work without doing it; the tensor that each replay will write."""

    def replay(self) -> None:
        """Do the work that was captured."""


class CudaGraph:
    """torch's own, on one stream of the device beside the usual one."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Work on the side stream, after and before whatever the usual stream does."""
        usual = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            # AdamW says once that it is not being captured.
            warnings.filterwarnings("ignore", "This instance was constructed with capturable")
            found = work()
        usual.wait_stream(self._stream)
        return found

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """The graph's memory is its own: nothing else is ever put where it computes."""
        with torch.cuda.graph(self._graph, stream=self._stream):
            return work()

    def replay(self) -> None:
        """On the usual stream."""
        self._graph.replay()


def is_wanted(device: torch.device, steps: int, asked: bool | None) -> bool:
    """Whether a training of so many steps is captured: on CUDA, and where that is not ``asked``
    for or against, in words or by the environment (``SWITCH``), from ``FEWEST`` steps on."""
    if asked is None and (switch := os.environ.get(SWITCH)):
        asked = switch != "0"
    enough = steps >= FEWEST if asked is None else asked
    return device.type == "cuda" and enough


class Steps:
    """``step``, a function of one tensor whose shape never changes, captured after some calls.

    Called with an input, it does one step and returns what ``step`` does, valid until the next
    call. Without a graph it is ``step`` and nothing else. Raises NotCaptured where capturing fails,
    after which neither ``step`` nor what it works on is fit for use.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], graph: Graph | None) -> None:
        self._step, self._graph, self._left = step, graph, WARM_UP
        self._captured: tuple[Tensor, Tensor] | None = None

    @property
    def note(self) -> str | None:
        """For the record: whether steps were replayed; None where there was no graph."""
        if self._graph is None:
            return None
        return "captured" if self._captured else "not captured: too few steps"

    def __call__(self, given: Tensor) -> Tensor:
        if self._graph is None:
            return self._step(given)
        if self._left:
            self._left -= 1
            return self._graph.warm_up(partial(self._step, given))
        if self._captured is None:
            self._captured = self._capture(self._graph, given)
        fixed, found = self._captured
        fixed.copy_(given)
        self._graph.replay()
        return found

    def _capture(self, graph: Graph, given: Tensor) -> tuple[Tensor, Tensor]:
        fixed = given.clone()
        try:
            return fixed, graph.capture(partial(self._step, fixed))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
            raise NotCaptured(reason) from error
