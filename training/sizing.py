"""What a new run's trainings are sized by: the memory and the speed of the machine they run on."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import NamedTuple

import torch

from common.host_memory import is_out_of_memory
from models.cost import cost
from models.spec import ArchSpec
from training.data import Data
from training.device import arithmetic, choose_device
from training.evaluator import Evaluator, proxy_recipe
from training.loop import memory
from training.loop.graph import CudaGraph, is_wanted
from training.loop.placed import placed
from training.loop.train import first
from training.loop.trainer import Trainer
from training.recipe import Recipe
from trials.workers.environment import (
    child_environment,
    cores,
    device_variables,
    thread_variables,
)

SECONDS = 1.0  # that a timing takes at least
_WARM_UP, _FIRST = 10, 10  # steps that do not count, and of the first timing
_EPOCHS = 1000  # of a training that is not carried to its end


class Machines(NamedTuple):
    """Where the worker processes of this machine run.

    ``devices`` are dealt out to them, "cuda:0" …; None where nothing is to be dealt out.
    """

    places: tuple[torch.device, ...]
    devices: tuple[str, ...] | None
    workers: int

    @property
    def sharers(self) -> int:
        """Workers that have one memory between them."""
        return -(-self.workers // len(self.places))


def machines(device: str, workers: int | None, recipe: Recipe) -> Machines:
    """Those of --device and --workers. Raises ValueError for a device that is not there."""
    chosen = choose_device(device)
    if chosen.type != "cuda":
        return Machines((chosen,), None, workers or (cores() if chosen.type == "cpu" else 1))
    indices = range(torch.cuda.device_count()) if chosen.index is None else [chosen.index]
    places = tuple(torch.device("cuda", index) for index in indices)
    if workers is None:
        workers = sum(workers_per_device(recipe, memory.total_bytes(p) or 0) for p in places)
    return Machines(places, tuple(map(str, places)), workers)


def workers_per_device(recipe: Recipe, device_memory: int) -> int:
    """How many processes train side by side on a GPU of so many bytes, unless --workers says it.

    1: where steps are captured (``training.loop.graph``), one process leaves a GPU idle only
    between trainings and with the smallest networks; what a second one adds has not been measured,
    while it takes half of the memory and the time of another context.
    """
    return 1


def fitting(evaluator: Evaluator, data: Data, specs: Sequence[ArchSpec], where: Machines) -> Recipe:
    """The evaluator's recipe with the micro-batch in which all of the networks can be trained.

    Raises MemoryError where none can.
    """
    recipe = evaluator.recipe
    there = [total for place in where.places if (total := memory.total_bytes(place)) is not None]
    held = sum(split.images.numel() for split in (data.train, data.validation, data.test))
    room = min(there) // where.sharers - held if there else None
    twins = (recipe.network(spec, len(data.classes), data.channels) for spec in specs)
    images = len(first(data.train, recipe.images))
    return replace(recipe, micro_batch=memory.decide(twins, recipe, images, room))


def filling(
    evaluator: Evaluator,
    data: Data,
    specs: Sequence[ArchSpec],
    where: Machines,
    growth: float,
    minutes: float,
    trials: int,
) -> Recipe:
    """The evaluator's recipe with pictures and epochs such that the trials take the minutes.

    On GPUs, all at work, by a measurement of the network that costs most; elsewhere, and where
    that is impossible, the recipe as it is. Says on stderr what it came to.
    """
    recipe = evaluator.recipe
    if where.devices is None or not specs:
        return recipe
    dearest = max(specs, key=lambda spec: cost(spec).macs)
    try:
        rate = measured(replace(evaluator, device="cuda"), dearest, where.devices[0])
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(f"the speed could not be measured, and sizes nothing: {error}", file=sys.stderr)
        return recipe
    sized = proxy_recipe(
        data.native_size, "cuda", growth, minutes=minutes,
        trials=math.ceil(trials / len(where.devices)), images_per_second=rate,
        available=len(data.train),
    )  # fmt: skip
    print(f"{rate:,.0f} images a second: {sized.images:,} pictures and {sized.epochs} epochs a "
          "training", file=sys.stderr)  # fmt: skip
    return replace(recipe, images=sized.images, held_out=sized.held_out, epochs=sized.epochs)


def images_per_second(
    evaluator: Evaluator,
    spec: ArchSpec,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Training images a second of ``spec``'s proxy twin, in this process, alone on its device.

    Twice as many steps are timed until they take so long. Raises as ``training.loop.train.train``
    does where the training is impossible.
    """
    place = choose_device(evaluator.device)
    data = placed(evaluator.source.data(), place)
    recipe = replace(evaluator.recipe, epochs=_EPOCHS)
    split = first(data.train, recipe.images)
    twin = recipe.network(spec, len(data.classes), data.channels)
    count = memory.micro_batches(recipe.batch_of(len(split)), recipe.micro_batch)
    with arithmetic(place):
        wanted = is_wanted(place, recipe.steps(len(split)), None)
        graph = CudaGraph(place) if wanted else None
        run = Trainer(twin, recipe, data, split, 0, micro_batches=count, graph=graph)
        _advance(run, _WARM_UP)
        steps = _FIRST
        while True:
            start = clock()
            _advance(run, steps)
            taken = clock() - start
            if taken >= seconds:
                return steps * run.batch / taken
            steps *= 2


def _advance(run: Trainer, steps: int) -> None:
    """So many steps, waited for: an epoch's end asks the device for its loss."""
    stop = run.step + steps
    while run.step < stop:
        run.epoch(lambda done: done >= stop)


def measured(evaluator: Evaluator, spec: ArchSpec, device: str) -> float:
    """``images_per_second`` in a process of its own with a worker's environment.

    What it takes of the device's memory ends with it. ``device`` is "cpu", or like "cuda:0".
    """
    variables = {**thread_variables(cores()), **device_variables(device)}
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with child_environment(variables):
            found = pool.submit(images_per_second, evaluator, spec)
        return found.result()
