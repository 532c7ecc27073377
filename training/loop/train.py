"""One training loop, for short proxy runs and full ones alike."""

from __future__ import annotations

import copy
import platform
import time
from typing import Any

import torch
from torch import nn

from models.spec import ArchSpec
from training.data import Data, Split, first
from training.device import arithmetic, choose_device
from training.loop import graph as graphs
from training.loop import memory
from training.loop.attempt import Judge, OnEpoch, OnStep, Plan, amend, attempt
from training.loop.checkpoints.keeper import Keeper
from training.loop.feeds.feed import feed_of
from training.loop.feeds.placed import placed
from training.loop.processes import ALONE, Processes
from training.loop.rungs import is_below, watched
from training.loop.scores import measure
from training.loop.together import pipeline
from training.loop.trainer import Trainer, is_eager
from training.recipe import Recipe
from trials.record import Evaluation, Rungs, Stopped

__all__ = ["OnEpoch", "evaluate", "final", "first", "made_on", "train", "train_above", "trainer"]


def train(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device | str = "auto",
    *,
    network: nn.Module | None = None,
    on_epoch: OnEpoch | None = None,
    deterministic: bool = False,
    graph: bool | None = None,
    judge: Judge | None = None,
    keeper: Keeper | None = None,
) -> Evaluation:
    """Train ``spec`` from scratch and measure its accuracy on the validation split.

    Weights, order and augmentation derive from ``seed``: on one CPU and one version of torch the
    same seed gives the same accuracy. A GPU sees the same images in the same order; it repeats
    itself to the bit where it is asked to be ``deterministic``, and is slower then. ``network`` is
    trained in place of a fresh one where given; ``on_epoch`` receives each epoch's number and loss.
    A ``judge`` measures it in place of ``training.loop.scores.measure``; a ``keeper`` keeps it as
    it does ``final``'s.

    A batch goes through the network in the recipe's micro-batches (``training.loop.trainer``). Only
    where memory really runs out does the training begin again from its seed with micro-batches half
    as large, and ``on_epoch`` hears of the first epochs again. The result's ``details`` say how
    many images went through at once (``micro_batch``) and how often they were halved (``divided``).

    The result's ``accuracy`` is the balanced one where the recipe is to ``balance``; ``details``
    have both and each class's counts (``training.loop.scores``).

    ``graph`` is whether the step is captured as a CUDA graph (``training.loop.graph``); None: where
    there are steps enough. ``details["graph"]`` says whether it was, and if not, why; None: it was
    not to be. On other devices than CUDA there is none.

    Raises FloatingPointError where the loss is no longer finite, ValueError where the data are too
    few for one batch norm step, MemoryError where not even two images fit.
    """
    plan = Plan(
        "validation",
        network,
        on_epoch,
        deterministic=deterministic,
        graph=graph,
        keeper=keeper,
        judge=judge,
    )
    return _trained(spec, recipe, data, seed, device, plan)[1]


def train_above(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    bars: Rungs,
    device: torch.device | str = "auto",
    *,
    deterministic: bool = False,
    graph: bool | None = None,
) -> Evaluation | Stopped:
    """``train``, measured on the way, and ended where its accuracy is below a bar.

    ``bars`` are shares of the steps, each with the least accuracy to go on with, measured on the
    first ``training.loop.rungs.PICTURES`` of the validation pictures. Measuring changes nothing: up
    to where it ends, the training is that of ``train``.
    """
    plan = Plan("validation", bars=bars, deterministic=deterministic, graph=graph)
    _, found = _trained(spec, recipe, data, seed, device, plan)
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
    on_step: OnStep | None = None,
    deterministic: bool = False,
    graph: bool | None = None,
    keeper: Keeper | None = None,
    workers: int = 0,
    among: Processes = ALONE,
) -> tuple[nn.Module, Evaluation]:
    """``train``, measured on the test split, with the trained network.

    For the one training that nothing is chosen by. A ``keeper`` writes it down on its way and goes
    on with what it finds written, to the same weights, bit for bit on a CPU. ``workers``
    processes vary pictures, where that is done one by one; their number changes nothing else.
    ``among`` are the processes that train it together, each on its part of every batch; each has
    the result. Raises ValueError where there is no test split.

    The result's ``curve`` is measured on the way, at the ends of epochs, on the first
    ``training.loop.rungs.PICTURES`` of the validation pictures; its ``details`` also have what was
    named wrongly (``training.loop.scores.Scores.mistaken``).
    """
    if not len(data.test):
        raise ValueError(f"{data.name} has no test split: load it with a share of test pictures")
    plan = Plan(
        "test",
        network,
        on_epoch,
        on_step,
        watched(recipe.epochs),
        deterministic=deterministic,
        graph=graph,
        keeper=keeper,
        workers=workers,
        among=among,
    )
    return _trained(spec, recipe, data, seed, device, plan)


