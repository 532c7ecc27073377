"""``--init own``: a parent that a search trains from scratch on the user's pictures.

Where no published weights suit, a training of seconds from scratch is all that a candidate would
have, which ranks networks badly. One network that is trained first for as long as some fifty of
these tells more: what the others inherit from it, scored without a training of theirs, ranks them
better and costs less (docs/transfer.md).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common.command import when_stopped
from models.build import build
from models.spec import ArchSpec
from training.data import Data
from training.device import kind_of
from training.evaluator import RATE, dropped, proxy_recipe, seen_at
from training.loop.checkpoints.keeper import Keeper
from training.loop.train import OnEpoch, train
from training.options.sizing import speed_of
from training.recipe import Recipe
from training.transfer.parent import Moments, Parent, weights_of
from trials.store.header import FIRST

PASSES, ON_GPU = 56_000, 10  # of single pictures through the parent on a CPU; times on a GPU
MOST = 100  # epochs: what few pictures have to tell is told before
SHARE = 0.3  # of --minutes, which the parent takes at most
_PIXELS = {"cpu": 48, "gpu": 96}  # at most
_IMAGES = 8000  # on a CPU, times on a GPU
EVERY = 2.0  # minutes between the checkpoints of its training
_RECIPE = "recipe"  # among what a checkpoint is of
_RATE = 0.08  # for a batch of 256: that of all that inherits


def untrained(spec: ArchSpec) -> Parent:
    """``spec`` as a parent whose weights are still those of a seeded initialisation."""
    torch.manual_seed(0)
    weights = weights_of(build(spec))
    moments = Moments((0.5,) * spec.in_channels, (0.25,) * spec.in_channels)
    return Parent(f"own-{spec.name}", spec, weights, moments, own=True)


def own_recipe(native: int, device: str, growth: float, reference: int, stride: int) -> Recipe:
    """How children of an own parent are scored: as they are, at the pictures' own pixels or the
    specs', of which there are ``_PIXELS`` at most: at three quarters of them they rank worse
    (docs/transfer.md)."""
    proxy = proxy_recipe(native, device, growth, reference, stride)
    most = _PIXELS["cpu" if kind_of(device) == "cpu" else "gpu"]
    side = seen_at(native, growth, min(reference, most), 1.0)
    return replace(
        proxy,
        resolution=side,
        drop_strides=dropped(stride, side),
        epochs=0,
        lr=_RATE,
        zero_init=False,
    )


def raising(recipe: Recipe, device: str, available: int, epochs: int | None = None) -> Recipe:
    """How the parent is trained whose children are scored by ``recipe``: from scratch, on up to
    ``_IMAGES`` of the ``available`` pictures, or on as many as children are, for ``PASSES`` in all
    and ``MOST`` epochs, or for ``epochs``."""
    times = 1 if kind_of(device) == "cpu" else ON_GPU
    images = min(available, max(times * _IMAGES, recipe.images or available))
    return replace(
        recipe,
        images=images,
        epochs=epochs or min(MOST, max(1, round(times * PASSES / images))),
        lr=RATE,
    )


def within(
    recipe: Recipe, parent: Parent, data: Data, place: torch.device, minutes: float
) -> Recipe:
    """``recipe``, ``raising``'s, cut to what ``SHARE`` of the minutes allow: the speed is measured
    for some seconds. Fewer pictures where not even one epoch is."""
    seconds = 60 * SHARE * minutes
    passes = speed_of(parent.spec, recipe, data, place).images_per_second * seconds
    images = recipe.images or len(data.train)
    epochs = min(recipe.epochs, int(passes / images))
    if not epochs:
        images = max(recipe.batch, min(images, int(passes)))
    found = replace(recipe, epochs=max(1, epochs), images=images)
    if found != recipe:
        print(
            f"the parent is trained for {found.epochs} epochs of {images:,} pictures: about "
            f"{SHARE:.0%} of the minutes",
            file=sys.stderr,
        )
    return found


def keeper_in(directory: Path, parent: Parent, recipe: Recipe, data: Data, seed: int) -> Keeper:
    """What keeps the training of the ``parent``, whose children are scored by ``recipe``, below a
    run's directory, in one of its own, which is made: a checkpoint there is no other training's."""
    place = directory / FIRST
    place.mkdir(parents=True, exist_ok=True)
    of = {"parent": parent.spec.key, "of": recipe.key, "pictures": data.digest, "seed": seed}
    return Keeper(place, EVERY, of)


def forget(keeper: Keeper) -> None:
    """Remove what ``keeper_in`` made: the training is over."""
    keeper.forget()
    keeper.path.parent.rmdir()


def began_with(keeper: Keeper) -> Recipe | None:
    """The recipe of the training that is kept there, whatever the machine's speed is now; None
    where none is. Raises ValueError where it is another's."""
    state = keeper.read()
    return None if state is None else Recipe.from_dict(state.facts["of"][_RECIPE])


def raise_on(
    parent: Parent, recipe: Recipe, data: Data, seed: int, device: torch.device,
    on_epoch: OnEpoch | None = None, keeper: Keeper | None = None,
) -> Parent:  # fmt: skip
    """The ``untrained`` parent once it is trained by ``recipe``, ``raising``'s; of 0 epochs it is
    only brought to the classes and the channels of the ``data``. Of the validation pictures nothing
    is used but to tell how good it became. A ``keeper`` writes it down on its way; a Ctrl-C then
    says how to go on."""
    told: dict[str, Any] = {"classes": len(data.classes), "in_channels": data.channels}
    spec = replace(parent.spec, **told)
    twin = recipe.network(spec, len(data.classes), data.channels)
    torch.manual_seed(seed)
    network = build(twin)  # its residual branches are not begun at 0: that told less of children
    if recipe.epochs:
        with _kept_by(keeper, recipe):
            found = train(
                spec, recipe, data, seed, device,
                network=network, on_epoch=on_epoch, keeper=keeper,
            )  # fmt: skip
        print(
            f"{parent.name}, the parent: {found.accuracy:.1%} of the validation pictures after "
            f"{recipe.epochs} epochs, {found.seconds / 60:.1f} minutes",
            file=sys.stderr,
        )
    moments = Moments(*(tuple(value.tolist()) for value in (data.mean, data.std)))
    return Parent(parent.name, spec, weights_of(network), moments, parent.digest, own=True)


@contextmanager
def _kept_by(keeper: Keeper | None, recipe: Recipe) -> Iterator[None]:
    """A block whose Ctrl-C says what is kept of a training by ``recipe``."""
    if keeper is None:
        yield
        return
    keeper.of[_RECIPE] = recipe.to_dict()
    run_dir = keeper.path.parent.parent
    says = (
        f"stopped; the parent's training is kept in {run_dir}: the same command with --resume "
        f"--out {run_dir} goes on"
    )
    with when_stopped(says), keeper.listening():
        yield
