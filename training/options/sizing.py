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
from models.scale import scale
from models.spec import ArchSpec
from training.data import Data
from training.device import arithmetic, choose_device
from training.evaluator import Evaluator, proxy_recipe
from training.loop import memory
from training.loop.train import first, trainer
from training.loop.trainer import Trainer
from training.recipe import Recipe
from trials.latencies import Reading, reading_of
from trials.workers.environment import (
    child_environment,
    cores,
    device_variables,
    thread_variables,
)

SECONDS = 1.0  # that a timing takes at least
_WARM_UP = 10  # steps that do not count
_PARTS = 8  # of a timing, which say how far it scatters; in the first each is one step
_EPOCHS = 1000  # of a training that is not carried to its end
_OTHER_WIDTH = 0.8


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

    1: four made 1.4 times as many trainings an hour of two networks at 24 pixels on an H200
    (``docs/gpu.md``), which are about the smallest there are, while each takes a share of the
    memory and the time of another context.
    """
    return 1


def fitting(evaluator: Evaluator, data: Data, specs: Sequence[ArchSpec], where: Machines) -> Recipe:
    """The evaluator's recipe with the micro-batch in which all of the networks can be trained.

    Raises MemoryError where none can.
    """
    recipe = evaluator.recipe
    there = [total for place in where.places if (total := memory.total_bytes(place)) is not None]
    held = sum(split.images.numel() for split in data.splits().values())
    room = min(there) // where.sharers - held if there else None
    twins = (recipe.network(spec, len(data.classes), data.channels) for spec in specs)
    images = len(first(data.train, recipe.images))
    return replace(
        recipe, micro_batch=memory.decide(twins, recipe, images, room, where.places[0].type)
    )


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
    that is impossible, the recipe as it is. Where the trials are so many that to begin with them
    would take most of the minutes, as many are meant as it takes half of them to begin with: more
    and shorter ones would tell less each and cost as much. Says on stderr what it came to.
    """
    recipe = evaluator.recipe
    if where.devices is None or not specs:
        return recipe
    dearest = max(specs, key=lambda spec: cost(spec).macs)
    try:
        found = measured(replace(evaluator, device="cuda"), dearest, where.devices[0])
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(f"the speed could not be measured, and sizes nothing: {error}", file=sys.stderr)
        return recipe
    asked = math.ceil(trials / len(where.devices))
    each = max(1, min(asked, int(60 * minutes / (2 * found.before))))
    sized = proxy_recipe(
        data.native_size,
        "cuda",
        growth,
        minutes=max(0.0, minutes - each * found.before / 60),
        trials=each,
        images_per_second=found.images_per_second,
        available=len(data.train),
    )
    print(
        f"{found.images_per_second:,.0f} images a second after {found.before:.1f} s: "
        f"{sized.images:,} pictures and {sized.epochs} epochs a training"
        + (f", for some {each * len(where.devices)} networks" if each < asked else ""),
        file=sys.stderr,
    )
    return replace(recipe, images=sized.images, held_out=sized.held_out, epochs=sized.epochs)


class Speed(NamedTuple):
    """Of a network's proxy trainings in a process that has trained others.

    before             seconds until its steps run as they do to the end: it is built, a library
                       prepares what it has for new shapes, the step is captured
    images_per_second  of the steps that follow
    step               seconds of one of them, by parts of their timing
    """

    before: float
    images_per_second: float
    step: Reading


def speed(
    evaluator: Evaluator,
    spec: ArchSpec,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """The speed of ``spec``'s proxy twin, as ``speed_of``."""
    data, place = evaluator.source.data(), choose_device(evaluator.device)
    return speed_of(spec, evaluator.recipe, data, place, seconds, clock)


def speed_of(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    place: torch.device,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    workers: int = 0,
) -> Speed:
    """The speed of ``spec``'s trainings by ``recipe``, in this process, alone on its device;
    ``workers`` vary the pictures.

    Twice as many steps are timed until they take so long. Raises as ``training.loop.train.train``
    does where the training is impossible.
    """
    with arithmetic(place):
        # What a process does once; the shapes are others, as those of candidates mostly are.
        _going(scale(spec, width=_OTHER_WIDTH), recipe, data, place, workers)
        memory.release(place)
        start = clock()
        run = _going(spec, recipe, data, place, workers)
        before, steps = clock() - start, 1
        while True:
            parts = []
            for _ in range(_PARTS):
                start = clock()
                _advance(run, steps)
                parts.append((clock() - start) / steps)
            mean = sum(parts) / _PARTS
            if mean * steps * _PARTS >= seconds:
                return Speed(before, run.batch / mean, reading_of(parts))
            steps *= 2


def _going(
    spec: ArchSpec, recipe: Recipe, data: Data, place: torch.device, workers: int
) -> Trainer:
    """A training by the recipe, but for its length and its growing, some steps on."""
    recipe = replace(recipe, epochs=_EPOCHS, phases=1)
    twin = recipe.network(spec, len(data.classes), data.channels)
    images = len(first(data.train, recipe.images))
    count = memory.micro_batches(recipe.batch_of(images), recipe.micro_batch)
    run = trainer(twin, recipe, data, 0, place, micro_batches=count, workers=workers)
    _advance(run, _WARM_UP)
    return run


def _advance(run: Trainer, steps: int) -> None:
    """So many steps, waited for: an epoch's end asks the device for its loss."""
    stop = run.step + steps
    while run.step < stop:
        run.epoch(lambda done: done >= stop)


def measured(evaluator: Evaluator, spec: ArchSpec, device: str) -> Speed:
    """``speed`` in a process of its own with a worker's environment.

    What it takes of the device's memory ends with it. ``device`` is "cpu", or like "cuda:0".
    """
    variables = {**thread_variables(cores()), **device_variables(device)}
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with child_environment(variables):
            found = pool.submit(speed, evaluator, spec)
        return found.result()
