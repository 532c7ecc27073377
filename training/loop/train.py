"""One training loop, for short proxy runs and full ones alike."""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from common.host_memory import is_out_of_memory
from models.spec import ArchSpec
from training.data import Data, Split
from training.device import choose_device
from training.loop import memory
from training.loop.augment import to_float
from training.loop.rungs import PICTURES, Ladder, is_below
from training.loop.trainer import Trainer, autocast
from training.recipe import Recipe
from trials.record import Evaluation, Rungs, Stopped

OnEpoch = Callable[[int, float], None]


def train(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device | str = "auto",
    *,
    network: nn.Module | None = None,
    on_epoch: OnEpoch | None = None,
) -> Evaluation:
    """Train ``spec`` from scratch and measure its accuracy on the validation split.

    Weights, order and augmentation derive from ``seed``: on one device and one version of torch
    the same seed gives the same accuracy. ``network`` is trained in place of a fresh one where
    given; ``on_epoch`` receives each epoch's number and loss.

    Where a batch does not fit into the free memory, it goes through the network in micro-batches
    (``training.loop.trainer.Trainer``); where memory runs out all the same, the training begins
    again from its seed with micro-batches half as large, and ``on_epoch`` hears of the first epochs
    again. The result's ``details["micro_batch"]`` says how many images went through at once.

    Raises FloatingPointError where the loss is no longer finite, ValueError where the data are too
    few for one batch norm step, MemoryError where not even two images fit.
    """
    _, found = _trained(spec, recipe, data, seed, device, "validation", network, on_epoch)
    return found


def train_above(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    bars: Rungs,
    device: torch.device | str = "auto",
) -> Evaluation | Stopped:
    """``train``, measured on the way, and ended where its accuracy is below a bar.

    ``bars`` are shares of the steps, each with the least accuracy to go on with, measured on the
    first ``training.loop.rungs.PICTURES`` of the validation pictures. Measuring changes nothing: up
    to where it ends, the training is that of ``train``.
    """
    _, found = _trained(spec, recipe, data, seed, device, "validation", None, None, bars)
    return Stopped(found) if is_below(found.curve, bars) else found


def final(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device | str = "auto",
    *,
    network: nn.Module | None = None,
    on_epoch: OnEpoch | None = None,
) -> tuple[nn.Module, Evaluation]:
    """``train``, measured on the test split, with the trained network.

    For the one training that nothing is chosen by. Raises ValueError where there is no test split.
    """
    if not len(data.test):
        raise ValueError(f"{data.name} has no test split: load it with a share of test pictures")
    return _trained(spec, recipe, data, seed, device, "test", network, on_epoch)


def _trained(
    spec: ArchSpec, recipe: Recipe, data: Data, seed: int, device: torch.device | str,
    held_out: str, network: nn.Module | None, on_epoch: OnEpoch | None, bars: Rungs = (),
) -> tuple[nn.Module, Evaluation]:  # fmt: skip
    start = time.perf_counter()
    place = choose_device(device) if isinstance(device, str) else device
    data = data.to(place)
    split = first(data.train, recipe.images)
    if len(split) < 2:
        raise ValueError(f"{len(split)} training images: batch norm needs at least 2")
    twin = recipe.network(spec, len(data.classes), data.channels)
    given = None if network is None else copy.deepcopy(network.state_dict())
    least = 1
    while True:
        parts = memory.micro_batches(twin, recipe, len(split), place, least)
        try:
            trained, facts = _attempt(
                Trainer(twin, recipe, data, split, seed, network=network, parts=parts),
                held_out, on_epoch, bars,
            )  # fmt: skip
            break
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if not memory.divisible(recipe.batch_of(len(split)), parts):
                raise MemoryError(f"{twin.name} does not fit on {place.type}: {error}") from error
        # Here the error's traceback no longer keeps what the attempt has allocated.
        least = 2 * parts
        if network is not None and given is not None:
            network.load_state_dict(given)
            network.zero_grad()
    return trained, Evaluation(
        **facts,
        seed=seed,
        recipe=recipe.key,
        seconds=time.perf_counter() - start,
        device=_describe(place),
        versions={"torch": torch.__version__, "python": platform.python_version()},
    )


def _attempt(
    run: Trainer, held_out: str, on_epoch: OnEpoch | None, bars: Rungs
) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network, and what of its Evaluation the training itself tells."""
    recipe, data = run.recipe, run.data
    split = data.test if held_out == "test" else first(data.validation, recipe.held_out)
    ladder = Ladder(bars, run.steps, lambda: _measure(run, first(split, PICTURES))[0])
    losses = []
    for epoch in range(recipe.epochs):
        losses.append(run.epoch(ladder.ends))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} after {epoch + 1} epochs: diverged")
        if on_epoch:
            on_epoch(epoch, losses[-1])
        if is_below(tuple(ladder.curve), bars):
            break
    if run.step < run.steps:
        accuracy, loss = ladder.curve[-1][1], None
    else:
        accuracy, loss = _measure(run, split)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the {held_out} loss is {loss}: diverged")
    details = {
        "losses": [round(value, 4) for value in losses],
        "images": len(run.split),
        "steps": run.step,
        "micro_batch": run.micro_batch,
        "side": run.side,
        "held_out": held_out,
        "held_out_images": len(split),
        "data": data.digest,
    }
    facts = {"accuracy": accuracy, "loss": loss, "curve": ladder.curve, "details": details}
    return run.averaged, facts


def _measure(run: Trainer, split: Split) -> tuple[float, float]:
    # As many at once as in training, where their gradients fitted too.
    found = evaluate(run.averaged, split, run.side, run.data, run.micro_batch)
    run.network.train()
    return found


@torch.no_grad()
def evaluate(
    network: nn.Module, split: Split, side: int, data: Data, batch: int = 500
) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross-entropy of ``network`` on ``split`` at ``side`` pixels.

    ``batch`` images go through at once, which changes nothing but memory and time.
    """
    network.eval()
    correct = torch.zeros((), device=split.labels.device)
    loss = torch.zeros((), device=split.labels.device)
    for images, labels in zip(
        torch.split(split.images, batch), torch.split(split.labels, batch), strict=True
    ):
        x = to_float(images, side, data.mean, data.std, channels_last=True)
        with autocast(x.device):
            logits = network(x).float()
        correct += (logits.argmax(1) == labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum")
    return correct.item() / len(split), loss.item() / len(split)


def first(split: Split, count: int | None) -> Split:
    """The first ``count`` images, a stratified sample as ``load`` orders them; None: all."""
    return Split(split.images[:count], split.labels[:count])


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"{device.type} ({threads} thread{'s' * (threads > 1)})"
