"""The ``evaluate(spec, seed)`` that a search is given: a short training on the user's pictures."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean
from typing import Any, overload

import torch

from models.spec import ArchSpec
from training.data import Data, Parts, Split, load
from training.device import kind_of
from training.loop.rungs import is_below
from training.loop.train import train, train_above
from training.pictures.folds import fold
from training.recipe import Recipe
from training.transfer.child import child
from training.transfer.parent import Parent
from trials.record import Evaluation, Rungs, Stopped

_TRAINING = 0.8  # of the time of a search: the rest is for measuring, proposals, building networks
RATE = 0.4  # for a batch of 256, of what is trained from scratch
REPEAT_STEP = 2_000_003  # between the seeds of one network's trainings
_EPOCHS, _MOST_EPOCHS, _FEWEST_IMAGES = 5, 30, 2000


@dataclass(frozen=True)
class ByName:
    """Which pictures, and how they are stored; picklable, where the pictures are not small.

    source     as ``training.data.load`` takes it
    size       side in pixels at which they are stored
    seed       of the split
    """

    source: str | Parts
    size: int | None = None
    seed: int = 0

    def data(self) -> Data:
        """The pictures; decoded once for each process and cached on disk for all of them."""
        return _loaded(self)


@functools.lru_cache(maxsize=2)
def _loaded(source: ByName) -> Data:
    return load(source.source, size=source.size, seed=source.seed)


@dataclass(frozen=True)
class ByValue:
    """Pictures that travel with the evaluator, to machines that do not see their source.

    Pickled as arrays, whose memory protocol 5 hands on without a copy: on a Ray cluster all workers
    of a node read the same pictures. Nobody may write to them.
    """

    pictures: Data

    def data(self) -> Data:
        """The pictures."""
        return self.pictures

    def __reduce__(self) -> tuple[Any, ...]:
        splits = self.pictures.splits()
        names = (item.name for item in fields(Data) if item.name not in splits)
        facts = {name: getattr(self.pictures, name) for name in names}
        arrays = {name: (s.images.numpy(), s.labels.numpy()) for name, s in splits.items()}
        return _held, (arrays, facts)


@dataclass(frozen=True)
class Folded:
    """The pictures of ``source``, others of them held out (``training.pictures.folds``)."""

    source: Source
    number: int

    def data(self) -> Data:
        """The pictures; divided once for each process."""
        return _folded(self)


Source = ByName | ByValue | Folded


@functools.lru_cache(maxsize=1)
def _folded(source: Folded) -> Data:
    return fold(source.source.data(), source.number)


def _held(arrays: dict[str, tuple[Any, Any]], facts: dict[str, Any]) -> ByValue:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        for name, pair in arrays.items():
            facts[name] = Split(torch.from_numpy(pair[0]), torch.from_numpy(pair[1]))
    return ByValue(Data(**facts))


@dataclass(frozen=True)
class Evaluator:
    """Trains a spec's proxy twin by ``recipe`` on ``source``; picklable.

    With a ``parent`` the twin inherits its weights, and a recipe of 0 epochs scores them as they
    are (``training.transfer.child``). Given bars, it measures the training on its way, a child
    before its training, and stops it below one. ``repeats`` trainings under seeds of their own are
    averaged where they are several; bars are for the first.
    """

    source: Source
    recipe: Recipe
    device: str = "auto"
    parent: Parent | None = None
    repeats: int = 1

    @overload
    def __call__(self, spec: ArchSpec, seed: int) -> Evaluation: ...

    @overload
    def __call__(self, spec: ArchSpec, seed: int, bars: Rungs) -> Evaluation | Stopped: ...

    def __call__(self, spec: ArchSpec, seed: int, bars: Rungs = ()) -> Evaluation | Stopped:
        first = self._trained(spec, seed, bars)
        if self.repeats == 1 or isinstance(first, Stopped):
            return first
        seeds = ((seed + n * REPEAT_STEP) % 2**31 for n in range(1, self.repeats))
        others = [self._trained(spec, one) for one in seeds]
        return averaged([first, *(one for one in others if isinstance(one, Evaluation))])

    def _trained(self, spec: ArchSpec, seed: int, bars: Rungs = ()) -> Evaluation | Stopped:
        data = self.source.data()
        if self.parent is not None:
            bars = bars if self.recipe.epochs else ()  # else there is no training to stop
            found = child(self.parent, spec, self.recipe, data, seed, self.device, bars)[1]
            return Stopped(found) if is_below(found.curve, bars) else found
        if bars:
            return train_above(spec, self.recipe, data, seed, bars, self.device)
        return train(spec, self.recipe, data, seed, self.device)


def averaged(found: Sequence[Evaluation]) -> Evaluation:
    """The means of several trainings of one network: accuracy, loss and whatever real number all of
    them have among their details; all else is the first one's. ``accuracies`` keeps each."""
    details = dict(found[0].details)
    for name, value in details.items():
        each = [one.details.get(name) for one in found]
        known = [one for one in each if isinstance(one, float)]
        if isinstance(value, float) and len(known) == len(found):
            details[name] = fmean(known)
    losses = [one.loss for one in found if one.loss is not None]
    return replace(
        found[0],
        accuracy=fmean(one.accuracy for one in found),
        loss=fmean(losses) if len(losses) == len(found) else None,
        seconds=sum(one.seconds for one in found),
        details=details | {"accuracies": [one.accuracy for one in found]},
    )


