"""One attempt at a training: epoch after epoch, measured at its end; and how to begin it again."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from common.host_memory import is_out_of_memory
from models.spec import ArchSpec
from training.data import Data, Split, first
from training.loop import graph as graphs
from training.loop import memory
from training.loop.checkpoints.keeper import Keeper
from training.loop.processes import ALONE, Processes, average_statistics
from training.loop.rungs import PICTURES, Ladder, is_below
from training.loop.scores import Scores, measure
from training.loop.trainer import Trainer
from trials.record import Rungs

OnEpoch = Callable[[int, float], None]
OnStep = Callable[[float], None]
"""Hears after each step how many epochs are done, in parts of one."""
Judge = Callable[[nn.Module, Data, Split], tuple[Scores, dict[str, Any]]]
"""Measures a trained network on a split of the data that it was trained on; what it tells besides
is for the details."""
MORE = 4  # times as many pictures


@dataclass
class Plan:
    """How a training goes about it; what it meets on its way changes the last five."""

    held_out: str
    network: nn.Module | None = None
    on_epoch: OnEpoch | None = None
    on_step: OnStep | None = None
    bars: Rungs = ()
    deterministic: bool = False
    graph: bool | None = None
    keeper: Keeper | None = None
    workers: int = 0
    among: Processes = ALONE
    judge: Judge | None = None
    no_graph: str | None = None
    place: torch.device = field(default_factory=lambda: torch.device("cpu"))
    micro_batches: int = 1
    divided: int = 0


def attempt(run: Trainer, plan: Plan) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network, and what of its Evaluation the training itself tells."""
    recipe, data, held_out, bars = run.recipe, run.data, plan.held_out, plan.bars
    validation = first(data.validation, recipe.held_out)
    split, few = data.test if held_out == "test" else validation, first(validation, PICTURES)
    kept = {"micro_batches": plan.micro_batches, "divided": plan.divided}
    if plan.keeper is not None:
        plan.keeper.begin(run, **kept)
    ladder = Ladder(
        bars, run.steps, lambda: _measure(run, few, 0).chosen(recipe.balance), run.curve
    )

    def ends(step: int) -> bool:
        if plan.on_step is not None:
            plan.on_step(recipe.epochs * step / run.steps)
        return ladder.ends(step)

    for epoch in range(len(run.losses), recipe.epochs):
        loss = run.epoch(ends)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} after {epoch + 1} epochs: diverged")
        if plan.on_epoch:
            plan.on_epoch(epoch, loss)
        if is_below(tuple(ladder.curve), bars):
            break
    if plan.keeper is not None:
        plan.keeper.write(run, **kept)
    average_statistics(run.averaged, run.among)
    if run.step < run.steps:
        facts: dict[str, Any] = {"accuracy": ladder.curve[-1][1], "loss": None}
        by_class = {}
    else:
        more: dict[str, Any] = {}
        if plan.judge is None:
            scores = _measure(run, split, plan.workers)
        else:
            scores, more = plan.judge(run.averaged, data, split)
        facts = {"accuracy": scores.chosen(recipe.balance), "loss": scores.loss}
        by_class = scores.details(recipe.balance) | more
        if held_out == "test":  # once: what a search keeps of its many trainings must stay small
            by_class |= scores.mistaken()
        if not math.isfinite(scores.loss):
            raise FloatingPointError(f"the {held_out} loss is {scores.loss}: diverged")
    details = {
        "losses": [round(value, 4) for value in run.losses],
        "images": len(run.split),
        "steps": run.step,
        "micro_batch": run.micro_batch,
        "divided": plan.divided,
        "graph": plan.no_graph or run.graph,
        "side": run.side,
        "held_out": held_out,
        "held_out_images": len(split),
        "curve_images": len(few),  # that a curve is of
        "data": data.digest,
        **by_class,
    }
    return run.whole(), facts | {"curve": ladder.curve, "details": details}


def _measure(run: Trainer, split: Split, workers: int) -> Scores:
    # As many at once as in training, where their gradients fitted too; on a GPU, which so few do
    # not fill, some more: without gradients a layer's maps are freed once the next has used them.
    device = run.split.labels.device.type
    batch = run.micro_batch * (MORE if device == "cuda" else 1)
    found = measure(run.measured, split, run.side, run.data, batch, workers, run.among)
    run.to_learn()
    return found


def amend(plan: Plan, error: Exception, twin: ArchSpec, batch: int) -> None:
    """How to begin again after an attempt that ended so; raises where nothing else is left."""
    if isinstance(error, graphs.NotCaptured):
        plan.graph, plan.no_graph = False, f"not captured: {error}"
    elif isinstance(error, NotImplementedError) and plan.place.type == "mps":
        lacking = str(error).strip().partition("\n")[0]
        warnings.warn(f"{twin.name} is trained on the CPU, not on MPS: {lacking}", stacklevel=2)
        plan.place = torch.device("cpu")
    elif not is_out_of_memory(error) or plan.among.count > 1:
        raise error  # of several processes the others would not know
    elif not memory.divisible(batch, plan.micro_batches):
        raise MemoryError(f"{twin.name} does not fit on {plan.place.type}: {error}") from error
    else:
        plan.micro_batches, plan.divided = 2 * plan.micro_batches, plan.divided + 1