def _trained(
    spec: ArchSpec, recipe: Recipe, data: Data, seed: int, device: torch.device | str, plan: Plan
) -> tuple[nn.Module, Evaluation]:
    start = time.perf_counter()
    if not recipe.epochs:
        raise ValueError("0 epochs are no training: they need weights that are inherited (--init)")
    images = len(first(data.train, recipe.images))
    if images < 2:
        raise ValueError(f"{images} training images: batch norm needs at least 2")
    twin = recipe.network(spec, len(data.classes), data.channels)
    batch = recipe.batch_of(images) // plan.among.parts
    if batch < memory.SMALLEST:
        raise ValueError(
            f"batches of {recipe.batch_of(images)} images leave one of {plan.among.count} "
            f"processes fewer than {memory.SMALLEST}: give a larger --batch, or fewer processes"
        )
    plan.place = choose_device(device) if isinstance(device, str) else device
    plan.micro_batches = memory.micro_batches(batch, recipe.micro_batch)
    if plan.among.pipeline:
        pipeline.check(batch, plan.micro_batches, plan.among.count)
    elif not plan.among.sharded:  # the whole of it need not fit
        memory.check(twin, recipe, images, plan.place)
    if plan.keeper is not None and (kept := plan.keeper.read()) is not None:
        plan.micro_batches, plan.divided = kept.facts["micro_batches"], kept.facts["divided"]
    given = None if plan.network is None else copy.deepcopy(plan.network.state_dict())
    while True:
        memory.release(plan.place)
        try:
            with arithmetic(plan.place, plan.deterministic):
                run = trainer(
                    twin,
                    recipe,
                    data,
                    seed,
                    plan.place,
                    network=plan.network,
                    micro_batches=plan.micro_batches,
                    graph=plan.graph,
                    workers=plan.workers,
                    among=plan.among,
                )
                trained, facts = attempt(run, plan)
            break
        except Exception as error:
            amend(plan, error, twin, batch)
            if plan.keeper is not None:
                plan.keeper.forget()
        # Here the error's traceback no longer keeps what the attempt has allocated.
        if plan.network is not None and given is not None:
            plan.network.load_state_dict(given)
            plan.network.zero_grad()
    seconds = time.perf_counter() - start + (plan.keeper.seconds if plan.keeper else 0.0)
    return trained, Evaluation(
        **facts, seed=seed, recipe=recipe.key, seconds=seconds, **made_on(plan.place)
    )


def trainer(
    twin: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    place: torch.device,
    *,
    network: nn.Module | None = None,
    micro_batches: int = 1,
    graph: bool | None = None,
    workers: int = 0,
    among: Processes = ALONE,
) -> Trainer:
    """A training at its beginning, its pictures on ``place``; ``graph`` as for ``train``.

    ``workers`` are the processes that vary pictures one by one, where the recipe has that.
    """
    split = first(data.train, recipe.images)
    feed = feed_of(recipe, split, twin.resolution, data.mean, workers)
    data = placed(data, place)
    split = first(data.train, recipe.images)
    wanted = graphs.is_wanted(place, recipe.steps(len(split)), graph)
    wanted = wanted and not is_eager(recipe, feed) and among.count == 1
    captured = graphs.CudaGraph(place) if wanted else None
    return Trainer(
        twin,
        recipe,
        data,
        split,
        seed,
        network=network,
        micro_batches=micro_batches,
        graph=captured,
        feed=feed,
        among=among,
    )


def evaluate(
    network: nn.Module, split: Split, side: int, data: Data, batch: int = 500
) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross-entropy, as ``training.loop.scores.measure`` has them."""
    found = measure(network, split, side, data, batch)
    return found.accuracy, found.loss


def made_on(device: torch.device) -> dict[str, Any]:
    """The device and the versions of an Evaluation that is made here."""
    if device.type == "cuda":
        said = f"cuda ({torch.cuda.get_device_name(device)})"
    else:
        threads = torch.get_num_threads()
        said = f"{device.type} ({threads} thread{'s' * (threads > 1)})"
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return {"device": said, "versions": versions}
