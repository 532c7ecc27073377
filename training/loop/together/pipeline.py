"""One network trained by several processes, each holding a stage of it (GPipe, 1811.06965).

Every batch goes through as micro-batches, one behind the other, by torch's own schedules: all
forwards first (``gpipe``), or one forward, one backward as soon as that can be (``1f1b``), which
keeps the maps of no more micro-batches than there are stages. Gradients are added up over the
micro-batches, whose statistics batch norms see: the training is that of one process with the same
micro-batches. Pictures go to the first process, labels to the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.cost import Part
from models.spec import ArchSpec
from training.device import autocast
from training.loop.memory import SMALLEST
from training.loop.processes import Processes
from training.loop.together.split import split, units

SCHEDULES = ("gpipe", "1f1b")
_AHEAD = 4
"""Batches that may wait for the next stage, where networks are measured."""

Loss = Callable[[Tensor, Tensor], Tensor]


def micro_batches_of(batch: int, stages: int) -> int:
    """Into how many micro-batches a batch is cut unless told: at most four a stage, beyond which
    idle times are small (GPipe, section 2.3), none of fewer than ``SMALLEST`` images.

    Raises ValueError where there would be fewer than stages.
    """
    most = min(4 * stages, batch // SMALLEST)
    found = max((count for count in range(1, most + 1) if batch % count == 0), default=1)
    if found < stages:
        raise ValueError(
            f"a batch of {batch} images cannot be cut into {stages} or more equal micro-batches of "
            f"{SMALLEST} or more for {stages} stages: choose another --batch"
        )
    return found


def check(batch: int, micro_batches: int, stages: int) -> None:
    """Raise ValueError for micro-batches that a pipeline cannot take."""
    if batch % micro_batches:
        raise ValueError(
            f"a batch of {batch} images is not {micro_batches} equal micro-batches, as a pipeline "
            "needs them: choose --micro-batches that divide --batch"
        )
    if micro_batches < stages:
        raise ValueError(
            f"{micro_batches} micro-batches leave some of {stages} stages idle: give "
            f"--micro-batches of {stages} or more"
        )


def own_stage(network: nn.Module, spec: ArchSpec, among: Processes) -> nn.Module:
    """``network``, of ``spec``, with nothing left but the layers of this process's stage, under
    their names: in place, those of other stages do nothing now and have no weights."""
    own = split(spec, among.count)[among.rank]
    holders: list[tuple[nn.Module, str]] = [(network, "stem")]
    for stage in network.stages:  # type: ignore[union-attr]
        holders += [(stage, name) for name, _ in stage.named_children()]
    holders.append((network, "head"))
    for place, (holder, name) in enumerate(holders):
        if not own.start <= place < own.stop:
            setattr(holder, name, nn.Identity())
    return network


class _Stage(nn.Module):
    """What goes from process to process is float32 and contiguous."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with autocast(x.device):
            y: Tensor = self.network(x)
        return y.float().contiguous()


class Line:
    """This process's place in the line of stages: what comes in, what goes out.

    stage     this process's part of a network of ``spec``, as ``own_stage`` leaves it
    loss      of a micro-batch's logits and labels, so that the sum over them is the batch's
    schedule  one of ``SCHEDULES``
    """

    def __init__(
        self,
        stage: nn.Module,
        spec: ArchSpec,
        among: Processes,
        device: torch.device,
        micro_batches: int,
        loss: Loss,
        schedule: str = "gpipe",
    ) -> None:
        self._stage, self._spec, self._among, self._device = _Stage(stage), spec, among, device
        self._micro_batches, self._loss, self._way = micro_batches, loss, schedule
        self._own = split(spec, among.count)[among.rank]
        self._schedules: dict[tuple[int, ...], Any] = {}

    def gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Add those of a batch to the stage's weights; the loss in the last process, 0 in others.

        images: float (B, C, H, W), of which all but the first process need the shape alone
        """
        schedule = self._schedule(tuple(images.shape))
        losses: list[Tensor] = []
        given = (images,) if self._among.is_first else ()
        more = {"target": labels, "losses": losses} if self._among.is_last else {}
        schedule.step(*given, **more, return_outputs=False)
        if not losses:
            return torch.zeros((), device=self._device)
        return torch.stack([one.detach() for one in losses]).sum()

    def _schedule(self, shape: tuple[int, ...]) -> Any:
        """For batches of that shape."""
        # Takes a second to load, which trainings without a pipeline need not.
        from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

        if shape not in self._schedules:
            each = shape[0] // self._micro_batches
            came, goes = (
                torch.empty(each, *some, device="meta").requires_grad_()
                for some in self._shapes(shape[1:])
            )
            came.requires_grad_(not self._among.is_first)
            stage = PipelineStage(
                self._stage, self._among.rank, self._among.count, self._device, came, goes
            )
            make = Schedule1F1B if self._way == "1f1b" else ScheduleGPipe
            self._schedules[shape] = make(stage, self._micro_batches, self._loss, scale_grads=False)
        return self._schedules[shape]

    def _shapes(self, picture: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of what comes into this stage and goes out of it, of a picture (C, H, W)."""
        found = units(self._spec, picture[-1])

        def after(unit: Part) -> tuple[int, ...]:
            return unit.channels, unit.side, unit.side

        came = picture if self._among.is_first else after(found[self._own.start - 1])
        last = self._own.stop == len(found)
        return came, (self._spec.classes,) if last else after(found[self._own.stop - 1])

    def passing(self, stage: nn.Module) -> Passing:
        """``stage``, this process's part of a network, as a whole network to be measured."""
        return Passing(_Stage(stage), self._shapes, self._among, self._device)


class Passing:
    """A network in stages that is called in every process alike, with the same batches one after
    the other; the last has the logits, others have None."""

    def __init__(
        self,
        stage: nn.Module,
        shapes: Callable[[tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]],
        among: Processes,
        device: torch.device,
    ) -> None:
        self._stage, self._shapes, self._among, self._device = stage, shapes, among, device
        self._sent: deque[tuple[Any, Tensor]] = deque()

    def eval(self) -> Passing:
        """As a module's."""
        self._stage.eval()
        return self

    def __call__(self, x: Tensor) -> Tensor | None:
        """x: float (B, C, H, W), of which all but the first process need the shape alone."""
        among = self._among
        if not among.is_first:
            came, _ = self._shapes(tuple(x.shape[1:]))
            x = torch.empty(len(x), *came, device=self._device)
            dist.recv(x, among.rank - 1)
        y: Tensor = self._stage(x)
        if among.is_last:
            return y
        self._sent.append((dist.isend(y, among.rank + 1), y))
        while len(self._sent) > _AHEAD:
            self._sent.popleft()[0].wait()
        return None

    def wait(self) -> None:
        """Until all that was sent has arrived."""
        while self._sent:
            self._sent.popleft()[0].wait()