def proxy_recipe(
    native: int,
    device: str = "auto",
    growth: float = 1.0,
    reference: int = 224,
    stride: int = 32,
    *,
    minutes: float | None = None,
    trials: int | None = None,
    images_per_second: float | None = None,
    available: int | None = None,
) -> Recipe:
    """A short recipe for pictures of ``native`` pixels on that device, which may be elsewhere.

    The proxy resolution is at most three quarters of the pictures' own (20 pixels for 28, 24 for
    32), and leaves room for ``growth``, the greatest multiple of it that a scaling search will
    train, to about the pictures' own size: more resolution then carries more information. It is 32
    pixels at most on a CPU, 96 on a GPU. Specs of ``reference`` pixels are trained at it, whose
    greatest total stride is ``stride``: leading strides are taken out until their last maps have
    2 pixels or more. Docs: ``docs/proxy.md``.

    Pictures and epochs are constants of the device, unless all is known that it takes to fill
    ``minutes`` with ``trials`` trainings one after the other: at ``images_per_second``, as
    ``training.options.sizing.speed`` measures it, of ``available`` training pictures.
    """
    on_cpu = kind_of(device) == "cpu"
    side = seen_at(native, growth, 32 if on_cpu else 96, 0.75)
    images, held_out, epochs, batch = (2000, 2000, 2, 32) if on_cpu else (50_000, None, 5, 256)
    recipe = Recipe(
        resolution=side,
        reference=reference,
        drop_strides=dropped(stride, side),
        images=images,
        held_out=held_out,
        epochs=epochs,
        batch=batch,
        lr=RATE,
        regularise=False,
    )
    if minutes is None or trials is None or images_per_second is None or available is None:
        return recipe
    return _filling(recipe, images_per_second * 60 * minutes / trials, available)


def seen_at(native: int, growth: float, most: int, share: float) -> int:
    """Pixels, a multiple of 4: so great a share of the pictures' own, ``most`` at most, and with
    room for ``growth``."""
    return max(8, min(most, math.floor(native * min(share, 1.07 / growth) / 4) * 4))


def dropped(stride: int, side: int) -> int:
    """How many strides of 2 are taken out of that total for maps of two pixels or more."""
    return max(0, 1 + math.ceil(math.log2(stride)) - math.ceil(math.log2(side)))


def _filling(recipe: Recipe, passes: float, available: int) -> Recipe:
    """``recipe`` with as many pictures and epochs as so many passes of single pictures allow.

    First up to five epochs, then more pictures, to ``available``; only then more epochs, to thirty,
    which is a full training's number. At the least one epoch of 2,000 pictures, or of all.
    """
    passes *= _TRAINING
    images = min(available, max(_FEWEST_IMAGES, int(passes / _EPOCHS)))
    epochs = max(1, min(_MOST_EPOCHS, int(passes / images)))
    return replace(recipe, images=images, held_out=max(_FEWEST_IMAGES, images), epochs=epochs)
